#include "sim/simulation.h"

#include <algorithm>

#include "base/text.h"
#include "wire/lease.h"

namespace nb::sim {
namespace {

constexpr Duration kWarmUp = 9s;
constexpr Duration kTakeover = 3s;

long long in_ms(Duration time) {
  return static_cast<long long>(time / 1ms);
}

}  // namespace

void Tally::add(const Tally& other) {
  schedules += other.schedules;
  events += other.events;
  lost += other.lost;
  returned += other.returned;
  uncertain += other.uncertain;
  claims += other.claims;
  timed += other.timed;
  takeovers += other.takeovers;
  crowds += other.crowds;
  found += other.found;
}

Simulation::Simulation(uint64_t seed, bool trace) : world_(seed, trace), server_(world_, *this) {
  make_cell();
}

void Simulation::make_cell() {
  struct Profile {
    Duration interval, patience;
  };
  constexpr Profile kProfiles[] = {{1s, 3s}, {250ms, 1s}, {500ms, 2s},
                                   {1s, 2s}, {2s, 6s},    {1s, 10s}};
  network_.least = world_.between(100us, 1ms);
  network_.most = network_.least + world_.upto(10ms);
  network_.silent_percent = static_cast<unsigned>(50 * world_.below(3));
  network_.spite_percent = world_.chance(85) ? 0 : 20;
  network_.asks_again = world_.chance(70);
  network_.lingers_percent = static_cast<unsigned>(world_.below(101));
  calm_ = network_;
  const uint64_t kind = world_.below(100);
  mixed_ = kind >= 85;
  const Profile common = kProfiles[kind < 60 ? 0 : 1];
  nodes_ = static_cast<int>(2 + world_.below(world_.chance(80) ? 6 : kMostNodes - 4));
  const bool nobody = world_.chance(2);
  int agents = nodes_;
  if (world_.chance(8)) ++agents;  // two of one name
  for (int i = 0; i < agents; ++i) {
    const int node = i % nodes_;
    const Profile profile =
        i >= nodes_ ? Profile{agents_[node]->options().interval, agents_[node]->options().patience}
        : mixed_    ? kProfiles[world_.below(std::size(kProfiles))]
                    : common;
    longest_ = std::max(longest_, profile.patience);
    agents_.push_back(std::make_unique<Agent>(
        world_, server_, network_,
        Agent::Options{i, node, profile.interval, profile.patience, !nobody && world_.chance(85),
                       world_.upto(1000h) - 500h + 1h * 1000,
                       static_cast<int>(world_.below(201)) - 100}));
    // Some are started later than the others.
    later(world_.upto(world_.chance(90) ? 2s : 25s),
          [agent = agents_.back().get()] { agent->start(true); });
  }
  // One of an earlier version, with an entry and without a lease.
  if (world_.chance(10)) (void)server_.execute({Request::Op::entry, 0, nodes_});
  settle_ = 2 * std::max<Duration>(longest_, 2s) + 2s;
}

// --- what happens ---

void Simulation::disturb(Duration time) {
  ++disturbances_;
  disturbed_ = std::max(disturbed_, world_.now() + time);
}

bool Simulation::is_undisturbed(MonoTime since) const {
  return since >= disturbed_ + settle_ && since >= MonoTime(1000s) + kWarmUp - 3s;
}

// To be called before the agent is struck.
void Simulation::note_loss_of(const Agent& agent) {
  const MonoTime now = world_.now();
  if (!agent.holds()) {
    last_loss_ = now;
    return;
  }
  const bool calm = is_undisturbed(now);
  disturb(kTakeover + agent.options().patience);
  if (!calm) return;
  // The check is void if something else happens meanwhile.
  takeover_from_ = now;
  const int disturbances = disturbances_;
  world_.after(10ms, [this, now, disturbances, &agent] {
    if (!has_candidate(2s, 1s)) takeover_from_ = MonoTime::max();
    world_.at(now + kTakeover, [this, now, disturbances, &agent] {
      if (takeover_from_ != now || disturbances_ != disturbances || !has_candidate(4s, 1s)) return;
      if (agent.is_there()) return;
      world_.fail("the watch was not taken over within 3 s");
    });
  });
}

// What has begun before the faults end may end later.
void Simulation::later(Duration delay, std::function<void()> what) {
  last_return_ = std::max(last_return_, world_.now() + delay);
  world_.after(delay, std::move(what));
}

void Simulation::strike(Agent& agent, uint64_t how) {
  note_loss_of(agent);
  const bool comes_back = world_.chance(60);
  switch (how) {
    case 0:
      agent.crash("crashes", false);
      if (comes_back) later(world_.upto(8s), [&] { agent.start(false); });
      break;
    case 1:
      agent.crash("loses power", true);
      if (comes_back) later(world_.between(1500ms, 15s), [&] { agent.start(true); });
      break;
    case 2:
      agent.cut();
      if (comes_back) later(world_.upto(10s), [&] { agent.heal(); });
      break;
    case 3:
      agent.freeze();
      if (comes_back) later(world_.upto(12s), [&] { agent.thaw(); });
      break;
    default:
      agent.say_goodbye();
      if (comes_back) later(world_.upto(10s), [&] { agent.start(world_.chance(30)); });
  }
}

void Simulation::strike_crowd() {
  const MonoTime now = world_.now();
  std::vector<Agent*> living;
  for (const auto& agent : agents_) {
    if (agent->is_there()) living.push_back(agent.get());
  }
  const size_t least = std::max<size_t>(3, (living.size() + 1) / 2);
  if (living.size() <= least) return;
  const size_t count = least + world_.below(living.size() - least);
  bool with_holder = false;
  bool all_known = agents_.size() == static_cast<size_t>(nodes_);
  for (Agent* agent : living) all_known = all_known && now - agent->begun() >= 8s;
  const bool calm = is_undisturbed(now) && now - last_loss_ >= 10s && !mixed_ && all_known;
  const uint64_t how = world_.below(4);
  in_crowd_.fill(false);
  for (size_t i = 0; i < count; ++i) {
    std::swap(living[i], living[i + world_.below(living.size() - i)]);
    with_holder = with_holder || living[i]->holds();
    in_crowd_[living[i]->node()] = true;
  }
  crowd_at_ = calm && !with_holder ? now : MonoTime::max();
  world_.say("%zu agents at once:", count);
  for (size_t i = 0; i < count; ++i) strike(*living[i], how);
}

void Simulation::strike_server(uint64_t how) {
  const auto time = [&](Duration most) { return world_.upto(world_.chance(80) ? 2s : most); };
  if (how == 0) {
    // Up to six times, one soon after the other.
    MonoTime at = world_.now();
    for (uint64_t i = world_.chance(70) ? 1 : 1 + world_.below(6); i > 0; --i) {
      const Duration stopped = time(10s);
      world_.at(at, [this, stopped] {
        disturb(stopped + 2s);
        if (server_.is_up() && !over_) server_.stop();
        world_.after(stopped, [this] { server_.go_on(); });
      });
      at += stopped + world_.upto(5s);
    }
  } else if (how == 1) {
    const Duration gone = time(15s);
    const uint64_t kept = world_.below(3);
    disturb(gone + 3s);
    server_.go_down();
    world_.after(gone, [this, kept] {
      if (kept == 0) server_.empty();
      server_.come_up(kept == 1 ? world_.upto(1s) : 0s);
    });
  } else if (how == 2) {
    disturb(3s);
    server_.come_up(world_.upto(1s));
  } else if (how == 3) {
    const Duration refuses = time(15s);
    disturb(refuses + 3s);
    server_.take_writes(false);
    world_.after(refuses, [this] { server_.take_writes(true); });
  } else {
    disturb(6s);  // until the register is whole again
    server_.empty();
  }
}

void Simulation::delete_lease(int node) {
  Truth& truth = truths_[node];
  truth.meddled = true;
  truth.unseen = world_.now() - truth.deleted < 5s;
  truth.deleted = world_.now();
  server_.spoil_lease(node, "");
}

void Simulation::meddle() {
  const int node = static_cast<int>(world_.below(static_cast<uint64_t>(nodes_)));
  disturb(3s);
  switch (world_.below(6)) {
    case 0:
      world_.say("the lease of n%d is deleted", node);
      return delete_lease(node);
    case 1:
      world_.say("the lease of n%d is spoiled", node);
      truths_[node].meddled = true;
      return server_.spoil_lease(node, "rubbish");
    case 2:
      world_.say("the watch is deleted");
      return server_.spoil_watch("");
    case 3:
      world_.say("the watch is spoiled");
      return server_.spoil_watch("rubbish");
    case 4:
      // The clock of the server is set by days. An hour would change nothing.
      world_.say("all leases expire");
      for (int i = 0; i < nodes_; ++i) delete_lease(i);
      return;
    default:
      if (is_there(node)) return;
      world_.say("n%d is forgotten", node);
      return server_.forget(node);
  }
}

void Simulation::fault() {
  const uint64_t what = world_.below(100);
  if (what < 45) {
    Agent& agent = some_agent();
    if (agent.is_there()) strike(agent, world_.below(5));
  } else if (what < 55) {
    strike_crowd();
  } else if (what < 75) {
    strike_server(world_.below(5));
  } else if (what < 82) {
    meddle();
  } else if (what < 88) {
    Agent& agent = some_agent();
    world_.say("connections of a%d are reset", agent.options().index);
    disturb(3s);
    agent.reset_connections();
  } else if (what < 94) {
    // Full load, on one or on all.
    const Duration time = world_.upto(8s);
    const uint64_t one = world_.chance(50) ? world_.below(agents_.size()) : agents_.size();
    world_.say("load on %s", one < agents_.size() ? "one" : "all");
    disturb(time + 1s);
    for (uint64_t i = 0; i < agents_.size(); ++i) {
      Agent& agent = *agents_[i];
      if (one < agents_.size() && i != one) continue;
      agent.load((agent.options().patience - agent.options().interval) * 4 / 10);
      world_.after(time, [&] { agent.load({}); });
    }
  } else {
    const Duration time = world_.upto(8s);
    world_.say("the network is slow");
    disturb(time + 1s);
    network_.most = network_.least + world_.upto(100ms);
    network_.loss_percent = static_cast<unsigned>(world_.below(20));
    network_.again = 200ms;
    world_.after(time, [this] {
      network_.most = calm_.most;
      network_.loss_percent = 0;
    });
  }
}

// From here on nothing happens but what has to.
void Simulation::end_faults() {
  world_.say("the faults end");
  over_ = true;
  disturb(1s);
  if (!server_.is_up()) server_.come_up(0s);
  server_.go_on();
  server_.take_writes(true);
  network_.most = calm_.most;
  network_.loss_percent = 0;
  network_.spite_percent = 0;
  for (const auto& agent : agents_) {
    agent->load({});
    if (world_.chance(60)) agent->heal();
    if (agent->is_frozen() && world_.chance(60)) agent->thaw();
  }
}

std::string Simulation::run() {
  const MonoTime begin = world_.now();
  const Duration faults = world_.between(1s, 25s);
  for (uint64_t i = world_.chance(30) ? 1 : 1 + world_.below(7); i > 0; --i) {
    world_.after(kWarmUp + world_.upto(faults), [this] { fault(); });
  }
  const MonoTime end_of_faults = begin + kWarmUp + faults + world_.upto(10s);
  world_.at(end_of_faults, [this] { end_faults(); });
  run_until(end_of_faults);
  run_until(std::max(last_return_, world_.now() + 1s));
  // At the latest behind a taking over, the widest patience, and a crowd that is waited for with
  // that. All is as it should be sooner, mostly; then it has to stay so.
  const MonoTime latest = world_.now() + kTakeover + settle_ + 5 * longest_ + 5s;
  std::string wrong = "-";
  for (int well = 0; world_.now() < latest && well < 3; well = wrong.empty() ? well + 1 : 0) {
    run_until(world_.now() + 1s);
    if (!world_.failure().empty()) break;
    wrong = what_is_wrong();
  }
  if (!wrong.empty()) world_.fail("%s at the end", wrong.c_str());
  tally_.schedules = 1;
  return world_.failure();
}

void Simulation::run_until(MonoTime time) {
  while (world_.step(time)) ++tally_.events;
}

// --- what is checked ---

bool Simulation::is_there(int node) const {
  return std::any_of(agents_.begin(), agents_.end(),
                     [&](const auto& agent) { return agent->node() == node && agent->is_there(); });
}

// Whether somebody may and can take the watch, and could for so long.
bool Simulation::has_candidate(Duration since, Duration interval) const {
  return std::any_of(agents_.begin(), agents_.end(), [&](const auto& agent) {
    return agent->is_there() && agent->options().enabled && agent->options().interval <= interval &&
           world_.now() - agent->since() >= since;
  });
}

void Simulation::on_renewed(int node, int agent) {
  Truth& truth = truths_[node];
  const Agent& renewer = *agents_[agent];
  // Not a lease that comes late, or comes again.
  if (server_.lease(node) != renewer.lease() || server_.lease(node) == truth.newest) return;
  truth = {server_.lease(node),        world_.now(),   renewer.options().interval,
           renewer.options().patience, truth.returned, truth.deleted};
}

void Simulation::on_lost(int node, const std::string& lease, int agent) {
  const MonoTime now = world_.now();
  const Truth& truth = truths_[node];
  const Duration silent = now - truth.renewed;
  world_.say("redis: n%d is announced as lost by a%d, %lld ms after its renewal", node, agent,
             in_ms(silent));
  ++tally_.lost;
  if (silent < truth.patience - truth.patience / 1000 && !truth.unseen) {
    return world_.fail("n%d was lost %lld ms after it had renewed its lease", node, in_ms(silent));
  }
  for (const auto& each : agents_) {
    // A link that still hangs on a server that went silently is no connection. The watcher knows of
    // that only if it was the watcher before.
    const bool hangs = !each->is_linked() && claimed_ >= server_.changed();
    if (each->node() == node && each->is_there() && !hangs &&
        now - each->since() >= 2 * truth.patience + 6s) {
      return world_.fail("n%d was lost, and a%d is there", node, each->options().index);
    }
  }
  for (const Server::Entry& entry : server_.stream()) {
    if (entry.kind == 'l' && entry.node == node && entry.lease == lease) {
      return world_.fail("n%d was lost twice with one lease", node);
    }
  }
  check_crowd(node);
  for (const auto& each : agents_) {
    // It takes two looks to find a new node.
    if (each->node() == node && truth.renewed - each->begun() < 1s) return;
  }
  // While the only fast nodes are lost, looks are slow; so one that returns is found a bit later.
  if (!is_undisturbed(truth.renewed) || truth.meddled || truth.renewed <= truth.returned ||
      now - said_uncertain_ < 3 * longest_ + 2s) {
    return;
  }
  ++tally_.timed;
  const Duration most = truth.patience + (truth.patience <= 1s ? 200ms : 500ms);
  if (silent > most)
    world_.fail("n%d was lost only %lld ms after its renewal", node, in_ms(silent));
}

void Simulation::check_crowd(int node) {
  if (crowd_at_ == MonoTime::max() || !in_crowd_[node]) return;
  // Those that have come back before their patience was over count no more.
  size_t gone = 0, all = 0;
  for (int i = 0; i < nodes_; ++i) {
    const bool is_gone = in_crowd_[i] && !is_there(i) && truths_[i].renewed <= crowd_at_ + 50ms;
    gone += is_gone;
    all += is_gone || world_.now() - truths_[i].renewed < 2 * longest_;
  }
  const Truth& truth = truths_[node];
  if (!is_undisturbed(crowd_at_) || gone < std::max<size_t>(3, (all + 1) / 2) ||
      truth.renewed > crowd_at_ + 50ms) {
    crowd_at_ = MonoTime::max();
    return;
  }
  ++tally_.crowds;
  if (world_.now() < crowd_at_ - truth.interval * 101 / 100 - 50ms + 2 * truth.patience) {
    world_.fail("n%d was lost in a crowd that was not waited for", node);
  }
}

void Simulation::on_returned(int node, const std::string& lease, const std::string& before) {
  world_.say("redis: n%d is announced as returned", node);
  ++tally_.returned;
  truths_[node].returned = world_.now();
  const auto& stream = server_.stream();
  const auto last = std::find_if(stream.rbegin(), stream.rend(),
                                 [&](const Server::Entry& entry) { return entry.node == node; });
  if (last == stream.rend() || last->kind != 'l' || last->lease != before) {
    return world_.fail("n%d returned from what it was not lost with", node);
  }
  const auto now = wire::parse_lease(lease);
  const auto then = wire::parse_lease(before);
  if (!now || !then || (now->instance == then->instance && now->seq <= then->seq)) {
    world_.fail("n%d returned without a new lease", node);
  }
}

void Simulation::on_said(const std::string& text) {
  world_.say("redis: the watcher is %s", text.c_str());
  if (text != "uncertain") return;
  ++tally_.uncertain;
  said_uncertain_ = world_.now();
  int gone = 0;
  for (int node = 0; node < nodes_; ++node) {
    gone += !is_there(node) || world_.now() - truths_[node].renewed < 500ms;
  }
  if (gone < 3 && is_undisturbed(world_.now() - 2 * longest_)) {
    world_.fail("the watcher is uncertain because of %d nodes", gone);
  }
}

void Simulation::on_claimed(int agent, const std::string& before) {
  ++tally_.claims;
  if (!agents_[agent]->options().enabled) return world_.fail("a%d is excluded, and claims", agent);
  claimed_ = world_.now();
  int holders = 0;
  for (const auto& each : agents_) {
    holders += each->options().index != agent && each->holds() &&
               server_.watch().starts_with(each->own_term());
  }
  if (holders > 0) {
    world_.fail("a%d has claimed the watch, and another agent has it", agent);
  }
  for (const auto& each : agents_) {
    if (each->is_there() && each->holds() && before.starts_with(each->own_term()) &&
        is_undisturbed(world_.now())) {
      return world_.fail("a%d has claimed the watch, and a%d is well", agent,
                         each->options().index);
    }
  }
  if (takeover_from_ != MonoTime::max()) {
    ++tally_.takeovers;
    takeover_from_ = MonoTime::max();
  }
  disturb(0s);
}

// What is not as it has to be in the end; empty if all is.
std::string Simulation::what_is_wrong() {
  if (!has_candidate(kTakeover + 15s, 2s)) return {};
  int holders = 0;
  for (const auto& agent : agents_) {
    if (!agent->is_there() || !agent->holds()) continue;
    ++holders;
    if (!server_.watch().starts_with(agent->own_term())) return "an agent holds another's watch";
  }
  if (holders != 1) return format("%d agents hold the watch", holders);
  uint64_t found = 0;
  for (int node = 0; node < nodes_; ++node) {
    const auto& stream = server_.stream();
    const auto last = std::find_if(stream.rbegin(), stream.rend(),
                                   [&](const Server::Entry& entry) { return entry.node == node; });
    const bool said = last != stream.rend() && last->kind == 'l';
    const bool marked = !server_.mark(node).empty();
    const auto lease = wire::parse_lease(server_.lease(node));
    if (said != marked) return format("the mark of n%d and the stream differ", node);
    if (is_there(node) || (lease && lease->patience_ms == 0)) {
      if (marked) return format("n%d is there or has stopped, and is marked as lost", node);
    } else if (lease && server_.is_listed(node)) {
      ++found;
      if (server_.mark(node) != server_.lease(node)) {
        return format("n%d is gone, and was not announced", node);
      }
    }
  }
  tally_.found = found;
  return {};
}

}  // namespace nb::sim
