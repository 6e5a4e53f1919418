// What servers and buses may answer a probe. The first byte picks the parser and the era, the
// second the size of the pieces that the rest comes in: no parser may crash, keep more than its
// bound, or find another answer in other pieces.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "probe/dbus_message.h"
#include "probe/http_response.h"
#include "probe/mcp_message.h"
#include "probe/sse.h"
#include "probe/words.h"
#include "require.h"

namespace {

using namespace nb::probe;
using nb::fuzz::require;

template <class Take>
void in_pieces(std::string_view input, size_t size, Take take) {
  while (!input.empty()) {
    const std::string_view piece = input.substr(0, size);
    input.remove_prefix(piece.size());
    if (!take(piece)) return;
  }
}

// The verdict on an HTTP answer, and whether it was reached before the end.
std::string ask_mcp(std::string_view input, size_t size, McpAsk ask) {
  HttpResponse response;
  McpReader reader;
  reader.reset(ask, 1);
  std::optional<McpVerdict> verdict;
  std::string fault;
  in_pieces(input, size, [&](std::string_view piece) {
    const nb::Status status = response.feed(piece);
    require(response.body().size() <= HttpResponse::kMaxBody);
    if (!status) fault = status.error().message;
    if (!fault.empty() || response.complete()) return false;
    verdict = reader.look(response, false);
    return !verdict;
  });
  if (fault.empty() && !verdict) {
    const nb::Status ended = response.end();
    if (ended) verdict = reader.look(response, true);
    if (!ended) fault = ended.error().message;
  }
  require(verdict.has_value() != !fault.empty());
  if (!verdict) return "fault";
  require(verdict->detail.size() < 400);
  require(!verdict->detail.empty() || (verdict->up && ask == McpAsk::ping));
  if (ask != McpAsk::ping && !verdict->refused) {
    require(verdict->up == !verdict->protocol.empty());
  }
  require(!(verdict->refused && !verdict->up));
  const McpSession session = mcp_session(response, verdict->protocol);
  const std::string goodbye = mcp_goodbye(ProbeSpec(), "0", session);
  require(goodbye.empty() == session.id.empty());
  require(goodbye.empty() || goodbye.find("\r\n\r\n") == goodbye.size() - 4);
  return verdict->up ? verdict->detail : "down";
}

std::string read_events(std::string_view input, size_t size) {
  SseParser parser;
  std::string events;
  in_pieces(input, size, [&](std::string_view piece) {
    while (parser.next(piece)) {
      require(parser.data().size() <= SseParser::kMaxEvent);
      events += parser.data() + '\0';
    }
    require(piece.empty());
    return true;
  });
  return events;
}

void read_dbus(std::string_view input) {
  const auto size = dbus_message_size(input);
  if (!size || *size == 0) return;
  require(*size >= 16 && *size <= 64 * 1024);
  const auto message = parse_dbus_message(input);
  if (!message) return;
  require(*size == input.size());
  require(message->text.size() < input.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t piece = size_t{data[1]} + 1;
  switch (data[0] % 4) {
    case 0:
    case 1: {
      const McpAsk ask = data[0] >= 0x80    ? McpAsk::ping
                         : data[0] % 4 == 0 ? McpAsk::initialize
                                            : McpAsk::discover;
      const std::string one = ask_mcp(input, piece, ask);
      const std::string other = ask_mcp(input, 1, ask);
      // An answer within a stream counts before a fault behind it is seen, or not.
      require(one == other || one == "fault" || other == "fault");
      break;
    }
    case 2:
      require(read_events(input, piece) == read_events(input, 1));
      break;
    case 3:
      read_dbus(input);
      require(nb::is_valid_utf8(one_line(input, piece)));
      break;
  }
  return 0;
}
