// Aside: asks a source that may never answer (a dead NFS server, a driver that hangs, a slow
// sensor), one question at a time, on a thread of its own, and says so when no answer comes. An
// answer is for the sample after the question; an older answer must not look current.
#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "uv/blocking_call.h"

namespace nb::health {

class Aside {
 public:
  // Silence beyond this is worth a line in the log.
  static constexpr Duration kPatience = std::chrono::seconds(10);

  // `who` is the source, as it begins a log line: "/mnt/nas". `log` must outlive it.
  Aside(uv::Loop& loop, const Log& log, std::string who);

  // No question is open, and the answer to the last one was taken.
  bool idle() const { return !call_.running() && !done_; }

  // Only when idle(). `work` must own everything it touches: it may outlive this object.
  void ask(MonoTime now, std::function<void()> work);

  // Call it at each sample. True once after each answer: then the results of `work` may be read.
  bool answered(MonoTime now);

  // idle(), and this sample has not asked yet.
  bool may_ask(MonoTime now) const { return idle() && (!has_asked_ || now > asked_); }
  // The last answer is to a question of this sample or of the one before: no older than one beat.
  bool fresh() const { return has_answer_ && answer_asked_ >= sample_before_; }
  // There was no answer for so long that the log has reported it.
  bool silent() const { return complained_; }

 private:
  void on_done() { done_ = true; }

  const Log& log_;
  std::string who_;
  MonoTime asked_{};
  MonoTime answer_asked_{};  // when the question of the last answer was asked
  MonoTime sample_{}, sample_before_{};
  bool has_asked_ = false;
  bool has_answer_ = false;
  bool done_ = false;
  bool complained_ = false;
  uv::BlockingCall call_;
};

}  // namespace nb::health
