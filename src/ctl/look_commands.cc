// status and nodes.
#include <algorithm>

#include "ctl/commands.h"
#include "ctl/fleet.h"
#include "ctl/fleet_pages.h"
#include "ctl/json.h"
#include "ctl/link_words.h"
#include "ctl/top_view.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/table.h"

namespace nb::ctl {
namespace {

// The items of a "key: value" page; nothing for an item without text.
class Page {
 public:
  explicit Page(const Style& style) : style_(style) {
    table_.column("");
    table_.column("", Align::left, Table::kWraps);
  }
  Page& line(std::string_view label, std::string text, Colour colour = Colour::none) {
    if (!text.empty()) table_.row({{std::string(label), Colour::bold}, {std::move(text), colour}});
    return *this;
  }
  std::string text() const { return table_.text(style_); }

 private:
  const Style& style_;
  Table table_;
};

// "3 gaps", "1 gap": the first word of `what` is a plural in -s.
std::string counted(Json value, std::string_view what) {
  const double number = value.number_or(0);
  std::string words(what);
  const size_t end = std::min(words.find(' '), words.size());
  if (number == 1 && words[end - 1] == 's') words.erase(end - 1, 1);
  return format("%.0f %s", number, words.c_str());
}

// "a, b, c" of those that are not 0.
std::string nonzero(Json from, std::initializer_list<std::pair<const char*, const char*>> items) {
  std::string out;
  for (const auto& [name, what] : items) {
    if (from[name].number_or(0) > 0) out += (out.empty() ? "" : ", ") + counted(from[name], what);
  }
  return out;
}

std::string health_line(Json health) {
  if (!health.is_object()) return {};
  std::string out =
      format("CPU %.0f %%, memory %.0f %%, disk %.0f %%", health["cpu_percent"].number_or(0),
             health["memory_percent"].number_or(0), health["disk_percent"].number_or(0));
  if (const auto gpu = health["gpu_percent"].number()) out += format(", GPU %.0f %%", *gpu);
  if (const auto t = health["temperature_c"].number()) out += format(", %.0f C", *t);
  if (const auto load = health["load_1"].number()) out += format(", load %.2f", *load);
  return out;
}

void outbox_lines(Page& page, Json outbox) {
  const double waiting =
      outbox["slots_waiting"].number_or(0) + outbox["events_waiting"].number_or(0);
  std::string text = waiting == 0 ? "nothing waits for Redis"
                                  : nonzero(outbox, {{"slots_waiting", "values waiting for Redis"},
                                                     {"events_waiting", "events waiting"}});
  if (outbox["event_bytes"].number_or(0) > 0) {
    text += " (" + size_text(outbox["event_bytes"].number_or(0)) + " of " +
            size_text(outbox["event_bytes_limit"].number_or(0)) + ")";
  }
  page.line("outbox", text, waiting == 0 ? Colour::none : Colour::yellow);
  page.line("", nonzero(outbox, {{"accepted", "accepted"},
                                 {"stored", "stored"},
                                 {"coalesced", "replaced by newer"},
                                 {"replayed", "written again"},
                                 {"in_flight", "under way"}}));
  page.line("",
            nonzero(outbox, {{"dropped", "dropped for lack of room"},
                             {"expired", "too old to be published"},
                             {"refused", "refused by Redis"}}),
            Colour::red);
}

void watch_line(Page& page, Json watch) {
  const std::string_view role = watch["role"].text();
  const std::string node = printable(watch["node"].text());
  if (role == "watching") {
    page.line("watch", "watches " + counted(watch["nodes"], "nodes") + " of the cell");
    page.line("",
              nonzero(watch, {{"lost", "announced as lost"},
                              {"returned", "returned"},
                              {"uncertain", "times held back"}}),
              Colour::yellow);
  } else if (role == "watched") {
    page.line("watch", node + " watches the cell");
  } else if (role == "nobody") {
    page.line("watch", "nobody watches the cell; see nodebeatctl doctor", Colour::red);
  } else if (role == "unknown") {
    page.line("watch", "not known" + (node.empty() ? "" : "; last it was " + node), Colour::dim);
  }
  page.line("", printable(watch["lease_trouble"].text()), Colour::red);
  page.line("", printable(watch["trouble"].text()), Colour::red);
}

void latency_line(Page& page, Json latencies) {
  std::string out;
  for (const auto& [name, what] :
       {std::pair{"accept", "a call takes"}, std::pair{"store", "to be in Redis"}}) {
    const Json l = latencies[name];
    if (l["count"].number_or(0) == 0) continue;
    if (!out.empty()) out += "; ";
    out += format("%s %s (99 of 100 at most %s)", what, latency(l["p50"].number_or(0)).c_str(),
                  latency(l["p99"].number_or(0)).c_str());
  }
  page.line("latency", out);
}

void interval_line(Page& page, Json intervals) {
  if (intervals["count"].number_or(0) == 0) return;
  page.line("pushes", format("one every %s (99 of 100 within %s)",
                             latency(1000 * intervals["p50"].number_or(0)).c_str(),
                             latency(1000 * intervals["p99"].number_or(0)).c_str()));
}

void probe_lines(Page& page, Json probes) {
  const char* label = "probes";
  for (const Json probe : probes) {
    const auto up = probe["up"].boolean();
    std::string text =
        printable(probe["name"].text()) + " (" + printable(probe["type"].text()) + ") ";
    const auto detail = probe["detail"].text();
    text += up ? *up ? "up" : "down" : detail.empty() ? "not known yet" : "unknown";
    if (!detail.empty()) text += ": " + printable(detail);
    page.line(label, text, !up ? Colour::dim : *up ? Colour::green : Colour::red);
    label = "";
  }
}

void client_lines(Page& page, Json stats) {
  const Json socket = stats["socket"];
  std::string text = format("%.0f of %.0f connected", socket["clients"].number_or(0),
                            socket["clients_limit"].number_or(0));
  if (const std::string bad = nonzero(socket, {{"refused", "turned away"},
                                               {"cut_off", "cut off"},
                                               {"yielded", "closed when idle, for others"}});
      !bad.empty()) {
    text += "; " + bad;
  }
  page.line("clients", text);
  for (const Json client : stats["clients"]) {
    const std::string name = printable(client["name"].text());
    std::string line = (name.empty() ? "(no name)" : name) +
                       format(", pid %.0f, ", client["pid"].number_or(0)) +
                       counted(client["calls"], "calls");
    if (client["errors"].number_or(0) > 0) line += ", " + counted(client["errors"], "refused");
    if (client["subscriptions"].number_or(0) > 0) {
      line += ", " + counted(client["subscriptions"], "subscriptions");
    }
    if (client["queued_bytes"].number_or(0) > 0) {
      line += ", " + size_text(client["queued_bytes"].number_or(0)) + " not read yet";
    }
    const auto deadline = read_deadline(client);
    if (deadline) {
      line +=
          ", pushes every " + human_duration(deadline->deadline_ms) + ": " + state_words(*deadline);
      if (const std::string missed = missed_words(*deadline); !missed.empty()) {
        line += ", " + missed;
      }
    }
    page.line("", line, deadline && deadline->late ? Colour::red : Colour::dim);
  }
}

// In whole seconds, as the agent reports it.
std::string uptime(Json stats) {
  const int64_t seconds = stats["uptime_s"].integer_or(0);
  return seconds < 1 ? "less than 1 s" : human_duration(seconds * 1000);
}

std::string status_page(Json stats, Json health, const Style& style) {
  Page page(style);
  page.line("node", printable(stats["node_id"].text("?")));
  page.line("agent",
            format("%s, pid %.0f, up %s", printable(stats["agent_version"].text("?")).c_str(),
                   stats["pid"].number_or(0), uptime(stats).c_str()));
  const LinkWords link = link_words(stats["link"]);
  page.line("link", link.text, link.good ? Colour::green : Colour::red);
  const double lost = stats["link"]["failures"].number_or(0);
  if (lost > 0) {
    page.line("",
              counted(stats["link"]["connects"], "connects") + ", " +
                  counted(stats["link"]["failures"], "failures"),
              Colour::dim);
  }
  if (const auto rival = stats["conflict"].text(); !rival.empty()) {
    page.line(
        "name",
        "another agent beats as this node, too: " + printable(rival) + "; see nodebeatctl doctor",
        Colour::red);
  }
  page.line("health", health_line(health["health"]));
  watch_line(page, stats["watch"]);
  outbox_lines(page, stats["outbox"]);
  latency_line(page, stats["latency_us"]);
  interval_line(page, stats["push_interval_ms"]);
  const Json calls = stats["calls"];
  page.line("calls", nonzero(calls, {{"requests", "requests"},
                                     {"notifications", "notifications"},
                                     {"errors", "refused"}}));
  page.line("events",
            nonzero(stats["subscriptions"],
                    {{"local", "subscriptions"}, {"delivered", "delivered"}, {"gaps", "gaps"}}));
  page.line("",
            nonzero(stats["subscriptions"],
                    {{"lost", "messages lost by subscribers that did not keep up"}}),
            Colour::yellow);
  page.line("stroke", printable(stats["stroke"]["session_id"].text()));
  probe_lines(page, stats["probes"]);
  client_lines(page, stats);
  return page.text();
}

}  // namespace

ExitCode run_status(const Context& context) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  const Answer stats = link.call("agent.stats");
  if (!stats.ok()) return complain(stats);
  const Answer health = link.call("health.get");
  if (context.json) {
    return say_json(ObjectText()
                        .raw("stats", stats.text)
                        .raw("health", health.ok() ? health.text : "null")
                        .str());
  }
  const JsonDocument stats_document(stats.text);
  const JsonDocument health_document(health.ok() ? health.text : "null");
  return say(status_page(stats_document.root(), health_document.root(), context.style));
}

ExitCode run_nodes(const Context& context) {
  const std::unique_ptr<Source> source = context.source();
  if (const Answer opened = source->open(); !opened.ok()) return complain(opened);
  const Answer answer = whole_status(*source);
  if (!answer.ok()) return complain(answer);
  if (context.json) return say_json(answer.text);
  // The hello names this node, and costs less than the statistics.
  const Answer hello = source->call("client.hello", R"({"name":"nodebeatctl"})");
  const JsonDocument self(hello.ok() ? hello.text : "null");
  const JsonDocument document(answer.text);
  const Fleet fleet = read_fleet(document.root(), now_us());
  std::string out = fleet_table(fleet, self["node_id"].text(), context.style).text(context.style);
  const std::string summary = fleet_summary(fleet) + (context.redis ? "" : "; * is this one") +
                              "; times are " + local_zone(fleet.now);
  out += '\n';
  for (const std::string& line :
       wrap(summary, context.style.terminal ? context.style.columns : summary.size())) {
    out += line + '\n';
  }
  if (!fleet.redis_connected) {
    out += context.style.paint(Colour::red,
                               "Redis is not connected: how the other nodes are is not known; see "
                               "nodebeatctl doctor") +
           '\n';
  }
  return say(out);
}

}  // namespace nb::ctl
