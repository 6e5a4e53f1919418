#include "node/heartbeat.h"

#include <algorithm>
#include <utility>

#include "base/foreign_text.h"
#include "base/text.h"
#include "json/guard.h"
#include "json/view.h"
#include "node/options.h"
#include "node/version.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"

namespace nb::node {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr Duration kFirstBeatAfter = std::chrono::milliseconds(200);
// After so many own beats without a foreign health, the other agent is gone.
constexpr int kQuietBeats = 3;
// The server's clock is read with each lease, or once a minute where TIME is refused.
constexpr Duration kClockAge = std::chrono::minutes(3);
// The age of an event that stays true, and is published however late.
constexpr Duration kAlways = Duration::max();

}  // namespace

Heartbeat::Heartbeat(uv::Loop& loop, const Log& log, outbox::Outbox& outbox,
                     const Identity& identity, const config::Config& config, Wiring wiring)
    : loop_(loop),
      log_(log),
      outbox_(outbox),
      identity_(identity),
      config_(config.heartbeat),
      health_config_(config.health),
      db_(config.redis.db_for("health").value()),
      message_max_age_(config.outbox.max_age),
      stream_bytes_(config.outbox.stream_bytes),
      wiring_(wiring),
      sampler_(std::in_place, loop, log, sampler_options(config)),
      probes_(loop, log, {kVersion, "/proc", "/run/dbus/system_bus_socket"},
              Delegate<void(const wire::ProbeReport&)>::to<&Heartbeat::on_probe_change>(this)),
      timer_(loop, Delegate<void()>::to<&Heartbeat::on_beat>(this)) {
  health_.node_id = identity.node;
  health_.agent_version = kVersion;
  health_.instance_id = identity.instance_id;
  probes_.set(probe_specs(config));
}

void Heartbeat::start(std::optional<wire::LastRun> last_run, wire::BootReason boot) {
  health_.last_run = std::move(last_run);
  health_.boot = std::move(boot);
  timer_.start(kFirstBeatAfter);
}

void Heartbeat::reconfigure(const config::Config& config) {
  const bool sooner = config.heartbeat.interval != config_.interval;
  config_ = config.heartbeat;
  message_max_age_ = config.outbox.max_age;
  stream_bytes_ = config.outbox.stream_bytes;
  if (!(config.health == health_config_)) {
    health_config_ = config.health;
    sampler_.emplace(loop_, log_, sampler_options(config));
    // Figures that are made of two samples need some time between them, as at the start.
    if (beats_ > 0 && timer_.due() - loop_.now() < kFirstBeatAfter) timer_.start(kFirstBeatAfter);
  }
  probes_.set(probe_specs(config));
  if (beats_ > 0 && sooner) schedule();
}

// Beats lie on multiples of the interval of the monotonic clock, the same grid as the probes', so
// that one wake-up serves both; a late beat does not make the next one late.
void Heartbeat::schedule() {
  const auto since_epoch = loop_.now().time_since_epoch();
  Duration wait = (since_epoch / config_.interval + 1) * config_.interval - since_epoch;
  // The first beat lies off the grid. If the next point of the grid is close, the second beat lies
  // between two points, so that there is about half an interval to measure between any two beats.
  // The third one lies on the grid, though the second was a little late.
  if (wait < config_.interval * 2 / 5) wait += config_.interval / 2;
  timer_.start(wait);
}

void Heartbeat::set_lease_refused(bool refused) {
  if (std::exchange(health_.lease_refused, refused) == refused || beats_ == 0 || stopped_) return;
  if (timer_.due() - loop_.now() > kFirstBeatAfter) timer_.start(kFirstBeatAfter);
}

void Heartbeat::on_beat() {
  outbox_.allow_rewrite();
  const MonoTime now = loop_.now();
  const Duration lag = std::max(now - timer_.due(), Duration::zero());
  sampler_->sample(now, health_);
  health_.loop_lag_ms = static_cast<double>(lag.count()) / 1e6;
  std::string news;
  const auto step = look_at_clocks();
  if (beats_++ == 0) {
    news = wire::node_up_event(source(loop_.clock().wall_now()), kVersion, identity_.boot_id,
                               *health_.boot, health_.last_run);
  } else if (step) {
    news = wire::clock_stepped_event(source(loop_.clock().wall_now()), *step);
  }
  put(news, kAlways, config_.history);
  health_.last_run.reset();
  health_.boot.reset();
  schedule();
}

// With each beat, which wakes the agent anyway: how far this computer's clock was set since the one
// before, and how far it is from Redis'.
std::optional<Duration> Heartbeat::look_at_clocks() {
  ClockWatch::Look look;
  look.before = loop_.now();
  look.since_boot = since_boot();
  look.wall = loop_.clock().wall_now();
  look.after = loop_.now();
  const auto step = clocks_.step(look);
  const auto ms = [](Duration duration) {
    return std::chrono::round<std::chrono::milliseconds>(std::chrono::abs(duration)).count();
  };
  if (step) {
    log_.warning("this computer's clock was set %s by %s",
                 *step > Duration::zero() ? "forward" : "back", human_duration(ms(*step)).c_str());
  }
  health_.clock_offset_ms.reset();
  const redis::ServerClock* server = wiring_.server_clock();
  // Later than that, two clocks that were equal may have drifted apart.
  if (server == nullptr || server->read_at() == MonoTime::min() ||
      look.after - server->read_at() > kClockAge) {
    return step;
  }
  const Duration offset = *server->now(look.after) - look.wall;
  health_.clock_offset_ms = static_cast<double>(offset.count()) / 1e6;
  switch (clocks_.judge(offset, server->uncertainty())) {
    case ClockWatch::Verdict::wrong:
      log_.warning(
          "this computer's clock is %s %s that of Redis, more than %lld ms: the times that "
          "programs of several computers write do not match, and one of the two clocks needs NTP",
          human_duration(ms(offset)).c_str(), offset > Duration::zero() ? "behind" : "ahead of",
          static_cast<long long>(ms(ClockWatch::kMostOffset)));
      break;
    case ClockWatch::Verdict::right:
      log_.notice("this computer's clock and that of Redis are the same again, but for %lld ms",
                  static_cast<long long>(ms(offset)));
      break;
    case ClockWatch::Verdict::same:
      break;
  }
  return step;
}

// Publishes at once, and not at the next beat. The measured figures stay as they were: two samples
// with hardly any time between them say nothing about a processor.
void Heartbeat::on_probe_change(const wire::ProbeReport& probe) {
  const std::string changed = wire::probe_changed_event(source(loop_.clock().wall_now()), probe);
  if (beats_ == 0 || stopped_) {
    post(changed, message_max_age_);
  } else {
    put(changed, message_max_age_, false);
  }
}

void Heartbeat::put(std::string_view payload, Duration max_age, bool with_history) {
  const MonoTime now = loop_.now();
  const WallTime wall = loop_.clock().wall_now();
  health_.timestamp = health_.last_heartbeat = wall;
  ++health_.seq;
  const auto ping = wiring_.ping();
  health_.ping_latency_ms.reset();
  if (ping) health_.ping_latency_ms = static_cast<double>(ping->count()) / 1e6;
  probes_.report(health_.probes);
  health_.mcp_server_running = false;
  health_.mcp_port.reset();
  for (const wire::ProbeReport& probe : health_.probes) {
    if (probe.type != "mcp"sv) continue;
    // Of several servers the first one that runs is reported, or else the first one. A server that
    // cannot be asked now is reported as it was: the schema has no null here.
    const bool running = probe.last_known.value_or(false);
    if (!health_.mcp_port || (running && !health_.mcp_server_running)) {
      health_.mcp_port = probe.port;
    }
    health_.mcp_server_running |= running;
  }

  json_.clear();
  json_.reserve(2048);
  append_json(health_, json_);
  const outbox::FieldView field{"health", json_};
  const std::string key = wire::node_health_key(identity_.node);
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.fields = {&field, 1};
  slot.ttl = config_.ttl;
  slot.echo = true;
  const std::string stream = wire::node_metrics_stream(identity_.node);
  const outbox::EntryUpdate entry{db_, stream, config_.history_length, {&field, 1}, stream_bytes_,
                                  {},  true};
  const std::string channel = wire::node_events_channel(identity_.node);
  const outbox::MessageUpdate message{channel, payload, max_age};
  const outbox::MessageUpdate* news = payload.empty() ? nullptr : &message;
  const outbox::Origin origin{.urgent = news != nullptr};
  if (outbox_.put(&slot, with_history ? &entry : nullptr, news, now, wall, 0, origin) !=
      outbox::Put::accepted) {
    if (!std::exchange(history_missed_, true)) {
      log_.warning(
          "a beat has no place in the history: it is larger than all events of one client together "
          "may be ([outbox] client_event_bytes, event_bytes, urgent_bytes)");
    }
    (void)outbox_.put(&slot, nullptr, news, now, wall, 0, origin);
  }
  wiring_.on_put();
  if (!payload.empty()) wiring_.on_event(channel, payload);
}

void Heartbeat::post(std::string_view payload, Duration max_age) {
  const std::string channel = wire::node_events_channel(identity_.node);
  const outbox::MessageUpdate message{channel, payload, max_age};
  (void)outbox_.put(nullptr, nullptr, &message, loop_.now(), loop_.clock().wall_now(), 0,
                    {.urgent = true});
  wiring_.on_put();
  wiring_.on_event(channel, payload);
}

void Heartbeat::say_goodbye(std::string_view reason, Delegate<void()> on_probes_left) {
  timer_.stop();
  stopped_ = true;
  // Before the first beat nothing has been measured, and zeros would be wrong.
  if (beats_ == 0) sampler_->sample(loop_.now(), health_);
  health_.is_reachable = false;
  health_.reason = reason;
  const WallTime wall = loop_.clock().wall_now();
  put(wire::node_down_event(source(wall), reason), message_max_age_, config_.history);
  probes_.leave(on_probes_left);
}

wire::EventSource Heartbeat::source(WallTime wall) const {
  return {identity_.node, identity_.instance_id, wall};
}

void Heartbeat::on_slot_stored(const outbox::Slot& slot, const redis::SlotEcho& echo) {
  if (slot.key != wire::node_health_key(identity_.node)) return;
  // A health from before this run is no conflict, whichever node wrote it.
  if (ours_was_there_ && echo.existed) look_for_another(echo.previous);
  ours_was_there_ = true;
}

void Heartbeat::look_for_another(std::string_view previous) {
  // The usual case without parsing.
  std::string ours = "\"instance_id\":\"";
  ours += identity_.instance_id;
  ours += '"';
  if (previous.find(ours) != std::string_view::npos) {
    if (!health_.name_conflict.empty() && ++quiet_beats_ >= kQuietBeats) {
      log_.notice("the other agent of node '%s' has gone", identity_.node.c_str());
      health_.name_conflict.clear();
    }
    return;
  }
  // A text that is not JSON says nothing about its writer.
  const bool readable = json::Guard().check(previous, {rpc::kLineBytes}).reason == nullptr;
  const json::View theirs = readable ? json::View::of(previous) : json::View();
  std::string scratch;
  const auto instance = theirs["instance_id"].string(scratch);
  // The health of an agent has its instance. A health without one is from another program: a Python
  // StateManager writes one when it connects, with all figures 0. This beat has replaced it.
  if (!instance) {
    if (std::exchange(foreign_writer_said_, true)) return;
    log_.notice(
        "another program, no agent, had written the health of node '%s' (%zu bytes, timestamp %s); "
        "the agent's stands there again",
        identity_.node.c_str(), previous.size(),
        foreign_text(theirs["timestamp"].string(scratch).value_or("none"), 40).c_str());
    return;
  }
  // An agent that said goodbye is no conflict.
  if (theirs["is_reachable"].boolean() == false) return;
  const std::string other = foreign_text(*instance, 80);
  quiet_beats_ = 0;
  if (!health_.name_conflict.empty()) return;
  health_.name_conflict = other;
  log_.error(
      "another agent (instance %s) writes as node '%s' too: give each node a name of its own",
      other.c_str(), identity_.node.c_str());
  const WallTime wall = loop_.clock().wall_now();
  post(wire::node_conflict_event(source(wall), other), kAlways);
}

}  // namespace nb::node
