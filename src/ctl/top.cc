// top: the fleet, running strokes and events, live.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <map>

#include "ctl/commands.h"
#include "ctl/event_line.h"
#include "ctl/fleet_pages.h"
#include "ctl/screen.h"
#include "ctl/top_screen.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr int64_t kRefresh = 1000;  // ms from one refresh of the fleet to the next
constexpr int64_t kFrame = 250;     // ms between two pictures, at least
constexpr int64_t kPatience = 400;  // ms; if it were longer, keys would seem to have no effect
constexpr int kHanging = 2;         // after so many refreshes without answer the agent hangs
constexpr int kMostPages = 20;
constexpr char kSessionPrefix[] = "stroke:progress:";

int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

// The model, kept up to date through the link.
class Follower {
 public:
  explicit Follower(const Context& context, bool prints)
      : context_(context), prints_(prints), link_(context.source(&Follower::on_event, this)) {}

  Source& link() { return *link_; }
  TopModel& model() { return model_; }
  bool changed() const { return changed_; }
  void drawn() { changed_ = false; }
  // kOutput if stdout could not be written.
  ExitCode said() const { return said_; }

  Answer begin() {
    if (Answer opened = link_->open(); !opened.ok()) return opened;
    if (Answer subscribed = link_->subscribe("*"); !subscribed.ok()) return subscribed;
    const Answer first = refresh(context_.timeout_ms);
    if (!first.ok()) return first;
    find_strokes();
    // Later changes are found by comparison with this.
    for (const FleetNode& node : model_.fleet().nodes) states_[node.name] = node.state;
    return first;
  }

  Answer refresh(int64_t patience = kPatience) {
    const Answer stats = link_->call("agent.stats", {}, patience);
    unanswered_ = stats.exit == kTimeout ? unanswered_ + 1 : 0;
    if (!stats.ok()) return stats;
    const Answer status = whole_status(*link_, patience);
    if (!status.ok()) return status;
    const JsonDocument stats_document(stats.text);
    const JsonDocument status_document(status.text);
    model_.on_stats(stats_document.root());
    model_.on_status(status_document.root(), now_us());
    changed_ = true;
    return status;
  }

  // Finds sessions that began before this program. Only the latest session of a node can be
  // running, and the names of sessions sort by time.
  void find_strokes() {
    missed_ = false;
    std::map<std::string, std::string> latest;
    std::string cursor;
    for (int page = 0; page < kMostPages; ++page) {
      ObjectText params;
      params.text("prefix", kSessionPrefix).integer("limit", 1000);
      if (!cursor.empty()) params.text("cursor", cursor);
      const Answer answer = link_->call("state.list", params.str(), kPatience);
      if (!answer.ok()) return;
      const JsonDocument document(answer.text);
      for (const Json item : document["keys"]) {
        const std::string key(item.text());
        if (!key.starts_with(kSessionPrefix)) continue;
        std::string& known = latest[node_of(key)];
        known = std::max(known, key);
      }
      cursor = document["cursor"].text();
      if (cursor.empty()) break;
    }
    for (const auto& [node, key] : latest) {
      const Answer answer =
          link_->call("state.get", ObjectText().text("key", key).str(), kPatience);
      if (!answer.ok()) continue;
      const JsonDocument document(answer.text);
      model_.on_progress(key.substr(sizeof kSessionPrefix - 1), document["value"]);
    }
    changed_ = true;
  }

  // Does the regular work. Returns the milliseconds until it is due again.
  int64_t tend() {
    const bool there = link_->connected();
    const Presence presence = !there                    ? Presence::away
                              : unanswered_ >= kHanging ? Presence::silent
                                                        : Presence::there;
    if (presence != presence_) {
      if (presence_ == Presence::away) next_refresh_ = 0;
      presence_ = presence;
      model_.set_presence(presence);
      changed_ = true;
      if (prints_) print_notice(words(presence));
    }
    const int64_t now = now_ms();
    if (there && now >= next_refresh_) {
      next_refresh_ = now_ms() + kRefresh;
      if (refresh().ok() && missed_) find_strokes();
      if (prints_) print_changes();
    }
    return there ? std::max<int64_t>(next_refresh_ - now_ms(), 0) : kRefresh;
  }

 private:
  static void on_event(void* user, const Event& event) {
    auto* self = static_cast<Follower*>(user);
    self->model_.on_event(event, now_us());
    self->changed_ = true;
    if (event.gap) self->missed_ = true;
    if (self->prints_) self->print(event_line(event, now_us(), self->context_.style));
  }

  // stroke:progress:stroke_{node}_{seconds}_{microseconds}
  static std::string node_of(std::string_view key) {
    const size_t end = key.rfind('_', key.rfind('_') - 1);
    return std::string(key.substr(0, end));
  }

  void print(const std::string& line) {
    if (said_ == kOk) said_ = say(line + '\n');
  }
  void print_notice(const std::string& text) {
    print("-- " + local_time_ms(now_us()) + "  " + text);
  }

  void print_changes() {
    using State = FleetNode::State;
    for (const FleetNode& node : model_.fleet().nodes) {
      // Of a node that is unknown or suspect nothing new is known, and a thousand may be.
      if (node.state == State::unknown || node.state == State::suspect) continue;
      State& was = states_[node.name];
      const bool news = (was == State::up) != (node.state == State::up);
      if (news) print_notice(node.name + (node.state == State::up ? " is up" : " is down"));
      was = node.state;
    }
  }

  const Context& context_;
  const bool prints_;
  std::unique_ptr<Source> link_;
  TopModel model_;
  std::map<std::string, FleetNode::State> states_;  // as they were last reported
  Presence presence_ = Presence::there;
  int unanswered_ = 0;  // refreshes in a row that got no answer
  bool changed_ = false;
  bool missed_ = false;
  ExitCode said_ = kOk;
  int64_t next_refresh_ = now_ms() + kRefresh;
};

// True if a key or a signal ends the program.
bool leaves(Screen& screen, TopScreen& view, std::span<const pollfd> fds, bool& changed) {
  if (fds[0].revents != 0) {
    while (const int signal = screen.next_signal()) {
      if (signal != SIGWINCH) return true;
      changed = screen.measure() || changed;
    }
  }
  if (fds[1].revents == 0) return false;
  char bytes[64];
  const ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
  if (n <= 0) return true;  // the terminal has gone
  for (const Key& key : read_keys({bytes, static_cast<size_t>(n)})) {
    if (!view.on_key(key)) return true;
    changed = true;
  }
  return false;
}

ExitCode full_screen(const Context& context, Follower& follower) {
  Screen screen;
  if (!screen.ready()) return output_fault(errno);
  TopScreen view(follower.model());
  Style style = context.style;
  const auto draw = [&] {
    style.columns = screen.columns();
    return screen.draw(view.lines(style, screen.rows(), now_us()));
  };
  const int keys = ::isatty(STDIN_FILENO) == 1 ? STDIN_FILENO : -1;
  int64_t next_frame = 0;
  while (true) {
    int64_t wait = follower.tend();
    if (follower.changed()) {
      const int64_t now = now_ms();
      if (now >= next_frame) {
        if (!draw()) return output_fault(errno);
        follower.drawn();
        next_frame = now + kFrame;
      } else {
        wait = std::min(wait, next_frame - now);
      }
    }
    std::array<pollfd, 2> fds{pollfd{screen.signal_fd(), POLLIN, 0}, pollfd{keys, POLLIN, 0}};
    follower.link().wait(fds, static_cast<int>(wait));
    // Every action of the person is shown at once.
    bool changed = false;
    if (leaves(screen, view, fds, changed)) return kOk;
    if (changed && !draw()) return output_fault(errno);
  }
}

}  // namespace

ExitCode run_top(const Context& context, bool once) {
  if (context.json) {
    return complain(kUsage,
                    "top is for people; for scripts there are nodes --json and watch --json");
  }
  const bool plain = once || !context.style.terminal;
  Follower follower(context, plain && !once);
  if (const Answer answer = follower.begin(); !answer.ok()) return complain(answer);
  if (!plain) return full_screen(context, follower);
  const ExitCode said = say(follower.model().page(context.style, now_us()));
  if (said != kOk || once) return said;
  while (follower.said() == kOk) follower.link().wait({}, static_cast<int>(follower.tend()));
  return follower.said();
}

}  // namespace nb::ctl
