// Source: where a command gets its data about the cell: the agent of this computer (AgentLink), or
// Redis itself without an agent (CellReader). Both give the answers of PROTOCOL.md.
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "terminal/exit_code.h"

namespace nb::ctl {

using namespace terminal;

struct Answer {
  ExitCode exit = kOk;
  int code = 0;      // the protocol's error code, if the agent refused
  std::string text;  // the result as JSON; after a failure the reason, as a sentence

  bool ok() const { return exit == kOk; }
  // If a call was stored in part: which part Redis refused, and why, as a sentence. Otherwise
  // empty.
  std::string refused_part() const;
  bool not_found() const { return code == -32001; }
};

// A message of a subscription. The views are valid during the call only.
struct Event {
  std::string_view channel;
  std::string_view json;
  bool remote = false;
  bool text = false;   // the message was no JSON; `json` is a JSON string
  bool gap = false;    // messages may have been missed; `json` has the time range, or their number
  bool state = false;  // of a state.watch: `channel` is the notification, `json` its params
  bool omitted = false;  // the message was too long for a line; `json` is its size in bytes
};

// How the agent appears to a command that keeps its connection.
enum class Presence : uint8_t {
  there,
  away,   // there is no connection; the client tries to connect
  silent  // connected, but the agent does not answer: it is stopped or hangs
};
// "the agent is back", "the agent has gone away; ...".
const char* words(Presence presence);

class Source {
 public:
  using EventFn = void (*)(void* user, const Event& event);

  virtual ~Source() = default;

  // Connects, and tests whether an agent answers, so that its absence is reported at once and in
  // detail.
  virtual Answer open() = 0;
  // `params` is a JSON object or empty. If `timeout_ms` is 0, the timeout of the command holds.
  virtual Answer call(const std::string& method, const std::string& params = {},
                      int64_t timeout_ms = 0) = 0;
  // Subscribes to a pattern if `channel` holds '*', '?', '[' or '\\', otherwise to the channel.
  virtual Answer subscribe(const std::string& channel) = 0;

  virtual bool connected() const = 0;
  // How often the connection was made: questions over an earlier connection are void.
  virtual uint64_t connects() const = 0;

  // Waits for messages, for `more` (at most 4 descriptors of the caller; their revents are set), or
  // until `timeout_ms` have passed (-1: without a limit). Delivers messages, and connects again if
  // the connection was lost.
  virtual void wait(std::span<pollfd> more, int timeout_ms) = 0;
};

inline constexpr size_t kMostDescriptors = 4;
bool is_pattern(std::string_view channel);

}  // namespace nb::ctl
