#include "fleet/watch.h"

#include <algorithm>
#include <utility>

#include "base/name.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "redis/trouble.h"
#include "wire/keys.h"
#include "wire/lease.h"
#include "wire/node_events.h"
#include "wire/watch_script.h"

namespace nb::fleet {

using namespace std::string_view_literals;  // built for size, only these know their length
using namespace std::chrono_literals;

namespace {

// The script reads this many leases in one run, which takes the server 0.2 ms.
constexpr size_t kBatch = 500;
// A list of more entries or bytes is not read. Its answer is below the reader's limit.
constexpr std::string_view kMostListed = "20000";
constexpr std::string_view kMostListBytes = "2000000";
constexpr Duration kRegisterAge = 10s;
// The runs that go to the server at once. The watcher keeps the rest.
constexpr size_t kMostRuns = 32;
// After a failed read of the leases, and after a refusal.
constexpr Duration kAgain = 250ms;
constexpr Duration kRefused = 1min;
// So many expired sessions are announced with one renewal of the watch, of which there are two a
// second.
constexpr std::string_view kSessions = "500";
// The watch is renewed with a read of the leases, this much earlier or later than necessary: one
// wake-up serves both.
constexpr Duration kNear = 125ms;
// A fault of this duration is reported, though it may pass by itself.
constexpr Duration kFailing = 10s;

// Of WatchService::Part.
constexpr std::string_view kPartNames[] = {"the watch",
                                           "the watch",
                                           "the list of nodes (nodebeat:nodes)",
                                           "the list of lost nodes (nodebeat:dead)",
                                           "the leases",
                                           "what is said of lost nodes"};
// For Watcher::Kind: the event, and its name in the script.
constexpr std::string_view kTypes[] = {
    "node_suspect", "node_cleared",      "node_lost",   "node_returned", "",
    "node_lost",    "watcher_uncertain", "watcher_sure"};
constexpr std::string_view kOps[] = {"say", "say", "lost", "returned"};
constexpr std::string_view kHows[] = {"network", "restarted", "rebooted"};

uint64_t wall_ms(WallTime wall) {
  return static_cast<uint64_t>(
      std::chrono::floor<std::chrono::milliseconds>(wall).time_since_epoch().count());
}

int length(std::string_view text) {
  return static_cast<int>(text.size());
}

// Whether it would be refused the next time as well, and for that command only.
bool is_for_good(std::string_view error) {
  const redis::Trouble trouble = redis::classify(error);
  return trouble == redis::Trouble::no_permission ||
         (trouble == redis::Trouble::none && !error.empty());
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
      watcher_(Random::from_system().next()),
      timer_(loop, Delegate<void()>::to<&WatchService::on_timer>(this)) {
  std::fill(std::begin(failing_), std::end(failing_), MonoTime::min());
}

// --- the watch -----------------------------------------------------------------------------------

// Not by GET: a long text of another program would end the connection of the link.
void WatchService::read() {
  if (read_ != 0) return;
  const std::string_view command[] = {"GETRANGE", wire::kWatchKey, "0", wire::kLeaseEnd};
  read_at_ = loop_.now();
  read_ = link_.query(database_, command,
                      Delegate<void(const redis::QueryReply&)>::to<&WatchService::on_read>(this));
}

void WatchService::on_read(const redis::QueryReply& reply) {
  read_ = 0;
  const MonoTime now = loop_.now();
  // Another type counts as nothing: the next holder overwrites it.
  const bool other_type = reply.reply.error().starts_with("WRONGTYPE");
  if (reply.reply.is_string() || other_type) {
    works(Part::reading);
    claim_.on_read(reply.reply.string(), read_at_, now);
    // Another agent renews it, so it can be written again, unless this agent's own rights are
    // missing. Its next try shows that.
    const bool rights = !trouble_.empty() && trouble_for_good_;
    if (!rights && claim_.is_alive_elsewhere()) works(Part::watch);
    say_nobody();
  } else {
    (void)fails(Part::reading, {reply.reply, {}});
    claim_.not_read();
  }
  after_claim();
}

void WatchService::say_nobody() {
  const bool nobody = !claim_.is_watched();
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
  if (look_is_due) register_due_ ? read_list(Part::nodes) : look();
  arm();
}

void WatchService::arm() {
  const MonoTime step = claim_.next_step();
  const MonoTime look = look_at();
  const MonoTime at = look > step && look - step <= kNear ? look : std::min(look, step);
  if (at == MonoTime::max()) return timer_.stop();
  timer_.start(at - loop_.now());
}

// MonoTime::max() while none can begin. A read that is one period behind the one before is on
// multiples of the period, as leases and beats are on theirs, so that one wake-up serves all.
MonoTime WatchService::look_at() const {
  if (!holding_ || parts_ > 0 || list_) return MonoTime::max();
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
  if (renews) {
    write_ = run_script("renew", {wire::kWatchKey, wire::kSessionsKey, wire::kSessionSealsKey},
                        {write.expected, write.wanted, kSessions}, done);
  } else {
    write_ = run_script("claim", {wire::kWatchKey}, {write.expected, write.wanted}, done);
  }
  if (write_ != 0) return;
  (void)fails(Part::watch, {});
  claim_.not_written(now);
}

void WatchService::on_written(const redis::ReaderAnswer& answer) {
  write_ = 0;
  moved_ = false;
  const MonoTime now = loop_.now();
  if (answer.reply.is_string()) {
    works(Part::watch);
    claim_.on_written(answer.reply.string(), now);
  } else if (const bool for_good = fails(Part::watch, answer);
             for_good || (answer.reply && !answer.reply.error().starts_with("NOSCRIPT"))) {
    claim_.refused(now, for_good ? kRefused : kAgain);
  } else {
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
  command_.assign({"EVALSHA", wire::kWatchScriptSha1, count});
  command_.insert(command_.end(), keys);
  command_.push_back(op);
  command_.insert(command_.end(), words);
  return reader_->ask(command_, done, on);
}

void WatchService::on_loaded(const redis::ReaderAnswer& answer) {
  load_refusal_ = answer.reply.error();
}

// --- faults
// ----------------------------------------------------------------------------------------

void WatchService::works(Part part) {
  failing_[static_cast<size_t>(part)] = MonoTime::min();
  if (trouble_.empty() || trouble_part_ != part) return;
  trouble_.clear();
  log_.notice("redis lets this agent watch the cell again");
}

// Whether it is refused permanently. A fault that may pass by itself, and a missing answer, are
// reported after a while. The link reports its own faults.
bool WatchService::fails(Part part, const redis::ReaderAnswer& answer) {
  std::string_view error = answer.reply.error();
  if (error.starts_with("NOSCRIPT")) {
    script_sent_ = false;
    if (!load_refusal_.empty()) error = load_refusal_;
  }
  const std::string_view name = kPartNames[static_cast<size_t>(part)];
  const bool for_good = is_for_good(error);
  MonoTime& since = failing_[static_cast<size_t>(part)];
  if (since == MonoTime::min()) since = loop_.now();
  if (for_good) {
    say_trouble(
        part, true,
        format("redis refuses %.*s: %.*s", length(name), name.data(), length(error), error.data()));
  } else if (loop_.now() - since >= kFailing &&
             link_.status().state >= redis::LinkState::replaying) {
    const std::string_view why = !error.empty() ? error
                                 : answer.reply ? "its answer has another form"sv
                                 : answer.limit ? "its answer is too long"sv
                                 : reader_ && !reader_->words().empty() ? reader_->words()
                                                                        : "no answer"sv;
    say_trouble(part, false,
                format("redis does not give this agent %.*s: %.*s", length(name), name.data(),
                       length(why), why.data()));
  }
  return for_good;
}

// The first fault stays until it is over. It is reported once.
void WatchService::say_trouble(Part part, bool for_good, std::string words) {
  const bool news = trouble_.empty();
  if (!news && trouble_part_ != part) return;
  trouble_ = std::move(words);
  trouble_part_ = part;
  trouble_for_good_ = for_good;
  if (!news) return;
  const bool rights = trouble_.find(": NOPERM") != std::string::npos;
  log_.error("%s: this agent cannot watch %s%s", trouble_.c_str(),
             part == Part::nodes || part == Part::dead ? "all nodes of the cell" : "the cell",
             rights ? " (nodebeatctl redis setup --force writes the rights of its user anew)" : "");
}

void WatchService::on_connected() {
  claim_.on_connected(loop_.now());
  // The next try, at once, shows whether it is still refused.
  if (trouble_part_ == Part::watch) trouble_.clear();
}

void WatchService::on_server_changed() {
  script_sent_ = false;
  if (holding_) begin_again();
  arm();
}

void WatchService::reconfigure() {
  if (reader_) reader_->reconfigure(options_());
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
  left_out_said_ = moved_ = false;
  not_before_ = MonoTime::min();
}

void WatchService::end() {
  holding_ = false;
  watcher_.end();
  cancel_look();
  for (const auto& run : runs_) reader_->cancel(run->question);
  runs_.clear();
  std::vector<Batch>().swap(batches_);
  std::string().swap(keys_);
  std::vector<std::string_view>().swap(command_);
  // The agent that watches now asks for the others.
  for (const Part part : {Part::nodes, Part::dead, Part::leases, Part::verdicts}) {
    failing_[static_cast<size_t>(part)] = MonoTime::min();
    if (trouble_part_ == part) trouble_.clear();
  }
  const auto watch = wire::parse_watch(claim_.watch());
  if (watch && !same(watch->instance, instance_)) {
    log_.notice("node '%.*s' watches the nodes of the cell now (term %llu)", length(watch->node),
                watch->node.data(), static_cast<unsigned long long>(watch->term));
  } else {
    log_.notice("this agent no longer watches the nodes of the cell");
  }
}

// The server may have lost its data.
void WatchService::begin_again() {
  cancel_look();
  watcher_.begin_again();
  register_due_ = true;
  arm();
}

void WatchService::cancel_look() {
  if (!reader_) return;
  reader_->cancel(std::exchange(list_question_, 0));
  for (Batch& batch : batches_) reader_->cancel(std::exchange(batch.question, 0));
  parts_ = 0;
  list_.reset();
}

void WatchService::fail_look(Part part, const redis::ReaderAnswer& answer) {
  (void)fails(part, answer);
  cancel_look();
  const MonoTime now = loop_.now();
  watcher_.fail_look(now);
  not_before_ = now + kAgain;
  arm();
}

// First the list of nodes, then that of the lost ones. The script reads each, since their texts may
// have any size.
void WatchService::read_list(Part part) {
  const bool nodes = part == Part::nodes;
  list_ = part;
  list_question_ =
      run_script(nodes ? "names" : "marks", {nodes ? wire::kNodesKey : wire::kDeadKey},
                 {kMostListed, kMostListBytes},
                 Delegate<void(const redis::ReaderAnswer&)>::to<&WatchService::on_list>(this));
  if (list_question_ == 0) fail_look(part, {});
}

// Without a list that cannot be read, those nodes are watched that are known, and a lost one is
// announced all the same: the script compares the mark.
void WatchService::on_list(const redis::ReaderAnswer& answer) {
  list_question_ = 0;
  const Part part = *list_;
  const auto count = answer.reply.integer();
  if (answer.reply.is_array()) {
    works(part);
    take_list(answer.reply);
  } else if (count) {
    const std::string_view name = kPartNames[static_cast<size_t>(part)];
    say_trouble(part, true,
                format("%.*s is too long to be read: it has %lld entries", length(name),
                       name.data(), static_cast<long long>(*count)));
  } else if (!is_for_good(answer.reply.error())) {
    return fail_look(part, answer);
  } else {
    (void)fails(part, answer);
  }
  if (part == Part::nodes) return read_list(Part::dead);
  end_register();
}

void WatchService::take_list(redis::Reply list) {
  if (*list_ == Part::nodes) {
    watcher_.begin_register();
    for (const redis::Reply name : list.elements()) watcher_.add_node(name.string());
    return;
  }
  for (size_t i = 0; i + 1 < list.size(); i += 2) {
    watcher_.mark_lost(list[i].string(), list[i + 1].string());
  }
}

void WatchService::end_register() {
  list_.reset();
  register_due_ = false;
  registered_ = loop_.now();
  registered_size_ = size_;
  watcher_.end_register();
  if (watcher_.left_out() > 0 && !std::exchange(left_out_said_, true)) {
    log_.warning("the cell has %u nodes more than the %zu that can be watched", watcher_.left_out(),
                 Watcher::kMostNodes);
  }
  arm();
}

void WatchService::look() {
  const size_t nodes = watcher_.size();
  batches_.clear();
  batches_.reserve(nodes / kBatch + 1);
  looked_ = loop_.now();
  watcher_.begin_look(looked_);
  parts_ = 0;
  size_t first = 0;
  do {
    Batch& batch = batches_.emplace_back(Batch{this, first, std::min(kBatch, nodes - first), 0});
    if (!ask_leases(batch)) return fail_look(Part::leases, {});
    first += batch.count;
    ++parts_;
  } while (first < nodes);
}

bool WatchService::ask_leases(Batch& batch) {
  keys_.clear();
  // None of this room is given back below, so the views stay valid.
  keys_.reserve(batch.count * (wire::kLeasePrefix.size() + kNameBytes) + 8);
  const auto keep = [this](std::string_view front, std::string_view text) {
    const size_t at = keys_.size();
    keys_.append(front).append(text);
    return std::string_view(keys_).substr(at);
  };
  command_.assign({"EVALSHA", wire::kWatchScriptSha1, keep("", std::to_string(batch.count + 1)),
                   wire::kNodesKey});
  for (size_t i = batch.first; i < batch.first + batch.count; ++i) {
    command_.push_back(keep(wire::kLeasePrefix, watcher_.node(i)));
  }
  command_.push_back("look");
  batch.question = reader_->ask(
      command_, Delegate<void(const redis::ReaderAnswer&)>::to<&Batch::on_answer>(&batch));
  return batch.question != 0;
}

void WatchService::on_batch(Batch& batch, const redis::ReaderAnswer& answer) {
  batch.question = 0;
  if (answer.reply.size() != batch.count + 1) {
    return fail_look(Part::leases, answer);
  }
  works(Part::leases);
  size_ = answer.reply[0].integer().value_or(-1);
  const MonoTime now = loop_.now();
  for (size_t i = 0; i < batch.count; ++i) {
    watcher_.see(batch.first + i, answer.reply[i + 1].string(), now);
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
  while (holding_ && !moved_ && runs_.size() < kMostRuns && watcher_.next(action)) {
    announce(action);
  }
}

void WatchService::announce(const Watcher::Action& action) {
  using Kind = Watcher::Kind;
  if (action.kind == Kind::malformed) {
    return log_.warning("the lease of node '%.*s' is malformed: nobody will notice when it is lost",
                        length(action.node), action.node.data());
  }
  ask_script(action, std::make_unique<Run>(Run{this, 0, action.ticket, action.kind, action.recorded,
                                               std::string(action.node), action.silent_ms}));
}

void WatchService::ask_script(const Watcher::Action& action, std::unique_ptr<Run> run) {
  using Kind = Watcher::Kind;
  const bool of_a_node = action.kind < Kind::uncertain;
  const std::string_view node = of_a_node ? action.node : std::string_view(node_);
  const auto lease = wire::parse_lease(action.lease).value_or(wire::Lease{});
  const WallTime wall = loop_.clock().wall_now();
  const bool lost = action.kind == Kind::lost || action.kind == Kind::record;
  wire::WatchNews news{.type = kTypes[static_cast<size_t>(action.kind)]};
  if (of_a_node) news.watcher = node_;
  if (lost || action.kind == Kind::returned) news.boot_id = lease.boot_id;
  if (lost || action.kind == Kind::suspect) news.last_change_ms = action.silent_ms;
  if (lost) news.cause = "lease not renewed";
  if (action.kind == Kind::returned) news.how = kHows[static_cast<size_t>(action.how)];
  news.silent = action.silent;
  news.nodes = action.nodes;
  const std::string_view instance = of_a_node ? lease.instance : std::string_view(instance_);
  const std::string event = wire::watch_event({node, instance, wall}, news);
  const std::string channel = wire::node_events_channel(node);
  const auto done = Delegate<void(const redis::ReaderAnswer&)>::to<&Run::on_answer>(run.get());
  const std::string_view term = claim_.own_term();
  const std::string_view recorded = action.kind == Kind::record     ? "only"sv
                                    : action.recorded || !of_a_node ? "1"sv
                                                                    : ""sv;
  if (action.ticket == 0) {
    run->question = run_script("say", {wire::kWatchKey, wire::kCellEventsStream},
                               {term, channel, event, recorded}, done);
  } else {
    // The members that are put into a health, and a health if there is none.
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
    run->question = run_script(kOps[static_cast<size_t>(action.kind)],
                               {wire::kWatchKey, wire::kCellEventsStream, wire::kDeadKey,
                                wire::node_health_key(node), wire::lease_key(node)},
                               {term, channel, event, recorded, node, action.lease,
                                action.absent ? "1"sv : ""sv, health.reason, stamp, whole},
                               // Another server may have lost the lease that was judged: its lease
                               // is older, and would again be the one with which the node was lost.
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
  const std::string_view words = answer.reply.string();
  answer.reply.is_string() ? works(Part::verdicts) : void(fails(Part::verdicts, answer));
  const Outcome outcome = words == "announced"sv ? Outcome::announced
                          : words == "already"sv ? Outcome::already
                          : words == "changed"sv ? Outcome::lease_changed
                                                 : Outcome::no_answer;
  if (words == "moved"sv) {
    moved_ = true;
    claim_.on_moved(loop_.now());
  } else if (outcome == Outcome::announced && run.kind == Kind::lost) {
    ++lost_;
    if (run.recorded) {
      log_.warning("node '%s' is lost: its lease was not renewed for %s", run.node.c_str(),
                   human_duration(run.silent_ms).c_str());
    }
  } else if (outcome == Outcome::announced && run.kind == Kind::returned) {
    ++returned_;
    if (run.recorded) log_.notice("node '%s' has returned", run.node.c_str());
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

// --- figures -------------------------------------------------------------------------------------

WatchRole WatchService::role() const {
  if (holding_) return WatchRole::watching;
  if (link_.status().state < redis::LinkState::replaying || !claim_.was_read()) {
    return WatchRole::unknown;
  }
  if (!claim_.is_watched()) return WatchRole::nobody;
  return wire::parse_watch(claim_.watch()) ? WatchRole::watched : WatchRole::unknown;
}

WatchFigures WatchService::figures() const {
  WatchFigures figures;
  figures.role = role();
  figures.enabled = enabled_;
  figures.trouble = trouble_;
  figures.lost = lost_;
  figures.returned = returned_;
  figures.uncertain = uncertain_;
  if (holding_) {
    figures.node = node_;
    figures.term = claim_.term();
    figures.nodes = watcher_.size();
    figures.left_out = watcher_.left_out();
    figures.lag = watcher_.lag();
    return figures;
  }
  if (const auto watch = wire::parse_watch(claim_.watch())) {
    figures.node = watch->node;
    figures.term = watch->term;
  }
  figures.since = claim_.unchanged(loop_.now());
  return figures;
}

}  // namespace nb::fleet
