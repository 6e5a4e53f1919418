// AgentLink: the only way from nodebeatctl to the agent. All calls go through libnodebeat from
// here, and every outcome becomes an exit code and a sentence.
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "terminal/exit_code.h"

struct nb_client;

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
  bool gap = false;    // messages may have been missed; `json` tells from when to when, or how many
  bool state = false;  // of a state.watch: `channel` is the notification, `json` its params
  bool omitted = false;  // the message was too long for a line; `json` is its size in bytes
};

// How the agent appears to a command that keeps its connection.
enum class Presence : uint8_t {
  there,
  away,   // there is no connection; the client tries to connect
  silent  // connected, but the agent answers nothing: it is stopped or hangs
};
// "the agent is back", "the agent has gone away; ...".
const char* words(Presence presence);

class AgentLink {
 public:
  using EventFn = void (*)(void* user, const Event& event);

  struct Options {
    std::string socket;
    int64_t timeout_ms = 3000;
    EventFn on_event = nullptr;
    void* user = nullptr;
  };

  explicit AgentLink(Options options);
  ~AgentLink();
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  // Connects, and tests whether there is an agent, so that its absence is reported at once and in
  // detail. Returns kOk or kAway.
  Answer open();

  // `params` is a JSON object or empty. If `timeout_ms` is 0, the timeout of the options holds.
  Answer call(const std::string& method, const std::string& params = {}, int64_t timeout_ms = 0);
  // Subscribes to a pattern if `channel` holds '*', '?', '[' or '\', otherwise to the channel.
  Answer subscribe(const std::string& channel);
  static bool is_pattern(std::string_view channel);

  bool connected() const;
  // How often the connection was made: what was asked of an earlier one is void.
  uint64_t connects() const;

  // Waits for the agent, for `more` (at most 4 descriptors of the caller; their revents are set),
  // or until `timeout_ms` have passed (-1: without a limit). Delivers messages, and connects again
  // if the agent was lost.
  void wait(std::span<pollfd> more, int timeout_ms);

 private:
  Answer failure(int result) const;
  Answer why_away() const;

  Options options_;
  nb_client* client_ = nullptr;
  std::string result_;  // large, so it is made once
};

}  // namespace nb::ctl
