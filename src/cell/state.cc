#include "cell/state.h"

#include <algorithm>

#include "base/text.h"
#include "cell/state_read.h"
#include "rpc/codec.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"

namespace nb::cell {
namespace {

constexpr int64_t kYearMs = 31'536'000'000;
// About the memory that Redis needs for a key besides the key and its value.
constexpr uint64_t kKeyOverhead = 100;

constexpr rpc::Param kKey{"key", rpc::ParamKind::plain, true, 1, 512};
constexpr rpc::Param kValue{"value", rpc::ParamKind::any, true};
constexpr rpc::Param kTtl{"ttl_ms", rpc::ParamKind::integer, false, 1, kYearMs};
constexpr rpc::Param kPrefix{"prefix", rpc::ParamKind::text, false, 0, 512};
constexpr rpc::Param kLimit{"limit", rpc::ParamKind::integer, false, 1, 1000};
constexpr rpc::Param kCursor{"cursor", rpc::ParamKind::text, false, 1, 64};

constexpr auto kSetParams = rpc::takes(kKey, kValue, kTtl, rpc::kAck, rpc::kAckTimeout);
constexpr auto kGetParams = rpc::takes(kKey);
constexpr auto kDeleteParams = rpc::takes(kKey, rpc::kAck, rpc::kAckTimeout);
constexpr auto kListParams = rpc::takes(kPrefix, kLimit, kCursor);

// The size of a key and its value, as they are written in the call. A value that can be set can
// also be read back: the answer has {"key":,"value":,"source":"agent"} around them.
size_t most_value_bytes(const config::Config& config) {
  constexpr size_t kAroundValue = 34;
  return rpc::result_bytes(std::max<size_t>(config.socket.max_line, rpc::kLineBytes)) -
         kAroundValue;
}

}  // namespace

constexpr rpc::Method State::kMethods[] = {
    rpc::method<&State::set>("state.set", kSetParams, rpc::Right::state,
                             rpc::kWrites | rpc::kInWill),
    rpc::method<&State::get>("state.get", kGetParams, rpc::Right::read, rpc::kReads),
    rpc::method<&State::remove>("state.delete", kDeleteParams, rpc::Right::state,
                                rpc::kWrites | rpc::kInWill),
    rpc::method<&State::list>("state.list", kListParams, rpc::Right::read, rpc::kReads),
};

State::State(Writes& writes, Operations& operations, outbox::Outbox& outbox, StateWatch& watch,
             const config::Config& config)
    : writes_(writes),
      operations_(operations),
      outbox_(outbox),
      watch_(watch),
      db_(config.redis.db_for("health").value()),
      new_bytes_(config.outbox.new_value_bytes_per_hour) {
  reconfigure(config);
}

void State::reconfigure(const config::Config& config) {
  value_bytes_ = most_value_bytes(config);
  new_bytes_.set_limit(config.outbox.new_value_bytes_per_hour);
}

bool State::check_key(rpc::Call& call, std::string_view key) {
  if (!wire::is_reserved_key(key)) return true;
  call.refuse(rpc::refused_key(key,
                               "other programs parse keys beginning with node:, robot:, "
                               "stroke:, stream:, session: and nodebeat:"));
  return false;
}

void State::set(rpc::Call& call) {
  const json::View& given_key = call[kKey];
  const json::View& value = call[kValue];
  const size_t size = given_key.raw().size() + value.raw().size();
  if (size > value_bytes_) {
    return call.refuse(
        rpc::too_large(format("key and value have %zu bytes, of at most %zu: what is longer fits "
                              "into no answer (socket.max_line sets both)",
                              size, value_bytes_),
                       value_bytes_));
  }
  const std::string_view key = *given_key.string(key_);
  if (!check_key(call, key) || call.is_check()) return;
  const outbox::FieldView fields[] = {{"", compacted(value, value_)}};
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.kind = outbox::SlotKind::string;
  slot.fields = fields;
  slot.limited = true;
  slot.shared = true;
  if (const auto ttl = call[kTtl].integer()) slot.ttl = std::chrono::milliseconds(*ttl);
  const uint64_t bytes = new_bytes(key, fields[0].value.size());
  if (bytes > 0 && !new_bytes_.spend(call.who.user, bytes, call.began)) {
    return call.refuse(
        rpc::queue_full("the programs of this user have added as much within an "
                        "hour as [outbox] new_value_bytes_per_hour allows: new "
                        "keys, and values larger than before",
                        static_cast<size_t>(new_bytes_.limit())));
  }
  if (writes_.write(call, &slot, nullptr, nullptr)) return watch_.on_put(key);
  if (bytes > 0) new_bytes_.give_back(call.who.user, bytes);
}

// By how much this value makes Redis larger than ever, as far as the agent knows: a key that the
// agent does not keep counts as new.
uint64_t State::new_bytes(std::string_view key, size_t size) const {
  const auto before = outbox_.find(db_, key);
  if (!before || before->largest == 0) return key.size() + size + kKeyOverhead;
  return size > before->largest ? size - before->largest : 0;
}

void State::get(rpc::Call& call) {
  const std::string_view key = *call[kKey].string(key_);
  const auto slot = outbox_.find(db_, key, call.began);
  if (slot && !slot->stored) {
    if (slot->kind == outbox::SlotKind::remove) {
      return call.refuse(rpc::not_found("there is no such key"));
    }
    const std::string_view wanted = object_field(key);
    for (const outbox::FieldView& field : slot->fields) {
      if (slot->kind == outbox::SlotKind::string || field.name == wanted) {
        return call.answer(get_result(key, field.value, "agent"));
      }
    }
  }
  operations_.begin(call, make_get_operation(key));
}

void State::remove(rpc::Call& call) {
  const std::string_view key = *call[kKey].string(key_);
  if (!check_key(call, key) || call.is_check()) return;
  outbox::SlotUpdate slot;
  slot.db = db_;
  slot.key = key;
  slot.kind = outbox::SlotKind::remove;
  slot.forget = true;
  slot.shared = true;
  slot.limited = true;  // while Redis is away each key that is deleted takes its room
  if (writes_.write(call, &slot, nullptr, nullptr)) watch_.on_put(key);
}

void State::list(rpc::Call& call) {
  std::string scratch;
  const auto cursor = ListCursor::parse(call[kCursor].string(scratch).value_or("0"));
  if (!cursor) {
    return call.refuse(
        rpc::invalid_params("cursor", "expected what an earlier state.list returned"));
  }
  const size_t limit = static_cast<size_t>(call[kLimit].integer().value_or(100));
  operations_.begin(call,
                    make_list_operation(call[kPrefix].string(key_).value_or(""), *cursor, limit));
}

}  // namespace nb::cell
