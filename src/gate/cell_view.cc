#include "gate/cell_view.h"

#include <algorithm>
#include <utility>

#include "base/timestamp.h"
#include "gate/strokes.h"
#include "json/view.h"
#include "json/writer.h"
#include "wire/keys.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPeriod = 1s;
// A browser that has received nothing for three of these says so.
constexpr Duration kTick = 5s;
// Redis and the sessions are looked at each fifth time.
constexpr uint64_t kSeldom = 5;
constexpr size_t kMostEvent = 8 * 1024;
// A read may show the state before an event for this long: the agent's view is up to a second old,
// and the read itself takes time.
constexpr Duration kEventHolds = 2s;

// A stroke of a program that writes its progress itself is shown for so long after its last word.
constexpr Duration kStrokeHolds = 60s;

constexpr std::string_view kPage = R"({"limit":1000})";
constexpr std::string_view kSessions = R"({"limit":50})";
constexpr std::string_view kStrokesKey = R"({"key":"nodebeat:strokes"})";
constexpr std::string_view kStrokePrefix = "stroke:progress:";
constexpr std::string_view kProgressChannel = "stroke:events:progress";

// The members of a health that the page shows. A whole health is three times as long.
constexpr std::string_view kShown[] = {
    "last_heartbeat", "cpu_percent",   "memory_percent",  "disk_percent",
    "gpu_available",  "gpu_percent",   "gpu_name",        "gpu_memory_percent",
    "temperature_c",  "throttled",     "probes",          "load_1",
    "uptime_s",       "agent_version", "clock_offset_ms", "reason"};

void put_health(json::Writer& out, json::View health) {
  out.key("health");
  if (!health.is(json::View::Type::object)) {
    out.null();
    return;
  }
  out.begin_object();
  for (const json::Member& member : health.members()) {
    const bool shown = std::any_of(std::begin(kShown), std::end(kShown),
                                   [&](std::string_view name) { return member.name_is(name); });
    if (shown) out.key(member.raw_name).raw(member.value.raw());
  }
  out.end_object();
}

// The node's state that an event on its channel implies.
constexpr struct {
  std::string_view type, state;
} kStateOf[] = {{"node_suspect", "suspect"}, {"node_cleared", "up"}, {"node_lost", "down"},
                {"node_down", "down"},       {"node_up", "up"},      {"node_returned", "up"}};

// Without its age, which changes with each look; the page counts for itself from `last_seen`.
std::string node_text(json::View standing, json::View last_seen, json::View health) {
  std::string text;
  json::Writer out(text);
  out.begin_object();
  for (const char* name : {"state", "since", "cause"}) {
    const json::View value = standing[name];
    if (value.exists()) out.key(name).raw(value.raw());
  }
  if (last_seen.exists()) out.key("last_seen").raw(last_seen.raw());
  put_health(out, health);
  out.end_object();
  return text;
}

// A JSON object of JSON texts; an empty text is null.
std::string object_of(const std::map<std::string, std::string>& texts) {
  std::string text;
  json::Writer out(text);
  out.begin_object();
  for (const auto& [name, value] : texts) {
    // The names are those of nodes and sessions, which may hold anything.
    std::string quoted;
    json::Writer(quoted).string(name);
    out.key(std::string_view(quoted).substr(1, quoted.size() - 2));
    value.empty() ? out.null() : out.raw(value);
  }
  out.end_object();
  return text;
}

// Server-sent events end their lines at \n and \r, which appear in JSON between values only.
void append_event(std::string& out, std::string_view event, std::string_view data) {
  out.append("event: ").append(event).append("\ndata: ");
  const size_t begin = out.size();
  out.append(data);
  const auto breaks = [](char c) { return c == '\n' || c == '\r'; };
  std::replace_if(out.begin() + static_cast<ptrdiff_t>(begin), out.end(), breaks, ' ');
  out.append("\n\n");
}

}  // namespace

CellView::CellView(uv::Loop& loop, Agent& agent, std::string version)
    : loop_(loop),
      agent_(agent),
      version_(std::move(version)),
      random_(Random::from_system()),
      stats_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_stats>(this)),
      status_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_page>(this)),
      redis_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_redis>(this)),
      sessions_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_sessions>(this)),
      strokes_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_strokes>(this)),
      progress_call_(agent, Delegate<void(const CallAnswer&)>::to<&CellView::on_progress>(this)),
      next_look_(loop, Delegate<void()>::to<&CellView::on_turn>(this)),
      tick_(loop, Delegate<void()>::to<&CellView::on_tick>(this)) {}

void CellView::handle(const http::Request&, http::Reply&& reply) {
  if (browsers_.size() >= kMostBrowsers) {
    return reply.send({.status = 503, .body = "too many pages are open\n"});
  }
  // Browsers that were cut off together do not come back together.
  const std::string retry = "retry: " + std::to_string(1000 + random_.below(2000)) + "\n\n";
  http::Response head{.body = retry + snapshot(), .type = "text/event-stream"};
  head.headers = {{"X-Accel-Buffering", "no"}};
  http::EventStream stream = reply.open(std::move(head));
  if (!stream.is_open()) return;
  browsers_.push_back(std::move(stream));
  if (!listener_) begin();
}

void CellView::begin() {
  listener_ = std::make_unique<AgentListener>(
      agent_, std::vector<std::string>{std::string(kProgressChannel), "stroke:events:session"},
      std::vector<std::string>{"node:events:*", "error:events:*"},
      AgentListener::Events{Delegate<void(const AgentEvent&)>::to<&CellView::on_event>(this),
                            Delegate<void(bool)>::to<&CellView::on_presence>(this),
                            {},
                            Delegate<void(std::string_view)>::to<&CellView::on_replayed>(this)},
      R"({"last":50,"mark":"past"})");
  is_present_ = false;
  looks_ = 0;
  plan_look();
  tick_.start(kTick);
}

// The last browser has gone: nothing is asked, received or kept.
void CellView::end() {
  for (AgentCall* call : {&stats_call_, &status_call_, &redis_call_, &sessions_call_,
                          &strokes_call_, &progress_call_}) {
    call->cancel();
  }
  listener_.reset();
  next_look_.stop();
  tick_.stop();
  under_way_ = 0;
  for (Texts* texts : {&parts_, &nodes_, &found_, &strokes_}) texts->clear();
  unknown_.clear();
  heard_.clear();
  told_by_event_.clear();
  events_.clear();
  untold_.clear();
}

// --- looking ----------------------------------------------------------------------------------

void CellView::on_turn() {
  if (under_way_ == 0) look();
}

void CellView::look() {
  looked_ = loop_.now();
  found_.clear();
  unknown_.clear();
  under_way_ = 3;
  stats_call_.start("agent.stats");
  strokes_call_.start("state.get", kStrokesKey);
  ask_page(kPage);
  if (looks_++ % kSeldom != 0) return;
  under_way_ += 2;
  redis_call_.start("redis.inspect");
  sessions_call_.start("session.list", kSessions);
}

// Once a second, also if browsers come and go.
void CellView::plan_look() {
  const bool is_first = looked_ == MonoTime::min();
  next_look_.start(is_first ? Duration::zero() : looked_ + kPeriod - loop_.now());
}

void CellView::end_one() {
  if (--under_way_ > 0) return;
  flush();
  if (listener_) plan_look();
}

void CellView::on_stats(const CallAnswer& answer) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("gate").string(version_).key("there").boolean(answer.ok());
  if (answer.ok()) {
    for (const char* name : {"node_id", "agent_version", "link"}) {
      const json::View value = answer.result[name];
      if (!value.exists()) continue;
      out.key(name);
      if (value.is(json::View::Type::object)) {
        // The round trip changes each time.
        out.begin_object();
        for (const char* member : {"state", "cause", "trouble", "target"}) {
          if (value[member].exists()) out.key(member).raw(value[member].raw());
        }
        out.end_object();
      } else {
        out.raw(value.raw());
      }
    }
  } else {
    out.key("why").string(answer.failure->words);
  }
  out.end_object();
  replace("agent", std::move(text));
  end_one();
}

void CellView::ask_page(std::string_view params) {
  status_call_.start("system.status", params);
}

void CellView::on_page(const CallAnswer& answer) {
  // Without the agent the shown state is void, which the part "agent" says.
  if (!answer.ok()) return end_one();
  const json::View result = answer.result;
  std::string scratch;
  std::map<std::string, std::pair<json::View, json::View>> more;
  for (const json::Member& member : result["nodes_health"].members()) {
    more[std::string(member.name(scratch))].first = member.value;
  }
  for (const json::Member& member : result["nodes_last_seen"].members()) {
    more[std::string(member.name(scratch))].second = member.value;
  }
  for (const json::Member& member : result["nodes"].members()) {
    const std::string name(member.name(scratch));
    if (found_.size() < kMostNodes) {
      found_[name] = node_text(member.value, more[name].second, more[name].first);
    }
  }
  const auto cursor = result["cursor"].string(scratch);
  if (cursor && found_.size() < kMostNodes) {
    std::string params;
    json::Writer(params).begin_object().key("cursor").string(*cursor).end_object();
    return ask_page(params);
  }
  std::string text;
  json::Writer out(text);
  out.begin_object();
  for (const char* name :
       {"redis_connected", "nodes_online", "total_nodes", "active_stroke_sessions"}) {
    if (result[name].exists()) out.key(name).raw(result[name].raw());
  }
  out.end_object();
  replace("cell", std::move(text));
  tell_nodes(std::exchange(found_, {}));
  end_one();
}

void CellView::on_redis(const CallAnswer& answer) {
  std::string text;
  json::Writer out(text);
  out.begin_object();
  if (answer.ok()) {
    for (const json::Member& member : answer.result.members()) {
      if (!member.name_is("clock_offset_ms")) out.key(member.raw_name).raw(member.value.raw());
    }
  } else {
    out.key("why").string(answer.failure->words);
  }
  out.end_object();
  replace("redis", std::move(text));
  end_one();
}

void CellView::on_sessions(const CallAnswer& answer) {
  std::string text = "[";
  for (const json::View session : answer.result["sessions"].elements()) {
    if (text.size() > 1) text += ',';
    json::Writer out(text);
    out.begin_object();
    // Its time to live changes each time.
    for (const char* name : {"session_id", "version", "updated_at"}) {
      if (session[name].exists()) out.key(name).raw(session[name].raw());
    }
    out.end_object();
  }
  replace("sessions", answer.ok() ? text + "]" : "null");
  end_one();
}

// --- strokes ----------------------------------------------------------------------------------

// The sessions that run, by nodes; empty where none runs.
void CellView::on_strokes(const CallAnswer& answer) {
  Texts running;
  std::string scratch;
  const auto keep = [&](const std::string& session) {
    if (session.empty() || running.size() >= kMostStrokes) return;
    const auto known = strokes_.find(session);
    running[session] = known != strokes_.end() ? known->second : std::string();
    if (known == strokes_.end()) unknown_.push_back(session);
  };
  for (const json::Member& member : answer.result["value"].members()) {
    keep(std::string(member.value.string(scratch).value_or("")));
  }
  std::erase_if(heard_, [&](const auto& one) {
    return running.contains(one.first) || loop_.now() - one.second > kStrokeHolds;
  });
  for (const auto& [session, at] : heard_) keep(session);
  strokes_ = std::move(running);
  ask_progress();
}

void CellView::ask_progress() {
  if (unknown_.empty()) {
    tell_strokes();
    return end_one();
  }
  std::string params;
  std::string key(kStrokePrefix);
  json::Writer(params).begin_object().key("key").string(key + unknown_.back()).end_object();
  progress_call_.start("state.get", params);
}

void CellView::on_progress(const CallAnswer& answer) {
  const std::string session = unknown_.back();
  unknown_.pop_back();
  const auto stroke = strokes_.find(session);
  if (answer.ok() && heard_.contains(session) &&
      !answer.result["value"]["is_executing"].boolean().value_or(true)) {
    heard_.erase(session);
    strokes_.erase(session);
    return ask_progress();
  }
  // The report of a later event is newer.
  if (answer.ok() && stroke != strokes_.end() && stroke->second.empty()) {
    stroke->second = answer.result["value"].raw();
  }
  ask_progress();
}

// An event has the changes; the scene and the other members are in the progress that was read.
void CellView::take_progress(json::View event) {
  std::string scratch;
  const auto session = event["session_id"].string(scratch);
  if (!session) return;
  const auto stroke = strokes_.find(std::string(*session));
  const bool is_known = stroke != strokes_.end();
  const bool is_listed = is_known && !heard_.contains(stroke->first);
  if (is_present_ && !is_listed && heard_.size() < kMostStrokes && foreign_stroke(*session)) {
    heard_[std::string(*session)] = loop_.now();
  }
  if (!is_known) return;  // the next read finds it
  const json::View before = stroke->second.empty() ? json::View() : json::View::of(stroke->second);
  std::string text;
  json::Writer out(text);
  out.begin_object();
  for (const json::Member& member : event.members()) {
    out.key(member.raw_name).raw(member.value.raw());
  }
  for (const char* name : {"scene_name", "is_paused"}) {
    if (before[name].exists()) out.key(name).raw(before[name].raw());
  }
  out.end_object();
  stroke->second = std::move(text);
}

// For an agent's stroke the next read shows it.
void CellView::end_stroke(const std::string& session) {
  if (heard_.erase(session) == 0) return;
  strokes_.erase(session);
  tell_strokes();
}

void CellView::tell_strokes() {
  replace("strokes", object_of(strokes_));
}

// --- events -----------------------------------------------------------------------------------

void CellView::on_event(const AgentEvent& event) {
  const bool too_long = event.params.raw().size() > kMostEvent;
  if (event.channel == kProgressChannel) {
    if (!too_long) take_progress(event.params["event"]);
    return;
  }
  if (event.channel == wire::kStrokeSessionChannel && !too_long) {
    const json::View message = event.params["event"];
    std::string scratch;
    if (message["type"].string_is("session_end")) {
      end_stroke(std::string(message["session_id"].string(scratch).value_or("")));
    }
  }
  std::string text;
  if (event.is_gap) {
    json::Writer(text).begin_object().key("gap").raw(event.params.raw()).end_object();
  } else if (too_long) {
    json::Writer out(text);
    out.begin_object().key("channel").string(event.channel).key("omitted").boolean(true);
    if (const json::View id = event.params["id"]; id.exists()) out.key("id").raw(id.raw());
    out.end_object();
  } else {
    text = event.params.raw();
  }
  if (!events_.add(text)) return;
  if (is_present_ && !event.is_gap) take_node_event(event.params["event"]);
  tell("event", text);
  flush();
}

// The next read would show it up to two seconds later.
void CellView::take_node_event(json::View event) {
  std::string scratch;
  const std::string_view type = event["type"].string(scratch).value_or("");
  const auto state = std::find_if(std::begin(kStateOf), std::end(kStateOf),
                                  [&](const auto& one) { return one.type == type; });
  const auto node = nodes_.find(std::string(event["node_id"].string(scratch).value_or("")));
  if (state == std::end(kStateOf) || node == nodes_.end()) return;
  std::string text;
  json::Writer out(text);
  out.begin_object().key("state").string(state->state);
  if (const json::View at = event["timestamp"]; at.exists()) out.key("since").raw(at.raw());
  const json::View cause = event["cause"].exists() ? event["cause"] : event["reason"];
  if (state->state != "up" && cause.exists()) out.key("cause").raw(cause.raw());
  for (const char* name : {"last_seen", "health"}) {
    const json::View value = json::View::of(node->second)[name];
    if (value.exists()) out.key(name).raw(value.raw());
  }
  out.end_object();
  told_by_event_[node->first] = loop_.now();
  node->second = text;
  tell("nodes", object_of({*node}));
}

void CellView::on_replayed(std::string_view) {
  is_present_ = true;
}

void CellView::on_presence(bool there) {
  is_present_ = false;
  if (there) return;
  std::string text;
  json::Writer(text)
      .begin_object()
      .key("gate")
      .string(version_)
      .key("there")
      .boolean(false)
      .key("why")
      .string(agent_.why_away())
      .end_object();
  replace("agent", std::move(text));
  flush();
}

// --- telling ----------------------------------------------------------------------------------

void CellView::tell(std::string_view event, std::string_view data) {
  append_event(untold_, event, data);
}

void CellView::replace(std::string_view part, std::string text) {
  std::string& present = parts_[std::string(part)];
  if (present == text) return;
  tell(part, text);
  present = std::move(text);
}

// `nodes`: those that have changed; null: gone.
void CellView::tell_nodes(Texts found) {
  std::erase_if(told_by_event_,
                [&](const auto& told) { return loop_.now() - told.second > kEventHolds; });
  for (const auto& [name, at] : told_by_event_) {
    if (found.contains(name) && nodes_.contains(name)) found[name] = nodes_[name];
  }
  Texts changed;
  for (const auto& [name, text] : found) {
    const auto known = nodes_.find(name);
    if (known == nodes_.end() || known->second != text) changed[name] = text;
  }
  for (const auto& [name, text] : nodes_) {
    if (!found.contains(name)) changed[name].clear();
  }
  nodes_ = std::move(found);
  if (!changed.empty()) tell("nodes", object_of(changed));
}

std::string CellView::snapshot() const {
  std::string data = "{\"time\":\"" + format_timestamp(loop_.clock().wall_now()) + "\"";
  data += ",\"nodes\":" + object_of(nodes_) + ",\"events\":" + events_.json();
  for (const auto& [part, text] : parts_) data += ",\"" + part + "\":" + text;
  std::string out;
  append_event(out, "snapshot", data + "}");
  return out;
}

void CellView::flush() {
  const std::string text = std::exchange(untold_, {});
  if (text.empty()) return;
  std::erase_if(browsers_, [&](http::EventStream& browser) { return !browser.write(text); });
  if (browsers_.empty()) return end();
  tick_.start(kTick);
}

// A comment keeps proxies patient; a page does not see comments, so it gets a word of its own.
void CellView::on_tick() {
  tell("tick", "{\"time\":\"" + format_timestamp(loop_.clock().wall_now()) + "\"}");
  flush();
}

}  // namespace nb::gate
