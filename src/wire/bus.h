// The bus between instances: {"timestamp": ms, "type": text, "data": {..., "source_instance":
// text}} on channels that begin with "cv:". Of four kinds of messages the readers know each member,
// and each of the four goes on a channel of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "json/view.h"
#include "rpc/error.h"
#include "rpc/params.h"

namespace nb::wire {

struct BusKind {
  std::string_view type;
  std::string_view channel;
  std::span<const rpc::Param* const> members;  // of `data`
};
// Null if it is none of the four.
const BusKind* bus_kind_of_type(std::string_view type);
const BusKind* bus_kind_of_channel(std::string_view channel);
// "parameter_update, routing_change, ...".
std::string bus_types();

bool is_bus_channel(std::string_view channel);

// What the agent sets in `data` itself.
inline constexpr std::string_view kSourceInstance = "source_instance";
inline constexpr std::string_view kBusMaxAge = "max_age_ms";

// What is wrong with the `data` of a message; `kind` is null for one that is none of the four.
std::optional<rpc::Error> check_bus_data(const BusKind* kind, json::View data);
// Of checked data.
bool is_emergency_stop(const BusKind* kind, json::View data);
// Of a whole message.
bool is_emergency_stop(json::View message);

struct BusMessage {
  int64_t timestamp_ms = 0;
  std::string_view type;
  const BusKind* kind = nullptr;
  json::View data;  // checked
  std::string_view source_instance;
  std::optional<int64_t> max_age_ms;
};
void append_json(const BusMessage& message, std::string& out);

}  // namespace nb::wire
