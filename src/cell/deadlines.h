// Deadlines: clients that promised in their hello to push again within a given time. One event
// reports a late client, and another one reports that it pushes again; more than a few a minute are
// only counted. A deadline begins with the client's first push.
//
// One timer serves all clients. A push does not touch the timer: the push notes its time, and the
// timer checks that time when it expires. So the agent wakes up at most as often as the shortest
// deadline passes, and not at all as long as no client has one.
//
// A miss says that the client's program was late. It is postponed while the agent itself is late:
// if the timer was late, or the client's data is still in its socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/log.h"
#include "cell/events.h"
#include "config/config.h"
#include "node/identity.h"
#include "rpc/call.h"
#include "uv/timer.h"
#include "wire/node_events.h"

namespace nb::cell {

class Deadlines {
 public:
  // The unread data in a client's socket.
  enum class Unread : uint8_t {
    nothing,
    some,  // it is read when the client has its turn
    held,  // nothing is read of this client for now, for a reason of the agent's
  };
  struct Wiring {
    Delegate<wire::EventClient(rpc::ClientId)> about;
    Delegate<Unread(rpc::ClientId)> unread;
  };
  // How a client with a deadline is.
  struct Report {
    Duration deadline{};
    std::optional<Duration> gap;  // since the last push; none: it has not pushed yet
    bool late = false;
    uint64_t missed = 0;
    Duration longest_gap{};  // of those for which the agent was not late itself
    std::optional<WallTime> last_missed;
  };

  // All references must outlive it, but for `config`.
  Deadlines(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
            const config::Config& config, const Wiring& wiring);
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;

  void reconfigure(const config::Config& config) { max_age_ = config.outbox.max_age; }

  // From the client's hello; 0: none any more.
  void set(const rpc::Caller& who, Duration deadline);
  void on_push(const rpc::Call& call);
  void on_goodbye(rpc::ClientId client) { end(client, "goodbye"); }
  void on_client_closed(rpc::ClientId client);
  // Nothing more is reported.
  void stop();

  bool has_deadline(rpc::ClientId client) const { return report(client).has_value(); }
  std::optional<Report> report(rpc::ClientId client) const;
  // From one push to the next of the same client, of all clients that push.
  const Histogram& intervals() const { return intervals_; }

 private:
  struct Entry {
    rpc::ClientId client = 0;
    uint32_t user = 0;
    Duration deadline{};                 // 0: none
    MonoTime pushed = MonoTime::min();   // when it pushed last
    MonoTime from{};                     // the deadline runs from here: then, or later
    MonoTime tell_at = MonoTime::min();  // the earliest time of the next report
    uint64_t missed = 0;
    uint64_t untold = 0;  // of these
    Duration longest_gap{};
    WallTime last_missed{};
    uint8_t put_off = 0;  // how often in a row
    bool late = false;
    bool told = false;  // that the client is late

    bool is_watched() const { return deadline > Duration::zero() && pushed != MonoTime::min(); }
    MonoTime due() const { return from + deadline; }
  };

  Entry* find(rpc::ClientId client);
  Entry& add(const rpc::Caller& who);
  void end(rpc::ClientId client, std::string_view reason);
  void on_due();
  bool is_agents_fault(Entry& entry, Duration lag) const;
  void tell(Entry& entry, MonoTime now);
  bool may_tell(Entry& entry, MonoTime now);
  void say(const Entry& entry, std::string_view type, Duration gap, std::string_view reason = {});
  void arm();

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  Events& events_;
  Wiring wiring_;
  Duration max_age_{};
  std::string channel_;
  std::vector<Entry> entries_;  // of clients that push, or have a deadline
  size_t last_found_ = 0;
  MonoTime minute_ends_ = MonoTime::min();
  unsigned told_in_minute_ = 0;
  uv::Timer timer_;
  Histogram intervals_;
};

}  // namespace nb::cell
