#include "fleet/fleet.h"

#include <algorithm>
#include <utility>

#include "base/timestamp.h"
#include "json/view.h"
#include "json/writer.h"

namespace nb::fleet {
namespace {

// All members of a page but the nodes.
constexpr size_t kAroundNodes = 384;
constexpr int kPagesATurn = 8;
// After a walk the fleet rests so many times as long as the walk took, so that clients that ask
// without a pause take a fifth of the agent and of Redis; but not so long that a person would
// notice.
constexpr int kRests = 4;
constexpr Duration kMaxRest = std::chrono::milliseconds(500);

}  // namespace

Fleet::Fleet(uv::Loop& loop, redis::Reader& reader, std::string_view own_node, const Wiring& wiring)
    : loop_(loop),
      reader_(reader),
      own_node_(own_node),
      wiring_(wiring),
      discovery_(loop, reader),
      soon_(loop, Delegate<void()>::to<&Fleet::on_turn>(this)),
      rest_(loop, Delegate<void()>::to<&Fleet::begin_soon>(this)) {}

void Fleet::ask(Wish wish) {
  waiting_.push_back(std::move(wish));
  begin_soon();
}

void Fleet::on_client_closed(uint64_t client) {
  const auto is_gone = [&](const Wish& wish) { return wish.client == client; };
  std::erase_if(waiting_, is_gone);
  if (std::erase_if(served_, is_gone) == 0 || !served_.empty()) return;
  walk_.reset();
  done_ = false;
  begin_soon();
}

void Fleet::stop() {
  waiting_.clear();
  served_.clear();
  walk_.reset();
  done_ = false;
  rest_.stop();
  soon_.cancel();
}

// Not at once: all questions of one turn share the walk.
void Fleet::begin_soon() {
  if (!walk_ && !waiting_.empty()) soon_.request();
}

void Fleet::on_turn() {
  if (!walk_) return begin();
  if (!done_) return;
  // Not all in one turn: a page is some 50 us of work, and there may be two hundred of them.
  for (int i = 0; i < kPagesATurn && !served_.empty(); ++i) {
    const Wish wish = std::move(served_.back());
    served_.pop_back();
    wiring_.answer(wish.token, page(walk_->cell(), wish));
  }
  if (!served_.empty()) return soon_.request();
  done_ = false;
  const MonoTime now = loop_.now();
  rest_until_ = now + std::min(kRests * (now - walk_->began()), kMaxRest);
  walk_.reset();
  begin();
}

void Fleet::begin() {
  if (waiting_.empty()) return;
  const MonoTime now = loop_.now();
  if (now < rest_until_) return rest_.start(rest_until_ - now);
  // A client that does not read its pages waits until it does.
  std::vector<Wish> left;
  for (Wish& wish : waiting_) {
    const auto pages = std::count_if(served_.begin(), served_.end(), [&](const Wish& other) {
      return other.client == wish.client;
    });
    const bool room = wiring_.has_room(wish.client, static_cast<size_t>(pages));
    (room ? served_ : left).push_back(std::move(wish));
  }
  waiting_ = std::move(left);
  if (served_.empty()) return rest_.start(pause_.next());
  pause_.reset();
  // Of the healths, those are kept that a page may show.
  std::string from = served_.front().from;
  for (const Wish& wish : served_) from = std::min(from, wish.from);
  walk_ = std::make_unique<CellWalk>(loop_, reader_, discovery_, own_node_, wiring_.own_health(),
                                     from, Delegate<void()>::to<&Fleet::on_walk_done>(this));
  walk_->start(wiring_.redis_is_there());
}

// The walk is still on the stack.
void Fleet::on_walk_done() {
  done_ = true;
  soon_.request();
}

std::string Fleet::page(const Cell& cell, const Wish& wish) const {
  const size_t room = wiring_.page_bytes(wish.client) - kAroundNodes;
  std::string healths;
  std::string seen;
  json::Writer health_json(healths);
  json::Writer seen_json(seen);
  health_json.begin_object();
  seen_json.begin_object();
  std::string_view last;
  bool complete = true;
  size_t count = 0;
  for (auto at = cell.nodes.upper_bound(wish.from); at != cell.nodes.end(); ++at) {
    const auto& [name, node] = *at;
    // "name":null,"name":"2026-11-20T14:03:07.123456", with what an escape adds to a text.
    const size_t size = 2 * name.size() + node.health.size() + 6 * node.last_seen.size() + 20;
    if (count == wish.limit || node.left_out || healths.size() + seen.size() + size > room) {
      complete = false;
      break;
    }
    ++count;
    last = name;
    health_json.key(name);
    node.health.empty() ? health_json.null() : health_json.raw(node.health);
    seen_json.key(name);
    node.last_seen.empty() ? seen_json.null() : seen_json.string(node.last_seen);
  }
  health_json.end_object();
  seen_json.end_object();
  std::string out;
  json::Writer json(out);
  json.begin_object().key("redis_connected").boolean(cell.connected);
  json.key("active_stroke_sessions").integer(cell.active_sessions);
  json.key("nodes_online").integer(cell.online);
  json.key("total_nodes").integer(static_cast<int64_t>(cell.nodes.size() + cell.nodes_left_out));
  json.key("nodes_health").raw(healths).key("nodes_last_seen").raw(seen);
  json.key("timestamp").string(format_timestamp(loop_.clock().wall_now()));
  json.key("cursor");
  // If no node had room on this page, the walk of the next call keeps more healths.
  complete ? json.null() : json.string(count > 0 ? last : std::string_view(wish.from));
  json.key("nodes_left_out").integer(static_cast<int64_t>(cell.nodes_left_out)).end_object();
  return out;
}

}  // namespace nb::fleet
