#include "health/aside.h"

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
  if (started) {
    asked_ = now;
  } else if (!complained_) {
    complained_ = true;
    log_.warning(LogAbout(who_), "%s is not asked: %s", who_.c_str(),
                 started.error().message.c_str());
  }
}

bool Aside::answered(MonoTime now) {
  const Duration waited = now - asked_;
  if (done_) {
    done_ = false;
    if (complained_) {
      log_.info(LogAbout(who_), "%s answers again", who_.c_str());
      complained_ = false;
    }
    return true;
  }
  if (call_.running() && !complained_ && waited >= kPatience) {
    complained_ = true;
    log_.warning(LogAbout(who_), "%s has not answered for %s: its last value stands", who_.c_str(),
                 human_duration(milliseconds(waited)).c_str());
  }
  return false;
}

}  // namespace nb::health
