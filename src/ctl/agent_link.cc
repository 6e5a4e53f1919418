#include "ctl/agent_link.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ctl/json.h"
#include "ctl/socket_look.h"
#include "nodebeat/client.h"
#include "rpc/line_limits.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

// Enough for a fleet and for a large value. A result is shorter than its line.
constexpr size_t kLineBytes = rpc::kMostLineBytes;

ExitCode exit_of(int protocol_code) {
  switch (protocol_code) {
    case -32001:  // not_found
      return kFound;
    case -32005:  // not_stored
      return kTimeout;
    case -32009:  // refused_by_redis
      return kRefusedByRedis;
    default:
      return kRefused;
  }
}

// Redis does not say which rights there are, and a person does not know the agent's user.
std::string with_advice(std::string said) {
  if (said.find("NOPERM") == said.npos) return said;
  return said +
         "; what agents may write for others, redis setup gives them: --keys, --channels (cell:* "
         "if nothing else was said)";
}

}  // namespace

const char* words(Presence presence) {
  switch (presence) {
    case Presence::there:
      return "the agent is back";
    case Presence::away:
      return "the agent has gone away; waiting for it to come back";
    case Presence::silent:
      return "the agent does not answer; waiting for it";
  }
  return "";
}

// PROTOCOL.md, 2.5.1.
std::string Answer::refused_part() const {
  if (!ok() || text.find("\"refused\"") == text.npos) return {};
  const JsonDocument result(text);
  std::string parts;
  for (const Json part : result["refused"]) {
    const std::string_view name = part.text();
    const char* what = name == "entry" ? "the entry in the stream" : "the message";
    parts += (parts.empty() ? "" : " and ") + std::string(what);
  }
  if (parts.empty()) return {};
  return "stored, but Redis refused " + parts + ": " + printable(result["redis"].text());
}

AgentLink::AgentLink(Options options) : options_(std::move(options)) {}

AgentLink::~AgentLink() {
  nb_client_close(client_);
}

Answer AgentLink::open() {
  if (const SocketLook look = look_at_socket(options_.socket);
      look.state != SocketState::listening) {
    return {kAway, 0, words(look)};
  }
  nb_client_options options{};
  options.size = sizeof options;
  options.socket_path = options_.socket.c_str();
  options.name = "nodebeatctl";
  options.max_line_bytes = kLineBytes;
  options.user = this;
  options.on_event = [](void* user, const char* channel, const char* json, uint32_t flags) {
    const Options& own = static_cast<AgentLink*>(user)->options_;
    if (own.on_event == nullptr) return;
    own.on_event(own.user, {channel, json, (flags & NB_EVENT_REMOTE) != 0,
                            (flags & NB_EVENT_TEXT) != 0, (flags & NB_EVENT_GAP) != 0,
                            (flags & NB_EVENT_STATE) != 0, (flags & NB_EVENT_OMITTED) != 0});
  };
  char error[256] = {};
  if (const int rc = nb_client_open(&options, &client_, error, sizeof error); rc != NB_OK) {
    return {kAway, 0, *error != '\0' ? std::string(error) : nb_result_text(rc)};
  }
  result_.resize(kLineBytes);
  return {};
}

Answer AgentLink::call(const std::string& method, const std::string& params, int64_t timeout_ms) {
  const auto timeout = static_cast<uint32_t>(timeout_ms > 0 ? timeout_ms : options_.timeout_ms);
  const int rc = nb_call(client_, method.c_str(), params.empty() ? nullptr : params.c_str(),
                         result_.data(), result_.size(), timeout);
  return rc == NB_OK ? Answer{kOk, 0, std::string(result_, 0, result_.find('\0'))} : failure(rc);
}

bool is_pattern(std::string_view channel) {
  return channel.find_first_of("*?[\\") != std::string_view::npos;
}

Answer AgentLink::subscribe(const std::string& channel) {
  const int rc = nb_subscribe(client_, channel.c_str(), is_pattern(channel) ? 1 : 0,
                              static_cast<uint32_t>(options_.timeout_ms));
  if (rc == NB_ERR_TOO_LARGE) return {kUsage, 0, "a channel has at most 256 bytes"};
  return rc == NB_OK ? Answer{} : failure(rc);
}

bool AgentLink::connected() const {
  nb_client_stats stats{};
  stats.size = sizeof stats;
  return nb_client_get_stats(client_, &stats) == NB_OK && stats.connected != 0;
}

uint64_t AgentLink::connects() const {
  nb_client_stats stats{};
  stats.size = sizeof stats;
  return nb_client_get_stats(client_, &stats) == NB_OK ? stats.connects : 0;
}

void AgentLink::wait(std::span<pollfd> more, int timeout_ms) {
  std::array<pollfd, kMostDescriptors + 1> all{};
  const size_t count = std::min(more.size(), kMostDescriptors);
  std::copy_n(more.begin(), count, all.begin());
  all[count].fd = nb_client_get_fd(client_);
  all[count].events = static_cast<short>(nb_client_get_events(client_));
  const int own = nb_client_get_timeout(client_);
  if (own >= 0 && (timeout_ms < 0 || own < timeout_ms)) timeout_ms = own;
  // After EINTR as after the timeout, nothing has happened.
  const bool happened = ::poll(all.data(), count + 1, timeout_ms) > 0;
  for (size_t i = 0; i < count; ++i) more[i].revents = happened ? all[i].revents : short{0};
  (void)nb_client_dispatch(client_);
}

Answer AgentLink::failure(int result) const {
  char words[1024] = {};
  const int code = nb_client_last_error(client_, words, sizeof words);
  const std::string said = printable(words);
  switch (result) {
    case NB_ERR_REMOTE:
      return {exit_of(code), code,
              said.empty() ? "the agent refused, without a reason" : with_advice(said)};
    case NB_ERR_FORBIDDEN:
      return {kForbidden, code, said};
    case NB_ERR_RATE_LIMITED:
      return {kTooMany, code, said + ": try again"};
    case NB_ERR_TIMEOUT:
      if (!connected()) return why_away();
      return {
          kTimeout, 0,
          format("the agent at %s has not answered within %s: it is busy or stopped; try "
                 "--timeout, or systemctl restart nodebeat",
                 printable(options_.socket).c_str(), human_duration(options_.timeout_ms).c_str())};
    case NB_ERR_AWAY: {
      // The agent may have given a reason before it closed the connection: too many connections, or
      // this user may not connect.
      if (code != 0 && !said.empty()) return {kRefused, code, said};
      return why_away();
    }
    case NB_ERR_TOO_LARGE:
      // The library has named the limit that a call exceeds.
      if (!said.empty() && code == 0) return {kRefused, 0, said};
      return {kRefused, 0,
              format("the answer is longer than %zu bytes, which is the most that is read here",
                     kLineBytes)};
    case NB_ERR_ARGUMENT:
      return {kUsage, 0, said.empty() ? nb_result_text(result) : said};
    default:
      return {kRefused, 0, said.empty() ? nb_result_text(result) : said};
  }
}

Answer AgentLink::why_away() const {
  const SocketLook look = look_at_socket(options_.socket);
  if (look.state != SocketState::listening) return {kAway, 0, words(look)};
  return {kAway, 0,
          format("the agent at %s closed the connection before it answered: try again",
                 printable(options_.socket).c_str())};
}

}  // namespace nb::ctl
