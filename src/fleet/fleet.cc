#include "fleet/fleet.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "base/timestamp.h"
#include "json/view.h"
#include "json/writer.h"
#include "wire/keys.h"

namespace nb::fleet {
namespace {

// All members of a page but the nodes.
constexpr size_t kAroundNodes = 384;
// The size of a node on a page besides its name, its health and texts of its own.
constexpr size_t kAroundNode = 160;
constexpr int kPagesATurn = 8;
// After a walk the fleet rests this many times as long as the walk took, so that clients that ask
// without a pause take a fifth of the agent and of Redis; but not so long that a person would
// notice. The fleet also rests after pages.
constexpr int kRests = 4;
constexpr Duration kMaxRest = std::chrono::milliseconds(500);

// The view of a thousand nodes is some megabytes in small pieces. Pieces between others are not
// given back by themselves. In a program with a large heap of its own that would take long.
void give_memory_back() {
#ifdef __GLIBC__
  constexpr size_t kSmallHeap = 64 << 20;
  if (::mallinfo2().arena < kSmallHeap) ::malloc_trim(0);
#endif
}

}  // namespace

Fleet::Fleet(uv::Loop& loop, redis::Reader& reader, std::string_view own_node, const Wiring& wiring)
    : loop_(loop),
      reader_(reader),
      own_node_(own_node),
      wiring_(wiring),
      discovery_(loop, reader),
      soon_(loop, Delegate<void()>::to<&Fleet::on_turn>(this)),
      rest_(loop, Delegate<void()>::to<&Fleet::begin_soon>(this)),
      idle_(loop, Delegate<void()>::to<&Fleet::on_idle>(this)) {
  own_.own = true;
  own_.state = NodeState::up;
  own_.source = NodeSource::own;
  own_.since = loop.clock().wall_now();
}

void Fleet::ask(Wish wish) {
  waiting_.push_back(std::move(wish));
  begin_soon();
}

void Fleet::on_client_closed(uint64_t client) {
  const auto is_gone = [&](const Wish& wish) { return wish.client == client; };
  std::erase_if(waiting_, is_gone);
  std::erase_if(ready_, is_gone);
  if (std::erase_if(walking_, is_gone) == 0 || !walking_.empty()) return;
  walk_.reset();
  done_ = false;
  begin_soon();
}

void Fleet::stop() {
  waiting_.clear();
  walking_.clear();
  ready_.clear();
  walk_.reset();
  view_.reset();
  to_note_.clear();
  reader_.cancel(std::exchange(noting_, 0));
  done_ = false;
  rest_.stop();
  idle_.stop();
  soon_.cancel();
}

// Not at once: all questions of one turn share the walk.
void Fleet::begin_soon() {
  if (!waiting_.empty()) soon_.request();
}

void Fleet::on_turn() {
  if (walk_ && done_) adopt();
  if (!ready_.empty()) {
    // Not all in one turn: a page is some 50 us of work, and there may be two hundred of them.
    for (int i = 0; i < kPagesATurn && !ready_.empty(); ++i) {
      const Wish wish = std::move(ready_.back());
      ready_.pop_back();
      wiring_.answer(wish.token, page(wish));
    }
    if (!ready_.empty()) return soon_.request();
    const MonoTime now = loop_.now();
    no_page_before_ = now + std::min(kRests * (now - serving_), kMaxRest);
  }
  begin();
}

// A question that may be answered from the view is; the others wait for a walk.
void Fleet::begin() {
  if (waiting_.empty()) return;
  const MonoTime now = asked_ = loop_.now();
  if (!idle_.active()) idle_.start(kIdle);
  if (now < no_page_before_) return rest_.start(no_page_before_ - now);
  std::vector<Wish> left;
  std::vector<Wish> for_walk;
  for (Wish& wish : waiting_) {
    const auto is_ours = [&](const Wish& other) { return other.client == wish.client; };
    const auto pages = std::count_if(ready_.begin(), ready_.end(), is_ours) +
                       std::count_if(for_walk.begin(), for_walk.end(), is_ours) +
                       std::count_if(walking_.begin(), walking_.end(), is_ours);
    // A client that does not read its pages waits until it does.
    const bool room = wiring_.has_room(wish.client, static_cast<size_t>(pages));
    const bool at_once = room && can_answer(wish, now);
    (at_once ? ready_ : room ? for_walk : left).push_back(std::move(wish));
  }
  waiting_ = std::move(left);
  if (!ready_.empty()) {
    serving_ = now;
    soon_.request();
  }
  if (!for_walk.empty() && !walk_ && now >= no_walk_before_) {
    // Of the healths, those are kept that a page may show.
    std::string from = for_walk.front().from;
    for (const Wish& wish : for_walk) from = std::min(from, wish.from);
    walking_ = std::move(for_walk);
    return walk(from);
  }
  const bool crowded = !waiting_.empty() && ready_.empty() && for_walk.empty() && !walk_;
  waiting_.insert(waiting_.end(), std::make_move_iterator(for_walk.begin()),
                  std::make_move_iterator(for_walk.end()));
  if (waiting_.empty()) return;
  if (crowded) return rest_.start(pause_.next());
  pause_.reset();
  if (!walk_ && now < no_walk_before_) rest_.start(no_walk_before_ - now);
}

bool Fleet::can_answer(const Wish& wish, MonoTime now) const {
  if (!view_ || walked_ == MonoTime::min()) return false;
  if (!wiring_.redis_is_there()) return true;
  if (!view_->connected || now - walked_ >= kFresh) return false;
  // Of the first node of the page the health is kept.
  const auto first = view_->nodes.upper_bound(wish.from);
  return first == view_->nodes.end() || !first->second.left_out;
}

void Fleet::walk(const std::string& from) {
  pause_.reset();
  // Its healths will not be shown any more: two views at a time would take twice the memory.
  if (view_) {
    for (auto& [name, node] : view_->nodes) std::string().swap(node.health);
    kept_bytes_ = 0;
    walked_ = MonoTime::min();
  }
  walk_server_ = server();
  walk_ = std::make_unique<CellWalk>(loop_, reader_, discovery_, own_node_, from,
                                     Delegate<void()>::to<&Fleet::on_walk_done>(this));
  walk_->start(wiring_.redis_is_there());
}

// The walk is still on the stack.
void Fleet::on_walk_done() {
  done_ = true;
  soon_.request();
}

// The result of the walk becomes the view, judged by the previous view.
void Fleet::adopt() {
  const MonoTime now = loop_.now();
  Cell& found = walk_->cell();
  if (found.connected) {
    const Circumstances circumstances = now_here();
    kept_bytes_ = 0;
    to_note_.clear();
    for (auto& [name, node] : found.nodes) {
      if (node.own) continue;
      node.server = walk_server_;
      kept_bytes_ += node.health.size();
      const auto known = view_ ? view_->nodes.find(name) : found.nodes.end();
      const bool has_before = view_ && known != view_->nodes.end();
      judge(node, has_before ? &known->second : nullptr, circumstances);
      // If a list was not read to its end, its contents are not known.
      if (found.nodes_left_out == 0 && is_to_be_noted(node)) to_note_.push_back(name);
    }
    note_next();
    view_ = std::make_unique<Cell>(std::move(found));
    read_wall_ = circumstances.wall;
  } else if (view_) {
    view_->connected = false;
    if (!own_node_.empty()) view_->nodes[own_node_].own = true;
  } else {
    view_ = std::make_unique<Cell>(std::move(found));
  }
  walked_ = now;
  no_walk_before_ = now + std::min(kRests * (now - walk_->began()), kMaxRest);
  if (ready_.empty()) serving_ = now;
  ready_.insert(ready_.end(), std::make_move_iterator(walking_.begin()),
                std::make_move_iterator(walking_.end()));
  walking_.clear();
  walk_.reset();
  done_ = false;
}

// Not a node that is marked as down: somebody may just be forgetting it.
bool Fleet::is_to_be_noted(const KnownNode& node) const {
  return !own_node_.empty() && !node.registered && node.has_health() && node.reachable &&
         refused_by_ != server();
}

void Fleet::note_next() {
  if (noting_ != 0 || to_note_.empty()) return;
  const std::string_view command[] = {"HSETNX", wire::kNodesKey, to_note_.back(), "{}"};
  noting_ =
      reader_.ask(command, Delegate<void(const redis::ReaderAnswer&)>::to<&Fleet::on_noted>(this));
  noting_ != 0 ? to_note_.pop_back() : to_note_.clear();
}

// A node that could not be noted is seen again by the next walk. A user that may not write the list
// is not refused again and again: the server keeps a log of refusals.
void Fleet::on_noted(const redis::ReaderAnswer& answer) {
  noting_ = 0;
  if (answer.reply.error().starts_with("NOPERM")) refused_by_ = server();
  if (!answer.reply || answer.reply.is_error()) to_note_.clear();
  note_next();
}

void Fleet::on_idle() {
  const MonoTime now = loop_.now();
  const Duration left = asked_ + kIdle - now;
  if (left > Duration::zero() || walk_ || !ready_.empty()) {
    return idle_.start(std::max(left, Duration(std::chrono::seconds(1))));
  }
  view_.reset();
  learned_ = {};
  kept_bytes_ = 0;
  walked_ = MonoTime::min();
  give_memory_back();
}

Circumstances Fleet::now_here() const {
  return {wiring_.is_watched(), loop_.clock().wall_now()};
}

const KnownNode& Fleet::own() {
  const auto beat = last_beat(wiring_.own_health());
  own_.has_changed = beat.has_value();
  if (beat) own_.changed = loop_.now() - (loop_.clock().wall_now() - *beat);
  return own_;
}

std::optional<WallTime> Fleet::lost_since() const {
  const bool lost = !wiring_.redis_is_there() || (walked_ != MonoTime::min() && !view_->connected);
  return lost ? std::optional(read_wall_) : std::nullopt;
}

const KnownNode* Fleet::find(std::string_view node) {
  if (!view_) return nullptr;
  const MonoTime now = asked_ = loop_.now();
  const auto at = view_->nodes.find(node);
  if (at == view_->nodes.end() || at->second.own) return nullptr;
  if (!wiring_.redis_is_there()) return &at->second;
  const KnownNode& known = at->second;
  const bool is_whole = !known.too_long && known.has_health() == !known.health.empty();
  return is_whole && now - known.answered < kFresh ? &known : nullptr;
}

const KnownNode& Fleet::learn(std::string_view node, KnownNode&& read) {
  if (!view_) view_ = std::make_unique<Cell>();
  asked_ = loop_.now();
  if (!idle_.active()) idle_.start(kIdle);
  if (walked_ == MonoTime::min()) read_wall_ = loop_.clock().wall_now();
  const auto at = view_->nodes.find(node);
  const bool has_before = at != view_->nodes.end() && at->second.answered != MonoTime::min();
  judge(read, has_before ? &at->second : nullptr, now_here());
  read.registered = has_before && at->second.registered;
  if (is_to_be_noted(read)) {
    to_note_.emplace_back(node);
    read.registered = true;
    note_next();
  }
  learned_ = std::move(read);
  if (at == view_->nodes.end() && view_->nodes.size() >= CellWalk::kMaxNodes) return learned_;
  KnownNode& known = view_->nodes[std::string(node)];
  kept_bytes_ -= known.health.size();
  known = learned_;
  if (kept_bytes_ + known.health.size() > CellWalk::kMaxKeptBytes) {
    known.left_out = true;
    std::string().swap(known.health);
  }
  kept_bytes_ += known.health.size();
  return learned_;
}

void Fleet::forget(std::string_view node) {
  if (!view_) return;
  const auto at = view_->nodes.find(node);
  if (at == view_->nodes.end()) return;
  kept_bytes_ -= at->second.health.size();
  view_->nodes.erase(at);
}

std::string Fleet::page(const Wish& wish) {
  const size_t room = wiring_.page_bytes(wish.client) - kAroundNodes;
  const MonoTime now = loop_.now();
  const WallTime wall = loop_.clock().wall_now();
  const auto lost = lost_since();
  const std::string_view own_health = wiring_.own_health();
  std::string healths;
  std::string seen;
  std::string standings;
  json::Writer health_json(healths);
  json::Writer seen_json(seen);
  json::Writer standing_json(standings);
  health_json.begin_object();
  seen_json.begin_object();
  standing_json.begin_object();
  std::string_view last;
  bool complete = true;
  size_t count = 0;
  for (auto at = view_->nodes.upper_bound(wish.from); at != view_->nodes.end(); ++at) {
    const auto& [name, node] = *at;
    const std::string_view health = node.own ? own_health : std::string_view(node.health);
    // The size of a text with its escapes.
    const size_t size = 3 * name.size() + health.size() + 6 * node.last_seen.size() +
                        6 * node.cause.size() + kAroundNode;
    if (count == wish.limit || (node.left_out && !lost) ||
        healths.size() + seen.size() + standings.size() + size > room) {
      complete = false;
      break;
    }
    ++count;
    last = name;
    health_json.key(name);
    health.empty() || (lost && !node.own) ? health_json.null() : health_json.raw(health);
    seen_json.key(name);
    const auto own_beat = node.own ? last_beat(own_health) : std::nullopt;
    const std::string last_seen = own_beat ? format_timestamp(*own_beat) : node.last_seen;
    last_seen.empty() ? seen_json.null() : seen_json.string(last_seen);
    standing_json.key(name).begin_object();
    append_standing(node.own ? own() : node, lost, now, standing_json);
    standing_json.end_object();
  }
  health_json.end_object();
  seen_json.end_object();
  standing_json.end_object();
  const auto online =
      lost ? (own_node_.empty() ? 0 : 1)
           : std::count_if(view_->nodes.begin(), view_->nodes.end(), [](const auto& item) {
               return item.second.own || item.second.counts_as_online();
             });
  std::string out;
  json::Writer json(out);
  json.begin_object().key("redis_connected").boolean(!lost);
  json.key("active_stroke_sessions").integer(lost ? 0 : view_->active_sessions);
  json.key("nodes_online").integer(online);
  json.key("total_nodes")
      .integer(static_cast<int64_t>(view_->nodes.size() + view_->nodes_left_out));
  json.key("nodes_health").raw(healths).key("nodes_last_seen").raw(seen);
  json.key("nodes").raw(standings);
  json.key("timestamp").string(format_timestamp(wall)).key("cursor");
  // If no node had room on this page, the walk of the next call keeps more healths.
  complete ? json.null() : json.string(count > 0 ? last : std::string_view(wish.from));
  json.key("nodes_left_out").integer(static_cast<int64_t>(view_->nodes_left_out)).end_object();
  return out;
}

}  // namespace nb::fleet
