// WatchService: the agent's part in watching the cell. Every agent reads the watch with each
// renewal of its own lease, so it knows whether somebody watches, and takes the watch over when its
// holder is gone. The holder looks at all leases and announces what it finds.
//
// What is decided stands in two pure classes: who holds the watch in WatchClaim, which node is lost
// in Watcher. This one reads for them, and has the script (wire/watch.lua) write what they want.
// The watch is read over the link, behind the lease. Everything else goes over a connection of its
// own, which is there only while this agent holds the watch or claims it.
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
  unknown,   // the watch could not be read, or nobody has had it for less than that
  watching,  // this agent has the watch
  watched,   // another one has
  nobody,    // none has renewed it for 10 s
};
std::string_view name(WatchRole role);

struct WatchFigures {
  WatchRole role = WatchRole::unknown;
  bool enabled = false;
  std::string_view node;  // who watches, or was the last one to watch; empty: not known
  Duration since{};       // how long ago the watch last changed
  uint64_t term = 0;
  // Of this agent's own watching: how many nodes; how late the last look was; how often a node was
  // announced as lost and as returned, and how often that was held back because so many were.
  size_t nodes = 0;
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
  // The options may be other ones now.
  void reconfigure();
  // Gives the watch up, so that another agent takes it at once.
  void stop();

  WatchFigures figures() const;
  // Whether this agent or another one is known to watch.
  bool is_watched() const {
    const WatchRole role = figures().role;
    return role == WatchRole::watching || role == WatchRole::watched;
  }

 private:
  // One run of the script that announces something.
  struct Run {
    WatchService* service;
    uint64_t question;
    uint32_t ticket;  // of the watcher's action; 0: it wants no report
    Watcher::Kind kind;
    std::string node;
    uint32_t silent_ms;

    void on_answer(const redis::ReaderAnswer& answer) { service->on_run(*this, answer); }
  };
  // A part of a look: this many leases.
  struct Batch {
    WatchService* service;
    size_t first;
    size_t count;
    uint64_t question;

    void on_answer(const redis::ReaderAnswer& answer) { service->on_batch(*this, answer); }
  };
  using Words = std::vector<std::string_view>;

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
  bool is_refusal(redis::Reply reply);

  void begin();
  void end();
  void begin_again();
  void cancel_look();
  void read_register();
  void on_page(const redis::ReaderAnswer& answer);
  void on_size(const redis::ReaderAnswer& answer);
  void ask_page();
  void look();
  void on_batch(Batch& batch, const redis::ReaderAnswer& answer);
  void on_look_part();
  void fail_look();
  void act();
  void announce(const Watcher::Action& action);
  void on_run(Run& run, const redis::ReaderAnswer& answer);
  void say_nobody(MonoTime now);

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
  MonoTime read_well_ = MonoTime::min();  // the latest answer
  MonoTime renewed_{};                    // when the watch was last seen to be another than before
  bool nobody_said_ = false;

  std::optional<redis::Reader> reader_;  // once this agent has claimed the watch
  uint64_t write_ = 0;
  bool script_sent_ = false;
  MonoTime refused_until_ = MonoTime::min();
  std::string trouble_;

  // While this agent holds the watch.
  bool holding_ = false;
  uint64_t connects_ = 0;  // of the reader, at the last look
  enum class Page : uint8_t { none, nodes, dead } page_ = Page::none;
  uint64_t page_question_ = 0, size_question_ = 0;
  std::string cursor_;
  bool register_due_ = false;
  MonoTime registered_{};
  uint64_t registered_size_ = 0, size_ = 0;
  std::vector<Batch> batches_;
  size_t parts_ = 0;   // of the look that are not answered
  MonoTime looked_{};  // when the last look began
  MonoTime not_before_ = MonoTime::min();
  uint64_t looked_at_ms_ = 0;
  std::vector<std::unique_ptr<Run>> runs_;
  uint64_t lost_ = 0, returned_ = 0, uncertain_ = 0;
};

}  // namespace nb::fleet
