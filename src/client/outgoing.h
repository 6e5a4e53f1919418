// Outgoing: everything that waits for the agent, in memory that is taken once. Pure: it knows no
// socket, only pieces of memory and how much of them was sent. Not locked.
//
// What waits is sent in this order:
//   1. the rest of a slot's line that was sent in part, since a line has to be finished;
//   2. after a reconnect the greeting: the hellos and the subscriptions;
//   3. the events in their order. Each slot keeps the place among the events at which it began to
//      wait. So an update of a stroke never follows the stroke's end.
//
// No line is longer than the agent takes: such a line would be lost, and an agent of the first
// version would close the connection. Until the agent has told its limit, a line of more than
// rpc::kLeastLineBytes waits, and so does everything behind it.
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
  // Space for each part. Both slots' lines have the same size. The memory outlives this object.
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
  // As put_event(), for one call at a time: FULL while a call that was given up is still being
  // sent. Unlike an event, a call does not outlive its connection. KEPT: the call was not taken,
  // since the agent's limit is not known yet.
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
    if (result == 0) call_begin_ = last_begin_, call_end_ = tail_, call_sent_ = false;
    return result;
  }
  // Gives up the call. If nothing of it was sent, it is not sent at all.
  void drop_call();
  // Whether the agent may have the latest call, or may still get it.
  bool call_is_out() const { return call_sent_ || call_begin_ != kNone; }

  // --- the greeting, which goes first on each new connection ------------------------------------

  // Sets the first lines; called once, at the start. `will` writes the last of them, which may be
  // long, or nothing. False if there is no room.
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
  // Keeps the subscription for later connections; a call requests it on the present one. False if
  // there is no room.
  bool add_subscription(std::string_view channel, bool pattern);
  void remove_subscription(std::string_view channel, bool pattern);
  static void write_subscription(LineWriter& out, std::string_view method, std::string_view channel,
                                 bool pattern);

  // --- the longest line that the agent takes ----------------------------------------------------

  // Drops the events that are longer. The limit is known until rewind().
  void set_line_limit(size_t bytes);
  size_t line_limit() const { return limit_; }
  // How many messages were dropped since the last call because they were longer.
  unsigned take_dropped() {
    const unsigned dropped = dropped_;
    dropped_ = 0;
    return dropped;
  }

  // --- sending ----------------------------------------------------------------------------------

  // The pieces of memory that can be sent, at most kMaxPieces. They are valid until any other
  // function is called.
  size_t gather(iovec* pieces);
  // The first `size` bytes from gather() were sent.
  void taken(size_t size);
  // The connection is gone. The greeting is sent first on the next one; lines that were sent in
  // part begin again; the slots are sent again with all their known members. Events that were sent
  // whole are not sent again.
  void rewind();

  bool empty() const;
  // Something could be sent now.
  bool can_send();
  bool greeting_waits() const { return greeting_at_ < greeting_size_; }
  bool robot_waits() const { return robot_.kept || rest_at_ < rest_size_; }
  bool progress_waits() const { return stroke_.kept || rest_at_ < rest_size_; }
  bool events_wait() const { return head_ < tail_; }
  size_t waiting_bytes();
  // True if a part of a line was sent: anything else would end up inside that line.
  bool in_mid_line() const;

  uint64_t lines_sent() const { return lines_sent_; }
  uint64_t coalesced() const { return coalesced_; }

 private:
  enum Piece : uint8_t { kRest, kGreeting, kEvents, kRobot, kStroke };
  enum Extent { kLine, kTwoLines };

  struct Slot {
    bool kept = false;
    bool closed = false;   // its session is over: the next value begins again
    bool written = false;  // the line, of `size` bytes, has the present values
    uint32_t members = 0;  // the members that wait
    size_t mark = 0;       // the slot leaves before the event that begins here
    size_t size = 0;
  };

  template <class Write>
  int put(Extent extent, Write&& write) {
    for (int attempt = 0;; ++attempt) {
      LineWriter out(memory_.events + tail_, memory_.event_bytes - tail_);
      write(out);
      // Two lines are those of a slot and of an event. Both consist of parts with limits.
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

  // Whether the agent takes a line of `size` bytes, its newline included.
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
  size_t will_begin_ = 0, will_end_ = 0;  // where the will's line is in the greeting
  unsigned subscriptions_ = 0;
  // The events lie one behind the other, from line_begin_ (of the line at head_) to tail_.
  size_t line_begin_ = 0, head_ = 0, tail_ = 0;
  size_t last_begin_ = 0;
  size_t call_begin_ = kNone, call_end_ = kNone;
  bool call_sent_ = false;  // whole
  Piece plan_[kMaxPieces] = {};
  size_t plan_size_[kMaxPieces] = {};
  size_t plan_count_ = 0;
  size_t limit_ = rpc::kLineBytes;
  bool limit_known_ = false;
  bool may_have_long_ = false;  // an event may be too long for a limit that is not known yet
  unsigned dropped_ = 0;
  uint64_t lines_sent_ = 0;
  uint64_t coalesced_ = 0;
};

}  // namespace nb::client
