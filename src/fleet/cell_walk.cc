#include "fleet/cell_walk.h"

#include <algorithm>
#include <utility>

#include "base/name.h"
#include "base/timestamp.h"
#include "json/guard.h"
#include "json/view.h"
#include "wire/keys.h"
#include "wire/lease.h"

namespace nb::fleet {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr Duration kMaxTime = std::chrono::seconds(4);
constexpr std::string_view kPage = "500";
// For HSCAN: a server whose cursor never becomes 0 is not asked for ever.
constexpr int kMaxPages = 100;
constexpr size_t kMaxSessionName = 256;

bool is_executing(std::string_view progress) {
  return is_health(progress) && json::View::of(progress)["is_executing"].boolean().value_or(false);
}

}  // namespace

bool is_health(std::string_view json) {
  json::Guard guard;
  // Three levels are around it in a status.
  return guard.check(json, {CellWalk::kMaxHealth, 61}).reason == nullptr &&
         json::View::of(json).type() == json::View::Type::object;
}

CellWalk::CellWalk(uv::Loop& loop, redis::Reader& reader, Discovery& discovery,
                   std::string_view own_node, std::string_view from, Delegate<void()> on_done)
    : loop_(loop),
      reader_(reader),
      discovery_(discovery),
      from_(from),
      on_done_(on_done),
      began_(loop.now()),
      next_node_(cell_.nodes.end()) {
  if (!own_node.empty()) cell_.nodes[std::string(own_node)].own = true;
  for (Lane& lane : lanes_) lane.walk = this;
}

CellWalk::~CellWalk() {
  cancel();
}

void CellWalk::cancel() {
  if (std::exchange(discovering_, false)) discovery_.cancel();
  reader_.cancel(std::exchange(question_, 0));
  for (Lane& lane : lanes_) reader_.cancel(std::exchange(lane.question, 0));
}

void CellWalk::start(bool redis_is_there) {
  began_ = loop_.now();
  if (!redis_is_there) return finish(false);
  if (!discovery_.is_due()) return after_discovery();
  discovering_ = true;
  discovery_.run(Delegate<void()>::to<&CellWalk::after_discovery>(this));
}

void CellWalk::after_discovery() {
  discovering_ = false;
  if (discovery_.is_malformed()) return finish(false);
  const std::string_view command[] = {"HLEN", wire::kNodesKey};
  question_ = reader_.ask(command,
                          Delegate<void(const redis::ReaderAnswer&)>::to<&CellWalk::on_page>(this));
  if (question_ == 0) finish(false);
}

void CellWalk::ask_page(std::string_view key) {
  const std::string cursor = std::to_string(cursor_);
  const std::string_view command[] = {"HSCAN", key, cursor, "COUNT", kPage};
  question_ = reader_.ask(command,
                          Delegate<void(const redis::ReaderAnswer&)>::to<&CellWalk::on_page>(this));
  if (question_ == 0) finish(false);
}

void CellWalk::on_page(const redis::ReaderAnswer& answer) {
  question_ = 0;
  if (!answer.reply && !answer.limit) return finish(false);
  // Nodes that an ACL hides are left out, and the rest is shown. A reply of another form than the
  // command has ends the walk: the server is no Redis.
  const bool is_to_be_read = answer.reply && !answer.reply.is_error();
  if (step_ == Step::size) {
    const auto count = redis::read_count(answer.reply);
    if (!count && is_to_be_read) return finish(false);
    known_ = count.value_or(0);
    step_ = Step::nodes;
    return ask_page(wire::kNodesKey);
  }
  const auto page = redis::read_scan_page(answer.reply);
  if (is_to_be_read && (!page || page->elements.size() % 2 != 0)) return finish(false);
  for (size_t i = 0; page && i + 1 < page->elements.size(); i += 2) {
    if (step_ == Step::nodes) {
      add_node(page->text(i), true);
    } else if (step_ == Step::marks) {
      if (cell_.nodes.contains(page->text(i))) {
        marks_.insert_or_assign(std::string(page->text(i)), digest_of(page->text(i + 1)));
      }
    } else if (running_.size() < kMaxNodes && is_name(page->text(i)) &&
               page->text(i + 1).size() <= kMaxSessionName && !page->text(i + 1).empty()) {
      running_.insert_or_assign(std::string(page->text(i)), std::string(page->text(i + 1)));
    }
  }
  cursor_ = page ? page->cursor : 0;
  const bool full = step_ == Step::nodes      ? cell_.nodes.size() >= kMaxNodes
                    : step_ == Step::sessions ? running_.size() >= kMaxNodes
                                              : false;
  const bool more = cursor_ != 0 && ++pages_ < kMaxPages && !full;
  if (more) return ask_page(page_key());
  cursor_ = 0;
  pages_ = 0;
  if (step_ == Step::nodes) {
    const auto registered = std::count_if(cell_.nodes.begin(), cell_.nodes.end(),
                                          [](const auto& item) { return item.second.registered; });
    // Our own may not be in it yet. A page beyond a limit of the reader ends the list.
    if (full || more || answer.limit)
      cell_.nodes_left_out = known_ - std::min<uint64_t>(known_, registered);
    discovery_.for_each_node([&](std::string_view name) { add_node(name, false); });
  }
  if (step_ < Step::sessions) {
    step_ = step_ == Step::nodes ? Step::marks : Step::sessions;
    return ask_page(page_key());
  }
  choose_sessions();
  begin_lanes();
}

std::string_view CellWalk::page_key() const {
  return step_ == Step::nodes   ? wire::kNodesKey
         : step_ == Step::marks ? wire::kDeadKey
                                : wire::kStrokesKey;
}

void CellWalk::add_node(std::string_view name, bool registered) {
  if (cell_.nodes.size() >= kMaxNodes || !is_name(name)) return;
  KnownNode& node = cell_.nodes[std::string(name)];
  node.registered = node.registered || registered;
}

// The latest session of each node: as the agents report them, and as found of other programs.
void CellWalk::choose_sessions() {
  discovery_.for_each_session([&](std::string_view name) {
    const auto found = redis::read_session_name(name);
    const auto said = found ? running_.find(found->node) : running_.end();
    if (said == running_.end()) {
      sessions_.emplace_back(name);
      return;
    }
    const auto other = redis::read_session_name(said->second);
    if (!other || std::pair(other->seconds, other->microseconds) <
                      std::pair(found->seconds, found->microseconds)) {
      said->second = name;
    }
  });
  for (auto& [node, session] : running_) sessions_.push_back(std::move(session));
  std::sort(sessions_.begin(), sessions_.end());
  sessions_.erase(std::unique(sessions_.begin(), sessions_.end()), sessions_.end());
  running_.clear();
}

void CellWalk::begin_lanes() {
  step_ = Step::lanes;
  next_node_ = cell_.nodes.begin();
  lanes_busy_ = 1;  // this
  for (Lane& lane : lanes_) {
    ++lanes_busy_;
    if (!next_in_lane(lane)) return;
  }
  if (--lanes_busy_ == 0) finish(true);
}

// False: the walk is over, and nothing may be touched.
bool CellWalk::next_in_lane(Lane& lane) {
  const bool late = loop_.now() - began_ > kMaxTime;
  if (!late && next_node_ != cell_.nodes.end()) {
    lane.name = next_node_->first;
    lane.node = &next_node_->second;
    ++next_node_;
    if (lane.node->own) return next_in_lane(lane);
    const std::string key = wire::lease_key(lane.name);
    const std::string_view command[] = {"GETRANGE", key, "0", wire::kLeaseEnd};
    lane.node->asked = loop_.now();
    return ask_in_lane(lane, Lane::Asked::lease, command);
  }
  if (!late && !sessions_.empty()) {
    lane.name = std::move(sessions_.back());
    sessions_.pop_back();
    lane.node = nullptr;
    const std::string key = wire::stroke_progress_key(lane.name);
    const std::string_view command[] = {"HSTRLEN", key, "progress"};
    return ask_in_lane(lane, Lane::Asked::progress_size, command);
  }
  lane.asked = Lane::Asked::nothing;
  if (--lanes_busy_ > 0) return true;
  finish(true);
  return false;
}

bool CellWalk::ask_in_lane(Lane& lane, Lane::Asked asked,
                           std::span<const std::string_view> command) {
  lane.asked = asked;
  lane.question =
      reader_.ask(command, Delegate<void(const redis::ReaderAnswer&)>::to<&Lane::on_answer>(&lane));
  if (lane.question != 0) return true;
  finish(false);
  return false;
}

bool CellWalk::ask_history(Lane& lane) {
  const std::string stream = wire::node_metrics_stream(lane.name);
  const std::string_view command[] = {"XREVRANGE", stream, "+", "-", "COUNT", "1"};
  return ask_in_lane(lane, Lane::Asked::history, command);
}

void CellWalk::on_lane(Lane& lane, const redis::ReaderAnswer& answer) {
  using Asked = Lane::Asked;
  lane.question = 0;
  if (!answer.reply && !answer.limit) return finish(false);
  const redis::Reply reply = answer.reply;
  if (reply && !reply.is_error() && !has_form(lane.asked, reply)) return finish(false);
  if (lane.node != nullptr) lane.node->answered = loop_.now();
  switch (lane.asked) {
    case Asked::lease: {
      const auto mark = marks_.find(lane.name);
      // To a user that may not read it a node has no lease.
      take_lease(*lane.node, reply.text(), mark == marks_.end() ? 0 : mark->second);
      const std::string key = wire::node_health_key(lane.name);
      const std::string_view command[] = {"HSTRLEN", key, "health"};
      return (void)ask_in_lane(lane, Asked::size, command);
    }
    case Asked::size: {
      const auto size = redis::read_count(reply);
      // If the size may not be asked for, the value is read all the same.
      if (!size || (*size > 0 && *size <= kMaxHealth)) {
        const std::string key = wire::node_health_key(lane.name);
        const std::string_view command[] = {"HGET", key, "health"};
        return (void)ask_in_lane(lane, Asked::health, command);
      }
      lane.node->too_long = *size > kMaxHealth;
      if (lane.node->too_long || lane.node->registered) return (void)ask_history(lane);
      // The node may have gone since it was found; or its health is there, and empty.
      const std::string key = wire::node_health_key(lane.name);
      const std::string_view command[] = {"TYPE", key};
      return (void)ask_in_lane(lane, Asked::type, command);
    }
    case Asked::type:
      if (reply.text() != "none"sv) return (void)ask_history(lane);
      lane.node->gone = true;
      break;
    case Asked::health:
      if (!on_health(lane, reply.text())) return (void)ask_history(lane);
      break;
    case Asked::history:
      if (const auto seen = redis::read_newest_entry(reply)) {
        lane.node->last_seen = format_timestamp(*seen);
      }
      break;
    case Asked::progress_size: {
      const auto size = redis::read_count(reply);
      if (size && (*size == 0 || *size > kMaxHealth)) break;
      const std::string key = wire::stroke_progress_key(lane.name);
      const std::string_view command[] = {"HGET", key, "progress"};
      return (void)ask_in_lane(lane, Asked::progress, command);
    }
    case Asked::progress:
      cell_.active_sessions += is_executing(reply.text());
      break;
    case Asked::nothing:
      break;
  }
  if (lane.node != nullptr) lane.node->looked_at = true;
  (void)next_in_lane(lane);
}

bool CellWalk::has_form(Lane::Asked asked, redis::Reply reply) {
  using Asked = Lane::Asked;
  switch (asked) {
    case Asked::size:
    case Asked::progress_size:
      return redis::read_count(reply).has_value();
    case Asked::type:
      return redis::read_type(reply).has_value();
    case Asked::lease:
    case Asked::health:
    case Asked::progress:
      return redis::read_value(reply).has_value();
    case Asked::history:
      return redis::is_entries(reply);
    case Asked::nothing:
      break;
  }
  return true;
}

// False: it has none.
bool CellWalk::on_health(Lane& lane, std::string_view text) {
  KnownNode& node = *lane.node;
  if (!take_health(node, text)) return false;
  if (lane.name <= from_ || kept_bytes_ + node.health.size() > kMaxKeptBytes) {
    node.left_out = true;
    std::string().swap(node.health);
    return true;
  }
  kept_bytes_ += node.health.size();
  node.health.shrink_to_fit();
  return true;
}

void CellWalk::finish(bool connected) {
  if (std::exchange(done_, true)) return;
  cancel();
  cell_.connected = connected;
  // Nothing is known of a node that was not asked for, except of this agent's own.
  std::erase_if(cell_.nodes, [&](const auto& item) {
    const KnownNode& node = item.second;
    const bool known = node.own || (node.looked_at && !node.gone);
    if (!known && connected && !node.gone) ++cell_.nodes_left_out;
    return !known;
  });
  on_done_();
}

}  // namespace nb::fleet
