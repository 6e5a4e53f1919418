#include "cell/look.h"

#include <algorithm>
#include <optional>

#include "base/timestamp.h"
#include "cell/forget.h"
#include "cell/history.h"
#include "cell/inspect.h"
#include "fleet/cell_walk.h"
#include "json/view.h"
#include "json/writer.h"
#include "redis/forms.h"
#include "wire/keys.h"
#include "wire/lease.h"

namespace nb::cell {
namespace {

constexpr auto kMostNodes = static_cast<int64_t>(fleet::Fleet::kMostNodes);

constexpr rpc::Param kNode{"node", rpc::ParamKind::word, false, 1, 64};
constexpr rpc::Param kGoneNode{"node", rpc::ParamKind::word, true, 1, 64};
constexpr rpc::Param kLimit{"limit", rpc::ParamKind::integer, false, 1, kMostNodes};
constexpr rpc::Param kCursor{"cursor", rpc::ParamKind::word, false, 1, 64};

constexpr rpc::Param kRange{"range_ms", rpc::ParamKind::integer, true, 1000, 31 * 86'400'000LL};
constexpr rpc::Param kPoints{"points", rpc::ParamKind::integer, false, 1, 240};
constexpr rpc::Param kFields{"fields", rpc::ParamKind::texts, true, 0, 8};

constexpr auto kHealthParams = rpc::takes(kNode);
constexpr auto kStatusParams = rpc::takes(kLimit, kCursor);
constexpr auto kHistoryParams = rpc::takes(kNode, kRange, kPoints, kFields);
constexpr auto kForgetParams = rpc::takes(kGoneNode);

// {"node_id":...,"health":...,"age_ms":...,"state":...}; `health` is JSON, "null" for none.
std::string health_result(std::string_view name, const fleet::KnownNode& node,
                          std::string_view health, std::optional<WallTime> lost_since,
                          const Clock& clock) {
  std::string out;
  json::Writer json(out);
  json.begin_object().key("node_id").string(name).key("health").raw(health).key("age_ms");
  if (const auto beat = fleet::last_beat(health)) {
    // Two computers' clocks are compared: a beat from the future is a fresh one.
    const auto age = std::chrono::floor<std::chrono::milliseconds>(clock.wall_now() - *beat);
    json.integer(std::max<int64_t>(age.count(), 0));
  } else {
    json.null();
  }
  append_standing(node, lost_since, std::nullopt, json);
  json.end_object();
  return out;
}

std::string_view or_null(std::string_view json) {
  return json.empty() ? std::string_view("null") : json;
}

class HealthOperation final : public Operation {
 public:
  HealthOperation(const Clock& clock, fleet::Fleet& fleet, std::string_view node)
      : clock_(clock), fleet_(fleet), name_(node), key_(wire::node_health_key(node)) {}

 private:
  enum What { kMarkSize, kMark, kLease, kSize, kHealth, kKnown };

  void begin() override {
    node_.server = fleet_.server();
    ask(kMarkSize, {"HSTRLEN", wire::kDeadKey, name_});
  }

  void on_reply(int what, redis::Reply reply) override {
    const bool says_no = reply.is_error();
    node_.answered = clock_.now();
    if (what == kMarkSize) {
      const auto size = redis::read_count(reply);
      if (!size && !says_no) return refuse_as_malformed("HSTRLEN");
      // A text longer than a lease is no mark.
      if (size && (*size == 0 || *size > wire::kLeaseBytes)) return ask_lease();
      return ask(kMark, {"HGET", wire::kDeadKey, name_});
    }
    if (what == kMark || what == kLease) {
      const auto value = redis::read_value(reply);
      if (!value && !says_no) return refuse_as_malformed(what == kMark ? "HGET" : "GETRANGE");
      // To a user that may not read it a node has no lease.
      const std::string_view text = value.value_or("");
      if (what == kMark) {
        mark_ = text.empty() ? 0 : fleet::digest_of(text);
        return ask_lease();
      }
      take_lease(node_, text, mark_);
      return ask(kSize, {"HSTRLEN", key_, "health"});
    }
    if (what == kSize) {
      // A user that may not ask for the size still reads.
      const auto size = redis::read_count(reply);
      if (!size && !says_no) return refuse_as_malformed("HSTRLEN");
      if (size && *size > fleet::CellWalk::kMaxHealth) {
        return refuse(rpc::too_large("what stands there is too long for a health",
                                     fleet::CellWalk::kMaxHealth));
      }
      return size && *size == 0 ? ask_whether_known() : ask(kHealth, {"HGET", key_, "health"});
    }
    if (says_no) return refuse(rpc::refused_by_redis(reply.text()));
    if (what == kKnown) {
      const auto size = redis::read_count(reply);
      if (!size) return refuse_as_malformed("HSTRLEN");
      if (*size == 0 && node_.lease == 0) {
        return refuse(rpc::not_found("no node '" + name_ + "' was ever seen"));
      }
      return answer_node();
    }
    const auto value = redis::read_value(reply);
    if (!value) return refuse_as_malformed("HGET");
    if (value->empty()) return ask_whether_known();
    take_health(node_, *value);
    answer_node();
  }

  void ask_lease() {
    node_.asked = clock_.now();
    ask(kLease, {"GETRANGE", wire::lease_key(name_), "0", wire::kLeaseEnd});
  }
  void ask_whether_known() { ask(kKnown, {"HSTRLEN", wire::kNodesKey, name_}); }

  void answer_node() {
    const fleet::KnownNode& known = fleet_.learn(name_, std::move(node_));
    answer(health_result(name_, known, or_null(known.health), {}, clock_));
  }

  const Clock& clock_;
  fleet::Fleet& fleet_;
  std::string name_;
  std::string key_;
  uint64_t mark_ = 0;
  fleet::KnownNode node_;
};

}  // namespace

constexpr rpc::Method Look::kMethods[] = {
    rpc::method<&Look::health>("health.get", kHealthParams, rpc::Right::read, rpc::kReads),
    rpc::method<&Look::status>("system.status", kStatusParams, rpc::Right::read, rpc::kReads),
    rpc::method<&Look::history>("node.history", kHistoryParams, rpc::Right::read, rpc::kReads),
    rpc::method<&Look::forget>("node.forget", kForgetParams, rpc::Right::state, rpc::kReads),
    rpc::method<&Look::inspect>("redis.inspect", {}, rpc::Right::read, rpc::kReads),
};

Look::Look(uv::Loop& loop, redis::Reader& reader, rpc::FrontEnd& front, Operations& operations,
           const std::string& own_node, Delegate<std::string_view()> own_health,
           Delegate<bool()> is_watched)
    : clock_(loop.clock()),
      front_(front),
      operations_(operations),
      own_node_(own_node),
      own_health_(own_health),
      fleet_(
          loop, reader, own_node,
          fleet::Fleet::Wiring{
              Delegate<bool()>::to<&Operations::redis_is_there>(&operations),
              Delegate<uint64_t()>::to<&Operations::link_connects>(&operations), is_watched,
              own_health, Delegate<bool(uint64_t, size_t)>::to<&Operations::has_room>(&operations),
              Delegate<size_t(uint64_t)>::to<&Operations::result_bytes>(&operations),
              Delegate<void(uint64_t, std::string_view)>::to<&Look::answer_status>(this)}) {}

void Look::health(rpc::Call& call) {
  std::string scratch;
  const auto node = call[kNode].string(scratch);
  if (!node || *node == own_node_) {
    return call.answer(health_result(own_node_, fleet_.own(), or_null(own_health_()), {}, clock_));
  }
  if (const fleet::KnownNode* known = fleet_.find(*node)) {
    const auto lost = operations_.redis_is_there() ? std::nullopt : fleet_.lost_since();
    const std::string_view health = or_null(lost ? std::string_view() : known->health);
    return call.answer(health_result(*node, *known, health, lost, clock_));
  }
  operations_.begin(call, std::make_unique<HealthOperation>(clock_, fleet_, *node));
}

void Look::status(rpc::Call& call) {
  if (!call.is_wanted()) return;
  fleet::Fleet::Wish wish;
  wish.client = call.who.client;
  wish.limit = static_cast<size_t>(call[kLimit].integer().value_or(kMostNodes));
  std::string scratch;
  wish.from = call[kCursor].string(scratch).value_or("");
  wish.token = call.put_off(Operations::kWeight);
  fleet_.ask(std::move(wish));
}

void Look::history(rpc::Call& call) {
  std::string scratch;
  HistoryWish wish;
  wish.node = call[kNode].string(scratch).value_or(own_node_);
  wish.range_ms = *call[kRange].integer();
  wish.points = call[kPoints].integer().value_or(120);
  for (const json::View field : call[kFields].elements()) {
    wish.fields.emplace_back(*field.string(scratch));
  }
  operations_.begin(call, make_history_operation(std::move(wish)));
}

void Look::forget(rpc::Call& call) {
  std::string scratch;
  const std::string_view node = *call[kGoneNode].string(scratch);
  if (node == own_node_) {
    return call.refuse(rpc::conflict("this is the node that this agent runs on"));
  }
  operations_.begin(
      call, make_forget_operation(
                node, Delegate<void(std::string_view)>::to<&fleet::Fleet::forget>(&fleet_)));
}

void Look::inspect(rpc::Call& call) {
  operations_.begin(call, make_inspect_operation(clock_));
}

}  // namespace nb::cell
