// session: lists, prints and writes the cell's sessions. Each write is one call, and answers when
// Redis has answered.
#include <algorithm>

#include "ctl/commands.h"
#include "ctl/duration.h"
#include "ctl/json.h"
#include "json/view.h"
#include "terminal/json_text.h"
#include "terminal/table.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

// The agent's own deadline is earlier by this, so that its answer is the one that counts.
constexpr int64_t kMargin = 500;
constexpr int64_t kMostTimeout = 60'000;  // PROTOCOL.md, 3.6

ExitCode no_session(const std::string& id) {
  return complain(
      kFound, format("there is no session '%s'; session create makes one", printable(id).c_str()));
}

Answer call(const Context& context, AgentLink& link, const std::string& method,
            ObjectText& params) {
  params.integer("timeout_ms", std::clamp<int64_t>(context.timeout_ms, 1, kMostTimeout));
  return link.call(method, params.str(), context.timeout_ms + kMargin);
}

ExitCode list(const Context& context, AgentLink& link) {
  std::string all;
  Table table;
  table.column("session", Align::left, Table::kWraps);
  table.column("version", Align::right);
  table.column("updated");
  table.column("lives for", Align::right);
  std::string cursor;
  do {
    ObjectText params;
    params.integer("limit", 1000);
    if (!cursor.empty()) params.text("cursor", cursor);
    const Answer answer = call(context, link, "session.list", params);
    if (!answer.ok()) return complain(answer);
    for (const json::View session : json::View::of(answer.text)["sessions"].elements()) {
      if (!all.empty()) all += ',';
      all += session.raw();
    }
    const JsonDocument page(answer.text);
    for (const Json session : page["sessions"]) {
      const double ttl = session["ttl_ms"].number_or(-1);
      const double version = session["version"].number_or(-1);
      table.row({{printable(session["session_id"].text())},
                 {version < 0 ? "?" : format("%.0f", version)},
                 {version < 0 ? "by another program" : printable(session["updated_at"].text())},
                 {ttl < 0 ? "ever" : human_duration(static_cast<int64_t>(ttl) / 1000 * 1000)}});
    }
    cursor = page["cursor"].text();
  } while (!cursor.empty());
  if (context.json) return say_json("{\"sessions\":[" + all + "]}");
  return table.empty() ? kOk : say(table.text(context.style));
}

ExitCode get(const Context& context, AgentLink& link, const std::string& id) {
  ObjectText params;
  params.text("session_id", id);
  const Answer answer = call(context, link, "session.get", params);
  if (answer.not_found()) return no_session(id);
  if (!answer.ok()) return complain(answer);
  if (context.json) return say_json(answer.text);
  const std::string_view state = json::View::of(answer.text)["state"].raw();
  return context.style.terminal ? say_json(json_indented(state)) : say_json(state);
}

ExitCode write(const Context& context, AgentLink& link, const std::string& verb,
               const SessionOptions& options) {
  ObjectText params;
  params.text("session_id", options.id);
  if (verb != "delete") {
    if (const auto fault = json_fault(options.state)) {
      return complain(kUsage, format("the state is not JSON: %s", fault->c_str()));
    }
    params.raw("state", json_compact(options.state));
  }
  if (!options.ttl.empty()) {
    const auto ttl = parse_duration(options.ttl);
    if (!ttl) {
      return complain(kUsage, format("--ttl: '%s' is no duration, such as 500ms, 10s, 5min or 1d",
                                     printable(options.ttl).c_str()));
    }
    params.integer("ttl_ms", *ttl);
  }
  if (options.version) params.integer("expected_version", *options.version);
  if (options.create) params.boolean("upsert", true);
  if (options.replace_corrupt) params.boolean("replace_corrupt", true);
  const Answer answer =
      call(context, link, "session." + (verb == "set" ? std::string("update") : verb), params);
  if (answer.not_found()) return no_session(options.id);
  if (!answer.ok()) return complain(answer);
  if (context.json) return say_json(answer.text);
  const std::string_view version = json::View::of(answer.text)["version"].raw();
  return say("version " + std::string(version) + '\n');
}

}  // namespace

ExitCode run_session(const Context& context, const std::string& verb,
                     const SessionOptions& options) {
  if (verb == "watch") return run_watch(context, {"session-updates", "ws:*"}, options.count);
  if (verb == "edit") return run_session_edit(context, options);
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  if (verb == "list") return list(context, link);
  if (verb == "get") return get(context, link, options.id);
  return write(context, link, verb, options);
}

}  // namespace nb::ctl
