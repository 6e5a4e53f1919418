// A cell of nodes that renew leases on a clock of the test's own, and a server that is a few maps,
// for the unit tests of fleet/watcher. test/sim has the same with chance, delays and several
// watchers.
#pragma once

#include "fleet/watcher.h"
#include "wire/lease.h"

namespace nb::fleet {

using namespace std::chrono_literals;
using Kind = Watcher::Kind;
using Outcome = Watcher::Outcome;
using State = Watcher::State;
using Strings = std::vector<std::string>;

inline constexpr Duration kTick = 10ms;

struct Node {
  std::string boot = "b1";
  std::string run = "i1";
  uint64_t seq = 0;
  Duration interval = 1s;
  Duration patience = 3s;
  MonoTime due{};  // the next renewal
  MonoTime renewed{};
  bool alive = true;
};

class WatcherTest : public testing::Test {
 protected:
  // --- the cell ---

  std::string name(int i) { return "n" + std::to_string(i); }

  void add(const std::string& node, Duration phase = {}, Duration interval = 1s,
           Duration patience = 3s) {
    nodes_[node].interval = interval;
    nodes_[node].patience = patience;
    nodes_[node].due = now_ + phase;
    registered_[node] = true;
  }
  // Their renewals are spread over the interval.
  void add_many(int count, Duration interval = 1s, Duration patience = 3s) {
    for (int i = 0; i < count; ++i) add(name(i), interval * i / count, interval, patience);
  }
  std::string lease_of(const Node& node) {
    std::string text;
    wire::print_lease({node.boot, node.run, node.seq, static_cast<uint32_t>(node.interval / 1ms),
                       static_cast<uint32_t>(node.patience / 1ms)},
                      text);
    return text;
  }
  void renew(const std::string& name) {
    Node& node = nodes_[name];
    ++node.seq;
    leases_[name] = lease_of(node);
    node.renewed = now_;
  }
  void kill(const std::string& node) { nodes_[node].alive = false; }
  void revive(const std::string& node) {
    nodes_[node].alive = true;
    nodes_[node].due = now_;
  }

  // Another cell.
  void clear() {
    nodes_.clear();
    registered_.clear();
    leases_.clear();
    dead_.clear();
    announced_.clear();
    said_.clear();
    recorded_.clear();
  }

  // --- what the service does ---

  void begin() {
    watcher_.begin("self");
    read_register(true);
  }
  void begin_again() {
    watcher_.begin_again();
    read_register(true);
  }
  void read_register(bool marks = false) {
    watcher_.begin_register();
    for (const auto& [node, listed] : registered_) watcher_.add_node(node);
    if (marks) {
      for (const auto& [node, lease] : dead_) watcher_.mark_lost(node, lease);
    }
    watcher_.end_register();
  }
  void ask() { watcher_.begin_look(now_); }
  void answer() {
    for (size_t i = 0; i < watcher_.size(); ++i) {
      const auto lease = leases_.find(std::string(watcher_.node(i)));
      watcher_.see(i, lease == leases_.end() ? std::string_view() : lease->second, now_);
    }
    watcher_.end_look(now_);
    if (drains_) drain();
  }
  void look() {
    ask();
    answer();
  }
  void drain() {
    Watcher::Action action;
    while (watcher_.next(action)) take(action);
  }
  void take(const Watcher::Action& action) {
    const std::string node(action.node);
    switch (action.kind) {
      case Kind::suspect:
        return say("suspect " + node);
      case Kind::unsuspect:
        return say("unsuspect " + node);
      case Kind::malformed:
        return say("malformed " + node);
      case Kind::record:
        recorded_.push_back("lost " + node);
        return;
      case Kind::uncertain:
        return say("uncertain " + std::to_string(action.silent) + " of " +
                   std::to_string(action.nodes));
      case Kind::sure:
        return say("sure");
      case Kind::lost:
      case Kind::returned:
        break;
    }
    const Script script{action.kind,    node,       std::string(action.lease),
                        action.absent,  action.how, action.ticket,
                        action.recorded};
    EXPECT_EQ(action.before.empty(), action.kind == Kind::lost);
    if (answers_) {
      watcher_.report(action.ticket, run(script), now_);
    } else {
      scripts_.push_back(script);
    }
  }

  // --- the script on the server ---

  struct Script {
    Kind kind;
    std::string node;
    std::string lease;
    bool absent;
    Watcher::How how;
    uint32_t ticket;
    bool recorded;
  };
  Outcome run(const Script& script) {
    const auto lease = leases_.find(script.node);
    const std::string current = lease == leases_.end() ? "" : lease->second;
    const auto mark = dead_.find(script.node);
    if (script.kind == Kind::lost) {
      if (current != (script.absent ? "" : script.lease)) return Outcome::lease_changed;
      if (mark != dead_.end() && mark->second == script.lease) return Outcome::already;
      dead_[script.node] = script.lease;
      say("lost " + script.node);
      if (script.recorded) recorded_.push_back("lost " + script.node);
      announced_[script.node] = now_;
      return Outcome::announced;
    }
    if (mark == dead_.end()) return Outcome::already;
    if (mark->second == script.lease || mark->second == current) return Outcome::lease_changed;
    dead_.erase(mark);
    const char* how[] = {"network", "restarted", "rebooted"};
    if (script.recorded) recorded_.push_back("returned " + script.node);
    say("returned " + script.node + " " + how[static_cast<int>(script.how)]);
    return Outcome::announced;
  }

  // --- time ---

  // Each node that is alive renews, and each look comes when it is to come.
  void run_for(Duration time) {
    for (const MonoTime end = now_ + time; now_ < end; tick()) {
      if (watcher_.next_look() <= now_) look();
    }
  }
  // Runs until the watcher has asked the script for something.
  bool is_asked() {
    for (const MonoTime end = now_ + 60s; scripts_.empty() && now_ < end;) run_for(kTick);
    return !scripts_.empty();
  }
  void run_until(const std::string& said, Duration most = 60s) {
    for (const MonoTime end = now_ + most; now_ < end && count(said) == 0; tick()) {
      if (watcher_.next_look() <= now_) look();
    }
    EXPECT_EQ(count(said), 1) << said << " is said once";
  }
  void tick() {
    now_ += kTick;
    for (auto& [name, node] : nodes_) {
      if (!node.alive || now_ < node.due) continue;
      renew(name);
      node.due += node.interval;
      if (node.due <= now_) node.due = now_ + node.interval;
    }
  }

  void say(const std::string& text) { said_.push_back(text); }
  int count(const std::string& front) {
    return static_cast<int>(std::count_if(
        said_.begin(), said_.end(), [&](const std::string& s) { return s.starts_with(front); }));
  }
  State state(const std::string& node) { return watcher_.state(watcher_.find(node)); }
  Duration from_renewal_to_announcement(const std::string& node) {
    return announced_[node] - nodes_[node].renewed;
  }

  Watcher watcher_;
  MonoTime now_ = MonoTime(1000s);
  std::map<std::string, Node> nodes_;
  std::map<std::string, bool> registered_;
  std::map<std::string, std::string> leases_;
  std::map<std::string, std::string> dead_;
  std::map<std::string, MonoTime> announced_;
  std::vector<Script> scripts_;  // that nobody has answered
  Strings said_;
  Strings recorded_;  // of the losses and returns
  bool answers_ = true;
  bool drains_ = true;
};

}  // namespace nb::fleet
