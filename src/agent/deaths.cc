#include "agent/deaths.h"

#include <string.h>

#include <utility>

#include "base/text.h"
#include "ipc/peer.h"
#include "wire/keys.h"
#include "wire/node_events.h"

namespace nb::agent {
namespace {

// A death is known within a tenth of a second. A parent that waits for its children does so in less
// than a millisecond.
constexpr Duration kPatience = std::chrono::milliseconds(50);
// If more die at once, they are reported without waiting.
constexpr size_t kMostWaiting = 64;

// Whether the kernel has reported how the process has ended.
bool is_told(const UniqueFd& process) {
  using How = ipc::ProcessEnd::How;
  const How how = ipc::end_of(process.get()).how;
  return how == How::killed || how == How::exited;
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? std::string(name) : std::to_string(number);
}

}  // namespace

Deaths::Deaths(uv::Loop& loop, const Log& log, const node::Identity& identity,
               outbox::Outbox& outbox, cell::Events& events, const config::Config& config)
    : loop_(loop),
      log_(log),
      identity_(identity),
      outbox_(outbox),
      events_(events),
      channel_(wire::node_events_channel(identity.node)),
      timer_(loop, Delegate<void()>::to<&Deaths::on_due>(this)) {
  reconfigure(config);
}

void Deaths::add(Client client, UniqueFd process) {
  if (!process || is_told(process) || waiting_.size() >= kMostWaiting) {
    return tell(client, process);
  }
  auto& waiting = *waiting_.emplace_back(std::make_unique<Waiting>());
  waiting.deaths = this;
  waiting.client = std::move(client);
  waiting.process = std::move(process);
  waiting.until = loop_.now() + kPatience;
  waiting.poll = std::make_unique<uv::Poll>(loop_, waiting.process.get(),
                                            Delegate<void(int)>::to<&Waiting::on_reaped>(&waiting));
  // The descriptor is readable from the process's end on, and hangs up when it was waited for.
  waiting.poll->watch(UV_DISCONNECT);
  if (!timer_.active()) timer_.start(kPatience);
}

void Deaths::tell_all(const Waiting* reaped, bool all) {
  const MonoTime now = loop_.now();
  for (size_t i = 0; i < waiting_.size();) {
    if (!all && waiting_[i].get() != reaped && now < waiting_[i]->until) {
      ++i;
      continue;
    }
    const std::unique_ptr<Waiting> done = std::move(waiting_[i]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
    tell(done->client, done->process);
  }
  if (waiting_.empty()) return timer_.stop();
  if (!timer_.active()) timer_.start(waiting_.front()->until - now);
}

void Deaths::stop() {
  tell_all(nullptr, true);
}

void Deaths::tell(const Client& client, const UniqueFd& process) {
  wire::ClientEnd end;
  end.cause = "unknown";
  end.had_will = client.had_will;
  std::string signal;
  std::string words;  // its end was logged already
  if (process) {
    const ipc::ProcessEnd known = ipc::end_of(process.get());
    switch (known.how) {
      case ipc::ProcessEnd::How::lives:
        end.cause = "closed";
        break;
      case ipc::ProcessEnd::How::ended:
        end.cause = "died";
        break;
      case ipc::ProcessEnd::How::exited:
        end.cause = "exit";
        end.exit_code = known.number;
        words = format("has ended with exit code %d", known.number);
        break;
      case ipc::ProcessEnd::How::killed:
        end.cause = "signal";
        signal = signal_name(known.number);
        end.signal = signal;
        end.dumped_core = known.dumped_core;
        words = "was ended by signal " + signal;
        if (known.dumped_core) words += ", and has left a core dump";
        break;
    }
  }
  if (!words.empty()) {
    log_.warning(LogAbout(static_cast<uint64_t>(client.pid)), "client %s (pid %d) %s",
                 client.name.empty() ? "without a name" : client.name.c_str(), client.pid,
                 words.c_str());
  }
  const std::string event =
      wire::client_lost_event({identity_.node, identity_.instance_id, loop_.clock().wall_now()},
                              {client.name, client.pid}, end);
  rpc::Call own;
  own.who = client.who;
  own.urgent = true;
  events_.send(own, {channel_, event, max_age_, cell::Publication::Record::node});
  // The client has gone already.
  outbox_.client_gone(client.who.client, client.who.user);
}

}  // namespace nb::agent
