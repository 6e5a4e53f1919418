#include "ipc/lingering.h"

#include <algorithm>
#include <utility>

namespace nb::ipc {
namespace {

constexpr Duration kTime = std::chrono::seconds(2);

}  // namespace

Lingering::Lingering(uv::Loop& loop)
    : loop_(loop), deadline_(loop, Delegate<void()>::to<&Lingering::on_deadline>(this)) {}

void Lingering::add(std::unique_ptr<Session> session) {
  session->set_owner(*this);
  session->watch_process(false);
  if (session->state() == Session::State::over || !go_on(*session)) return;
  if (sessions_.size() >= kMost) sessions_.erase(sessions_.begin());
  session->deadline = loop_.now() + kTime;
  sessions_.push_back(std::move(session));
  if (!deadline_.active()) deadline_.start(kTime);
}

void Lingering::clear() {
  for (const auto& session : sessions_) (void)session->send();
  sessions_.clear();
  deadline_.stop();
}

void Lingering::on_ready(Session& session, int) {
  if (go_on(session)) return;
  std::erase_if(sessions_, [&](const auto& one) { return one.get() == &session; });
  if (sessions_.empty()) deadline_.stop();
}

// Returns false when the connection is to be closed.
bool Lingering::go_on(Session& session) {
  const bool reads = session.state() == Session::State::explaining;
  if (session.unsent() > 0) {
    const Session::Io sent = session.send();
    if (sent == Session::Io::ended) return false;
    session.blocked = sent == Session::Io::again;
  }
  if (session.unsent() == 0 && !reads) return false;
  if (session.unsent() == 0 && !std::exchange(session.finished, true)) session.finish_sending();
  if (reads && session.discard() == Session::Io::ended) {
    if (session.unsent() == 0) return false;
    session.become(Session::State::draining);
  }
  const bool listens = session.state() == Session::State::explaining && session.may_discard();
  session.watch((listens ? UV_READABLE : 0) | (session.blocked ? UV_WRITABLE : 0));
  return true;
}

void Lingering::on_deadline() {
  const MonoTime now = loop_.now();
  std::erase_if(sessions_, [&](const auto& session) { return *session->deadline <= now; });
  if (!sessions_.empty()) deadline_.start(*sessions_.front()->deadline - now);
}

}  // namespace nb::ipc
