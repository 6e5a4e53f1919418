// WatchService: the agent's part in watching the cell. Every agent reads the watch with each
// renewal of its own lease, so it knows whether an agent watches, and takes the watch over when its
// holder is gone. The holder reads all leases and announces lost and returned nodes.
//
// Two pure classes decide: WatchClaim which agent holds the watch, Watcher which node is lost. This
// class reads for them, and lets the script (wire/watch.lua) write their decisions. The watch is
// read over the link, behind the lease. Everything else goes over a connection of its own, which
// exists only while this agent holds the watch or claims it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "fleet/watch_claim.h"
#include "fleet/watcher.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "uv/timer.h"

namespace nb::fleet {

enum class WatchRole : uint8_t {
  unknown,   // the watch could not be read, or no agent has had it for less than that
  watching,  // this agent has the watch
  watched,   // another one has
  nobody,    // none has renewed it for 10 s
};
std::string_view name(WatchRole role);

struct WatchFigures {
  WatchRole role = WatchRole::unknown;
  bool enabled = false;
  std::string_view node;  // the agent that watches, or the last one that did; empty: not known
  Duration since{};       // how long ago the watch last changed
  uint64_t term = 0;
  // About this agent's own watching: how many nodes, and how many more there are; how late the last
  // read was; how often a node was announced as lost and as returned, and how often that was held
  // back because so many were.
  size_t nodes = 0;
  uint64_t left_out = 0;
  Duration lag{};
  uint64_t lost = 0, returned = 0, uncertain = 0;
  std::string_view trouble;  // in words; empty: none
};

class WatchService {
 public:
  struct Self {
    std::string_view node;
    std::string_view instance;
    bool enabled;  // whether it may hold the watch
  };

  // All references must outlive it. `options`: the way to the server now.
  WatchService(uv::Loop& loop, const Log& log, redis::Link& link,
               Delegate<redis::LinkOptions()> options, int database, const Self& self,
               redis::MakeTransport make_transport);
  WatchService(const WatchService&) = delete;
  WatchService& operator=(const WatchService&) = delete;

  // The lease was renewed: reads the watch in the same turn.
  void read();
  // The link has a new connection.
  void on_connected();
  // The server is another one than before, or was started again.
  void on_server_changed();
  // Some of what this agent had written is no longer there. If the server was emptied, the watch is
  // gone as well, which its next renewal finds. So only the list of nodes is read again.
  void on_keys_lost() { register_due_ = holding_; }
  // The options may be other ones now.
  void reconfigure();
  // Gives the watch up, so that another agent takes it at once.
  void stop();

  WatchFigures figures() const;
  // Whether this agent or another one is known to watch.
  bool is_watched() const { return role() == WatchRole::watching || role() == WatchRole::watched; }

 private:
  // One run of the script that announces something.
  struct Run {
    WatchService* service;
    uint64_t question;
    uint32_t ticket;  // of the watcher's action; 0: it wants no report
    Watcher::Kind kind;
    bool recorded;
    std::string node;
    uint32_t silent_ms;

    void on_answer(const redis::ReaderAnswer& answer) { service->on_run(*this, answer); }
  };
  // A part of a read: this many leases.
  struct Batch {
    WatchService* service;
    size_t first;
    size_t count;
    uint64_t question;

    void on_answer(const redis::ReaderAnswer& answer) { service->on_batch(*this, answer); }
  };
  // The questions, each of which may fail while the others work.
  enum class Part : uint8_t { reading, watch, nodes, dead, leases, verdicts };
  static constexpr size_t kParts = 6;

  WatchRole role() const;
  void on_read(const redis::QueryReply& reply);
  void on_timer();
  void after_claim();
  void arm();
  MonoTime look_at() const;

  void write(bool renews);
  void on_written(const redis::ReaderAnswer& answer);
  uint64_t run_script(std::string_view op, std::initializer_list<std::string_view> keys,
                      std::initializer_list<std::string_view> words,
                      Delegate<void(const redis::ReaderAnswer&)> done,
                      redis::Reader::On on = redis::Reader::On::any);
  void on_loaded(const redis::ReaderAnswer& answer);
  void works(Part part);
  bool fails(Part part, const redis::ReaderAnswer& answer);
  void say_trouble(Part part, bool for_good, std::string words);

  void begin();
  void end();
  void begin_again();
  void cancel_look();
  void read_list(Part part);
  void on_list(const redis::ReaderAnswer& answer);
  void take_list(redis::Reply list);
  void end_register();
  bool ask_leases(Batch& batch);
  void look();
  void on_batch(Batch& batch, const redis::ReaderAnswer& answer);
  void on_look_part();
  void fail_look(Part part, const redis::ReaderAnswer& answer);
  void act();
  void announce(const Watcher::Action& action);
  void ask_script(const Watcher::Action& action, std::unique_ptr<Run> run);
  void on_run(Run& run, const redis::ReaderAnswer& answer);
  void say_nobody();

  uv::Loop& loop_;
  const Log& log_;
  redis::Link& link_;
  Delegate<redis::LinkOptions()> options_;
  int database_;
  std::string node_, instance_;
  bool enabled_;
  redis::MakeTransport make_transport_;
  WatchClaim claim_;
  Watcher watcher_;
  uv::Timer timer_;

  uint64_t read_ = 0;  // under way on the link
  MonoTime read_at_{};
  bool nobody_said_ = false;

  std::optional<redis::Reader> reader_;  // once this agent has claimed the watch
  uint64_t write_ = 0;
  bool script_sent_ = false;
  std::string load_refusal_;  // why the server does not take the script
  std::string trouble_;
  Part trouble_part_{};
  bool trouble_for_good_ = false;
  MonoTime failing_[kParts];  // since when; MonoTime::min(): it works

  // While this agent holds the watch.
  bool holding_ = false;
  uint64_t connects_ = 0;     // of the reader, at the last read
  std::optional<Part> list_;  // that is read now: nodes or dead
  uint64_t list_question_ = 0;
  bool register_due_ = false;
  bool left_out_said_ = false;
  bool moved_ = false;  // another agent may have the watch: the next renewal shows it
  MonoTime registered_{};
  int64_t registered_size_ = 0, size_ = 0;  // -1: it is no list
  std::vector<Batch> batches_;
  std::string keys_;  // these two are of a question, and kept for the next one
  std::vector<std::string_view> command_;
  size_t parts_ = 0;   // unanswered parts of the read
  MonoTime looked_{};  // when the last read began
  MonoTime not_before_ = MonoTime::min();
  uint64_t looked_at_ms_ = 0;
  std::vector<std::unique_ptr<Run>> runs_;
  uint64_t lost_ = 0, returned_ = 0, uncertain_ = 0;  // announcements
};

}  // namespace nb::fleet
