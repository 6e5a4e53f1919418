#include "wire/bus.h"

#include <algorithm>

#include "json/writer.h"
#include "rpc/method.h"

namespace nb::wire {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

using rpc::Param;
using rpc::ParamKind;

constexpr Param kVariable{"variable", ParamKind::plain, true, 1, 256};
constexpr Param kValue{"value", ParamKind::integer, true, -9007199254740991, 9007199254740991};
constexpr Param kUser{"user", ParamKind::plain, true, 1, 256};
constexpr Param kRouting{"routingData", ParamKind::any, true};
constexpr Param kAdmin{"admin", ParamKind::plain, true, 1, 256};
constexpr Param kAction{"action", ParamKind::text, true, 1, 64};
constexpr Param kCommand{"command", ParamKind::plain, true, 1, 256};
constexpr Param kEnabled{"enabled", ParamKind::boolean};
constexpr Param kMessage{"message", ParamKind::text, false, 0, 4096};

constexpr auto kParameterUpdate = rpc::takes(kVariable, kValue, kUser);
constexpr auto kRoutingChange = rpc::takes(kRouting, kAdmin);
constexpr auto kBroadcast = rpc::takes(kAction, kAdmin, kEnabled, kMessage);
constexpr auto kAdminCommand = rpc::takes(kCommand, kAdmin, kEnabled);
constexpr size_t kMostMembers = 4;

constexpr BusKind kKinds[] = {
    {"parameter_update"sv, "cv:parameter:update"sv, kParameterUpdate},
    {"routing_change"sv, "cv:routing:change"sv, kRoutingChange},
    {"system_broadcast"sv, "cv:system:broadcast"sv, kBroadcast},
    {"admin_command"sv, "cv:admin:command"sv, kAdminCommand},
};
constexpr const BusKind* kSystemBroadcast = &kKinds[2];

}  // namespace

const BusKind* bus_kind_of_type(std::string_view type) {
  const auto at = std::find_if(std::begin(kKinds), std::end(kKinds),
                               [&](const BusKind& kind) { return kind.type == type; });
  return at == std::end(kKinds) ? nullptr : at;
}

const BusKind* bus_kind_of_channel(std::string_view channel) {
  const auto at = std::find_if(std::begin(kKinds), std::end(kKinds),
                               [&](const BusKind& kind) { return kind.channel == channel; });
  return at == std::end(kKinds) ? nullptr : at;
}

std::string bus_types() {
  std::string names;
  for (const BusKind& kind : kKinds) names.append(names.empty() ? "" : ", ").append(kind.type);
  return names;
}

bool is_bus_channel(std::string_view channel) {
  return channel.starts_with("cv:"sv);
}

std::optional<rpc::Error> check_bus_data(const BusKind* kind, json::View data) {
  for (const std::string_view own : {kSourceInstance, kBusMaxAge}) {
    if (data[own].exists()) {
      return rpc::invalid_params("data." + std::string(own), "is set by the agent");
    }
  }
  if (kind == nullptr) return std::nullopt;
  json::View values[kMostMembers];
  if (auto error = rpc::check_params(data, kind->members, values)) {
    rpc::add_place(*error, "data.");
    return error;
  }
  if (kind != kSystemBroadcast) return std::nullopt;
  const json::View action = data["action"];
  const bool toggles = action.string_is("overlay_toggle");
  if (!toggles && !action.string_is("clear_all") && !action.string_is("emergency_stop")) {
    return rpc::invalid_params("data.action",
                               "expected clear_all, overlay_toggle or emergency_stop");
  }
  if (toggles && !data["enabled"].exists()) {
    return rpc::invalid_params("data.enabled", "overlay_toggle needs true or false here");
  }
  return std::nullopt;
}

bool is_emergency_stop(const BusKind* kind, json::View data) {
  return kind == kSystemBroadcast && data["action"].string_is("emergency_stop");
}

bool is_emergency_stop(json::View message) {
  return message["type"].string_is(kSystemBroadcast->type) &&
         is_emergency_stop(kSystemBroadcast, message["data"]);
}

void append_json(const BusMessage& message, std::string& out) {
  json::Writer json(out);
  json.begin_object().key("timestamp").integer(message.timestamp_ms);
  json.key("type").string(message.type).key("data");
  if (message.kind == nullptr) {
    append_compact(message.data, out);
    out.pop_back();
    if (out.back() != '{') out += ',';
  } else {
    // In the order of the table, integers as digits only: so other programs read them.
    out += '{';
    for (const rpc::Param* member : message.kind->members) {
      const json::View value = message.data[member->name];
      if (!value.exists()) continue;
      out.append("\"").append(member->name).append("\":");
      if (member->kind == ParamKind::integer) {
        out += std::to_string(*value.integer());
      } else {
        append_compact(value, out);
      }
      out += ',';
    }
  }
  if (message.max_age_ms) {
    out.append("\"max_age_ms\":").append(std::to_string(*message.max_age_ms)) += ',';
  }
  out += "\"source_instance\":";
  json::Writer(out).string(message.source_instance);
  out += "}}";
}

}  // namespace nb::wire
