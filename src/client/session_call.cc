#include "client/session_call.h"

#include <algorithm>
#include <cstring>

#include "client/json_members.h"

namespace nb::client {
namespace {

constexpr int64_t kMostTimeout = 60'000;  // PROTOCOL.md, 3.6
constexpr std::string_view kVerbs[] = {"create",    "update", "delete", "touch",
                                       "broadcast", "get",    "list"};

// -1 for anything but an integer of the agent's, null included.
int64_t integer_of(std::string_view value) {
  int64_t out = -1;
  return read_integer(value, out) ? out : -1;
}

// Unescapes a JSON string in place, in a line of the agent. Null, and the like: empty.
std::string_view unescaped(std::string_view value) {
  if (value.size() < 2 || value.front() != '"') return {};
  auto* const text = const_cast<char*>(value.data()) + 1;
  const size_t size = unescape(text, value.size() - 2);
  text[size] = '\0';  // at the latest where the quote was
  return {text, size};
}

// The agent answers a little before the caller's time is over, so that its answer is the one that
// counts.
int64_t agents_time(int64_t left_ms) {
  const int64_t earlier = std::min<int64_t>(left_ms / 8 + 1, 250);
  return std::clamp<int64_t>(left_ms - earlier, 1, kMostTimeout);
}

int result_of(int32_t code) {
  switch (code) {
    case -32602:
      return NB_ERR_ARGUMENT;
    case -32000:
      return NB_ERR_TOO_LARGE;
    case -32001:
      return NB_ERR_NOT_FOUND;
    case -32002:
      return NB_ERR_CONFLICT;
    case -32004:
      return NB_ERR_FULL;
    case -32007:
      return NB_ERR_TIMEOUT;
    case -32008:
      return NB_ERR_UNAVAILABLE;
    case -32013:
      return NB_ERR_IN_DOUBT;
    case -32014:
      return NB_ERR_CORRUPT;
    default:
      return result_of_refusal(code);
  }
}

}  // namespace

void SessionCall::write(LineWriter& out, int64_t left_ms) const {
  out.raw(R"({"jsonrpc":"2.0","method":"session.)");
  out.raw(kVerbs[static_cast<size_t>(verb)]);
  out.raw(R"(","params":{"timeout_ms":)");
  out.integer(agents_time(left_ms));
  if (!id.empty()) {
    out.raw(",\"session_id\":");
    out.string(id);
  }
  if (!json.empty()) {
    out.raw(verb == Verb::broadcast ? ",\"message\":" : ",\"state\":");
    out.json(json);
  }
  if ((options.flags & NB_SESSION_EXPECT) != 0) {
    out.raw(",\"expected_version\":");
    out.integer(options.expected_version);
  }
  if (options.ttl_ms != 0) {
    out.raw(",\"ttl_ms\":");
    out.integer(options.ttl_ms);
  }
  if ((options.flags & NB_SESSION_UPSERT) != 0) out.raw(",\"upsert\":true");
  if ((options.flags & NB_SESSION_REPLACE_CORRUPT) != 0) out.raw(",\"replace_corrupt\":true");
  if (cursor_size > 0) {
    out.raw(",\"cursor\":");
    out.string({cursor, cursor_size});
  }
  out.character('}');
}

int SessionCall::take(const Message& message) {
  if (message.kind == Message::Kind::failure) return take_failure(message);
  if (message.json_size == SIZE_MAX) return NB_ERR_TOO_LARGE;  // no caller has room for its line
  std::string_view sessions;
  for (JsonMembers m({message.json, message.json_size}); m.next();) {
    if (m.name() == "version") result.version = integer_of(m.value());
    if (m.name() == "ttl_ms") result.ttl_ms = integer_of(m.value());
    if (m.name() == "subscribers") result.subscribers = integer_of(m.value());
    if (m.name() == "state") take_text(m.value());
    if (m.name() == "sessions") sessions = m.value();
    if (m.name() == "cursor") {
      const std::string_view next = unescaped(m.value());
      cursor_size = next.size() <= kCursorBytes ? next.size() : 0;
      if (cursor_size > 0) std::memcpy(cursor, next.data(), cursor_size);
    }
  }
  if (verb == Verb::list && !take_sessions(sessions)) cursor_size = 0;
  return text != nullptr && result.text_bytes >= text_size ? static_cast<int>(NB_ERR_TOO_LARGE)
                                                           : static_cast<int>(NB_OK);
}

int SessionCall::take_failure(const Message& message) {
  for (JsonMembers m(message.data); m.next();) {
    if (m.name() == "expected") result.expected_version = integer_of(m.value());
    if (m.name() == "actual") result.actual_version = integer_of(m.value());
    if (m.name() == "stored") take_text(unescaped(m.value()));
    if (m.name() == "stored_bytes") {
      result.text_bytes = static_cast<uint64_t>(std::max<int64_t>(integer_of(m.value()), 0));
    }
  }
  return result_of(message.code);
}

// Copies as much as fits.
void SessionCall::take_text(std::string_view value) {
  result.text_bytes = value.size();
  if (text == nullptr) return;
  size_t size = std::min(value.size(), text_size - 1);
  // Not in the middle of a character.
  while (size < value.size() && size > 0 && (value[size] & 0xc0) == 0x80) --size;
  if (size > 0) std::memcpy(text, value.data(), size);
  text[size] = '\0';
}

// False if the caller wants no more of them.
bool SessionCall::take_sessions(std::string_view sessions) {
  if (sessions.empty() || sessions.front() != '[') return true;
  std::string_view rest(sessions.data() + 1, sessions.size() - 1);
  for (;;) {
    rest = skip_space(rest);
    if (!rest.empty() && rest.front() == ',') rest = skip_space({rest.data() + 1, rest.size() - 1});
    if (rest.empty() || rest.front() != '{') return true;
    const std::string_view one = first_value(rest);
    rest = {one.data() + one.size(), rest.size() - one.size()};
    nb_session_info info{};
    info.size = sizeof info;
    info.id = info.updated_at = "";
    info.version = info.ttl_ms = -1;
    for (JsonMembers m(one); m.next();) {
      if (m.name() == "version") info.version = integer_of(m.value());
      if (m.name() == "ttl_ms") info.ttl_ms = integer_of(m.value());
      const bool is_id = m.name() == "session_id";
      if (!is_id && m.name() != "updated_at") continue;
      const std::string_view value = unescaped(m.value());
      if (!value.empty()) (is_id ? info.id : info.updated_at) = value.data();
    }
    ended = each(user, &info);
    if (ended != 0) return false;
  }
}

}  // namespace nb::client
