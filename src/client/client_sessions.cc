// session.*: calls that wait, and read-change-write.
#include "client/asking.h"
#include "client/caller_text.h"

namespace nb::client {
namespace {

constexpr uint32_t kDefaultTimeoutMs = 2000;

int64_t deadline_of(const SessionCall& call) {
  return deadline_in(call.options.timeout_ms == 0 ? kDefaultTimeoutMs : call.options.timeout_ms);
}

// Below `most`. Any number will do, so long as two writers that collided do not get the same.
int64_t any_below(int64_t most, const void* salt) {
  auto bits = static_cast<uint64_t>(now_ns()) ^ reinterpret_cast<uintptr_t>(salt);
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return static_cast<int64_t>((bits >> 32) % static_cast<uint64_t>(most));
}

}  // namespace

int Client::ask_session(SessionCall& call, int64_t deadline_ns) {
  const uint32_t attempts = call.result.attempts;
  call.result = kNothingKnown;
  call.result.attempts = attempts;
  Fate fate{};
  int outcome = NB_OK;
  do {
    outcome = ask([&](LineWriter& out) { call.write(out, ms_until(deadline_ns)); },
                  {.session = &call}, deadline_ns, true, fate);
    // Another agent may answer the question of a read.
  } while (outcome == NB_ERR_AWAY && !call.writes() && ms_until(deadline_ns) > 0);
  if (!call.writes() || fate == Fate::unsent) return outcome;
  // An agent that ends answers `timeout`: it has received no answer from Redis.
  const bool known = fate == Fate::answered && outcome != NB_ERR_TIMEOUT;
  return known ? outcome : static_cast<int>(NB_ERR_IN_DOUBT);
}

int Client::session(SessionCall& call) {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  const int outcome = ask_session(call, deadline_of(call));
  leave_role();
  return outcome;
}

int Client::list_sessions(SessionCall& call) {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  const int64_t deadline = deadline_of(call);
  int outcome = NB_OK;
  do {
    outcome = ask_session(call, deadline);
  } while (outcome == NB_OK && call.cursor_size > 0);
  leave_role();
  return outcome != NB_OK ? outcome : call.ended;
}

int Client::change_session(SessionCall& call, nb_session_change_fn change, void* user, char* memory,
                           size_t size) {
  constexpr int64_t kMostPauseNs = 64'000'000;
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  const int64_t deadline = deadline_of(call);
  const bool creates = (call.options.flags & NB_SESSION_UPSERT) != 0;
  const size_t half = size / 2;
  char* const fresh = memory + half;
  uint32_t attempts = 0;
  // Of random length: at first less than a write takes, then twice as much each time. Messages of
  // subscriptions are delivered meanwhile. False if there is no time for that and `more_ns` behind.
  int64_t most_pause = 0;
  const auto pause = [&](int64_t took_ns, int64_t more_ns) {
    most_pause = std::clamp(2 * most_pause, std::min(took_ns, kMostPauseNs), kMostPauseNs);
    const int64_t until = now_ns() + any_below(most_pause, this);
    if (until + more_ns > deadline) return false;
    (void)run(until, [] { return NB_KEPT; });
    return true;
  };
  int outcome = NB_OK;
  for (;;) {
    SessionCall get{};
    get.verb = SessionCall::Verb::get;
    get.id = call.id;
    get.text = memory;
    get.text_size = half;
    outcome = ask_session(get, deadline);
    call.result = get.result;
    const bool missing = outcome == NB_ERR_NOT_FOUND && creates;
    if (outcome != NB_OK && !missing) break;

    ++attempts;
    fresh[0] = '\0';
    outcome =
        change(user, missing ? nullptr : memory, missing ? 0 : get.result.version, fresh, half);
    if (outcome != 0) break;
    outcome = take_json(fresh, '{', kMemberDepth, call.json);
    if (outcome != NB_OK) break;

    call.verb = missing ? SessionCall::Verb::create : SessionCall::Verb::update;
    call.options.flags = missing ? 0 : NB_SESSION_EXPECT;
    call.options.expected_version = get.result.version;
    const int64_t began = now_ns();
    outcome = ask_session(call, deadline);
    const int64_t took = now_ns() - began;
    // The same write once more: where the first was carried out, the version that both expect is
    // gone, so at most one of them can be. Then a refusal does not show whose version is there.
    const bool doubtful = outcome == NB_ERR_IN_DOUBT;
    while (outcome == NB_ERR_IN_DOUBT && pause(took, 0)) outcome = ask_session(call, deadline);
    if (doubtful && outcome != NB_OK) outcome = NB_ERR_IN_DOUBT;
    if (outcome != NB_ERR_CONFLICT && outcome != NB_ERR_NOT_FOUND) break;
    // A write that time ends is in doubt for nothing: so one is begun where there is enough of it.
    if (!pause(took, 4 * took)) break;
  }
  call.result.attempts = attempts;
  leave_role();
  return outcome;
}

}  // namespace nb::client
