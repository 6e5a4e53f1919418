#include "client/message.h"

#include <algorithm>
#include <cstring>

#include "base/foreign_text.h"
#include "base/text.h"
#include "client/json_members.h"
#include "json/scan.h"
#include "nodebeat/client.h"

namespace nb::client {
namespace {

bool is_text(std::string_view value) {
  return value.size() >= 2 && value.front() == '"';
}

bool is_object(std::string_view value) {
  return !value.empty() && value.front() == '{';
}

// Between the quotes.
std::string_view inside(std::string_view value) {
  return is_text(value) ? std::string_view(value.data() + 1, value.size() - 2) : std::string_view();
}

constexpr int32_t kForbidden = -32011;
constexpr int32_t kRateLimited = -32015;

// The errors without an id that end the connection: busy, forbidden, and the parse_error that ends
// a flood of malformed lines. Of the parse_errors only that one names a limit
// (PROTOCOL.md, 1.4, 1.6).
bool ends_connection(int32_t code, bool names_limit) {
  return code == -32006 || code == kForbidden || (code == -32700 && names_limit);
}

// The agent reports notifications that were refused for these reasons together.
bool counts(int32_t code) {
  return code == kForbidden || code == kRateLimited;
}

struct Reader {
  char* line;
  Message message;

  char* at(std::string_view view) const { return line + (view.data() - line); }

  // Both ends of a value must be known before the first byte is overwritten.
  const char* terminated(std::string_view value) const {
    at(value)[value.size()] = '\0';
    return value.data();
  }

  // The place of the text, also if it is empty.
  std::string_view plain(std::string_view text) const {
    if (text.empty()) return text;
    return {text.data(), unescape(at(text), text.size())};
  }

  // Returns whether the error's data names a limit.
  bool read_error(std::string_view error) {
    int64_t code = 0;
    bool names_limit = false;
    for (JsonMembers m(error); m.next();) {
      if (m.name() == "code" && read_integer(m.value(), code)) {
        message.code = static_cast<int32_t>(code);
      } else if (m.name() == "message") {
        message.text = inside(m.value());
      } else if (m.name() == "data") {
        message.data = m.value();
        for (JsonMembers data(m.value()); data.next();) {
          names_limit = names_limit || data.name() == "limit";
          if (data.name() == "count" && counts(message.code)) {
            (void)read_integer(data.value(), message.count);
          }
        }
      }
    }
    message.text = plain(message.text);
    return names_limit;
  }

  void read_event(std::string_view params) {
    std::string_view channel;
    std::string_view json;
    for (JsonMembers m(params); m.next();) {
      if (m.name() == "channel" && is_text(m.value())) {
        channel = m.value();
      } else if (m.name() == "event") {
        json = m.value();
      } else if (m.name() == "text" && is_text(m.value())) {
        json = m.value();
        message.flags |= NB_EVENT_TEXT;
      } else if (m.name() == "omitted_bytes") {
        json = m.value();
        message.flags |= NB_EVENT_OMITTED;
      } else if (m.name() == "remote" && m.value() == "true") {
        message.flags |= NB_EVENT_REMOTE;
      }
    }
    if (channel.empty() || json.empty()) return;
    message.kind = Message::Kind::event;
    message.json = terminated(json);
    message.json_size = json.size();
    const std::string_view name = plain(inside(channel));
    message.channel = terminated(name);
  }

  void read_refusal(std::string_view params) {
    message.kind = Message::Kind::refusal;
    std::string_view error;
    for (JsonMembers m(params); m.next();) {
      if (m.name() == "method") message.method = inside(m.value());
      if (m.name() == "error") error = m.value();
    }
    (void)read_error(error);
  }
};

}  // namespace

bool read_integer(std::string_view text, int64_t& value) {
  const bool negative = !text.empty() && text.front() == '-';
  int64_t sum = 0;
  size_t i = negative ? 1 : 0;
  if (text.size() - i == 0 || text.size() - i > 18) return false;
  for (; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    sum = sum * 10 + (text[i] - '0');
  }
  value = negative ? -sum : sum;
  return true;
}

int result_of_refusal(int32_t code) {
  if (code == kForbidden) return NB_ERR_FORBIDDEN;
  return code == kRateLimited ? NB_ERR_RATE_LIMITED : NB_ERR_REMOTE;
}

LineHead read_head(std::string_view line) {
  LineHead head;
  for (JsonMembers m(line); m.next();) {
    if (m.name() == "method") {
      const std::string_view method = inside(m.value());
      head.event = method == "event" || method == "event.gap" || method.starts_with("state.");
      break;
    }
    if (m.name() == "id" && read_integer(m.value(), head.id)) break;
  }
  return head;
}

Greeting read_greeting(std::string_view hello_result) {
  Greeting found;
  for (JsonMembers m(hello_result); m.next();) {
    int64_t number = 0;
    if (m.name() == "protocol" && read_integer(m.value(), number)) found.protocol = number;
    if (m.name() != "limits") continue;
    for (JsonMembers limit(m.value()); limit.next();) {
      if (limit.name() == "line_bytes" && read_integer(limit.value(), number) && number > 0) {
        found.line_bytes = static_cast<size_t>(number);
      }
    }
  }
  return found;
}

size_t make_harmless(char* text, size_t size) {
  constexpr size_t kLongest = 4;  // bytes of a character
  size_t at = 0;
  while (at < size) {
    const std::string_view rest(text + at, std::min(size - at, kLongest));
    const auto lead = static_cast<unsigned char>(rest.front());
    const size_t bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (bytes > rest.size() && size - at < kLongest) return at;
    const Character character = first_character(rest);
    const bool valid = character.bytes > 0;
    const size_t taken = valid ? character.bytes : 1;
    if (!valid || is_unsafe_character(character.code)) std::memset(text + at, '?', taken);
    at += taken;
  }
  return size;
}

Message read_message(char* line, size_t size) {
  const std::string_view text = skip_space({line, size});
  if (text.empty()) return {};
  if (json::scan({line, size}).reason != nullptr) {
    return {.kind = Message::Kind::rubbish};
  }
  std::string_view method;
  std::string_view params;
  std::string_view id;
  std::string_view result;
  std::string_view error;
  for (JsonMembers m(text); m.next();) {
    if (m.name() == "method") method = inside(m.value());
    if (m.name() == "params") params = m.value();
    if (m.name() == "id") id = m.value();
    if (m.name() == "result") result = m.value();
    if (m.name() == "error") error = m.value();
  }
  Reader reader{line, {}};
  Message& message = reader.message;
  if (method == "event") {
    reader.read_event(params);
  } else if (method == "event.gap" && is_object(params)) {
    message.kind = Message::Kind::gap;
    message.flags = NB_EVENT_GAP;
    message.json = reader.terminated(params);
    message.json_size = params.size();
  } else if (method.starts_with("state.") && is_object(params)) {
    message.kind = Message::Kind::event;
    message.flags = NB_EVENT_STATE;
    message.json_size = params.size();
    message.json = reader.terminated(params);
    message.channel = reader.terminated(method);
  } else if (method == "client.error") {
    reader.read_refusal(params);
  } else if (method.empty() && is_object(error)) {
    message.kind = read_integer(id, message.id) ? Message::Kind::failure : Message::Kind::refusal;
    const bool names_limit = reader.read_error(error);
    message.ends =
        message.kind == Message::Kind::refusal && ends_connection(message.code, names_limit);
  } else if (method.empty() && !result.empty() && read_integer(id, message.id)) {
    message.kind = Message::Kind::result;
    message.json = reader.terminated(result);
    message.json_size = result.size();
  }
  return message;
}

}  // namespace nb::client
