// The server of the simulation: what Redis and the script wire/watch.lua do, and what a server can
// do to those that use it. It can be stopped, take no writes, be restarted, be emptied, and fail
// over to one that has lost its latest writes.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "sim/world.h"

namespace nb::sim {

inline constexpr size_t kMostNodes = 16;

struct Request {
  enum class Op : uint8_t {
    hello,
    lease,     // node, text
    entry,     // node
    watch,     //
    claim,     // text: expected; more: wanted
    renew,     // text: expected; more: wanted
    look,      // nodes
    nodes,     //
    marks,     //
    lost,      // node, text: lease; more: own term; absent
    returned,  // node, text: lease; more: own term
    say,       // text; more: own term
    leave,     // more: own term
  };
  Op op{};
  int agent = 0;
  int node = -1;
  std::string text = {};
  std::string more = {};
  bool absent = false;
  std::vector<uint8_t> nodes = {};

  bool is_verdict() const { return op == Op::lost || op == Op::returned; }
  bool writes() const {
    return op == Op::lease || op == Op::entry || op == Op::claim || op == Op::renew ||
           is_verdict() || op == Op::say || op == Op::leave;
  }
};

struct Reply {
  std::string text = {};
  std::vector<std::pair<int, std::string>> list = {};
  int count = 0;         // of the register, of a look
  bool refused = false;  // an error: the server takes no writes
};

std::string node_name(int node);
int node_of(std::string_view name);

class Server {
 public:
  // What the simulation checks when something is announced.
  struct Observer {
    virtual ~Observer() = default;
    virtual void on_renewed(int node, int agent) = 0;
    virtual void on_lost(int node, const std::string& lease, int agent) = 0;
    virtual void on_returned(int node, const std::string& lease, const std::string& before) = 0;
    virtual void on_said(const std::string& text) = 0;
    virtual void on_claimed(int agent, const std::string& before) = 0;
    virtual void on_cut() = 0;
  };
  struct Entry {
    char kind;  // 'l'ost, 'r'eturned, 'f'orgotten
    int node;
    std::string lease;
  };

  Server(World& world, Observer& observer) : world_(world), observer_(observer) {}

  // What it has.
  const std::string& lease(int node) const { return leases_[node]; }
  const std::string& mark(int node) const { return marks_[node]; }
  const std::string& watch() const { return watch_; }
  bool is_listed(int node) const { return listed_[node]; }
  const std::vector<Entry>& stream() const { return stream_; }

  // A connection belongs to one generation.
  int generation() const { return generation_; }
  MonoTime changed() const { return ended_; }  // when the generation before ended
  bool is_up() const { return up_; }
  bool is_stopped() const { return stopped_; }

  Reply execute(const Request& request);
  // A connection ends before an answer.
  void note_cut() { observer_.on_cut(); }
  // While it is stopped, what arrives waits.
  void wait(std::function<void()> what) { waiting_.push_back(std::move(what)); }

  void stop();
  void go_on();
  // Out of memory, or a replica.
  void take_writes(bool takes);
  void go_down();
  // With what it had, or without what was written in the last `lost`.
  void come_up(Duration lost);
  void empty();
  void forget(int node);
  void spoil_lease(int node, const std::string& text);
  void spoil_watch(const std::string& text);

 private:
  enum class What : uint8_t { lease, watch, mark, listed, stream };
  struct Undo {
    MonoTime time;
    What what;
    int node;
    std::string before;
  };
  void remember(What what, int node, std::string before);
  void set(What what, int node, std::string& place, const std::string& text);
  void list(int node, bool listed);
  void add(char kind, int node, const std::string& lease);
  bool is_of(const std::string& term) const;

  World& world_;
  Observer& observer_;
  std::array<std::string, kMostNodes> leases_;
  std::array<std::string, kMostNodes> marks_;
  std::array<bool, kMostNodes> listed_{};
  std::string watch_;
  std::vector<Entry> stream_;
  std::vector<Undo> journal_;
  std::vector<std::function<void()>> waiting_;
  MonoTime ended_{};  // the latest generation
  int generation_ = 0;
  bool up_ = true;
  bool stopped_ = false;
  bool takes_writes_ = true;
};

}  // namespace nb::sim
