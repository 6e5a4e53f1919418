// AgentLink: the one door to the agent. Everything nodebeatctl says goes through libnodebeat from
// here, and every outcome comes back as an exit code and a sentence.
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
  int code = 0;      // the protocol's, when the agent refused
  std::string text;  // the result as JSON; else why not, as a sentence

  bool ok() const { return exit == kOk; }
  // Of a call that was stored in part: which part Redis refused, and why, as a sentence; else
  // empty.
  std::string refused_part() const;
  bool not_found() const { return code == -32001; }
};

// A message of a subscription; the views are valid during the call only.
struct Event {
  std::string_view channel;
  std::string_view json;
  bool remote = false;
  bool text = false;  // it was no JSON; `json` is a JSON string
  bool gap = false;   // messages may have been missed; `json` says from when to when, or how many
  bool omitted = false;  // too long for a line; `json` is its size in bytes
};

// What is seen of the agent by who stays.
enum class Presence : uint8_t {
  there,
  away,   // no connection; it is looked for
  silent  // connected, but it answers nothing: stopped, or hanging
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

  // Looks whether an agent is there before the first call, so that its absence is said at once and
  // in detail. Ok or kAway.
  Answer open();

  // `params`: a JSON object or empty. `timeout_ms` 0: that of the options.
  Answer call(const std::string& method, const std::string& params = {}, int64_t timeout_ms = 0);
  // Takes '*', '?', '[' or '\' in `channel` for a pattern's.
  Answer subscribe(const std::string& channel);
  static bool is_pattern(std::string_view channel);

  bool connected() const;

  // Waits for the agent, for `more` (the caller's own descriptors, at most 4; their revents are
  // set), or for `timeout_ms` to pass (-1: for ever). Messages are delivered, and a lost agent is
  // looked for again.
  void wait(std::span<pollfd> more, int timeout_ms);

 private:
  Answer failure(int result) const;
  Answer why_away() const;

  Options options_;
  nb_client* client_ = nullptr;
  std::string result_;  // big, and made once
};

}  // namespace nb::ctl
