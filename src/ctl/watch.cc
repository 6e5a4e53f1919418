// watch: prints messages as they come, one line each.
#include "base/timestamp.h"
#include "ctl/commands.h"
#include "ctl/event_line.h"
#include "json/view.h"
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
    if (event.state) return on_state(event);
    const int64_t now = now_us();
    print(context.json ? event_json(event, now) : event_line(event, now, context.style));
    if (limited && !event.gap) --left;
  }

  // A line of JSON is the notification with the time before it.
  void on_state(const Event& event) {
    const json::View params = json::View::of(event.json);
    const bool change = event.channel == "state.change";
    const bool ready = event.channel == "state.ready";
    if (context.json) {
      ObjectText out;
      out.text("time", format_timestamp(WallTime(std::chrono::microseconds(now_us()))));
      if (!change) out.text("notice", ready ? "ready" : "stale");
      std::string scratch;
      for (const json::Member& member : params.members()) {
        out.raw(member.name(scratch), member.value.raw());
      }
      print(out.str());
    } else if (change) {
      print(change_line(params));
    } else {
      std::string words = "Redis cannot be heard: changes may be missing";
      if (ready) {
        words = "these were all: " + std::string(params["keys"].raw());
        if (params["left_out"].exists()) words += "; there are more, for which there is no room";
      }
      print(context.style.paint(Colour::yellow, "-- " + local_time_ms(now_us()) + "  " + words));
    }
    if (limited && change) --left;
  }

  std::string change_line(json::View params) const {
    std::string scratch;
    std::string line = context.style.paint(Colour::dim, local_time_ms(now_us())) + "  ";
    const std::string key(params["key"].string(scratch).value_or(""));
    line += context.style.paint(Colour::blue, pad(printable(key), 22)) + "  ";
    line += pad(printable(params["source"].string(scratch).value_or("")), 5) + "  ";
    if (params["value"].exists()) return line + printable(params["value"].raw());
    if (params["deleted"].exists()) return line + context.style.paint(Colour::yellow, "deleted");
    const std::string why(params["unreadable"].string(scratch).value_or(""));
    return line + context.style.paint(Colour::red, "unreadable: " + printable(why));
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
Presence look(Source& link, Watcher& watcher, Presence before, int64_t patience) {
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

// `begin` requests the data to print. After a lost connection, `again` requests what the library
// does not restore by itself.
template <class Begin>
ExitCode follow(const Context& context, unsigned long count, bool again, Begin begin) {
  Watcher watcher{context, count, count > 0};
  const auto on_event = [](void* user, const Event& event) {
    static_cast<Watcher*>(user)->on_event(event);
  };
  const std::unique_ptr<Source> source = context.source(on_event, &watcher);
  Source& link = *source;
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  uint64_t connects = link.connects();
  if (const Answer answer = begin(link); !answer.ok()) return complain(answer);
  Presence known = Presence::there;
  while (!watcher.done()) {
    const Presence seen = look(link, watcher, known, context.timeout_ms);
    if (seen != known) watcher.on_presence(seen);
    known = seen;
    if (!again || !link.connected() || connects == link.connects()) continue;
    const uint64_t now = link.connects();
    const Answer answer = begin(link);
    if (answer.ok()) connects = now;
    if (answer.exit == kRefused) return complain(answer);
  }
  return watcher.said;
}

}  // namespace

ExitCode run_watch(const Context& context, const std::vector<std::string>& patterns,
                   unsigned long count) {
  return follow(context, count, false, [&](Source& link) {
    Answer answer;
    for (const std::string& pattern : patterns) {
      answer = link.subscribe(pattern);
      if (!answer.ok()) break;
    }
    return answer;
  });
}

ExitCode run_watch_state(const Context& context, const std::vector<std::string>& keys,
                         unsigned long count) {
  std::string names;
  std::string prefixes;
  for (std::string key : keys) {
    const size_t star = key.find('*');
    if (star < key.size() - 1 && star != key.npos) {
      return complain(kUsage, format("'%s': a * is for the end of a key", printable(key).c_str()));
    }
    if (star != key.npos) key.pop_back();
    std::string& list = star != key.npos ? prefixes : names;
    list.append(list.empty() ? 0 : 1, ',').append(json_quote(key));
  }
  const std::string params = "{\"keys\":[" + names + "],\"prefixes\":[" + prefixes + "]}";
  return follow(context, count, true,
                [&](Source& link) { return link.call("state.watch", params); });
}

}  // namespace nb::ctl
