#include "node/node_register.h"

#include <algorithm>
#include <utility>

#include "base/name.h"
#include "redis/forms.h"
#include "wire/keys.h"
#include "wire/lease.h"

namespace nb::node {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr std::string_view kPage = "100";
constexpr size_t kMaxNames = 200;
constexpr int kLooksInAnAge = 30;
constexpr Duration kLeastPeriod = std::chrono::seconds(1);
constexpr Duration kMostPeriod = std::chrono::hours(24);
// An agent's entry is shorter. For a longer one an empty one would be put back.
constexpr size_t kMaxEntry = 4096;

}  // namespace

Forgetting::Forgetting(redis::Reader& reader, std::string_view node,
                       std::optional<WallTime> older_than, Delegate<void(Outcome)> on_done)
    : reader_(reader),
      node_(node),
      health_key_(wire::node_health_key(node)),
      lease_key_(wire::lease_key(node)),
      stream_(wire::node_metrics_stream(node)),
      older_than_(older_than),
      on_done_(on_done) {}

void Forgetting::start() {
  ask(Step::health, {"TYPE", health_key_});
}

void Forgetting::ask(Step step, std::initializer_list<std::string_view> command) {
  step_ = step;
  words_ = *command.begin();
  question_ =
      reader_.ask(std::span(command.begin(), command.size()),
                  Delegate<void(const redis::ReaderAnswer&)>::to<&Forgetting::on_answer>(this));
  if (question_ == 0) on_done_(Outcome::no_redis);
}

void Forgetting::on_answer(const redis::ReaderAnswer& answer) {
  question_ = 0;
  if (answer.limit) {
    // The last beat's entry cannot be asked for its size.
    return on_done_(step_ == Step::history ? Outcome::kept : Outcome::malformed);
  }
  if (!answer.reply) return on_done_(Outcome::no_redis);
  const redis::Reply reply = answer.reply;
  if (reply.is_error() && !may_be_refused(step_)) {
    words_ = reply.text();
    return on_done_(Outcome::refused);
  }
  if (!reply.is_error() && !has_form(step_, reply)) return on_done_(Outcome::malformed);
  switch (step_) {
    case Step::health:
      if (reply.text() == "none"sv) return ask_about();
      return ask(Step::known_mark_size, {"HSTRLEN", wire::kDeadKey, node_});
    case Step::known_mark_size:
      // A text longer than a lease is no mark, and no sign of life either.
      if (redis::read_count(reply).value_or(0) > wire::kLeaseBytes) return ask_lease();
      return ask(Step::known_mark, {"HGET", wire::kDeadKey, node_});
    case Step::known_mark:
      if (reply.is_nil()) return on_done_(Outcome::alive);
      mark_ = reply.text();
      return ask_lease();
    case Step::known_lease:
      // A living node has another lease than the one that it was lost with.
      lost_ = reply.text().empty() || reply.text() == mark_;
      return lost_ ? ask_about() : on_done_(Outcome::alive);
    case Step::history: {
      const auto seen = redis::read_newest_entry(reply);
      if (!seen || *seen >= *older_than_) return on_done_(Outcome::kept);
      return ask(Step::entry_size, {"HSTRLEN", wire::kNodesKey, node_});
    }
    case Step::entry_size:
      if (redis::read_count(reply).value_or(0) > kMaxEntry) return remove();
      return ask(Step::entry, {"HGET", wire::kNodesKey, node_});
    case Step::entry:
      if (reply.is_nil()) return on_done_(Outcome::unknown);
      about_ = reply.text();
      return remove();
    case Step::removal:
      return ask(Step::stroke, {"HDEL", wire::kStrokesKey, node_});
    case Step::stroke:
      return ask(Step::lease, {"DEL", lease_key_});
    case Step::lease:
      return ask(Step::mark, {"HDEL", wire::kDeadKey, node_});
    case Step::mark:
      if (lost_) return ask(Step::lost_health, {"HDEL", health_key_, "health"});
      return ask(Step::again, {"TYPE", health_key_});
    case Step::lost_health:
      return ask(Step::again, {"TYPE", lease_key_});
    case Step::again:
      if (reply.text() == "none"sv) return on_done_(Outcome::forgotten);
      // The node's agent may have noted itself before the removal, and then its entry is put back.
      // An entry that was noted after the removal stays as it is.
      return ask(Step::put_back, {"HSETNX", wire::kNodesKey, node_, about_});
    case Step::put_back:
      return on_done_(Outcome::alive);
  }
}

void Forgetting::ask_about() {
  if (older_than_) return ask(Step::history, {"XREVRANGE", stream_, "+", "-", "COUNT", "1"});
  ask(Step::entry_size, {"HSTRLEN", wire::kNodesKey, node_});
}

void Forgetting::ask_lease() {
  ask(Step::known_lease, {"GETRANGE", lease_key_, "0", wire::kLeaseEnd});
}

void Forgetting::remove() {
  ask(Step::removal, {"HDEL", wire::kNodesKey, node_});
}

// A user that may not ask for a size still reads.
bool Forgetting::may_be_refused(Step step) {
  return step == Step::known_mark_size || step == Step::entry_size ||
         (step >= Step::stroke && step <= Step::lost_health);
}

bool Forgetting::has_form(Step step, redis::Reply reply) {
  switch (step) {
    case Step::health:
    case Step::again:
      return redis::read_type(reply).has_value();
    case Step::history:
      return redis::is_entries(reply);
    case Step::known_mark:
    case Step::known_lease:
    case Step::entry:
      return redis::read_value(reply).has_value();
    default:
      return redis::read_count(reply).has_value();
  }
}

// --- now and then --------------------------------------------------------------------------------

NodePruner::NodePruner(uv::Loop& loop, const Log& log, redis::Reader& reader,
                       const redis::Link& link)
    : loop_(loop),
      log_(log),
      reader_(reader),
      link_(link),
      random_(Random::from_system()),
      timer_(loop, Delegate<void()>::to<&NodePruner::on_due>(this)),
      step_(loop, Delegate<void()>::to<&NodePruner::next>(this)) {}

void NodePruner::set_age(Duration age) {
  if (age == age_) return;
  age_ = age;
  stop();
  arm();
}

void NodePruner::stop() {
  timer_.stop();
  step_.stop();
  reader_.cancel(std::exchange(question_, 0));
  forgetting_.reset();
  names_.clear();
}

// Waits between half of the period and one and a half periods.
void NodePruner::arm() {
  if (age_ <= Duration::zero()) return;
  const Duration period = std::clamp(age_ / kLooksInAnAge, kLeastPeriod, kMostPeriod);
  timer_.start(period / 2 + Duration(random_.below(static_cast<uint64_t>(period.count()))));
}

void NodePruner::on_due() {
  arm();
  if (question_ != 0 || forgetting_ || !names_.empty() ||
      link_.status().state < redis::LinkState::replaying)
    return;
  const std::string cursor = std::to_string(cursor_);
  const std::string_view command[] = {"HSCAN", wire::kNodesKey, cursor, "COUNT", kPage};
  question_ = reader_.ask(
      command, Delegate<void(const redis::ReaderAnswer&)>::to<&NodePruner::on_page>(this));
}

void NodePruner::on_page(const redis::ReaderAnswer& answer) {
  question_ = 0;
  const auto page = redis::read_scan_page(answer.reply);
  cursor_ = page ? page->cursor : 0;
  for (size_t i = 0; page && i + 1 < page->elements.size() && names_.size() < kMaxNames; i += 2) {
    if (is_name(page->text(i))) names_.emplace_back(page->text(i));
  }
  next();
}

void NodePruner::next() {
  forgetting_.reset();
  if (names_.empty()) return std::vector<std::string>().swap(names_);
  const std::string name = std::move(names_.back());
  names_.pop_back();
  const WallTime now = loop_.clock().wall_now();
  forgetting_ = std::make_unique<Forgetting>(
      reader_, name, now - std::chrono::duration_cast<WallTime::duration>(age_),
      Delegate<void(Forgetting::Outcome)>::to<&NodePruner::on_forgotten>(this));
  forgetting_->start();
}

void NodePruner::on_forgotten(Forgetting::Outcome outcome) {
  if (outcome == Forgetting::Outcome::forgotten) {
    log_.notice(
        "node '%s' is no longer listed: it has not beaten for longer than "
        "heartbeat.forget_after",
        forgetting_->node().c_str());
  }
  if (outcome >= Forgetting::Outcome::refused) {
    names_.clear();
  }
  // Not from here: the object that has just answered is still on the stack.
  step_.start(Duration::zero());
}

}  // namespace nb::node
