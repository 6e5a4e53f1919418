#include "agent/agent.h"

#include <signal.h>

#include <algorithm>

#include "agent/config_view.h"
#include "agent/mapping.h"
#include "agent/quick_path.h"
#include "agent/seldom.h"
#include "base/file.h"
#include "base/text.h"
#include "config/changes.h"
#include "config/print.h"
#include "node/boot_reason.h"
#include "node/version.h"
#include "redis/plain_transport.h"

namespace nb::agent {
namespace {

// Time for the goodbye: a stop takes less than a second, whatever the link is doing.
constexpr Duration kGoodbyeDeadline = std::chrono::milliseconds(500);
// If reading the configuration takes longer, that is logged.
constexpr Duration kReadPatience = std::chrono::seconds(5);
// A message that the service manager's full queue did not take is sent again after so long.
constexpr Duration kNotifyAgain = std::chrono::milliseconds(100);
// The first beat that is stored after this time comes when the start is over: by then a stable link
// has been logged.
constexpr Duration kStart = std::chrono::seconds(5);

std::string_view find_variable(const config::Sources& sources, std::string_view name) {
  for (const auto& [key, value] : sources.environment) {
    if (key == name) return value;
  }
  return {};
}

ServiceNotify make_notify(const config::Sources& sources, bool service) {
  if (!service) return {};
  const auto microseconds = parse_number<uint64_t>(find_variable(sources, "WATCHDOG_USEC"));
  // It may be meant for another process: inherited from a parent that is watched itself
  // (sd_watchdog_enabled(3)).
  const auto pid = parse_number<int>(find_variable(sources, "WATCHDOG_PID"));
  const bool for_us = !pid || *pid == ::getpid();
  return ServiceNotify(find_variable(sources, "NOTIFY_SOCKET"),
                       std::chrono::microseconds(for_us ? microseconds.value_or(0) : 0));
}

// An error may have a line for each mistake; a log line is one line.
void log_lines(const Log& log, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    log.every(LogLevel::error, "%.*s", static_cast<int>(end), text.data());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void log_warnings(const Log& log, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    log.every(LogLevel::warning, "%s", warning.c_str());
  }
}

node::Identity identify(const std::string& node, const Clock& clock) {
  Random random = Random::from_system();
  const auto boot_id = read_small_file("/proc/sys/kernel/random/boot_id");
  return node::make_identity(node, boot_id ? std::string(trim(*boot_id)) : "", clock.wall_now(),
                             random);
}

int code_of(const Error& error) {
  switch (error.fault) {
    case Fault::in_use:
      return NB_ERR_IN_USE;
    case Fault::no_place:
      return NB_ERR_NO_PLACE;
    case Fault::read_only:
      return NB_ERR_READ_ONLY;
    case Fault::no_space:
      return NB_ERR_NO_SPACE;
    case Fault::denied:
      return NB_ERR_DENIED;
    default:
      return NB_ERR_SYSTEM;
  }
}

// libuv writes without MSG_NOSIGNAL, and a library may not change what signals do to its host. So
// SIGPIPE is blocked while the loop runs on this thread, and a pending one is removed afterwards.
class SigpipeBlocker {
 public:
  SigpipeBlocker() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocker() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocker(const SigpipeBlocker&) = delete;
  SigpipeBlocker& operator=(const SigpipeBlocker&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
  bool was_pending_ = false;
};

}  // namespace

Agent::Agent(const Clock& clock, Log log, config::Sources&& sources, config::Loaded&& loaded,
             bool service)
    : clock_(clock),
      log_(log),
      sources_(std::move(sources)),
      effective_config_(config::print(loaded)),
      config_(std::move(loaded.config)),
      notify_(make_notify(sources_, service)),
      identity_(identify(config_.node.name, clock)),
      notes_(notes_path(config_, log_)),
      run_note_(notes_),
      outbox_({identity_.node, identity_.instance_id, event_limits(config_), slot_limits(config_)}),
      loop_(clock) {
  log_warnings(log_, loaded.warnings);
  warn_about_secrets(config_, loaded.group_readable, log_);
  log_.set_threshold(config_.log.level);
  log_.set_lines_per_minute(config_.log.lines_per_minute);
  if (!loop_.ok()) return;
  wake_.emplace(loop_, Delegate<void()>::to<&Agent::on_wake>(this));
  notify_.set_on_waiting(Delegate<void()>::to<&Agent::on_notify_waiting>(this));
}

Status Agent::check() const {
  if (loop_.ok() && wake_->ok()) return {};
  return make_error("cannot make an event loop: no file descriptors are left for this process");
}

int Agent::run() {
  if (has_run_) return NB_ERR_STATE;
  has_run_ = true;
  const SigpipeBlocker sigpipe;
  run_note_.look(identity_.boot_id);
  if (!hold_back()) return NB_OK;
  link_.emplace(
      loop_, log_, outbox_, link_options(config_),
      redis::LinkEvents{
          Delegate<void(const redis::LinkStatus&)>::to<&Agent::on_link_status>(this),
          Delegate<void(const outbox::Slot&, const redis::SlotEcho&)>::to<&Agent::on_slot_stored>(
              this),
          Delegate<void(std::string_view, std::string_view, bool)>::to<&Agent::on_publish>(this)},
      &redis::make_plain_transport);
  heartbeat_.emplace(
      loop_, log_, outbox_, identity_, config_,
      node::Heartbeat::Wiring{
          Delegate<std::optional<Duration>()>::to<&Agent::ping>(this),
          Delegate<void()>::to<&Agent::on_put>(this),
          Delegate<void(std::string_view, std::string_view)>::to<&Agent::on_node_event>(this),
          Delegate<const redis::ServerClock*()>::to<&Agent::server_clock>(this)});
  lease_.emplace(loop_, log_, outbox_, identity_, config_,
                 Delegate<void()>::to<&Agent::on_lease_renewed>(this));
  watch_.emplace(
      loop_, log_, *link_, Delegate<redis::LinkOptions()>::to<&Agent::way_to_redis>(this),
      config_.redis.db_for("health").value(),
      fleet::WatchService::Self{identity_.node, identity_.instance_id, config_.watch.enabled},
      &redis::make_plain_transport);
  local_.emplace(LocalApi::Parts{loop_, log_, identity_, outbox_, *link_, *heartbeat_, *lease_,
                                 *watch_, notes_, &redis::make_plain_transport, sources_},
                 config_);
  outbox_.set_on_settled(Delegate<void(const outbox::Settled&)>::to<&Agent::on_settled>(this));
  outbox_.set_on_room(Delegate<void()>::to<&LocalApi::on_room>(&*local_));
  outbox_.set_on_losses(Delegate<void()>::to<&LocalApi::on_losses>(&*local_));
  outbox_.set_on_lost(Delegate<void()>::to<&LocalApi::on_lost>(&*local_));
  if (const Status served = local_->start(); !served) {
    log_.error("%s", served.error().message.c_str());
    take_down();
    return code_of(served.error());
  }
  if (const auto& last = run_note_.last_run()) {
    log_.warning("the run before did not end cleanly%s%s%s", last->how.empty() ? "" : " (",
                 last->how.c_str(), last->how.empty() ? "" : ")");
  }
  if (const Status noted = run_note_.begin(identity_, clock_.wall_now()); !noted) {
    log_.warning("if this run crashes, the next cannot tell: %s", noted.error().message.c_str());
  }
  link_->start();
  wire::BootReason boot = node::find_boot_reason(health::Root("/"));
  log_.info("why this computer was started: %.*s%s%s", static_cast<int>(boot.reason.size()),
            boot.reason.data(), boot.detail.empty() ? "" : ", ", boot.detail.c_str());
  heartbeat_->start(run_note_.last_run(), std::move(boot));
  lease_->start();
  if (notify_.watchdog_period() > Duration::zero()) {
    watchdog_.emplace(loop_, Delegate<void()>::to<&Agent::on_watchdog>(this));
    watchdog_->start(notify_.watchdog_period());
  }
  log_.info("nodebeat %s: node '%s', a beat every %s, redis at %s%s%s", node::kVersion,
            identity_.node.c_str(),
            human_duration(config_.heartbeat.interval / std::chrono::milliseconds(1)).c_str(),
            describe(link_options(config_).target).c_str(),
            config_.redis.prefix.empty() ? "" : ", prefix ", config_.redis.prefix.c_str());
  notify_.ready();
  wake_->send();  // for a reload that came while it was held back
  loop_.run();
  take_down();
  log_.say_left_out(true);
  run_note_.end();
  return NB_OK;
}

// An agent that crashes as soon as it runs must not keep its computer and its readers busy. It
// waits here, and not in its service manager, whose own steps (RestartSteps=) never go back.
bool Agent::hold_back() {
  const Duration hold = run_note_.hold();
  if (hold == Duration::zero()) return true;
  const std::string words =
      format("the last %u runs ended badly, each within a minute: waiting %s before the next",
             run_note_.quick_ends(), human_duration(hold / std::chrono::milliseconds(1)).c_str());
  log_.warning("%s", words.c_str());
  notify_.status(words);
  uv::Timer timer(loop_, Delegate<void()>::to<&Agent::on_finished>(this));
  timer.start(hold);
  loop_.run();
  return !stop_wanted_;
}

void Agent::take_down() {
  update_stats();
  watchdog_.reset();
  reload_.reset();
  outbox_.set_on_settled({});
  outbox_.set_on_room({});
  outbox_.set_on_losses({});
  outbox_.set_on_lost({});
  local_.reset();
  watch_.reset();
  lease_.reset();
  heartbeat_.reset();
  link_.reset();
  const std::lock_guard lock(stats_mutex_);
  stats_.link_state = NB_LINK_STOPPED;
  stats_.ping_ms = -1;
}

void Agent::stop() {
  stop_wanted_ = true;
  wake_->send();
}

void Agent::reload() {
  reload_wanted_ = true;
  wake_->send();
}

void Agent::on_wake() {
  if (!link_) {  // held back
    if (stop_wanted_) loop_.stop();
    return;
  }
  if (stop_wanted_ && !stopping_) begin_stop();
  if (!stopping_ && !reading_ && reload_wanted_.exchange(false)) begin_reload();
}

void Agent::on_watchdog() {
  notify_.watchdog();
  watchdog_->start(notify_.watchdog_period());
}

void Agent::on_notify_waiting() {
  if (!notify_again_)
    notify_again_.emplace(loop_, Delegate<void()>::to<&Agent::on_notify_again>(this));
  if (!notify_again_->active()) notify_again_->start(kNotifyAgain);
}

void Agent::on_notify_again() {
  if (!notify_.flush()) notify_again_->start(kNotifyAgain);
}

void Agent::begin_stop() {
  stopping_ = true;
  log_.info("stopping");
  notify_.stopping();
  // First of all, so that nothing more is accepted that could not be stored.
  local_->stop();
  const auto on_part_done = Delegate<void()>::to<&Agent::on_part_done>(this);
  parts_to_finish_ = 2;
  lease_->finish();
  watch_->stop();
  heartbeat_->say_goodbye("stopped", on_part_done);
  link_->finish(kGoodbyeDeadline, on_part_done);
}

void Agent::on_part_done() {
  if (--parts_to_finish_ == 0) on_finished();
}

void Agent::on_finished() {
  loop_.stop();
}

// The files may lie on a file server that is gone since the start; the beats must go on.
void Agent::begin_reload() {
  notify_.reloading(clock_.now());
  if (!reload_) reload_.emplace(loop_, Delegate<void()>::to<&Agent::on_reload_read>(this));
  const auto reading = std::make_shared<Reading>();
  reading->sources = sources_;
  const Status started = reload_->start(
      [reading] { reading->loaded.emplace(config::load(reading->sources)); }, kReadStack);
  if (!started) {
    log_.error("the configuration stays as it was: %s", started.error().message.c_str());
    return notify_.ready();
  }
  reading_ = reading;
  reload_began_ = clock_.now();
  reload_complained_ = false;
}

void Agent::check_reload() {
  if (!reading_ || reload_complained_ || clock_.now() - reload_began_ < kReadPatience) return;
  reload_complained_ = true;
  log_.warning("the configuration is still being read: a file system does not answer");
}

void Agent::on_reload_read() {
  const std::shared_ptr<Reading> reading = std::move(reading_);
  reading_ = nullptr;
  if (stopping_) return;
  Result<config::Loaded>& loaded = *reading->loaded;
  if (loaded) {
    swap_config(std::move(*loaded));
  } else {
    log_.error("the configuration stays as it was, since the new one is wrong:");
    log_lines(log_, loaded.error().message);
  }
  notify_.ready();
  on_wake();  // for a further reload that was asked for meanwhile
}

void Agent::swap_config(config::Loaded&& loaded) {
  log_warnings(log_, loaded.warnings);
  warn_about_secrets(loaded.config, loaded.group_readable, log_);
  for (const std::string& key : config::changed_keys(config_, loaded.config)) {
    if (config::needs_restart(key)) {
      log_.every(LogLevel::warning, "'%s' has changed, which takes effect only at a restart",
                 key.c_str());
    } else {
      log_.every(LogLevel::info, "'%s' has changed", key.c_str());
    }
  }
  config::keep_until_restart(config_, loaded.config);
  config_ = std::move(loaded.config);
  log_.set_threshold(config_.log.level);
  log_.set_lines_per_minute(config_.log.lines_per_minute);
  outbox_.set_event_limits(event_limits(config_));
  outbox_.set_slot_limits(slot_limits(config_));
  link_->reconfigure(link_options(config_));
  heartbeat_->reconfigure(config_);
  lease_->reconfigure(config_.lease);
  watch_->reconfigure();
  local_->reconfigure();
  ++reloads_;
  update_stats();
  log_.notice("the configuration was read again");
}

std::optional<Duration> Agent::ping() const {
  return link_->status().round_trip;
}

const redis::ServerClock* Agent::server_clock() const {
  return local_ ? &local_->server_clock() : nullptr;
}

void Agent::on_node_event(std::string_view channel, std::string_view payload) {
  local_->on_node_event(channel, payload);
}

void Agent::on_put() {
  run_note_.beat();
  log_.say_left_out();
  check_reload();
  link_->wake();
  update_stats();
}

redis::LinkOptions Agent::way_to_redis() {
  return link_options(config_);
}

void Agent::on_lease_renewed() {
  link_->wake();
  watch_->read();
  local_->read_clock();
}

void Agent::on_settled(const outbox::Settled& settled) {
  if (!lease_->on_settled(settled)) return local_->on_settled(settled);
  heartbeat_->set_lease_refused(!lease_->refusal().empty());
}

void Agent::on_slot_stored(const outbox::Slot& slot, const redis::SlotEcho& echo) {
  heartbeat_->on_slot_stored(slot, echo);
  if (local_) local_->on_beat_stored();
  if (!started_ && figures().uptime >= kStart) {
    started_ = true;
    give_back_seldom_code();
  }
  update_stats();
}

void Agent::on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
  if (local_) local_->on_publish(channel, payload, is_notice);
}

void Agent::on_link_status(const redis::LinkStatus& status) {
  if (!local_) return;
  if (status.state == redis::LinkState::replaying) lease_->on_connected();
  local_->on_link_status(status);
  // The states between are over in a moment, and are not reported.
  if (status.state >= redis::LinkState::steady || status.state == redis::LinkState::waiting) {
    notify_.status(status_line(figures()));
  }
  update_stats();
}

Figures Agent::figures() const {
  Figures figures = local_->figures();
  figures.reloads = reloads_;
  return figures;
}

void Agent::update_stats() {
  if (!local_) return;
  const nb_agent_stats next = to_c(figures());
  const std::lock_guard lock(stats_mutex_);
  stats_ = next;
}

nb_agent_stats Agent::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

}  // namespace nb::agent
