#include "gate/resources.h"

#include <algorithm>

#include "base/foreign_text.h"
#include "base/name.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "gate/ask.h"
#include "gate/event_reader.h"
#include "gate/outcome.h"
#include "gate/status.h"
#include "gate/strokes.h"
#include "terminal/text.h"
#include "wire/keys.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;
using Kind = ResourceName::Kind;

constexpr std::string_view kJson = "application/json";
constexpr size_t kMostStrokes = 16;

constexpr mcp::Resource kResources[] = {
    {"state://status", "status", "Status of the cell",
     "Whether the agent and Redis are connected, and how each node is."},
    {"state://stroke/progress", "stroke-progress", "Strokes that run",
     "The progress of each stroke session that runs."},
};
constexpr mcp::Resource kTemplates[] = {
    {"state://health/{node_id}", "health", "Health of a node",
     "All that is known of a node, and how old it is."},
    {"state://robot/{node_id}", "robot", "State of a robot",
     "Joints, velocities, pose of a node's robot."},
    {"state://session/{id}", "session", "A session", "A session's state with its version."},
    {"state://events/{node_id}", "events", "Events of a node",
     "The latest events that a node has recorded."},
};
constexpr struct {
  std::string_view begin;
  Kind kind;
} kKinds[] = {{"state://health/", Kind::health},
              {"state://robot/", Kind::robot},
              {"state://session/", Kind::session},
              {"state://events/", Kind::events}};

// "a%20b" as "a b"; other text stays.
std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr ==
            text.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// --- reading

class Read : public Steps {
 public:
  Read(ToolContext& context, std::string_view uri, mcp::Reply reply)
      : Steps(context.agent), context_(context), uri_(uri), reply_(reply) {}

 protected:
  WallTime now() const { return context_.loop.clock().wall_now(); }
  ToolContext& context() { return context_; }

  void tell(std::string members) {
    add_text(members, "read_at", format_timestamp(now()));
    reply_.resource(uri_, kJson, terminal::json_printable('{' + members + '}'));
  }
  void refuse(const CallFailure& why) {
    if (why.name == "not_found" || why.name == "invalid_params") {
      return reply_.no_such_resource(uri_);
    }
    reply_.internal_error(words_of(why, false));
  }
  void add_age(std::string& members, json::View timestamp) {
    const auto age = age_ms(timestamp.string(scratch_).value_or(""), now());
    add_raw(members, "age_ms", age ? std::to_string(*age) : "null");
  }

  std::string scratch_;

 private:
  ToolContext& context_;
  std::string uri_;
  mcp::Reply reply_;
};

class ReadStatus final : public Read {
 public:
  ReadStatus(ToolContext& context, std::string_view uri, mcp::Reply reply)
      : Read(context, uri, reply) {
    next({"system.status", {}});
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    std::string members;
    add_raw(members, "status",
            answer.ok() ? status_json(context().agent.hello(), answer.result, false)
                        : status_without_agent(*answer.failure, format_timestamp(now())));
    if (answer.ok()) {
      add_age(members, answer.result["timestamp"]);
    } else {
      add_integer(members, "age_ms", 0);
    }
    tell(std::move(members));
  }
};

// First the running sessions, then each one's progress.
class ReadProgress final : public Read {
 public:
  ReadProgress(ToolContext& context, std::string_view uri, mcp::Reply reply)
      : Read(context, uri, reply) {
    next(search_.first());
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    if (!answer.ok() && answer.failure->name != "not_found") return refuse(*answer.failure);
    if (!is_found_) {
      if (const auto question = search_.take(answer)) return next(*question);
      is_found_ = true;
      at_ = search_.sessions().begin();
    } else {
      if (answer.ok()) take_progress(answer.result["value"]);
      ++at_;
    }
    if (at_ != search_.sessions().end() && read_++ < kMostStrokes) {
      return next(get_question(wire::stroke_progress_key(at_->second.name)));
    }
    std::string members;
    add_raw(members, "strokes", '[' + list_ + ']');
    const auto left_out = std::distance(at_, search_.sessions().end());
    if (left_out > 0) add_integer(members, "left_out", left_out);
    tell(std::move(members));
  }

  void take_progress(json::View progress) {
    if (!StrokeSearch::runs(at_->second, progress)) return;
    std::string one;
    add_text(one, "node_id", at_->first);
    add_text(one, "session_id", at_->second.name);
    add_age(one, progress["timestamp"]);
    add_bounded(one, "progress", progress, 2048);
    list_ += (list_.empty() ? "{" : ",{") + one + '}';
  }

  StrokeSearch search_;
  bool is_found_ = false;
  StrokeSearch::Sessions::const_iterator at_;
  size_t read_ = 0;
  std::string list_;
};

// One call, whose answer is shown as it is, with its age.
class ReadOne final : public Read {
 public:
  ReadOne(ToolContext& context, std::string_view uri, const ResourceName& name, mcp::Reply reply)
      : Read(context, uri, reply), name_(name) {
    std::string params;
    switch (name.kind) {
      case Kind::health:
        add_text(params, "node", name.name);
        next({"health.get", '{' + params + '}'});
        break;
      case Kind::robot:
        next(get_question(wire::robot_state_key(name.name)));
        break;
      default:
        add_text(params, "session_id", name.name);
        next({"session.get", '{' + params + '}'});
    }
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    if (!answer.ok()) return refuse(*answer.failure);
    const json::View result = answer.result;
    std::string members;
    if (name_.kind == Kind::health) {
      for (const char* name : {"node_id", "state", "since", "age_ms", "source", "cause"}) {
        if (result[name].exists()) add_raw(members, name, result[name].raw());
      }
      add_bounded(members, "health", result["health"]);
    } else if (name_.kind == Kind::robot) {
      add_text(members, "node_id", name_.name);
      add_age(members, result["value"]["timestamp"]);
      add_bounded(members, "robot", result["value"]);
    } else {
      add_text(members, "session_id", name_.name);
      add_raw(members, "version", result["version"].raw());
      add_raw(members, "expires_in_ms", result["ttl_ms"].raw());
      add_age(members, result["state"]["updated_at"]);
      add_bounded(members, "state", result["state"]);
    }
    tell(std::move(members));
  }

  ResourceName name_;
};

class ReadEvents final : public mcp::Work {
 public:
  ReadEvents(ToolContext& context, std::string_view uri, const std::string& node, mcp::Reply reply)
      : context_(context),
        uri_(uri),
        node_(node),
        reply_(reply),
        reader_(context.loop, context.agent.socket(),
                {.patterns = {"*"}, .last = 1000, .node = node, .most = 50, .most_bytes = kRoom},
                Delegate<void(EventReader::Heard&)>::to<&ReadEvents::on_done>(this)) {
    ++context_.readings;
  }
  ~ReadEvents() override { --context_.readings; }

 private:
  void on_done(EventReader::Heard& heard) {
    if (heard.failure) return reply_.internal_error(words_of(*heard.failure, false));
    std::string list;
    for (const std::string& event : heard.events) list += (list.empty() ? "" : ",") + event;
    std::string members;
    add_text(members, "node_id", node_);
    add_raw(members, "events", '[' + list + ']');
    add_text(members, "cursor", heard.cursor);
    add_age(members, heard.cursor);
    if (heard.left_out > 0) add_boolean(members, "truncated", true);
    add_text(members, "read_at", format_timestamp(context_.loop.clock().wall_now()));
    reply_.resource(uri_, kJson, terminal::json_printable('{' + members + '}'));
  }

  // The cursor is the id of the last event, whose first part is a time.
  void add_age(std::string& members, const std::string& cursor) {
    const auto at = parse_number<int64_t>(cursor.substr(0, cursor.find('-')));
    const auto now = std::chrono::floor<std::chrono::milliseconds>(
        context_.loop.clock().wall_now().time_since_epoch());
    add_raw(members, "age_ms",
            at ? std::to_string(std::max<int64_t>(now.count() - *at, 0)) : "null");
  }

  ToolContext& context_;
  std::string uri_, node_;
  mcp::Reply reply_;
  EventReader reader_;
};

// --- completion

class Complete final : public Steps {
 public:
  Complete(ToolContext& context, bool nodes, std::string_view begin, mcp::Reply reply)
      : Steps(context.agent), nodes_(nodes), begin_(begin), reply_(reply) {
    ask_page({});
  }

 private:
  static constexpr int kMostPages = 4;

  void ask_page(std::string_view cursor) {
    std::string params;
    add_integer(params, "limit", 1000);
    if (!cursor.empty()) add_text(params, "cursor", cursor);
    next({nodes_ ? "system.status" : "session.list", '{' + params + '}'});
  }

  void on_answer(const CallAnswer& answer) override {
    if (!answer.ok()) return reply_.completions(names_);  // nothing is known to complete with
    std::string scratch;
    if (nodes_) {
      for (const json::Member& member : answer.result["nodes"].members())
        take(member.name(scratch));
    } else {
      for (const json::View session : answer.result["sessions"].elements()) {
        take(session["session_id"].string(scratch).value_or(""));
      }
    }
    const std::string cursor(answer.result["cursor"].string(scratch).value_or(""));
    if (!cursor.empty() && ++pages_ < kMostPages) return ask_page(cursor);
    reply_.completions(names_);
  }

  // A name that would steer a terminal is not offered.
  void take(std::string_view name) {
    if (name.starts_with(begin_) && foreign_text(name) == name) names_.emplace_back(name);
  }

  bool nodes_;
  std::string begin_;
  mcp::Reply reply_;
  int pages_ = 0;
  std::vector<std::string> names_;
};

// --- watching

// Follows the cell's messages that concern a resource. A resource whose changes are not published
// is read from time to time.
class Watch final : public mcp::Work {
 public:
  static constexpr Duration kLook = 2s;

  Watch(ToolContext& context, ResourceName name, Delegate<void()> on_change)
      : name_(std::move(name)),
        on_change_(on_change),
        look_(context.agent, Delegate<void(const CallAnswer&)>::to<&Watch::on_look>(this)),
        timer_(context.loop, Delegate<void()>::to<&Watch::look>(this)),
        listener_(context.agent, channels(name_.kind), patterns(name_.kind),
                  {Delegate<void(const AgentEvent&)>::to<&Watch::on_event>(this),
                   Delegate<void(bool)>::to<&Watch::on_presence>(this),
                   Delegate<void(const CallFailure*)>::to<&Watch::on_subscribed>(this)}) {
    if (name_.kind == Kind::health) timer_.start(kLook);
  }

 private:
  // The same ones for all watches of a kind, since the agent allows 64 for all together.
  static std::vector<std::string> channels(Kind kind) {
    if (kind == Kind::robot) return {std::string(wire::kRobotEventsChannel)};
    if (kind == Kind::session) return {"session-updates"};
    return {};
  }
  static std::vector<std::string> patterns(Kind kind) {
    if (kind == Kind::status || kind == Kind::health)
      return {"node:events:*", "stroke:events:session"};
    if (kind == Kind::progress) return {"stroke:events:*"};
    if (kind == Kind::events) return {"*"};
    return {};
  }

  bool concerns(const AgentEvent& event) {
    const json::View message = event.params["event"];
    std::string scratch;
    switch (name_.kind) {
      case Kind::health:
        return event.channel == std::string(wire::kNodeEventsPrefix) + name_.name;
      case Kind::robot:
      case Kind::events:
        return message["node_id"].string(scratch).value_or("") == name_.name;
      case Kind::session:
        return message["sessionId"].string(scratch).value_or("") == name_.name;
      default:
        return true;
    }
  }

  void on_event(const AgentEvent& event) {
    if (event.is_gap || concerns(event)) on_change_();
  }
  void on_presence(bool) { on_change_(); }
  // Changes between the client's request and the agent's subscription are not known.
  void on_subscribed(const CallFailure*) { on_change_(); }

  // A health is written at each beat, and no message reports it.
  void look() {
    std::string params;
    add_text(params, "node", name_.name);
    look_.start("health.get", '{' + params + '}');
  }
  void on_look(const CallAnswer& answer) {
    timer_.start(kLook);
    std::string seen;
    if (answer.ok()) {
      seen = std::string(answer.result["health"]["last_heartbeat"].raw()) +
             std::string(answer.result["state"].raw());
    }
    const bool changed = seen != seen_;
    const bool is_first = first_;
    first_ = false;
    seen_ = std::move(seen);
    if (changed && !is_first) on_change_();
  }

  ResourceName name_;
  Delegate<void()> on_change_;
  bool first_ = true;
  std::string seen_;
  AgentCall look_;
  uv::Timer timer_;
  AgentListener listener_;
};

}  // namespace

std::span<const mcp::Resource> resources() {
  return kResources;
}

std::span<const mcp::Resource> resource_templates() {
  return kTemplates;
}

ResourceName parse_resource(std::string_view uri) {
  if (uri == kResources[0].uri) return {Kind::status, {}};
  if (uri == kResources[1].uri) return {Kind::progress, {}};
  for (const auto& [begin, kind] : kKinds) {
    if (!uri.starts_with(begin)) continue;
    std::string name = decoded(uri.substr(begin.size()));
    if (name.empty() || name.size() > 250 || !is_valid_utf8(name)) break;
    // No node has another name, and the agent would refuse the call.
    if (kind != Kind::session && !is_name(name)) break;
    if (has_control(name)) break;
    return {kind, std::move(name)};
  }
  return {};
}

mcp::WorkPtr read_resource(ToolContext& context, std::string_view uri, mcp::Reply reply) {
  const ResourceName name = parse_resource(uri);
  switch (name.kind) {
    case Kind::none:
      reply.no_such_resource(uri);
      return nullptr;
    case Kind::status:
      return std::make_unique<ReadStatus>(context, uri, reply);
    case Kind::progress:
      return std::make_unique<ReadProgress>(context, uri, reply);
    case Kind::events:
      if (context.readings >= kMaxReadings) {
        reply.internal_error("too many readings of events are under way");
        return nullptr;
      }
      return std::make_unique<ReadEvents>(context, uri, name.name, reply);
    default:
      return std::make_unique<ReadOne>(context, uri, name, reply);
  }
}

mcp::WorkPtr complete_name(ToolContext& context, std::string_view variable, std::string_view begin,
                           mcp::Reply reply) {
  return std::make_unique<Complete>(context, variable == "node_id", begin, reply);
}

mcp::WorkPtr watch_resource(ToolContext& context, std::string_view uri,
                            Delegate<void()> on_change) {
  ResourceName name = parse_resource(uri);
  if (name.kind == Kind::none) return nullptr;
  return std::make_unique<Watch>(context, std::move(name), on_change);
}

}  // namespace nb::gate
