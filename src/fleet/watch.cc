#include "fleet/watch.h"

#include <algorithm>
#include <utility>

#include "base/name.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "redis/forms.h"
#include "wire/keys.h"
#include "wire/lease.h"
#include "wire/node_events.h"
#include "wire/watch_script.h"

namespace nb::fleet {

using namespace std::string_view_literals;  // built for size, only these know their length
using namespace std::chrono_literals;

namespace {

// The script looks at so many leases in one run, which takes the server 0.2 ms.
constexpr size_t kBatch = 500;
constexpr std::string_view kPage = "500";
constexpr Duration kRegisterAge = 10s;
// What goes to the server at once. The watcher keeps the rest.
constexpr size_t kMostRuns = 32;
// After a look that failed, and after a refusal.
constexpr Duration kAgain = 250ms;
constexpr Duration kRefused = 1min;
// So many expired sessions are announced with one renewal of the watch, of which there are two a
// second.
constexpr std::string_view kSessions = "500";
// The watch is renewed with a look, so much earlier or later than it has to be: one wake-up serves
// both.
constexpr Duration kNear = 125ms;
constexpr Duration kUnwatched = 10s;
// When two readings are further apart, nobody knows what was between them.
constexpr Duration kGap = 5s;

// Of Watcher::Kind: the event, and what the script calls it.
constexpr std::string_view kTypes[] = {
    "node_suspect",      "node_cleared", "node_lost", "node_returned", "",
    "watcher_uncertain", "watcher_sure"};
constexpr std::string_view kOps[] = {"say", "say", "lost", "returned"};
constexpr std::string_view kHows[] = {"network", "restarted", "rebooted"};

uint64_t wall_ms(WallTime wall) {
  return static_cast<uint64_t>(
      std::chrono::floor<std::chrono::milliseconds>(wall).time_since_epoch().count());
}

int length(std::string_view text) {
  return static_cast<int>(text.size());
}

}  // namespace

std::string_view name(WatchRole role) {
  constexpr std::string_view kNames[] = {"unknown", "watching", "watched", "nobody"};
  return kNames[static_cast<size_t>(role)];
}

WatchService::WatchService(uv::Loop& loop, const Log& log, redis::Link& link,
                           Delegate<redis::LinkOptions()> options, int database, const Self& self,
                           redis::MakeTransport make_transport)
    : loop_(loop),
      log_(log),
      link_(link),
      options_(options),
      database_(database),
      node_(self.node),
      instance_(self.instance),
      enabled_(self.enabled),
      make_transport_(make_transport),
      claim_(node_, instance_, enabled_, Random::from_system(), loop.now()),
      timer_(loop, Delegate<void()>::to<&WatchService::on_timer>(this)) {}

// --- the watch -----------------------------------------------------------------------------------

// Not by GET: a long text of somebody else would end the connection of the link.
void WatchService::read() {
  if (read_ != 0) return;
  const std::string last = std::to_string(wire::kLeaseBytes);
  const std::string_view command[] = {"GETRANGE", wire::kWatchKey, "0", last};
  read_at_ = loop_.now();
  read_ = link_.query(database_, command,
                      Delegate<void(const redis::QueryReply&)>::to<&WatchService::on_read>(this));
}

void WatchService::on_read(const redis::QueryReply& reply) {
  read_ = 0;
  const MonoTime now = loop_.now();
  // Another type counts as nothing: whoever takes the watch overwrites it.
  const bool other_type = reply.reply.error().starts_with("WRONGTYPE");
  if (reply.reply.is_string() || other_type) {
    if (read_well_ == MonoTime::min() || now - read_well_ > kGap ||
        !same(reply.reply.string(), claim_.watch())) {
      renewed_ = now;
    }
    read_well_ = now;
    claim_.on_read(reply.reply.string(), read_at_, now);
    say_nobody(now);
  } else {
    (void)is_refusal(reply.reply);
    claim_.not_read();
  }
  after_claim();
}

void WatchService::say_nobody(MonoTime now) {
  const bool nobody = !claim_.is_holding() && now - renewed_ >= kUnwatched;
  if (nobody == nobody_said_) return;
  nobody_said_ = nobody;
  if (!nobody) return log_.notice("somebody watches the nodes of this cell again");
  log_.warning("nobody watches the nodes of this cell, so nobody will notice when one is lost: %s",
               enabled_ ? trouble_.empty() ? "this agent is about to" : trouble_.c_str()
                        : "this agent may not ([watch] enabled = false), and no other agent does");
}

void WatchService::on_timer() {
  const MonoTime now = loop_.now();
  const bool look_is_due = now >= look_at();
  const MonoTime step_at = claim_.next_step();
  if (step_at <= now || (look_is_due && step_at - now <= kNear)) {
    switch (claim_.step(std::max(now, step_at))) {
      case WatchClaim::Step::read:
        read();
        if (read_ == 0) claim_.not_read();
        break;
      case WatchClaim::Step::claim:
        write(false);
        break;
      case WatchClaim::Step::renew:
        write(true);
        break;
      case WatchClaim::Step::nothing:
        break;
    }
  }
  if (look_is_due) register_due_ ? read_register() : look();
  arm();
}

void WatchService::arm() {
  const MonoTime step = claim_.next_step();
  const MonoTime look = look_at();
  const MonoTime at = look > step && look - step <= kNear ? look : std::min(look, step);
  if (at == MonoTime::max()) return timer_.stop();
  timer_.start(at - loop_.now());
}

// MonoTime::max() while none can begin. A look that is one period behind the one before lies on
// multiples of the period, as leases and beats do on theirs, so that one wake-up serves all.
MonoTime WatchService::look_at() const {
  if (!holding_ || parts_ > 0 || page_ != Page::none) return MonoTime::max();
  MonoTime at = std::max(watcher_.next_look(), not_before_);
  if (at <= looked_) return looked_;
  const Duration period = at - looked_;
  if (period == 250ms || period == 100ms) {
    at -= at.time_since_epoch() % period;
    if (at - looked_ < period / 4) at += period;
  }
  return at;
}

void WatchService::write(bool renews) {
  const MonoTime now = loop_.now();
  const auto lag = static_cast<uint32_t>(watcher_.lag() / 1ms);
  const WatchClaim::Write write = claim_.write(looked_at_ms_, lag);
  const auto done = Delegate<void(const redis::ReaderAnswer&)>::to<&WatchService::on_written>(this);
  if (now < refused_until_) {
    // Nothing is asked.
  } else if (renews) {
    write_ = run_script("renew", {wire::kWatchKey, wire::kSessionsKey, wire::kSessionSealsKey},
                        {write.expected, write.wanted, kSessions}, done);
  } else {
    write_ = run_script("claim", {wire::kWatchKey}, {write.expected, write.wanted}, done);
  }
  if (write_ == 0) claim_.not_written(now);
}

void WatchService::on_written(const redis::ReaderAnswer& answer) {
  write_ = 0;
  const MonoTime now = loop_.now();
  if (answer.reply.is_string()) {
    if (!trouble_.empty()) log_.notice("redis lets this agent watch the cell again");
    trouble_.clear();
    if (!same(answer.reply.string(), claim_.watch())) renewed_ = now;
    claim_.on_written(answer.reply.string(), now);
  } else {
    if (is_refusal(answer.reply)) refused_until_ = now + kRefused;
    claim_.not_written(now);
  }
  after_claim();
}

void WatchService::after_claim() {
  if (claim_.is_holding() != holding_) {
    holding_ ? end() : begin();
  } else if (claim_.had_to_claim_anew()) {
    begin_again();
  }
  arm();
}

// The script is sent before the first run of it, and when the server does not know it. 0: the
// server cannot be reached now.
uint64_t WatchService::run_script(std::string_view op, std::initializer_list<std::string_view> keys,
                                  std::initializer_list<std::string_view> words,
                                  Delegate<void(const redis::ReaderAnswer&)> done,
                                  redis::Reader::On on) {
  if (!reader_) reader_.emplace(loop_, options_(), database_, make_transport_);
  if (!std::exchange(script_sent_, true)) {
    const std::string_view load[] = {
        "SCRIPT", "LOAD", {wire::kWatchScript, sizeof wire::kWatchScript - 1}};
    script_sent_ =
        reader_->ask(load, Delegate<void(const redis::ReaderAnswer&)>::to<&WatchService::on_loaded>(
                               this)) != 0;
  }
  const std::string count = std::to_string(keys.size());
  std::vector<std::string_view> command{"EVALSHA", wire::kWatchScriptSha1, count};
  command.insert(command.end(), keys);
  command.push_back(op);
  command.insert(command.end(), words);
  return reader_->ask(command, done, on);
}

void WatchService::on_loaded(const redis::ReaderAnswer& answer) {
  if (answer.reply.text() != wire::kWatchScriptSha1) script_sent_ = false;
  (void)is_refusal(answer.reply);
}

// Whether the server refuses it, in a way that will be the same the next time; said once.
bool WatchService::is_refusal(redis::Reply reply) {
  const std::string_view words = reply.error();
  if (words.starts_with("NOSCRIPT")) script_sent_ = false;
  if (words.empty() || words.starts_with("NOSCRIPT")) return false;
  const bool news = trouble_.empty();
  trouble_ = format("redis refuses the watch: %.*s", length(words), words.data());
  if (news) {
    log_.error(
        "%s: this agent cannot watch the cell (nodebeatctl redis setup --force writes the "
        "rights of its user anew)",
        trouble_.c_str());
  }
  return true;
}

void WatchService::on_connected() {
  claim_.on_connected(loop_.now());
}

void WatchService::on_server_changed() {
  script_sent_ = false;
  refused_until_ = MonoTime::min();
  if (holding_) begin_again();
  arm();
}

void WatchService::reconfigure() {
  if (reader_) reader_->reconfigure(options_());
  refused_until_ = MonoTime::min();
}

void WatchService::stop() {
  timer_.stop();
  link_.cancel(std::exchange(read_, 0));
  if (holding_) {
    // By the link: it sends this before it closes.
    const std::string_view leave[] = {"EVALSHA", wire::kWatchScriptSha1, "1", wire::kWatchKey,
                                      "leave",   claim_.own_term()};
    link_.query(database_, leave, {});
    end();
  }
  if (reader_) reader_->stop();
}

// --- holding it ----------------------------------------------------------------------------------

void WatchService::begin() {
  holding_ = true;
  log_.notice("this agent watches the nodes of the cell now (term %llu)",
              static_cast<unsigned long long>(claim_.term()));
  nobody_said_ = false;
  (void)claim_.had_to_claim_anew();
  watcher_.begin(node_, claim_.was_away(loop_.now()));
  connects_ = reader_ ? reader_->connects() : 0;
  looked_at_ms_ = 0;
  register_due_ = true;
  not_before_ = MonoTime::min();
}

void WatchService::end() {
  holding_ = false;
  watcher_.end();
  cancel_look();
  for (const auto& run : runs_) reader_->cancel(run->question);
  runs_.clear();
  std::vector<Batch>().swap(batches_);
  const auto watch = wire::parse_watch(claim_.watch());
  if (watch && !same(watch->instance, instance_)) {
    log_.notice("node '%.*s' watches the nodes of the cell now (term %llu)", length(watch->node),
                watch->node.data(), static_cast<unsigned long long>(watch->term));
  }
}

// What the server has may have been lost.
void WatchService::begin_again() {
  cancel_look();
  watcher_.begin_again();
  register_due_ = true;
  arm();
}

void WatchService::cancel_look() {
  if (!reader_) return;
  reader_->cancel(std::exchange(page_question_, 0));
  reader_->cancel(std::exchange(size_question_, 0));
  for (Batch& batch : batches_) reader_->cancel(std::exchange(batch.question, 0));
  parts_ = 0;
  page_ = Page::none;
}

void WatchService::fail_look() {
  cancel_look();
  const MonoTime now = loop_.now();
  watcher_.fail_look(now);
  not_before_ = now + kAgain;
  arm();
}

// Both lists are read page by page, so that no reply can be too large.
void WatchService::read_register() {
  page_ = Page::nodes;
  cursor_ = "0";
  registered_size_ = size_;
  watcher_.begin_register();
  ask_page();
}

void WatchService::ask_page() {
  const std::string_view key = page_ == Page::nodes ? wire::kNodesKey : wire::kDeadKey;
  const std::string_view command[] = {"HSCAN", key, cursor_, "COUNT", kPage};
  page_question_ = reader_->ask(
      command, Delegate<void(const redis::ReaderAnswer&)>::to<&WatchService::on_page>(this));
  if (page_question_ == 0) fail_look();
}

void WatchService::on_page(const redis::ReaderAnswer& answer) {
  page_question_ = 0;
  const auto page = redis::read_scan_page(answer.reply);
  if (!page) {
    (void)is_refusal(answer.reply);
    return fail_look();
  }
  for (size_t i = 0; i + 1 < page->elements.size(); i += 2) {
    if (page_ == Page::nodes) {
      watcher_.add_node(page->text(i));
    } else {
      watcher_.mark_lost(page->text(i), page->text(i + 1));
    }
  }
  if (page->cursor != 0) {
    cursor_ = std::to_string(page->cursor);
    return ask_page();
  }
  if (page_ == Page::nodes) {
    page_ = Page::dead;
    cursor_ = "0";
    return ask_page();
  }
  page_ = Page::none;
  register_due_ = false;
  registered_ = loop_.now();
  watcher_.end_register();
  arm();
}

void WatchService::look() {
  const size_t nodes = watcher_.size();
  batches_.clear();
  batches_.reserve((nodes + kBatch - 1) / kBatch);
  looked_ = loop_.now();
  watcher_.begin_look(looked_);
  const std::string_view size[] = {"HLEN", wire::kNodesKey};
  size_question_ = reader_->ask(
      size, Delegate<void(const redis::ReaderAnswer&)>::to<&WatchService::on_size>(this));
  if (size_question_ == 0) return fail_look();
  parts_ = 1;
  std::string keys;
  for (size_t first = 0; first < nodes; first += kBatch) {
    const size_t count = std::min(kBatch, nodes - first);
    keys.clear();
    // Of the room that it takes nothing is given back below, so the views stay valid.
    keys.reserve(count * (kNameBytes + 16) + 8);
    const auto begin_of = [&](std::string_view text) {
      const size_t at = keys.size();
      keys += text;
      return std::string_view(keys.data() + at, text.size());
    };
    std::vector<std::string_view> command{"EVALSHA", wire::kWatchScriptSha1,
                                          begin_of(std::to_string(count))};
    command.reserve(count + 4);
    for (size_t i = first; i < first + count; ++i) {
      command.push_back(begin_of(wire::lease_key(watcher_.node(i))));
    }
    command.push_back("look");
    Batch& batch = batches_.emplace_back(Batch{this, first, count, 0});
    batch.question = reader_->ask(
        command, Delegate<void(const redis::ReaderAnswer&)>::to<&Batch::on_answer>(&batch));
    if (batch.question == 0) return fail_look();
    ++parts_;
  }
}

void WatchService::on_size(const redis::ReaderAnswer& answer) {
  size_question_ = 0;
  const auto size = redis::read_count(answer.reply);
  if (!size) {
    (void)is_refusal(answer.reply);
    return fail_look();
  }
  size_ = *size;
  on_look_part();
}

void WatchService::on_batch(Batch& batch, const redis::ReaderAnswer& answer) {
  batch.question = 0;
  if (answer.reply.size() != batch.count) {
    (void)is_refusal(answer.reply);
    return fail_look();
  }
  const MonoTime now = loop_.now();
  for (size_t i = 0; i < batch.count; ++i) {
    watcher_.see(batch.first + i, answer.reply[i].string(), now);
  }
  on_look_part();
}

void WatchService::on_look_part() {
  if (--parts_ > 0) return;
  const MonoTime now = loop_.now();
  // The questions were asked again on another connection: this may be another server.
  if (std::exchange(connects_, reader_->connects()) != reader_->connects()) {
    return begin_again();
  }
  watcher_.end_look(now);
  looked_at_ms_ = wall_ms(loop_.clock().wall_now());
  register_due_ = register_due_ || size_ != registered_size_ || now - registered_ >= kRegisterAge;
  act();
  arm();
}

void WatchService::act() {
  Watcher::Action action;
  while (holding_ && runs_.size() < kMostRuns && watcher_.next(action)) announce(action);
}

void WatchService::announce(const Watcher::Action& action) {
  using Kind = Watcher::Kind;
  if (action.kind == Kind::malformed) {
    return log_.warning("the lease of node '%.*s' is malformed: nobody will notice when it is lost",
                        length(action.node), action.node.data());
  }
  const bool of_a_node = action.kind < Kind::uncertain;
  const std::string_view node = of_a_node ? action.node : std::string_view(node_);
  const auto lease = wire::parse_lease(action.lease).value_or(wire::Lease{});
  const WallTime wall = loop_.clock().wall_now();
  wire::WatchNews news{.type = kTypes[static_cast<size_t>(action.kind)]};
  if (of_a_node) news.watcher = node_;
  if (action.ticket != 0) news.boot_id = lease.boot_id;
  if (action.kind == Kind::suspect || action.kind == Kind::lost) {
    news.last_change_ms = action.silent_ms;
  }
  if (action.kind == Kind::lost) news.cause = "lease not renewed";
  if (action.kind == Kind::returned) news.how = kHows[static_cast<size_t>(action.how)];
  news.silent = action.silent;
  news.nodes = action.nodes;
  const std::string_view instance = of_a_node ? lease.instance : std::string_view(instance_);
  const std::string event = wire::watch_event({node, instance, wall}, news);
  const std::string channel = wire::node_events_channel(node);
  auto run = std::make_unique<Run>(
      Run{this, 0, action.ticket, action.kind, std::string(node), action.silent_ms});
  const auto done = Delegate<void(const redis::ReaderAnswer&)>::to<&Run::on_answer>(run.get());
  const std::string_view term = claim_.own_term();
  if (action.ticket == 0) {
    run->question = run_script("say", {wire::kWatchKey, wire::kCellEventsStream},
                               {term, channel, event, of_a_node ? ""sv : "1"sv}, done);
  } else {
    // What is put into a health, and a health where there is none.
    wire::NodeHealth health;
    health.node_id = node;
    health.timestamp = wall;
    health.last_heartbeat = wall - std::chrono::milliseconds(action.silent_ms);
    health.is_reachable = false;
    health.reason = format("lease not renewed for %s (seen by %s)",
                           human_duration(action.silent_ms).c_str(), node_.c_str());
    std::string whole;
    append_json(health, whole);
    const std::string stamp = format_timestamp(wall);
    run->question =
        run_script(kOps[static_cast<size_t>(action.kind)],
                   {wire::kWatchKey, wire::kCellEventsStream, wire::kDeadKey,
                    wire::node_health_key(node), wire::lease_key(node)},
                   {term, channel, event, node, action.lease, action.absent ? "1"sv : ""sv,
                    health.reason, stamp, whole},
                   // Another server may have lost what was judged: the lease there is older, and
                   // would be the same again as the one that the node was lost with.
                   done, redis::Reader::On::this_one);
  }
  if (run->question == 0) {
    watcher_.report(action.ticket, Watcher::Outcome::no_answer, loop_.now());
    return;
  }
  runs_.push_back(std::move(run));
}

void WatchService::on_run(Run& run, const redis::ReaderAnswer& answer) {
  using Kind = Watcher::Kind;
  using Outcome = Watcher::Outcome;
  const auto at = std::find_if(runs_.begin(), runs_.end(),
                               [&](const auto& other) { return other.get() == &run; });
  const std::unique_ptr<Run> ended = std::move(*at);
  runs_.erase(at);
  (void)is_refusal(answer.reply);
  const std::string_view words = answer.reply.string();
  const Outcome outcome = words == "announced"sv ? Outcome::announced
                          : words == "already"sv ? Outcome::already
                          : words == "changed"sv ? Outcome::lease_changed
                                                 : Outcome::no_answer;
  if (outcome == Outcome::announced && run.kind == Kind::lost) {
    ++lost_;
    log_.warning("node '%s' is lost: its lease was not renewed for %s", run.node.c_str(),
                 human_duration(run.silent_ms).c_str());
  } else if (outcome == Outcome::announced && run.kind == Kind::returned) {
    ++returned_;
    log_.notice("node '%s' has returned", run.node.c_str());
  } else if (run.kind == Kind::uncertain) {
    ++uncertain_;
    log_.warning(
        "so many nodes are silent at once that perhaps it is not they who are lost: "
        "waiting as long again before any is said to be");
  }
  watcher_.report(run.ticket, outcome, loop_.now());
  act();
  arm();
}

WatchFigures WatchService::figures() const {
  WatchFigures figures;
  const MonoTime now = loop_.now();
  const auto watch = wire::parse_watch(claim_.watch());
  figures.enabled = enabled_;
  figures.trouble = trouble_;
  figures.lost = lost_;
  figures.returned = returned_;
  figures.uncertain = uncertain_;
  if (holding_) {
    figures.role = WatchRole::watching;
    figures.node = node_;
    figures.term = claim_.term();
    figures.nodes = watcher_.size();
    figures.lag = watcher_.lag();
    return figures;
  }
  if (watch) {
    figures.node = watch->node;
    figures.term = watch->term;
  }
  figures.since = now - renewed_;
  if (link_.status().state >= redis::LinkState::replaying && read_well_ != MonoTime::min()) {
    figures.role = figures.since >= kUnwatched ? WatchRole::nobody
                   : watch                     ? WatchRole::watched
                                               : WatchRole::unknown;
  }
  return figures;
}

}  // namespace nb::fleet
