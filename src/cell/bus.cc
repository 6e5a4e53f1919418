#include "cell/bus.h"

#include "base/text.h"
#include "wire/bus.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

constexpr int64_t kWeekMs = 604'800'000;

constexpr rpc::Param kType{"type", rpc::ParamKind::plain, true, 1, 256};
constexpr rpc::Param kData{"data", rpc::ParamKind::object, true};
constexpr rpc::Param kChannel{"channel", rpc::ParamKind::plain, false, 1, 256};
constexpr rpc::Param kMaxAge{"max_age_ms", rpc::ParamKind::integer, false, 1, kWeekMs};
constexpr rpc::Param kRecord{"record", rpc::ParamKind::boolean};

constexpr auto kPublishParams =
    rpc::takes(kType, kData, kChannel, kMaxAge, kRecord, rpc::kAck, rpc::kAckTimeout);

// Each of the four known kinds has its channel, and each of these channels only that kind.
std::optional<rpc::Error> check_place(const wire::BusKind* kind, std::string_view channel) {
  if (kind != nullptr) {
    if (channel.empty() || channel == kind->channel) return std::nullopt;
    return rpc::invalid_params("channel",
                               "messages of this type go on " + std::string(kind->channel));
  }
  if (channel.empty()) {
    return rpc::invalid_params(
        "channel", "needed for any other type than the known ones: " + wire::bus_types());
  }
  if (!wire::is_bus_channel(channel)) {
    return rpc::invalid_params("channel", "the channels of the bus begin with 'cv:'");
  }
  if (const wire::BusKind* theirs = wire::bus_kind_of_channel(channel)) {
    return rpc::invalid_params("type",
                               "on this channel goes only the type " + std::string(theirs->type));
  }
  return std::nullopt;
}

}  // namespace

constexpr rpc::Method Bus::kMethods[] = {
    rpc::method<&Bus::publish>("bus.publish", kPublishParams, rpc::Right::event,
                               rpc::kWrites | rpc::kInWill),
};

void Bus::publish(rpc::Call& call) {
  std::string of_type, of_channel;
  wire::BusMessage message;
  message.type = *call[kType].string(of_type);
  message.kind = wire::bus_kind_of_type(message.type);
  message.data = call[kData];
  std::string_view channel = call[kChannel].string(of_channel).value_or(""sv);
  if (const auto error = check_place(message.kind, channel)) return call.refuse(*error);
  if (const auto error = wire::check_bus_data(message.kind, message.data)) {
    return call.refuse(*error);
  }
  const bool stops = wire::is_emergency_stop(message.kind, message.data);
  const auto named_age = call[kMaxAge].integer();
  const bool for_now = stops || named_age;
  if (for_now && call[kRecord].boolean().value_or(false)) {
    return call.refuse(rpc::invalid_params(
        "record",
        "a message that may become too old is not recorded: an emergency stop, or one "
        "with max_age_ms"));
  }
  if (call.is_check()) return;

  Publication publication;
  publication.max_age = config_.outbox.max_age;
  if (named_age) publication.max_age = std::chrono::milliseconds(*named_age);
  // Only where the time is Redis' own, or a receiver would compare two clocks that differ.
  const auto time = filter_.clock().now(loop_.now());
  if (for_now && time) {
    message.max_age_ms = std::chrono::ceil<std::chrono::milliseconds>(publication.max_age).count();
  }
  message.timestamp_ms = std::chrono::floor<std::chrono::milliseconds>(
                             time.value_or(loop_.clock().wall_now()).time_since_epoch())
                             .count();
  message.source_instance = filter_.instance();
  message_.clear();
  append_json(message, message_);
  publication.channel = message.kind != nullptr ? message.kind->channel : channel;
  publication.payload = message_;
  if (!for_now && call[kRecord].boolean().value_or(true)) {
    publication.record = Publication::Record::channel;
  }
  call.urgent = call.urgent || stops;
  events_.send(call, publication, nullptr, nullptr,
               for_now ? AnswerKind::for_now : AnswerKind::subscribers);
}

}  // namespace nb::cell
