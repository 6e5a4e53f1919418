// WatchClaim: who holds the watch of the cell, as one agent sees it, and when this agent claims it
// or renews it. Pure: it is given what was read and when, and says what is to be written.
//
// The watch is a text (wire/lease.h) that its holder renews twice a second. Every agent reads it
// with the renewal of its own lease, and judges it by its change against the agent's own monotonic
// clock; the server's clock and times to live play no part. A watch that stays as it was for 1.5 s
// is claimed by comparing and setting the exact text that was seen, with the next term. So of
// several candidates one gets it, and the others lose nothing. Reading more often than with the
// lease begins only when the watch has not changed from one read to the next.
//
// Who calls what, and when (fleet/watch does):
//
//   the link has a new connection  on_connected(): how old the watch is counts from here
//   the watch was read             on_read()
//   a timer at next_step()         step(), and what it says: read; claim (script: if the watch is
//                                  `expected`, which is empty where there is none, set it to
//                                  `wanted`); renew (script: if the watch begins with `expected`,
//                                  set it to `wanted`)
//   the script has answered        on_written(), with what the watch is now
//   there was no answer            not_read(), not_written()
//   the server has refused to      refused(): this agent no longer has the watch, whatever stands
//     write it                     there, until it has written it again
//   a verdict found another watch  on_moved(): the next renewal, at once, tells what has become of
//   it after any of these             is_holding(): what has changed is for Watcher::begin() and
//                                  end(); had_to_claim_anew(): for Watcher::begin_again()
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/random.h"

namespace nb::fleet {

class WatchClaim {
 public:
  enum class Step : uint8_t { nothing, read, claim, renew };
  struct Write {
    std::string_view expected;  // valid until the next call
    std::string_view wanted;
  };

  // `enabled`: whether this agent may hold the watch ([watch] enabled).
  WatchClaim(std::string_view node, std::string_view instance, bool enabled, Random random,
             MonoTime now);

  void on_connected(MonoTime now);
  // The text of the watch; empty: there is none. `asked`: when the question was written.
  void on_read(std::string_view watch, MonoTime asked, MonoTime now);

  // When step() is to be called; MonoTime::max(): not before the next read. The result of step() is
  // under way until it is answered, or will not be.
  MonoTime next_step() const;
  Step step(MonoTime now);
  // After step() has returned claim or renew. `looked_at_ms` and `lag_ms` are about the holder's
  // reads.
  Write write(uint64_t looked_at_ms, uint32_t lag_ms);
  // The text that the script found or left: our own text means that the write was done.
  void on_written(std::string_view watch, MonoTime now);
  void not_read();
  // It is not known whether it was done. The next read or write shows it.
  void not_written(MonoTime now);
  // Nothing is written before `pause` is over, or the link has a new connection.
  void refused(MonoTime now, Duration pause);
  void on_moved(MonoTime now);

  bool is_holding() const { return holding_; }
  uint64_t term() const { return term_; }
  // "NODE INSTANCE TERM ": the beginning of the watch while it is this agent's. For the verdicts.
  std::string_view own_term() const { return own_term_; }
  // Whether the watch had vanished and was claimed again since the last call.
  bool had_to_claim_anew() { return std::exchange(claimed_anew_, false); }

  // Whether this agent had lost the server in the last 10 s, or could not write there. Other agents
  // may have, too, and may not be back: for Watcher::begin().
  bool was_away(MonoTime now) const;

  // For the view of the cell. The watch as last read; how long ago it last changed, and whether an
  // agent watches: false once the watch is proven not to have changed for 10 s, however far apart
  // the reads are. Only of use while the server answers.
  std::string_view watch() const { return watch_; }
  bool was_read() const { return was_read_; }
  Duration unchanged(MonoTime now) const { return now - changed_; }
  bool is_watched() const;
  // Another agent has renewed it from one read to the next.
  bool is_alive_elsewhere() const { return was_read_ && !holding_ && changes_; }

 private:
  void see(std::string_view watch, MonoTime now);
  bool is_anothers(std::string_view text) const;
  bool hold_if_own(std::string_view text, MonoTime next);
  bool writes() const { return under_way_ == Step::claim || under_way_ == Step::renew; }

  std::string node_;
  std::string instance_;
  bool enabled_;
  Random random_;
  std::string watch_;     // as it was last
  std::string wanted_;    // the text that is being written
  std::string own_term_;  // of the latest claim
  MonoTime changed_{};    // when the answer came that showed the latest change
  Duration silence_{};    // from there to the latest question whose answer showed none
  MonoTime held_up_ = MonoTime::min();  // when an answer came that had taken long
  MonoTime connected_ = MonoTime::min();
  MonoTime refused_ = MonoTime::min();
  MonoTime not_before_ = MonoTime::min();  // nothing is written
  MonoTime read_at_ = MonoTime::max();
  MonoTime write_at_ = MonoTime::max();  // claim or renew
  MonoTime written_ = MonoTime::min();   // when the latest answer to one came
  uint64_t term_ = 0;
  uint64_t seq_ = 0;
  Step under_way_ = Step::nothing;
  bool was_read_ = false;
  bool changes_ = false;  // the latest read showed another one than before
  bool connected_again_ = false;
  bool holding_ = false;
  bool must_write_ = false;  // to hold it: a watch of this agent that was only read proves nothing
  bool vanished_ = false;    // while it was held
  bool claimed_anew_ = false;
};

}  // namespace nb::fleet
