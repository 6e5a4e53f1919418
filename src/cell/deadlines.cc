#include "cell/deadlines.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "wire/keys.h"

namespace nb::cell {
namespace {

constexpr Duration kLeastLag = std::chrono::milliseconds(5);
constexpr Duration kMostLag = std::chrono::milliseconds(100);
constexpr Duration kMostPatience = std::chrono::seconds(1);
// So often in a row a miss is put off: an agent that is late all the time must not hide it.
constexpr uint8_t kMostPutOff = 4;
// A client that is late again and again is reported once in this time, and all clients together
// this often in a minute.
constexpr Duration kQuiet = std::chrono::seconds(10);
constexpr unsigned kToldAMinute = 30;

std::string duration_words(Duration duration) {
  return human_duration(std::chrono::floor<std::chrono::milliseconds>(duration).count());
}

}  // namespace

Deadlines::Deadlines(uv::Loop& loop, const Log& log, const node::Identity& identity, Events& events,
                     const config::Config& config, const Wiring& wiring)
    : loop_(loop),
      log_(log),
      identity_(identity),
      events_(events),
      wiring_(wiring),
      channel_(wire::node_events_channel(identity.node)),
      timer_(loop, Delegate<void()>::to<&Deadlines::on_due>(this)) {
  reconfigure(config);
}

Deadlines::Entry* Deadlines::find(rpc::ClientId client) {
  // Mostly the one that was asked for last.
  if (last_found_ < entries_.size() && entries_[last_found_].client == client) {
    return &entries_[last_found_];
  }
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.client == client; });
  if (at == entries_.end()) return nullptr;
  last_found_ = static_cast<size_t>(at - entries_.begin());
  return &*at;
}

Deadlines::Entry& Deadlines::add(const rpc::Caller& who) {
  if (Entry* known = find(who.client)) return *known;
  Entry& entry = entries_.emplace_back();
  entry.client = who.client;
  entry.user = who.user;
  return entry;
}

void Deadlines::set(const rpc::Caller& who, Duration deadline) {
  Entry& entry = add(who);
  if (deadline == Duration::zero()) return end(who.client, "withdrawn");
  entry.deadline = deadline;
  // A client that is late stays so until it pushes.
  if (entry.is_watched() && !entry.late) entry.from = loop_.now();
  arm();
}

void Deadlines::on_push(const rpc::Call& call) {
  Entry& entry = add(call.who);
  const MonoTime now = call.began;
  const bool first = entry.pushed == MonoTime::min();
  const Duration gap = first ? Duration::zero() : now - entry.pushed;
  entry.pushed = entry.from = now;
  entry.put_off = 0;
  if (!first) intervals_.record(gap);
  if (entry.deadline == Duration::zero()) return;
  if (entry.late) {
    entry.late = false;
    if (std::exchange(entry.told, false)) say(entry, "deadline_met", gap);
  } else if (!first) {
    // The timer would have reported a longer gap: then it was the agent that did not read.
    if (gap < entry.deadline) entry.longest_gap = std::max(entry.longest_gap, gap);
    return;
  }
  entry.longest_gap = std::max(entry.longest_gap, gap);
  arm();
}

void Deadlines::on_client_closed(rpc::ClientId client) {
  end(client, "closed");
  std::erase_if(entries_, [&](const Entry& entry) { return entry.client == client; });
}

void Deadlines::stop() {
  timer_.stop();
  entries_.clear();
}

// A reader that was told of a late client is told that there is nothing more to wait for.
void Deadlines::end(rpc::ClientId client, std::string_view reason) {
  Entry* entry = find(client);
  if (entry == nullptr || entry->deadline == Duration::zero()) return;
  const MonoTime now = loop_.now();
  if (entry->told || (entry->untold > 0 && may_tell(*entry, now))) {
    say(*entry, "deadline_ended", now - entry->pushed, reason);
  }
  entry->deadline = {};
  entry->untold = 0;
  entry->late = entry->told = false;
}

std::optional<Deadlines::Report> Deadlines::report(rpc::ClientId client) const {
  for (const Entry& entry : entries_) {
    if (entry.client != client || entry.deadline == Duration::zero()) continue;
    Report report{entry.deadline, {}, entry.late, entry.missed, entry.longest_gap, {}};
    if (entry.is_watched()) report.gap = loop_.now() - entry.pushed;
    if (entry.late) report.longest_gap = std::max(entry.longest_gap, *report.gap);
    if (entry.missed > 0) report.last_missed = entry.last_missed;
    return report;
  }
  return std::nullopt;
}

void Deadlines::on_due() {
  const MonoTime now = loop_.now();
  const Duration lag = now - timer_.due();
  for (Entry& entry : entries_) {
    if (!entry.is_watched()) continue;
    if (!entry.late && now >= entry.due() && !is_agents_fault(entry, lag)) {
      entry.late = true;
      ++entry.missed;
      ++entry.untold;
      entry.last_missed = loop_.clock().wall_now();
    }
    if (entry.untold > 0 && now >= entry.tell_at) tell(entry, now);
  }
  arm();
}

// Also postpones the miss, for as long as the client may need to be read.
bool Deadlines::is_agents_fault(Entry& entry, Duration lag) const {
  const Duration patience = std::clamp(entry.deadline / 2, kLeastLag, kMostPatience);
  const Unread unread = wiring_.unread(entry.client);
  const bool was_late = lag > std::clamp(entry.deadline / 4, kLeastLag, kMostLag);
  if (unread == Unread::held) {
    entry.put_off = 0;
  } else if ((unread == Unread::nothing && !was_late) || entry.put_off == kMostPutOff) {
    return false;
  } else {
    ++entry.put_off;
  }
  entry.from = loop_.now() + patience - entry.deadline;
  return true;
}

// Reports that the client is late; or, if that is over, how often it was late since the last
// report.
void Deadlines::tell(Entry& entry, MonoTime now) {
  if (!may_tell(entry, now)) return;
  entry.told = entry.late;
  entry.untold = 0;
  entry.tell_at = now + kQuiet;
  say(entry, entry.late ? "deadline_missed" : "deadline_met",
      entry.late ? now - entry.pushed : entry.longest_gap);
}

bool Deadlines::may_tell(Entry& entry, MonoTime now) {
  if (now >= minute_ends_) {
    minute_ends_ = now + std::chrono::minutes(1);
    told_in_minute_ = 0;
  }
  if (told_in_minute_ < kToldAMinute) return ++told_in_minute_ > 0;
  entry.tell_at = minute_ends_;
  return false;
}

void Deadlines::say(const Entry& entry, std::string_view type, Duration gap,
                    std::string_view reason) {
  const wire::EventClient client = wiring_.about(entry.client);
  const wire::DeadlineReport report{entry.deadline, gap, entry.missed, reason};
  const std::string event = wire::deadline_event(
      {identity_.node, identity_.instance_id, loop_.clock().wall_now()}, type, client, report);
  const std::string name = client.name.empty() ? "without a name" : std::string(client.name);
  const LogAbout about(static_cast<uint64_t>(client.pid));
  const auto missed = static_cast<unsigned long long>(entry.missed);
  if (!reason.empty()) {
    log_.notice(about, "client %s (pid %d) has no deadline any more: %.*s (missed %llu times)",
                name.c_str(), client.pid, static_cast<int>(reason.size()), reason.data(), missed);
  } else if (entry.late) {
    log_.warning(about,
                 "client %s (pid %d) has pushed nothing for %s, though it has said that it pushes "
                 "at least every %s (missed %llu times)",
                 name.c_str(), client.pid, duration_words(gap).c_str(),
                 duration_words(entry.deadline).c_str(), missed);
  } else {
    log_.notice(about, "client %s (pid %d) pushes in time again (missed %llu times)", name.c_str(),
                client.pid, missed);
  }
  rpc::Call own;
  own.who.client = entry.client;
  own.who.user = entry.user;
  own.urgent = true;
  events_.send(own, {channel_, event, max_age_, Publication::Record::node});
}

void Deadlines::arm() {
  MonoTime next = MonoTime::max();
  for (const Entry& entry : entries_) {
    if (!entry.is_watched()) continue;
    if (!entry.late) next = std::min(next, entry.due());
    if (entry.untold > 0) next = std::min(next, entry.tell_at);
  }
  if (next == MonoTime::max()) return timer_.stop();
  if (!timer_.active() || next < timer_.due()) timer_.start(next - loop_.now());
}

}  // namespace nb::cell
