// NodeRegister: nodebeat:nodes, the list of every node that was ever seen. A node that is gone for
// good is removed from the list: by node.forget, or by an agent when the node has not beaten for
// long.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::node {

// The steps to forget one node, unless it is alive. A node that returns between these steps is put
// back into the list.
class Forgetting {
 public:
  enum class Outcome : uint8_t {
    forgotten,
    alive,
    unknown,    // it is not in the list
    kept,       // it has not been away for long enough, or the time is not known
    refused,    // by Redis: see words()
    malformed,  // a reply that is too large, or of another form than the command, words(), has
    no_redis,
  };

  // `older_than`: only if its last beat was before that. Calls `on_done` once, perhaps from within
  // start(), and is not touched afterwards.
  Forgetting(redis::Reader& reader, std::string_view node, std::optional<WallTime> older_than,
             Delegate<void(Outcome)> on_done);
  Forgetting(const Forgetting&) = delete;
  Forgetting& operator=(const Forgetting&) = delete;
  ~Forgetting() { reader_.cancel(question_); }

  void start();
  const std::string& words() const { return words_; }
  const std::string& node() const { return node_; }

 private:
  enum class Step : uint8_t {
    health,
    // Of a node with a health: whether that is the one of a lost node.
    known_mark_size,
    known_mark,
    known_lease,
    history,
    entry_size,
    entry,
    removal,
    // These may be refused: not every user has the rights for them.
    stroke,
    lease,
    mark,
    lost_health,
    again,  // its health, or of a lost node its lease
    put_back
  };

  void ask(Step step, std::initializer_list<std::string_view> command);
  void on_answer(const redis::ReaderAnswer& answer);
  void ask_about();
  void ask_lease();
  void remove();
  static bool may_be_refused(Step step);
  static bool has_form(Step step, redis::Reply reply);

  redis::Reader& reader_;
  std::string node_;
  std::string health_key_;
  std::string lease_key_;
  std::string stream_;
  std::optional<WallTime> older_than_;
  Delegate<void(Outcome)> on_done_;
  std::string about_ = "{}";  // its entry
  std::string mark_;          // the lease with which it was announced as lost
  bool lost_ = false;
  std::string words_;
  Step step_ = Step::health;
  uint64_t question_ = 0;
};

// Reads a page of the list from time to time: about thirty times in the age at which a node is
// forgotten, but at most once a second and at least once a day. Each agent of a cell does so, at
// random times of its own.
class NodePruner {
 public:
  NodePruner(uv::Loop& loop, const Log& log, redis::Reader& reader, const redis::Link& link);
  NodePruner(const NodePruner&) = delete;
  NodePruner& operator=(const NodePruner&) = delete;

  // 0: no node is forgotten.
  void set_age(Duration age);
  void stop();

 private:
  void arm();
  void on_due();
  void on_page(const redis::ReaderAnswer& answer);
  void next();
  void on_forgotten(Forgetting::Outcome outcome);

  uv::Loop& loop_;
  const Log& log_;
  redis::Reader& reader_;
  const redis::Link& link_;
  Duration age_{};
  Random random_;
  uv::Timer timer_;
  uint64_t question_ = 0;
  uint64_t cursor_ = 0;
  std::vector<std::string> names_;
  std::unique_ptr<Forgetting> forgetting_;
  uv::Timer step_;  // from one node to the next
};

}  // namespace nb::node
