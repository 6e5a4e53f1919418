// Tools for the state that the cell's programs share: get_state, set_state.
#include "base/text.h"
#include "gate/ask.h"
#include "gate/outcome.h"
#include "gate/strokes.h"
#include "gate/tools.h"
#include "wire/keys.h"

namespace nb::gate {
namespace {

using mcp::Given;
using mcp::Reply;
using mcp::WorkPtr;

constexpr mcp::Argument kGetArguments[] = {
    {.name = "key",
     .words = "`robot:state`, `node:health` or `stroke:progress` (of the node `node_id`), or any "
              "key, as `cell:mode`.",
     .required = true,
     .least = 1,
     .most = 512},
    node_argument("Of which node, for the three keys above. Left out: this node."),
};
constexpr mcp::Argument kSetArguments[] = {
    {.name = "key",
     .words = "The key. Keys that begin with node:, robot:, stroke:, stream:, session: or "
              "nodebeat: belong to programs and are refused.",
     .required = true,
     .least = 1,
     .most = 512},
    {.name = "data", .type = mcp::Type::any, .words = "The value: any JSON.", .required = true},
    {.name = "ttl",
     .type = mcp::Type::integer,
     .words = "How many seconds it lives. Left out: for ever.",
     .least = 1,
     .most = 31'536'000},
};

std::string advice_for_get(const CallFailure& failure) {
  if (failure.name == "not_found")
    return "There is nothing under this key now: it was never set, or has expired.";
  if (failure.name == "wrong_type") return "get_state reads texts and hashes only.";
  if (failure.name == "too_large") return "It is too large for an answer.";
  return {};
}

// A key that other programs do not parse: {key, value}.
std::string show_value(json::View result) {
  std::string data;
  add_raw(data, "key", result["key"].raw());
  add_bounded(data, "value", result["value"]);
  std::string members;
  add_raw(members, "data", '{' + data + '}');
  add_raw(members, "source", result["source"].raw());
  return success("This is the value.", members);
}

// A record: the object itself is the data.
std::string show_record(json::View result) {
  std::string members;
  add_bounded(members, "data", result["value"]);
  add_raw(members, "source", result["source"].raw());
  return success("This is the record.", members);
}

// The progress of the stroke that runs on a node: first which one, then its record.
class Progress final : public Steps {
 public:
  Progress(ToolContext& context, std::string node, Reply reply)
      : Steps(context.agent), node_(std::move(node)), reply_(reply) {
    next(search_.first());
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    if (session_.name.empty()) return on_found(answer);
    if (!answer.ok() && answer.failure->name != "not_found") return refuse(*answer.failure);
    if (!answer.ok() || !StrokeSearch::runs(session_, answer.result["value"])) return tell_none();
    std::string members;
    add_text(members, "session_id", session_.name);
    add_bounded(members, "data", answer.result["value"]);
    reply_.tool(success("This is the progress of the stroke session that runs.", members));
  }

  void on_found(const CallAnswer& answer) {
    if (!answer.ok() && answer.failure->name != "not_found") return refuse(*answer.failure);
    const auto question = search_.take(answer);
    const auto found = search_.sessions().find(node_);
    const bool is_known = found != search_.sessions().end();
    if (question && !(is_known && found->second.is_listed)) return next(*question);
    if (!is_known) return tell_none();
    session_ = found->second;
    next(get_question(wire::stroke_progress_key(session_.name)));
  }

  void tell_none() {
    reply_.tool(failure("not_found", "No stroke session runs on node " + node_ +
                                         ". state://stroke/progress tells of all that run."),
                true);
  }

  void refuse(const CallFailure& why) {
    reply_.tool(failure(error_of(why), words_of(why, false) + ' ' + advice_for_get(why)), true);
  }

  std::string node_;
  StrokeSearch search_;
  StrokeSearch::Session session_;
  Reply reply_;
};

WorkPtr get_state(ToolContext& context, Given given, Reply reply) {
  const std::string key = given.text("key");
  const std::string node = given.text("node_id", context.agent.hello().node_id);
  if (key == "stroke:progress") return std::make_unique<Progress>(context, node, reply);
  if (key == "robot:state") {
    return ask(context.agent, reply, get_question(wire::robot_state_key(node)), show_record,
               advice_for_get);
  }
  if (key == "node:health") {
    return ask(context.agent, reply, get_question(wire::node_health_key(node)), show_record,
               advice_for_get);
  }
  return ask(context.agent, reply, get_question(key), show_value, advice_for_get);
}

WorkPtr set_state(ToolContext& context, Given given, Reply reply) {
  std::string params;
  add_text(params, "key", given.text("key"));
  add_raw(params, "value", given.raw("data"));
  if (given.has("ttl")) add_integer(params, "ttl_ms", given.integer("ttl", 1) * 1000);
  add_text(params, "ack", "stored");
  return ask(
      context.agent, reply, {"state.set", '{' + params + '}', true},
      [](json::View) { return success("The value is stored."); },
      [](const CallFailure& why) {
        return why.name == "refused_key" ? std::string(
                                               "Choose a key of your own, as cell:…; sessions are "
                                               "changed by update_session.")
                                         : "";
      });
}

constexpr ToolEntry kTools[] = {
    {{.name = "get_state",
      .title = "Read a value",
      .words = "Reads a value of the cell's shared state: the robot's state, a node's health, a "
               "stroke's progress as objects, any other key as {key, value}.",
      .arguments = kGetArguments,
      .output_schema = NB_OUTPUT(R"(,"data":{},"source":{"type":"string"})")},
     rpc::Right::read,
     &get_state},
    {{.name = "set_state",
      .title = "Set a value",
      .words = "Sets a value of the cell's shared state, and answers when Redis has stored it.",
      .arguments = kSetArguments,
      .output_schema = NB_OUTPUT(""),
      .reads_only = false,
      .destroys = true},
     rpc::Right::state,
     &set_state},
};

}  // namespace

std::span<const ToolEntry> state_tools() {
  return kTools;
}

}  // namespace nb::gate
