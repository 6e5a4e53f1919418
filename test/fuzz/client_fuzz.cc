// Any bytes from the agent, cut at any place: the reader of libnodebeat finds the same lines as a
// simple splitter, without those that are too long for it, and what it takes out of a line lies
// inside it and is terminated.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/foreign_text.h"
#include "base/text.h"
#include "client/incoming.h"
#include "client/message.h"
#include "client/session_call.h"
#include "require.h"

namespace {

using nb::client::Incoming;
using nb::client::Message;
using nb::fuzz::require;

void check(const std::string& line) {
  std::vector<char> memory(line.begin(), line.end());
  (void)nb::client::read_head({memory.data(), memory.size()});
  memory.push_back('\0');
  const Message message = nb::client::read_message(memory.data(), line.size());
  const auto inside = [&](const char* at, size_t size) {
    return at >= memory.data() && at + size < memory.data() + memory.size() + 1;
  };
  if (message.kind == Message::Kind::event) {
    require(inside(message.channel, std::strlen(message.channel)));
    require(nb::is_valid_utf8(message.channel));
  }
  if (message.json_size > 0) {
    require(inside(message.json, message.json_size));
    require(message.json[message.json_size] == '\0');
    require(std::strlen(message.json) == message.json_size);
  }
  (void)nb::client::read_greeting({message.json, message.json_size});
  std::string words(message.text);
  words.resize(std::min<size_t>(words.size(), 384));  // may end within a character
  words.resize(nb::client::make_harmless(words.data(), words.size()));
  require(nb::foreign_text(words) == words);
  std::string bytes = line;  // no UTF-8
  bytes.resize(nb::client::make_harmless(bytes.data(), bytes.size()));
  require(nb::foreign_text(bytes, bytes.size()) == bytes);
  require(message.text.empty() || inside(message.text.data(), message.text.size()));
  require(nb::is_valid_utf8(message.text));
}

// An answer to a call of session.*: what is copied fits and is terminated, what is told is text.
void check_session(const std::string& line) {
  using nb::client::SessionCall;
  for (const auto verb : {SessionCall::Verb::get, SessionCall::Verb::list}) {
    std::vector<char> memory(line.begin(), line.end());
    memory.push_back('\0');
    const Message message = nb::client::read_message(memory.data(), line.size());
    if (message.kind != Message::Kind::result && message.kind != Message::Kind::failure) return;
    constexpr size_t kRoom = 16;
    std::vector<char> text(kRoom, 'x');
    SessionCall call{};
    call.verb = verb;
    call.text = text.data();
    call.text_size = text.size();
    call.each = [](void*, const nb_session_info* info) {
      require(nb::is_valid_utf8(info->id) && nb::is_valid_utf8(info->updated_at));
      return 0;
    };
    const int outcome = call.take(message);
    if (outcome == NB_OK && call.result.text_bytes > 0) require(call.result.text_bytes < kRoom);
    if (call.result.text_bytes > 0 && message.kind == Message::Kind::result) {
      require(std::memchr(text.data(), '\0', kRoom) != nullptr);
    }
    require(call.cursor_size <= SessionCall::kCursorBytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte says how the rest is cut.
  const size_t step = data[0] % 31 + 1;
  const std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  constexpr size_t kBuffer = 512;
  char buffer[kBuffer];
  Incoming incoming(buffer, sizeof buffer);
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < input.size()) {
    size_t room = 0;
    char* const out = incoming.room(room);
    require(room > 0);
    const size_t n = std::min({step, room, input.size() - at});
    std::memcpy(out, input.data() + at, n);
    incoming.added(n);
    at += n;
    size_t length = 0;
    while (const char* line = incoming.line(length)) {
      require(line[length] == '\0');
      lines.emplace_back(line, length);
      incoming.drop_line();
    }
    if (incoming.overlong()) {
      (void)nb::client::read_head(incoming.held());
      incoming.skip_line();
    }
  }
  size_t next = 0;
  std::string_view rest = input;
  for (size_t end = 0; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
    if (end >= kBuffer) continue;  // with its newline it does not fit
    require(next < lines.size() && lines[next] == rest.substr(0, end));
    check(lines[next]);
    check_session(lines[next++]);
  }
  require(next == lines.size());
  return 0;
}
