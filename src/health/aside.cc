#include "health/aside.h"

#include <utility>

#include "base/text.h"

namespace nb::health {
namespace {

long long milliseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

}  // namespace

Aside::Aside(uv::Loop& loop, const Log& log, std::string who)
    : log_(log), who_(std::move(who)), call_(loop, Delegate<void()>::to<&Aside::on_done>(this)) {}

void Aside::ask(MonoTime now, std::function<void()> work) {
  const Status started = call_.start(std::move(work));
  asked_ = now;
  has_asked_ = true;
  if (!started && !complained_) {
    complained_ = true;
    log_.warning(LogAbout(who_), "%s is not asked: %s", who_.c_str(),
                 started.error().message.c_str());
  }
}

bool Aside::answered(MonoTime now) {
  if (now > sample_) sample_before_ = std::exchange(sample_, now);
  const Duration waited = now - asked_;
  if (done_) {
    done_ = false;
    has_answer_ = true;
    answer_asked_ = asked_;
    if (complained_) {
      log_.info(LogAbout(who_), "%s answers again", who_.c_str());
      complained_ = false;
    }
    return true;
  }
  if (call_.running() && !complained_ && waited >= kPatience) {
    complained_ = true;
    log_.warning(LogAbout(who_), "%s has not answered for %s: what it tells is left out",
                 who_.c_str(), human_duration(milliseconds(waited)).c_str());
  }
  return false;
}

}  // namespace nb::health
