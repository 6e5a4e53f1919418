// watch: prints messages as they come, one line each.
#include <algorithm>

#include "ctl/commands.h"
#include "ctl/event_line.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

struct Watcher {
  const Context& context;
  unsigned long left = 0;  // how many are still to be printed, if `limited`
  bool limited = false;
  ExitCode said = kOk;  // kOutput: stdout could not be written
  bool heard = false;   // a message has come since this was last reset

  bool done() const { return said != kOk || (limited && left == 0); }

  void print(const std::string& line) { said = context.json ? say_json(line) : say(line + '\n'); }

  void on_event(const Event& event) {
    heard = true;
    if (done()) return;
    const int64_t now = now_us();
    print(context.json ? event_json(event, now) : event_line(event, now, context.style));
    if (limited && !event.gap) --left;
  }

  void on_presence(Presence presence) {
    if (done()) return;
    constexpr const char* kNotices[] = {"agent_back", "agent_away", "agent_silent"};
    if (context.json) {
      print(ObjectText().text("notice", kNotices[static_cast<size_t>(presence)]).str());
    } else {
      print(context.style.paint(Colour::yellow,
                                "-- " + local_time_ms(now_us()) + "  " + words(presence)));
    }
  }
};

// Waits for messages. If none came within --timeout, asks whether the agent is still there.
Presence look(AgentLink& link, Watcher& watcher, Presence before, int64_t patience) {
  const int64_t deadline = now_us() / 1000 + patience;
  watcher.heard = false;
  while (link.connected()) {
    const int64_t left = deadline - now_us() / 1000;
    if (left <= 0 || left > patience) {  // over, or the clock was set
      const ExitCode asked = link.call("client.hello").exit;
      if (!link.connected()) break;
      return asked == kTimeout && !watcher.heard ? Presence::silent : Presence::there;
    }
    link.wait({}, static_cast<int>(left));
    if (watcher.done()) return before;
    if (watcher.heard) return Presence::there;
  }
  if (before == Presence::away) link.wait({}, -1);
  return link.connected() ? Presence::there : Presence::away;
}

}  // namespace

ExitCode run_watch(const Context& context, const std::vector<std::string>& patterns,
                   unsigned long count) {
  Watcher watcher{context, count, count > 0};
  AgentLink::Options options = context.link_options();
  options.user = &watcher;
  options.on_event = [](void* user, const Event& event) {
    static_cast<Watcher*>(user)->on_event(event);
  };
  AgentLink link(options);
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  for (const std::string& pattern : patterns) {
    const Answer answer = link.subscribe(pattern);
    if (!answer.ok()) return complain(answer);
  }
  Presence known = Presence::there;
  while (!watcher.done()) {
    const Presence seen = look(link, watcher, known, context.timeout_ms);
    if (seen != known) watcher.on_presence(seen);
    known = seen;
  }
  return watcher.said;
}

}  // namespace nb::ctl
