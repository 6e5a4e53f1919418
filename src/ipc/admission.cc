#include "ipc/admission.h"

#include <sys/resource.h>

#include <cerrno>

#include "base/text.h"

namespace nb::ipc {
namespace {

// After a search that found no session to yield, the next search waits so long.
constexpr Duration kPause = std::chrono::milliseconds(100);
// One connection in this many is left for root, who may have to find out what the others do.
constexpr size_t kForRoot = 16;

bool is_idle(const Session& session) {
  return session.is_heard() && session.unsent() == 0 && !session.framer().holds_bytes();
}

}  // namespace

Admission::Verdict Admission::ask(const std::vector<std::unique_ptr<Session>>& sessions,
                                  const Peer& peer, MonoTime now) {
  size_t all = 0, own = 0;
  for (const auto& session : sessions) {
    if (!session->is_live() || session->socket != socket_) continue;
    ++all;
    if (session->peer().uid == peer.uid) ++own;
  }
  const size_t for_user = clients_per_user();
  const size_t for_all = limits_.clients - (peer.uid == 0 ? 0 : limits_.clients / kForRoot);
  const bool all_taken = all >= for_all;
  const bool share_taken = own >= for_user;
  if (!all_taken && !share_taken) return {};
  Session* idlest = nullptr;
  // A search among the sessions of a user who has used up the share says nothing about the others.
  const bool just_looked =
      share_taken ? peer.uid == user_ && now < none_of_user_until_ : now < none_until_;
  if (!just_looked) {
    for (const auto& session : sessions) {
      // For a user who has used up the share, only sessions of the same user yield.
      if (session->socket != socket_ || !is_idle(*session) ||
          now - session->last_heard < limits_.idle_after ||
          (share_taken && session->peer().uid != peer.uid) ||
          (idlest != nullptr && idlest->last_heard <= session->last_heard)) {
        continue;
      }
      bool needed = session->has_input();  // it has just ended its silence
      if (!needed) may_yield_(session->id(), needed);
      if (!needed) idlest = session.get();
    }
    if (idlest == nullptr && share_taken) {
      user_ = peer.uid;
      none_of_user_until_ = now + kPause;
    } else if (idlest == nullptr) {
      none_until_ = now + kPause;
    }
  }
  if (idlest != nullptr) return {idlest, share_taken ? for_user : for_all, std::nullopt};
  if (all_taken) {
    return {nullptr, for_all,
            rpc::busy(format("all %zu connections are taken: try again later", for_all), for_all)};
  }
  return {nullptr, for_user,
          rpc::busy(format("user %u has all %zu connections that one user may have "
                           "(socket.max_clients_per_user): close one, or try again "
                           "later",
                           peer.uid, for_user),
                    for_user)};
}

rpc::Error out_of_descriptors(int shortage) {
  rlimit limit{};
  if (shortage != EMFILE || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return rpc::busy("this computer has no descriptors left: try again later");
  }
  const auto most = static_cast<size_t>(limit.rlim_cur);
  return rpc::busy(format("the agent has no descriptors left of the %zu that it may have "
                          "(LimitNOFILE): try again later",
                          most),
                   most);
}

}  // namespace nb::ipc
