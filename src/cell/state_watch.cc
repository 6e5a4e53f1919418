#include "cell/state_watch.h"

#include <algorithm>
#include <utility>

#include "cell/state.h"
#include "cell/state_watch_keys.h"
#include "rpc/line_limits.h"

namespace nb::cell {

namespace {

constexpr rpc::Param kKeys{"keys", rpc::ParamKind::texts, false, 0, rpc::kSubscriptions};
// For each all keys are looked through.
constexpr rpc::Param kPrefixes{"prefixes", rpc::ParamKind::texts, false, 0, 16};
constexpr auto kWatchParams = rpc::takes(kKeys, kPrefixes);

}  // namespace

constexpr rpc::Method StateWatch::kMethods[] = {
    rpc::method<&StateWatch::watch>("state.watch", kWatchParams, rpc::Right::read, rpc::kReads),
    rpc::method<&StateWatch::unwatch>("state.unwatch", {}, rpc::Right::read, rpc::kReads),
};

// --- clients

StateWatch::StateWatch(uv::Loop& loop, rpc::FrontEnd& front, const redis::Link& link,
                       redis::Reader& reader, const outbox::Outbox& outbox, int db,
                       redis::LinkOptions&& options, redis::MakeTransport make_transport)
    : loop_(loop),
      front_(front),
      link_(link),
      reader_(reader),
      outbox_(outbox),
      db_(db),
      changes_(loop, std::move(options), *this, make_transport),
      timer_(loop, Delegate<void()>::to<&StateWatch::on_time>(this)) {}

StateWatch::~StateWatch() = default;

StateWatch::Watch* StateWatch::find(rpc::ClientId client) {
  for (Watch& watch : watches_) {
    if (watch.client == client) return &watch;
  }
  return nullptr;
}

bool StateWatch::has_watch(rpc::ClientId client) {
  return find(client) != nullptr;
}

void StateWatch::watch(rpc::Call& call) {
  Watch* before = find(call.who.client);
  Watch& watch = watches_.emplace_back();
  watch.all = this;
  std::string scratch;
  for (const rpc::Param* param : {&kKeys, &kPrefixes}) {
    if (!call[*param].exists()) continue;
    for (const json::View text : call[*param].elements()) {
      const std::string_view key = *text.string(scratch);
      if (!State::check_key(call, key)) return watches_.pop_back();
      if (param == &kPrefixes) {
        watch.prefixes.emplace_back(key);
      } else if (Entry* entry = watch.add(key)) {
        entry->named = true;
      }
    }
  }
  if (watch.prefixes.empty() && watch.entries.empty()) {
    watches_.pop_back();
    return call.refuse(rpc::invalid_params("keys", "name at least one key or prefix"));
  }
  watch.client = call.who.client;
  if (before != nullptr) remove(before);
  redis::KeyChanges::Prefixes wanted;
  for (const Watch& each : watches_) {
    for (const std::string& prefix : each.prefixes) {
      redis::KeyChanges::add_prefix(wanted, prefix);
    }
    for (const Entry& entry : each.entries) {
      if (entry.named) redis::KeyChanges::add_prefix(wanted, entry.key);
    }
  }
  changes_.want(wanted);
  if (changes_.is_telling() || link_.status().state < redis::LinkState::replaying) {
    call.answer();
  } else {
    watch.call = call.put_off();
  }
  watch.begin();
}

void StateWatch::unwatch(rpc::Call& call) {
  on_client_closed(call.who.client);
  call.answer();
}

void StateWatch::on_client_closed(rpc::ClientId client) {
  if (Watch* watch = find(client)) remove(watch);
}

void StateWatch::remove(Watch* watch) {
  front_.answer(watch->call, "{}");
  for (auto at = watches_.begin();; ++at) {
    if (&*at != watch) continue;
    watches_.erase(at);
    break;
  }
  if (watches_.empty()) changes_.want_none();
}

void StateWatch::stop() {
  timer_.stop();
  watches_.clear();
  changes_.stop();
}

// --- changes

void StateWatch::on_change(std::string_view key, bool put) {
  for (Watch& watch : watches_) {
    Entry* entry = watch.matches(key) ? watch.add(key) : nullptr;
    if (entry == nullptr) continue;
    entry->state = std::max(entry->state, Entry::State::changed);
    watch.asked_put |= put && watch.asked == key;
    bool waits = false;
    if (put && !watch.tell_what_waits(*entry, waits)) wait();
    watch.go();
  }
}

void StateWatch::on_begun() {
  for (Watch& watch : watches_) {
    front_.answer(std::exchange(watch.call, 0), "{}");
    watch.begin();
  }
}

void StateWatch::on_lost() {
  for (Watch& watch : watches_) {
    front_.answer(std::exchange(watch.call, 0), "{}");
    watch.lost = true;
    watch.go();
  }
}

// A watch that begins would miss most changes. A watch that has worked goes on with the values that
// this agent's clients set.
void StateWatch::on_refused(std::string_view words) {
  for (auto at = watches_.begin(); at != watches_.end();) {
    Watch& watch = *at++;
    if (front_.refuse(std::exchange(watch.call, 0), rpc::refused_by_redis(words))) remove(&watch);
  }
  on_lost();
}

void StateWatch::wait() {
  if (!timer_.active()) timer_.start(pause_.next());
}

void StateWatch::on_time() {
  for (Watch& watch : watches_) watch.go();
}

}  // namespace nb::cell
