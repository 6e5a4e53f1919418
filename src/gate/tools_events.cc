// Tools that read events: recorded events of the past, and new ones.
#include "gate/event_reader.h"
#include "gate/outcome.h"
#include "gate/tools.h"

namespace nb::gate {
namespace {

using mcp::Given;
using mcp::Reply;
using mcp::WorkPtr;

constexpr mcp::Argument kSubscribeArguments[] = {
    {.name = "channels",
     .type = mcp::Type::texts,
     .words = "Channels, as robot:events, or patterns with *, as error:events:*.",
     .required = true,
     .least = 1,
     .most = 16},
    {.name = "timeout",
     .type = mcp::Type::integer,
     .words = "How many seconds to wait for the first event. 0: only what there is.",
     .most = 50,
     .fallback = "30"},
    {.name = "cursor",
     .words = "`cursor` of the answer before: the reading goes on behind it, and nothing that was "
              "recorded is missed. Left out: from now on.",
     .least = 1,
     .most = 64},
};
constexpr mcp::Argument kRecentArguments[] = {
    {.name = "channels",
     .type = mcp::Type::texts,
     .words = "Channels, or patterns with *. Left out: all.",
     .least = 1,
     .most = 16},
    node_argument("Only events that this node has recorded."),
    {.name = "limit",
     .type = mcp::Type::integer,
     .words = "How many are wanted at most: the latest ones.",
     .least = 1,
     .most = 100,
     .fallback = "20"},
};

bool is_pattern(std::string_view channel) {
  return channel.find_first_of("*?[\\") != std::string_view::npos;
}

void add_channels(EventReader::Wish& wish, Given given) {
  std::string scratch;
  for (const json::View channel : given["channels"].elements()) {
    const std::string name(channel.string(scratch).value_or(""));
    (is_pattern(name) ? wish.patterns : wish.channels).push_back(name);
  }
  if (wish.channels.empty() && wish.patterns.empty()) wish.patterns.emplace_back("*");
}

class Reading final : public mcp::Work {
 public:
  Reading(ToolContext& context, EventReader::Wish wish, Reply reply)
      : context_(context),
        of_past_(wish.last > 0),
        reply_(reply),
        reader_(context.loop, context.agent.socket(), std::move(wish),
                Delegate<void(EventReader::Heard&)>::to<&Reading::on_done>(this)) {
    ++context_.readings;
  }
  ~Reading() override { --context_.readings; }

 private:
  void on_done(EventReader::Heard& heard) {
    if (heard.failure) {
      return reply_.tool(failure(error_of(*heard.failure), words_of(*heard.failure, false)), true);
    }
    std::string list;
    for (const std::string& event : heard.events) list += (list.empty() ? "" : ",") + event;
    std::string members;
    add_raw(members, "events", '[' + list + ']');
    add_text(members, "cursor", heard.cursor);
    if (heard.left_out > 0) {
      add_boolean(members, "truncated", true);
      add_integer(members, "left_out", static_cast<int64_t>(heard.left_out));
    }
    if (heard.missed > 0) add_integer(members, "gaps", static_cast<int64_t>(heard.missed));
    reply_.tool(success(words(heard), members));
  }

  std::string words(const EventReader::Heard& heard) const {
    std::string out = std::to_string(heard.events.size()) + " events.";
    if (of_past_) {
      if (heard.left_out > 0)
        out += " Older ones were left out: name channels, or a smaller limit.";
      return out + " To hear what comes next, call subscribe_events with this cursor.";
    }
    if (heard.left_out > 0) out += " There are more: call again at once.";
    if (heard.missed > 0) out += " Some older events are no longer kept, and were missed.";
    return out + " To go on, call again with this cursor.";
  }

  ToolContext& context_;
  bool of_past_;
  Reply reply_;
  EventReader reader_;
};

WorkPtr read_events(ToolContext& context, EventReader::Wish wish, Reply reply) {
  if (context.readings >= kMaxReadings) {
    reply.tool(
        failure("busy", "Too many readings of events are under way: wait until one has ended."),
        true);
    return nullptr;
  }
  wish.most_bytes = kRoom;
  return std::make_unique<Reading>(context, std::move(wish), reply);
}

WorkPtr subscribe_events(ToolContext& context, Given given, Reply reply) {
  EventReader::Wish wish;
  add_channels(wish, given);
  wish.since = given.text("cursor");
  wish.wait = std::chrono::seconds(given.integer("timeout", 30));
  return read_events(context, std::move(wish), reply);
}

WorkPtr recent_events(ToolContext& context, Given given, Reply reply) {
  EventReader::Wish wish;
  add_channels(wish, given);
  wish.node = given.text("node_id");
  wish.most = static_cast<size_t>(given.integer("limit", 20));
  // Of one node: others' events are read as well, and passed over.
  wish.last = wish.node.empty() ? static_cast<int64_t>(wish.most) : 1000;
  return read_events(context, std::move(wish), reply);
}

constexpr ToolEntry kTools[] = {
    {{.name = "recent_events",
      .title = "Events of the past",
      .words = "The latest recorded events of the cell: nodes that went or came, errors, starts "
               "and ends of strokes, messages of programs.",
      .arguments = kRecentArguments,
      .output_schema = NB_OUTPUT(
          R"(,"events":{"type":"array","items":{"type":"object"}},"cursor":{"type":"string"},"truncated":{"type":"boolean"})")},
     rpc::Right::read,
     &recent_events},
    {{.name = "subscribe_events",
      .title = "Wait for events",
      .words = "Waits for events on channels, and answers with the first ones: {channel, data, "
               "pattern?}, at most 100. Each answer has a cursor: call again with it to go on "
               "without a gap. Nothing has to be ended.",
      .arguments = kSubscribeArguments,
      .output_schema = NB_OUTPUT(
          R"(,"events":{"type":"array","items":{"type":"object"}},"cursor":{"type":"string"},"truncated":{"type":"boolean"},"gaps":{"type":"integer"})")},
     rpc::Right::read,
     &subscribe_events},
};

}  // namespace

std::span<const ToolEntry> event_tools() {
  return kTools;
}

}  // namespace nb::gate
