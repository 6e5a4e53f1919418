// watch: messages as they come, a line each.
#include <algorithm>

#include "ctl/commands.h"
#include "ctl/event_line.h"
#include "ctl/json_text.h"
#include "ctl/text.h"
#include "ctl/timestamp.h"

namespace nb::ctl {
namespace {

struct Watcher {
  const Context& context;
  unsigned long left = 0;  // with `limited`
  bool limited = false;
  bool broken = false;  // stdout takes no more

  bool done() const { return broken || (limited && left == 0); }

  void print(const std::string& line) {
    if (say(line + '\n') != kOk) broken = true;
  }

  void on_event(const Event& event) {
    if (done()) return;
    const int64_t now = now_us();
    print(context.json ? event_json(event, now) : event_line(event, now, context.style));
    if (limited && !event.gap) --left;
  }

  void on_connection(bool there) {
    const int64_t now = now_us();
    if (context.json) {
      print(ObjectText().text("notice", there ? "agent_back" : "agent_away").str());
    } else {
      print(context.style.paint(Colour::yellow, "-- " + local_time_ms(now) +
                                                    (there ? "  the agent is back"
                                                           : "  the agent has gone away; "
                                                             "waiting for it to come back")));
    }
  }
};

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
  bool there = true;
  while (!watcher.done()) {
    link.wait({}, -1);
    if (link.connected() != there && !watcher.done()) watcher.on_connection(there = !there);
  }
  return kOk;
}

}  // namespace nb::ctl
