// The C ABI: checks the arguments before any lock is taken, and translates.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/caller_struct.h"
#include "client/caller_text.h"
#include "client/client.h"
#include "client/handle.h"
#include "nodebeat/client.h"
#include "rpc/line_limits.h"

using nb::client::Client;
using nb::client::kMemberDepth;
using nb::client::kParamsDepth;
using nb::client::LineWriter;
using nb::client::of;
using nb::client::RobotValues;
using nb::client::Settings;
using nb::client::StrokeValues;
using nb::client::take_json;
using nb::client::take_text;
using nb::client::usable;
using nb::client::with_struct;

namespace {

constexpr size_t kMinBytes = 1024;
constexpr size_t kMaxRingBytes = 16 * 1024 * 1024;
// The will's hello has to fit into a line.
constexpr size_t kWillBytes = nb::rpc::kLineBytes - 512;
constexpr size_t kNameBytes = 64;
constexpr size_t kPathBytes = 107;
constexpr std::string_view kCall = R"({"jsonrpc":"2.0","method":)";

int fail(int code, std::string_view message, char* error, size_t error_size) {
  if (error != nullptr && error_size > 0) {
    const size_t size = message.size() < error_size ? message.size() : error_size - 1;
    std::memcpy(error, message.data(), size);
    error[size] = '\0';
  }
  return code;
}

// Reports a mistake in the options to the caller.
[[gnu::format(printf, 3, 4)]] int refuse(char* error, size_t error_size, const char* words, ...) {
  if (error != nullptr && error_size > 0) {
    va_list numbers;
    va_start(numbers, words);
    std::vsnprintf(error, error_size, words, numbers);
    va_end(numbers);
  }
  return NB_ERR_ARGUMENT;
}

// NB_OK: `settings` is set.
int check(const nb_client_options& options, Settings& settings, char* error, size_t error_size) {
  if (options.flags != 0) {
    return refuse(error, error_size, "options.flags has a flag that this version does not know");
  }
  settings = {
      .path = "/run/nodebeat/agent.sock",
      .name = {},
      .will = {},
      .event_bytes = options.event_ring_bytes == 0 ? nb::rpc::kLineBytes : options.event_ring_bytes,
      .slot_bytes = options.slot_bytes == 0 ? 16384 : options.slot_bytes,
      .line_bytes = options.max_line_bytes == 0 ? nb::rpc::kLineBytes : options.max_line_bytes,
      .reconnect_ms = options.reconnect_ms == 0 ? 100 : options.reconnect_ms,
      .deadline_ms = options.deadline_ms,
      .on_event = options.on_event,
      .user = options.user};
  const struct {
    const char* name;
    size_t value, least, most;
  } sizes[] = {
      {"event_ring_bytes", settings.event_bytes, kMinBytes, kMaxRingBytes},
      {"slot_bytes", settings.slot_bytes, kMinBytes, nb::rpc::kLineBytes},
      {"max_line_bytes", settings.line_bytes, nb::rpc::kLineBytes, nb::rpc::kMostLineBytes}};
  for (const auto& [name, value, least, most] : sizes) {
    if (value >= least && value <= most) continue;
    return refuse(error, error_size, "%s must be between %zu and %zu", name, least, most);
  }
  if (options.reserved != 0 || options.reserved_2 != 0) {
    return refuse(error, error_size, "options.reserved and reserved_2 must be 0");
  }
  if (options.deadline_ms != 0 && (options.deadline_ms < nb::rpc::kLeastDeadlineMs ||
                                   options.deadline_ms > nb::rpc::kMostDeadlineMs)) {
    return refuse(error, error_size, "deadline_ms must be between %u and %u, or 0 for none",
                  nb::rpc::kLeastDeadlineMs, nb::rpc::kMostDeadlineMs);
  }
  if (options.socket_path != nullptr) {
    settings.path = {options.socket_path, ::strnlen(options.socket_path, kPathBytes + 1)};
    if (settings.path.empty() || settings.path.size() > kPathBytes) {
      return refuse(error, error_size,
                    "socket_path must have 1 to %zu bytes: a Unix socket's name cannot be longer",
                    kPathBytes);
    }
  }
  if (options.name != nullptr &&
      (take_text(options.name, kNameBytes, settings.name) != NB_OK || settings.name.empty())) {
    return refuse(error, error_size, "name must be UTF-8 of 1 to %zu bytes", kNameBytes);
  }
  if (options.will != nullptr &&
      (take_json(options.will, '[', kMemberDepth, settings.will) != NB_OK ||
       settings.will.size() > kWillBytes)) {
    return refuse(error, error_size,
                  "will must be a JSON array of calls, as "
                  "[{\"method\":\"stroke.end\",\"params\":{}}], of at most %zu bytes",
                  kWillBytes);
  }
  return NB_OK;
}

// nb_client_last_error() also reports a text that is too long for a line.
int told(nb_client* client, int status) {
  if (status == NB_ERR_TOO_LARGE) of(client)->note_too_large();
  return status;
}

struct Words {
  std::string_view first;
  std::string_view second;
  std::string_view json;
};

}  // namespace

int nb_client_open(const nb_client_options* options, nb_client** client, char* error,
                   size_t error_size) {
  if (options == nullptr || client == nullptr) {
    return fail(NB_ERR_ARGUMENT, "options and client must not be NULL", error, error_size);
  }
  nb_client_options whole;
  switch (nb::take_caller_struct(*options, whole)) {
    case nb::CallerStruct::ok:
      break;
    case nb::CallerStruct::wrong_size:
      return fail(NB_ERR_ARGUMENT,
                  "options.size is that of no version of nb_client_options: set it to "
                  "sizeof(nb_client_options)",
                  error, error_size);
    case nb::CallerStruct::unknown_member:
      return fail(NB_ERR_ARGUMENT,
                  "options sets a member that this version of libnodebeat does not know: install "
                  "the version that the program was built with",
                  error, error_size);
  }
  Settings settings;
  if (const int refused = check(whole, settings, error, error_size); refused != NB_OK) {
    return refused;
  }
  Client* const made = Client::create(settings);
  if (made == nullptr) {
    return fail(NB_ERR_SYSTEM,
                "there is no memory for the client, or no mutex that inherits priority", error,
                error_size);
  }
  *client = reinterpret_cast<nb_client*>(made);
  return NB_OK;
}

void nb_client_close(nb_client* client) {
  if (client != nullptr) of(client)->destroy();
}

int nb_push_robot_state(nb_client* client, const nb_robot_state* state) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return with_struct(state, [&](const nb_robot_state& whole) {
    const int result = RobotValues::check(whole);
    return result != NB_OK ? result : of(client)->push_robot(whole);
  });
}

int nb_stroke_start(nb_client* client, const nb_stroke* stroke) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return with_struct(stroke, [&](const nb_stroke& whole) {
    const int result = StrokeValues::check(whole);
    if (result != NB_OK) return result;
    if ((whole.has & NB_STROKE_TOTAL_STROKES) == 0) return static_cast<int>(NB_ERR_ARGUMENT);
    return of(client)->push_start(whole);
  });
}

int nb_stroke_update(nb_client* client, const nb_stroke* stroke) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return with_struct(stroke, [&](const nb_stroke& whole) {
    const int result = StrokeValues::check(whole);
    return result != NB_OK ? result : of(client)->push_progress(whole);
  });
}

int nb_stroke_end(nb_client* client) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return of(client)->push_end();
}

int nb_report_error(nb_client* client, const char* category, const char* message,
                    const char* details) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  Words words;
  int result = take_text(category, nb::rpc::kLineBytes, words.first);
  if (result == NB_OK) result = take_text(message, nb::rpc::kLineBytes, words.second);
  if (result == NB_OK && details != nullptr) {
    result = take_json(details, '{', kMemberDepth, words.json);
  }
  if (result != NB_OK) return told(client, result);
  return of(client)->push_event(
      [](LineWriter& out, const void* context) {
        const Words& w = *static_cast<const Words*>(context);
        out.raw(kCall);
        out.raw(R"("error.report","params":{"category":)");
        out.string(w.first);
        out.raw(",\"message\":");
        out.string(w.second);
        if (!w.json.empty()) {
          out.raw(",\"details\":");
          out.json(w.json);
        }
        out.raw("}}\n");
      },
      &words);
}

int nb_publish(nb_client* client, const char* channel, const char* event) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  Words words;
  int result = take_text(channel, nb::rpc::kLineBytes, words.first);
  if (result == NB_OK) result = take_json(event, '{', kMemberDepth, words.json);
  if (result != NB_OK) return told(client, result);
  return of(client)->push_event(
      [](LineWriter& out, const void* context) {
        const Words& w = *static_cast<const Words*>(context);
        out.raw(kCall);
        out.raw(R"("event.publish","params":{"channel":)");
        out.string(w.first);
        out.raw(",\"event\":");
        out.json(w.json);
        out.raw("}}\n");
      },
      &words);
}

int nb_notify(nb_client* client, const char* method, const char* params) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  Words words;
  int result = take_text(method, nb::rpc::kLineBytes, words.first);
  if (result == NB_OK && params != nullptr) {
    result = take_json(params, '{', kParamsDepth, words.json);
  }
  if (result != NB_OK) return told(client, result);
  return of(client)->push_event(
      [](LineWriter& out, const void* context) {
        const Words& w = *static_cast<const Words*>(context);
        out.raw(kCall);
        out.string(w.first);
        if (!w.json.empty()) {
          out.raw(",\"params\":");
          out.json(w.json);
        }
        out.raw("}\n");
      },
      &words);
}

int nb_client_get_fd(const nb_client* client) {
  return usable(client) != NB_OK ? -1 : of(client)->poll_fd();
}

int nb_client_get_events(const nb_client* client) {
  return usable(client) != NB_OK ? 0 : of(client)->poll_events();
}

int nb_client_get_timeout(const nb_client* client) {
  return usable(client) != NB_OK ? -1 : of(client)->poll_timeout_ms();
}

int nb_client_dispatch(nb_client* client) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return of(client)->dispatch();
}

int nb_call(nb_client* client, const char* method, const char* params, char* result,
            size_t result_size, uint32_t timeout_ms) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  if (result != nullptr && result_size == 0) return NB_ERR_ARGUMENT;
  Words words;
  int status = take_text(method, nb::rpc::kLineBytes, words.first);
  if (status == NB_OK && params != nullptr) {
    status = take_json(params, '{', kParamsDepth, words.json);
  }
  if (status != NB_OK) return told(client, status);
  return of(client)->call(words.first, words.json, result, result_size, timeout_ms);
}

int nb_subscribe(nb_client* client, const char* channel, int pattern, uint32_t timeout_ms) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  std::string_view name;
  const int status = take_text(channel, nb::client::Outgoing::kChannelBytes, name);
  return status != NB_OK ? status : of(client)->subscribe(name, pattern != 0, timeout_ms);
}

int nb_unsubscribe(nb_client* client, const char* channel, int pattern, uint32_t timeout_ms) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  std::string_view name;
  const int status = take_text(channel, nb::client::Outgoing::kChannelBytes, name);
  return status != NB_OK ? status : of(client)->unsubscribe(name, pattern != 0, timeout_ms);
}

int nb_client_wait(nb_client* client, uint32_t timeout_ms) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return of(client)->wait(timeout_ms);
}

int nb_client_flush(nb_client* client, uint32_t timeout_ms) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  return of(client)->flush(timeout_ms);
}

int nb_client_get_stats(nb_client* client, nb_client_stats* stats) {
  if (const int refused = usable(client); refused != NB_OK) return refused;
  if (stats == nullptr || !nb::is_caller_size<nb_client_stats>(stats->size)) return NB_ERR_ARGUMENT;
  nb_client_stats known{};
  of(client)->stats(known);
  (void)nb::give_caller_struct(known, *stats);
  return NB_OK;
}

int nb_client_last_error(nb_client* client, char* buffer, size_t size) {
  switch (usable(client)) {
    case NB_OK:
      return of(client)->last_error(buffer, size);
    case NB_ERR_FORKED:
      (void)fail(0, nb_result_text(NB_ERR_FORKED), buffer, size);
      return 0;
    default:
      return 0;
  }
}

const char* nb_client_version(void) {
  return NB_CLIENT_VERSION;
}

const char* nb_result_text(int result) {
  switch (result) {
    case NB_OK:
      return "done";
    case NB_KEPT:
      return "kept: it goes out as soon as possible";
    case NB_ERR_ARGUMENT:
      return "an argument is wrong";
    case NB_ERR_CONFIG:
      return "the configuration is wrong";
    case NB_ERR_SYSTEM:
      return "the system refused something";
    case NB_ERR_STATE:
      return "not now: another thread does this";
    case NB_ERR_FULL:
      return "no room: not taken";
    case NB_ERR_TOO_LARGE:
      return "longer than there is room for";
    case NB_ERR_AWAY:
      return "no connection to the agent";
    case NB_ERR_TIMEOUT:
      return "not within the time given";
    case NB_ERR_REMOTE:
      return "the agent refused";
    case NB_ERR_FORKED:
      return "the client belongs to the process that forked this one: open a client here";
    case NB_ERR_NOT_FOUND:
      return "there is no such session";
    case NB_ERR_CONFLICT:
      return "the session exists, or has another version";
    case NB_ERR_IN_DOUBT:
      return "it may have been carried out, and may not: read the session again";
    case NB_ERR_CORRUPT:
      return "what stands there is no session";
    case NB_ERR_UNAVAILABLE:
      return "not carried out: the agent does not reach Redis";
    case NB_ERR_FORBIDDEN:
      return "the socket does not give the right to make this call";
    case NB_ERR_RATE_LIMITED:
      return "more calls than one client of this socket may have in a second";
    default:
      return "unknown result";
  }
}
