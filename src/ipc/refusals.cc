#include "ipc/refusals.h"

#include <utility>

#include "base/text.h"

namespace nb::ipc {
namespace {

constexpr Duration kInterval = std::chrono::seconds(1);
constexpr size_t kMostOfMethod = 64;

}  // namespace

Refusals::Refusals(uv::Loop& loop, Tell tell)
    : loop_(loop), tell_(tell), timer_(loop, Delegate<void()>::to<&Refusals::on_time>(this)) {}

void Refusals::note(rpc::ClientId client, std::string_view method, const rpc::Error& error) {
  for (Told& told : waiting_) {
    if (told.client != client || told.error.code != error.code) continue;
    ++told.count;
    return;
  }
  waiting_.push_back({client, 1, std::string(clip_utf8(method, kMostOfMethod)), error});
  if (timer_.active()) return;
  const MonoTime now = loop_.now();
  const bool just_told = told_ != MonoTime::min() && now - told_ < kInterval;
  timer_.start(just_told ? told_ + kInterval - now : Duration::zero());
}

void Refusals::forget(rpc::ClientId client) {
  std::erase_if(waiting_, [client](const Told& told) { return told.client == client; });
}

void Refusals::clear() {
  waiting_.clear();
  timer_.stop();
}

void Refusals::on_time() {
  told_ = loop_.now();
  for (Told& told : std::exchange(waiting_, {})) {
    rpc::add_count(told.error, told.count);
    tell_(told);
  }
}

}  // namespace nb::ipc
