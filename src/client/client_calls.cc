// The functions of Client that wait for the agent, with a timeout, and those that report its state.
#include <poll.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>

#include "client/asking.h"
#include "client/now.h"

namespace nb::client {

// --- waiting ------------------------------------------------------------------------------------

template <class Write>
int Client::request(Write&& write, char* result, size_t result_size, uint32_t timeout_ms) {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  Fate fate{};
  const int outcome =
      ask(write, {.result = result, .size = result_size}, deadline_in(timeout_ms), false, fate);
  leave_role();
  return outcome;
}

int Client::call(std::string_view method, std::string_view params, char* result, size_t result_size,
                 uint32_t timeout_ms) {
  return request(
      [&](LineWriter& out) {
        out.raw(R"({"jsonrpc":"2.0","method":)");
        out.string(method);
        if (!params.empty()) {
          out.raw(",\"params\":");
          out.json(params);
        }
      },
      result, result_size, timeout_ms);
}

// The subscription is remembered first: if the connection breaks at any point, the next one asks
// for it again.
int Client::subscribe(std::string_view channel, bool pattern, uint32_t timeout_ms) {
  bool known = false;
  {
    const Lock lock(*this);
    known = outgoing_.has_subscription(channel, pattern);
    if (!outgoing_.add_subscription(channel, pattern)) return NB_ERR_FULL;
  }
  const int result = request(
      [&](LineWriter& out) {
        Outgoing::write_subscription(out, "event.subscribe", channel, pattern);
      },
      nullptr, 0, timeout_ms);
  if (result != NB_OK && !known) {
    const Lock lock(*this);
    outgoing_.remove_subscription(channel, pattern);
  }
  return result;
}

int Client::unsubscribe(std::string_view channel, bool pattern, uint32_t timeout_ms) {
  {
    const Lock lock(*this);
    outgoing_.remove_subscription(channel, pattern);
  }
  return request(
      [&](LineWriter& out) {
        Outgoing::write_subscription(out, "event.unsubscribe", channel, pattern);
      },
      nullptr, 0, timeout_ms);
}

int Client::wait(uint32_t timeout_ms) {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  const uint64_t before = delivered_;
  const int result =
      run(deadline_in(timeout_ms), [&]() -> int { return delivered_ != before ? NB_OK : NB_KEPT; });
  leave_role();
  return result;
}

int Client::flush(uint32_t timeout_ms) {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  const int result = run(deadline_in(timeout_ms), [&]() -> int {
    const Lock lock(*this);
    return outgoing_.empty() ? NB_OK : NB_KEPT;
  });
  leave_role();
  return result;
}

// --- looking ------------------------------------------------------------------------------------

int Client::poll_fd() {
  const Lock lock(*this);
  return link_.up() ? link_.fd() : -1;
}

int Client::poll_events() {
  const Lock lock(*this);
  return outgoing_.can_send() ? POLLIN | POLLOUT : POLLIN;
}

int Client::poll_timeout_ms() {
  const Lock lock(*this);
  if (!reading_ && (incoming_.has_line() || incoming_.overlong())) return 0;
  if (link_.up()) return -1;
  if (link_.state() == Link::State::broken) return 0;
  return static_cast<int>(std::min<int64_t>(ms_until(link_.due_ns()), INT_MAX));
}

void Client::stats(nb_client_stats& stats) {
  const Lock lock(*this);
  if (link_.up()) drain();
  stats.connected = link_.up() ? 1 : 0;
  stats.pushed = pushed_;
  stats.sent = outgoing_.lines_sent();
  stats.kept = kept_;
  stats.coalesced = outgoing_.coalesced();
  stats.refused_full = full_;
  stats.rejected = rejected_;
  stats.connects = connection_;
  stats.disconnects = disconnects_;
  stats.events = events_;
  stats.waiting_bytes = outgoing_.waiting_bytes();
}

int Client::last_error(char* buffer, size_t size) {
  const Lock lock(*this);
  if (link_.up()) drain();
  if (buffer == nullptr || size == 0) return trouble_ == Trouble::remote ? remote_code_ : 0;
  // strerror_r() would look for a translation, and allocate for that.
  const char* const known = ::strerrordesc_np(trouble_errno_);
  const char* const words = known != nullptr ? known : "unknown error";
  switch (trouble_) {
    case Trouble::none:
      buffer[0] = '\0';
      break;
    case Trouble::connect:
      std::snprintf(buffer, size, "cannot connect to %s: %s", link_.path(), words);
      break;
    case Trouble::lost:
      std::snprintf(buffer, size, "the agent was lost: %s", words);
      break;
    case Trouble::closed:
      std::snprintf(buffer, size, "the agent has closed the connection");
      break;
    case Trouble::rubbish:
      std::snprintf(buffer, size, "what answers at %s sent a line that is no JSON: it was skipped",
                    link_.path());
      break;
    case Trouble::overlong:
      std::snprintf(buffer, size,
                    "what answers at %s sent a line that is too long here: it was skipped",
                    link_.path());
      break;
    case Trouble::dropped:
      std::snprintf(buffer, size,
                    "a message was dropped: the agent at %s takes lines of at most %zu bytes "
                    "([socket] max_line)",
                    link_.path(), outgoing_.line_limit());
      break;
    case Trouble::too_large:
      std::snprintf(
          buffer, size,
          "a message was refused here: a line to the agent at %s has at most %zu bytes%s, "
          "and slot_bytes and event_ring_bytes bound it as well",
          link_.path(), outgoing_.line_limit(),
          outgoing_.line_limit() < rpc::kLineBytes ? " ([socket] max_line)" : "");
      break;
    case Trouble::protocol:
      std::snprintf(buffer, size,
                    "the agent at %s speaks protocol %lld, and this library speaks %lld: bring "
                    "nodebeat and libnodebeat0 to one version",
                    link_.path(), static_cast<long long>(agent_protocol_),
                    static_cast<long long>(kProtocol));
      break;
    case Trouble::remote:
      std::snprintf(buffer, size, "%.*s", static_cast<int>(remote_size_), remote_text_);
      return remote_code_;
  }
  return 0;
}

}  // namespace nb::client
