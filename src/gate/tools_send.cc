// Tools that send to the cell: publish_event, bus_send, emergency_stop.
#include "gate/ask.h"
#include "gate/outcome.h"
#include "gate/tools.h"

namespace nb::gate {
namespace {

using mcp::Given;
using mcp::Reply;
using mcp::WorkPtr;

constexpr mcp::Argument kPublishArguments[] = {
    {.name = "channel",
     .words = "The channel, as error:events:gripper or a name of your own.",
     .required = true,
     .least = 1,
     .most = 256},
    {.name = "event_data",
     .type = mcp::Type::object,
     .words = "The event. On robot:events, stroke:events:*, error:events:*, node:events:* and "
              "system:events it needs a text `type`. The agent adds node_id and client_name.",
     .required = true},
};
constexpr mcp::Argument kBusArguments[] = {
    {.name = "type",
     .words = "parameter_update, routing_change, system_broadcast, admin_command, or another type "
              "with a channel.",
     .required = true,
     .least = 1,
     .most = 256},
    {.name = "data",
     .type = mcp::Type::object,
     .words = "Its data, as {\"variable\":…,\"value\":…,\"user\":…} of a parameter_update.",
     .required = true},
    {.name = "channel",
     .words = "For another type: a channel that begins with cv:.",
     .least = 4,
     .most = 256},
    {.name = "max_age_ms",
     .type = mcp::Type::integer,
     .words = "Not to be delivered later than that.",
     .least = 1,
     .most = 604'800'000},
};
constexpr mcp::Argument kStopArguments[] = {
    {.name = "message",
     .words = "Why, in words for people.",
     .required = true,
     .least = 1,
     .most = 1000},
    {.name = "admin", .words = "On whose behalf.", .least = 1, .most = 64, .fallback = "\"mcp\""},
};

std::string show_subscribers(json::View result) {
  std::string members;
  add_raw(members, "subscribers", result["subscribers"].raw());
  return success(
      "It is published. `subscribers` counts Redis' subscribers; null: it was too late to be "
      "published.",
      members);
}

std::string advice_for(const CallFailure& why) {
  if (why.name == "refused_key") return "Only programs publish there.";
  if (why.name == "dropped") return "The programs of this computer have got it, no others.";
  return {};
}

WorkPtr publish_event(ToolContext& context, Given given, Reply reply) {
  std::string params;
  add_text(params, "channel", given.text("channel"));
  add_raw(params, "event", given.raw("event_data"));
  add_text(params, "ack", "stored");
  return ask(context.agent, reply, {"event.publish", '{' + params + '}', true}, show_subscribers,
             advice_for);
}

WorkPtr bus_send(ToolContext& context, Given given, Reply reply) {
  std::string params;
  add_text(params, "type", given.text("type"));
  add_raw(params, "data", given.raw("data"));
  if (given.has("channel")) add_text(params, "channel", given.text("channel"));
  if (given.has("max_age_ms")) add_integer(params, "max_age_ms", given.integer("max_age_ms", 1));
  add_text(params, "ack", "stored");
  return ask(context.agent, reply, {"bus.publish", '{' + params + '}', true}, show_subscribers,
             advice_for);
}

WorkPtr emergency_stop(ToolContext& context, Given given, Reply reply) {
  std::string data;
  add_text(data, "action", "emergency_stop");
  add_text(data, "admin", given.text("admin", "mcp"));
  add_text(data, "message", given.text("message"));
  std::string params;
  add_text(params, "type", "system_broadcast");
  add_raw(params, "data", '{' + data + '}');
  add_text(params, "ack", "stored");
  return ask(
      context.agent, reply, {"bus.publish", '{' + params + '}', true},
      [](json::View result) {
        std::string members;
        add_raw(members, "subscribers", result["subscribers"].raw());
        return success("The emergency stop is sent to all programs of the cell.", members);
      },
      [](const CallFailure& why) -> std::string {
        if (why.kind != CallFailure::Kind::refused) return "Stop the robot by hand.";
        if (why.name == "not_stored" || why.name == "dropped") {
          return "The programs of this computer have got the stop; whether other computers get it "
                 "is not known. Stop "
                 "them by hand.";
        }
        return {};
      });
}

constexpr ToolEntry kTools[] = {
    {{.name = "publish_event",
      .title = "Publish an event",
      .words = "Publishes an event on a channel to the programs of the cell, and records it.",
      .arguments = kPublishArguments,
      .output_schema = NB_OUTPUT(R"(,"subscribers":{"type":["integer","null"]})"),
      .reads_only = false,
      .is_idempotent = false},
     rpc::Right::event,
     &publish_event},
    {{.name = "bus_send",
      .title = "Send a message over the bus",
      .words =
          "Sends a message to the instances of the cell's programs, as a parameter's new value.",
      .arguments = kBusArguments,
      .output_schema = NB_OUTPUT(R"(,"subscribers":{"type":["integer","null"]})"),
      .reads_only = false,
      .destroys = true,
      .is_idempotent = false},
     rpc::Right::event,
     &bus_send},
    {{.name = "emergency_stop",
      .title = "Emergency stop",
      .words = "Tells all programs of the cell to stop at once. It reaches the programs of this "
               "computer with Redis away as well. It is no replacement for a button that cuts the "
               "power.",
      .arguments = kStopArguments,
      .output_schema = NB_OUTPUT(R"(,"subscribers":{"type":["integer","null"]})"),
      .reads_only = false,
      .destroys = true},
     rpc::Right::event,
     &emergency_stop},
};

}  // namespace

std::span<const ToolEntry> send_tools() {
  return kTools;
}

}  // namespace nb::gate
