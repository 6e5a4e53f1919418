// Outgoing: everything that is on its way to the agent, in memory taken once. Pure: it knows no
// socket, only pieces of memory and how much of them was taken. Not locked.
//
// What waits, in the order in which it goes:
//   1. the rest of a slot's line that was sent in part (a line has to be finished);
//   2. after a reconnect the greeting: hellos and the subscriptions;
//   3. the events in their order; each slot where it stood when it began to wait: after the events
//      before it, before those after it. So an update of a stroke never follows the stroke's end.
//
// No line is longer than the agent takes, since such a line costs the message, and with an agent of
// the first version the connection. Until the agent has said its limit, a line of more than
// rpc::kLeastLineBytes waits, and what stands behind it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client/line_writer.h"
#include "client/robot_values.h"
#include "client/stroke_values.h"
#include "rpc/line_limits.h"

namespace nb::client {

class Outgoing {
 public:
  // Room for each part, of which the slots' lines have one size. The memory outlives this.
  struct Memory {
    char* greeting;
    size_t greeting_bytes;
    char* events;
    size_t event_bytes;
    char* rest;  // slot_bytes or kMaxSubscription, whichever is more
    char* robot_line;
    char* stroke_line;
    size_t slot_bytes;
  };
  static constexpr size_t kMaxPieces = 7;
  static constexpr unsigned kMaxSubscriptions = 64;
  static constexpr size_t kChannelBytes = 256;
  // A subscription's line when every byte of the channel has to be escaped.
  static constexpr size_t kMaxSubscription = 6 * kChannelBytes + 96;

  explicit Outgoing(const Memory& memory) : memory_(memory) {}

  // --- what is put in: NB_OK, NB_ERR_FULL or NB_ERR_TOO_LARGE --------------------------------

  int put_robot(const nb_robot_state& state);
  int put_progress(const nb_stroke& stroke);
  int put_start(const nb_stroke& stroke);
  int put_end();
  // `write(LineWriter&)` writes one line; it may be called twice.
  template <class Write>
  int put_event(Write&& write) {
    return put(kLine, write);
  }
  // As put_event(), one at a time: FULL while one that was given up is still on its way. Unlike an
  // event it does not outlive its connection. KEPT: not taken, since the limit has to be known.
  template <class Write>
  int put_call(Write&& write) {
    drop_call();
    if (call_begin_ != kNone) return NB_ERR_FULL;
    if (!limit_known_) {
      LineWriter measure(nullptr, 0);
      write(measure);
      if (!fits_limit(measure.size())) return NB_KEPT;
    }
    const int result = put(kLine, write);
    if (result == 0) call_begin_ = last_begin_, call_end_ = tail_;
    return result;
  }
  // Gives the call up: if nothing of it was sent, it is taken back.
  void drop_call();

  // --- the greeting, which goes first on each new connection ------------------------------------

  // The first lines; once, at the start. `will`, the last of them, may be long, and may write
  // nothing. False if there is no room.
  template <class Hello, class Will>
  bool set_hello(Hello&& hello, Will&& will) {
    LineWriter line(memory_.greeting, memory_.greeting_bytes);
    hello(line);
    will_begin_ = line.size();
    will(line);
    greeting_size_ = will_end_ = line.fits() ? line.size() : 0;
    return line.fits();
  }
  bool has_subscription(std::string_view channel, bool pattern) const;
  // Kept for later connections; this one is told by a call. False if there is no room.
  bool add_subscription(std::string_view channel, bool pattern);
  void remove_subscription(std::string_view channel, bool pattern);
  static void write_subscription(LineWriter& out, std::string_view method, std::string_view channel,
                                 bool pattern);

  // --- the longest line that the agent takes ----------------------------------------------------

  // Drops the events that are longer. Holds until rewind().
  void set_line_limit(size_t bytes);
  size_t line_limit() const { return limit_; }
  // How many messages were dropped since the last call, for being longer.
  unsigned take_dropped() {
    const unsigned dropped = dropped_;
    dropped_ = 0;
    return dropped;
  }

  // --- sending ----------------------------------------------------------------------------------

  // What waits; valid until anything else is called. At most kMaxPieces.
  size_t gather(iovec* pieces);
  // The first `size` bytes of what gather() gave were taken.
  void taken(size_t size);
  // The connection is gone: lines sent in part begin anew, the slots go again with all that is
  // known, the greeting comes first. Events that went whole do not go again.
  void rewind();

  bool empty() const;
  // Something could be sent now.
  bool can_send();
  bool greeting_waits() const { return greeting_at_ < greeting_size_; }
  bool robot_waits() const { return robot_.kept || rest_at_ < rest_size_; }
  bool progress_waits() const { return stroke_.kept || rest_at_ < rest_size_; }
  bool events_wait() const { return head_ < tail_; }
  size_t waiting_bytes();
  // A line of which a part was sent: anything else would end up inside it.
  bool in_mid_line() const;

  uint64_t lines_sent() const { return lines_sent_; }
  uint64_t coalesced() const { return coalesced_; }

 private:
  enum Piece : uint8_t { kRest, kGreeting, kEvents, kRobot, kStroke };
  enum Extent { kLine, kTwoLines };

  struct Slot {
    bool kept = false;
    bool closed = false;   // its session is over: the next value begins anew
    bool written = false;  // `size` bytes of its line are up to date
    uint32_t members = 0;  // that wait
    size_t mark = 0;       // goes before the event that begins here
    size_t size = 0;
  };

  template <class Write>
  int put(Extent extent, Write&& write) {
    for (int attempt = 0;; ++attempt) {
      LineWriter out(memory_.events + tail_, memory_.event_bytes - tail_);
      write(out);
      // Two lines are a slot's and an event's, both of bounded parts.
      if (extent == kLine && out.size() > most_line() + 1) return NB_ERR_TOO_LARGE;
      if (out.fits()) {
        last_begin_ = tail_;
        tail_ += out.size();
        if (out.size() > rpc::kLeastLineBytes + 1) may_have_long_ = true;
        return NB_OK;
      }
      if (out.size() > memory_.event_bytes) return NB_ERR_TOO_LARGE;
      if (attempt > 0 || !make_room()) return NB_ERR_FULL;
    }
  }

  // Of a line, `size` is with its newline.
  bool fits_limit(size_t size) const {
    return size <= (limit_known_ ? limit_ : rpc::kLeastLineBytes) + 1;
  }
  size_t most_line() const { return limit_known_ ? limit_ : rpc::kLineBytes; }

  template <class Write>
  int put_stroke_event(Write&& write);
  bool make_room();
  void shift(size_t from, size_t by);
  void keep(Slot& slot, uint32_t members);
  void again(Slot& slot, uint32_t known);
  void write_slots();
  void take_slot(Slot& slot, const char* line, size_t size);
  void take_events(size_t size);
  void drop_if_long(Slot& slot);
  size_t greeting_end();
  size_t events_end() const;
  size_t find_subscription(std::string_view channel, bool pattern, size_t& size) const;

  static constexpr size_t kNone = SIZE_MAX;

  Memory memory_;
  RobotValues robot_values_;
  StrokeValues stroke_values_;
  Slot robot_;
  Slot stroke_;
  size_t rest_at_ = 0, rest_size_ = 0;
  bool rest_is_progress_ = false;
  size_t greeting_at_ = 0, greeting_size_ = 0;
  size_t will_begin_ = 0, will_end_ = 0;  // of its line in the greeting
  unsigned subscriptions_ = 0;
  // The events lie in one run from line_begin_ (of the line at head_) to tail_.
  size_t line_begin_ = 0, head_ = 0, tail_ = 0;
  size_t last_begin_ = 0;
  size_t call_begin_ = kNone, call_end_ = kNone;
  Piece plan_[kMaxPieces] = {};
  size_t plan_size_[kMaxPieces] = {};
  size_t plan_count_ = 0;
  size_t limit_ = rpc::kLineBytes;
  bool limit_known_ = false;
  bool may_have_long_ = false;  // among the events a line may need to know the limit
  unsigned dropped_ = 0;
  uint64_t lines_sent_ = 0;
  uint64_t coalesced_ = 0;
};

}  // namespace nb::client
