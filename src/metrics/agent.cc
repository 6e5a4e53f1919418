// The figures of agent.stats.
#include <array>
#include <map>
#include <string>
#include <vector>

#include "metrics/answers.h"
#include "metrics/figure.h"

namespace nb::metrics {
namespace {

constexpr Kind kGauge = Kind::gauge;
constexpr Kind kCounter = Kind::counter;

constexpr const char* kLaneBytes = "Bytes of events that wait for Redis, by lane";
constexpr const char* kLaneLimit = "Bytes of events that a lane has room for";
constexpr const char* kCalls = "Calls of local programs";
constexpr const char* kCallErrors = "Calls of local programs that the agent has refused";

constexpr Figure kFigures[] = {
    {kGauge, "nodebeat_agent_uptime_seconds", "Time since the agent was started", "uptime_s"},

    {kCounter, "nodebeat_link_connects", "Connections to Redis that were made", "link.connects"},
    {kCounter, "nodebeat_link_failures", "Failures of the link to Redis", "link.failures"},
    {kGauge, "nodebeat_link_ping_seconds", "Round trip of the last PING to Redis", "link.ping_ms",
     kMilliseconds},

    {kGauge, "nodebeat_outbox_values", "Values that the agent keeps", "outbox.slots"},
    {kGauge, "nodebeat_outbox_values_waiting", "Values that wait for Redis",
     "outbox.slots_waiting"},
    {kGauge, "nodebeat_outbox_events_waiting", "Events that wait for Redis",
     "outbox.events_waiting"},
    {kGauge, "nodebeat_outbox_in_flight", "Transactions that Redis has not answered yet",
     "outbox.in_flight"},
    {kGauge, "nodebeat_lane_bytes", kLaneBytes, "outbox.event_bytes", 1, {"lane", "events"}},
    {kGauge, "nodebeat_lane_bytes", kLaneBytes, "outbox.urgent_bytes", 1, {"lane", "urgent"}},
    {kGauge,
     "nodebeat_lane_limit_bytes",
     kLaneLimit,
     "outbox.event_bytes_limit",
     1,
     {"lane", "events"}},
    {kGauge,
     "nodebeat_lane_limit_bytes",
     kLaneLimit,
     "outbox.urgent_bytes_limit",
     1,
     {"lane", "urgent"}},
    {kCounter, "nodebeat_outbox_accepted", "Writes that were put into the outbox",
     "outbox.accepted"},
    {kCounter, "nodebeat_outbox_stored", "Transactions that Redis has confirmed", "outbox.stored"},
    {kCounter, "nodebeat_outbox_coalesced",
     "Values that a newer one replaced before they were sent", "outbox.coalesced"},
    {kCounter, "nodebeat_events_dropped", "Events that were lost for want of room or time",
     "outbox.dropped"},
    {kCounter, "nodebeat_events_expired", "Messages that were too old to be published",
     "outbox.expired"},
    {kCounter, "nodebeat_outbox_refused",
     "Transactions of which Redis has refused something for good", "outbox.refused"},
    {kCounter, "nodebeat_outbox_replayed", "Values and events that were sent once more",
     "outbox.replayed"},

    {kCounter, "nodebeat_calls", kCalls, "calls.requests", 1, {"kind", "request"}},
    {kCounter, "nodebeat_calls", kCalls, "calls.notifications", 1, {"kind", "notification"}},
    {kCounter, "nodebeat_call_errors", kCallErrors, "calls.errors"},
    {kCounter, "nodebeat_calls_forbidden", "Calls for which the right is missing",
     "calls.forbidden"},
    {kCounter, "nodebeat_calls_rate_limited", "Calls beyond what one client may have in a second",
     "calls.rate_limited"},

    {kGauge, "nodebeat_clients", "Clients that are connected to the agent", "socket.clients"},
    {kGauge, "nodebeat_clients_limit", "Clients that may be connected to the agent",
     "socket.clients_limit"},
    {kCounter, "nodebeat_connections_accepted", "Connections of clients that were accepted",
     "socket.accepted"},
    {kCounter, "nodebeat_connections_refused", "Connections of clients that were refused",
     "socket.refused"},
    {kCounter, "nodebeat_connections_cut_off", "Connections that were closed for malformed lines",
     "socket.cut_off"},
    {kCounter, "nodebeat_connections_yielded", "Idle connections that were closed for another one",
     "socket.yielded"},

    {kGauge, "nodebeat_subscriptions", "Subscriptions of clients", "subscriptions.local"},
    {kCounter, "nodebeat_events_delivered", "Messages that clients were told",
     "subscriptions.delivered"},
    {kCounter, "nodebeat_events_echoes_dropped", "Messages that came back as their own echo",
     "subscriptions.echoes_dropped"},
    {kCounter, "nodebeat_events_gaps", "Gaps that subscribers were told", "subscriptions.gaps"},
    {kCounter, "nodebeat_events_too_late", "Messages from elsewhere that came too late",
     "subscriptions.too_late"},
    {kCounter, "nodebeat_events_undelivered", "Messages for which a subscriber had no room",
     "subscriptions.lost"},

    {kGauge, "nodebeat_watch_nodes", "Nodes whose leases this agent reads as the watcher",
     "watch.nodes"},
    {kGauge, "nodebeat_watch_lag_seconds", "How late the last look at the leases was",
     "watch.lag_ms", kMilliseconds},
    {kGauge, "nodebeat_watch_unchanged_seconds", "Time since this agent has seen the watch change",
     "watch.unchanged_ms", kMilliseconds},
    {kCounter, "nodebeat_watch_lost", "Nodes that this agent has announced as lost", "watch.lost"},
    {kCounter, "nodebeat_watch_returned", "Nodes that this agent has announced as returned",
     "watch.returned"},
    {kCounter, "nodebeat_watch_uncertain", "Times when half of the cell fell silent at once",
     "watch.uncertain"},
};

constexpr std::string_view kLinkStates[] = {"stopped",  "waiting",   "resolving", "connecting",
                                            "greeting", "replaying", "steady",    "degraded"};
constexpr std::string_view kWatchRoles[] = {"unknown", "watching", "watched", "nobody"};

std::string text(json::View value) {
  std::string scratch;
  return std::string(value.string(scratch).value_or(""));
}

void put_identity(json::View stats, Exposition& out) {
  out.family(Kind::info, "nodebeat_agent", "The agent of this node");
  const std::string node = text(stats["node_id"]);
  if (!node.empty()) out.sample(1, {{"node", node}, {"version", text(stats["agent_version"])}});
  out.family(kGauge, "nodebeat_node_conflict", "Whether another agent beats as this node, too");
  const json::View conflict = stats["conflict"];
  if (conflict.exists()) out.sample(conflict.is(json::View::Type::null) ? 0 : 1);
}

void put_link(json::View link, Exposition& out) {
  const std::string state = text(link["state"]);
  out.family(kGauge, "nodebeat_link_up", "Whether the agent is connected to Redis");
  if (!state.empty()) out.sample(link_is_up(link) ? 1 : 0);
  out.family(kGauge, "nodebeat_link_state",
             "The state of the link to Redis: 1 for the present one");
  out.states(state, "state", kLinkStates);
  out.family(kGauge, "nodebeat_link_trouble",
             "What is wrong with the link to Redis, while there is "
             "something");
  if (const std::string cause = text(link["cause"]); !cause.empty()) {
    out.sample(1, {{"cause", cause}});
  }
}

void put_watch(json::View watch, Exposition& out) {
  out.family(kGauge, "nodebeat_watch_role",
             "This agent's part in watching the cell: 1 for the "
             "present one");
  out.states(text(watch["role"]), "role", kWatchRoles);
}

// The agent counts by octaves; each bucket here has two of these. They are the same always, so that
// figures of several nodes and times can be added.
constexpr int kFirstOctave = 14;  // 16 us
constexpr int kLastOctave = 36;   // 69 s
constexpr int kOctaveStep = 2;

std::vector<Bucket> empty_buckets() {
  std::vector<Bucket> buckets;
  for (int octave = kFirstOctave; octave <= kLastOctave; octave += kOctaveStep) {
    buckets.push_back({static_cast<double>((int64_t{1} << octave) - 1) / 1e9, 0});
  }
  return buckets;
}

// `divisor` makes seconds of the answer's unit.
void put_histogram(std::string_view name, std::string_view help, json::View histogram,
                   double divisor, Exposition& out) {
  const json::View listed = histogram["buckets"];
  const auto sum = number(histogram["sum"], divisor);
  if (!listed.exists() || !sum) return;
  std::vector<Bucket> buckets = empty_buckets();
  uint64_t all = 0;
  for (const json::View octave : listed.elements()) {
    const auto count =
        static_cast<uint64_t>(std::max<int64_t>(octave["count"].integer().value_or(0), 0));
    // The answer's bound is rounded, and the next one twice as large.
    const double up_to = number(octave["up_to"], divisor).value_or(0) * 0.99;
    for (Bucket& bucket : buckets) {
      if (up_to > bucket.up_to) continue;
      bucket.count += count;
      break;
    }
    all += count;
  }
  out.family(Kind::histogram, name, help);
  out.histogram(buckets, all, sum);
}

// Programs of one name count as one: an id of a client would be another series for each connection.
struct Promise {
  double deadline = 0;
  bool late = false;
  double missed = 0;
  double longest_gap = 0;
  double last_missed = 0;
};

std::map<std::string, Promise> promises(json::View clients) {
  std::map<std::string, Promise> all;
  for (const json::View client : clients.elements()) {
    const json::View deadline = client["deadline"];
    if (!deadline.is(json::View::Type::object)) continue;
    Promise& promise = all[text(client["name"])];
    const auto largest = [](double& figure, std::optional<double> value) {
      figure = std::max(figure, value.value_or(0));
    };
    largest(promise.deadline, number(deadline["deadline_ms"], kMilliseconds));
    largest(promise.longest_gap, number(deadline["longest_gap_ms"], kMilliseconds));
    largest(promise.last_missed, timestamp(deadline["last_missed"]));
    promise.late = promise.late || deadline["late"].boolean().value_or(false);
    promise.missed += deadline["missed"].number().value_or(0);
  }
  return all;
}

void put_deadlines(json::View clients, Exposition& out) {
  const std::map<std::string, Promise> all = promises(clients);
  const auto each = [&](Kind kind, std::string_view name, std::string_view help, auto value) {
    out.family(kind, name, help);
    for (const auto& [robot, promise] : all) out.sample(value(promise), {{"robot", robot}});
  };
  each(kGauge, "nodebeat_deadline_seconds", "How often a program has promised to push",
       [](const Promise& promise) { return promise.deadline; });
  each(kGauge, "nodebeat_deadline_late", "Whether a program is late with its push now",
       [](const Promise& promise) { return promise.late ? 1.0 : 0.0; });
  each(kCounter, "nodebeat_deadline_missed", "Times when a program that is connected was late",
       [](const Promise& promise) { return promise.missed; });
  each(kGauge, "nodebeat_deadline_longest_gap_seconds", "The longest time between two pushes",
       [](const Promise& promise) { return promise.longest_gap; });
  each(kGauge, "nodebeat_deadline_last_missed_timestamp_seconds",
       "When a program that is connected was last late", [](const Promise& promise) {
         return promise.last_missed > 0 ? std::optional(promise.last_missed) : std::nullopt;
       });
}

}  // namespace

bool link_is_up(json::View link) {
  const json::View state = link["state"];
  return state.string_is("replaying") || state.string_is("steady") || state.string_is("degraded");
}

void put_agent(json::View stats, Exposition& out) {
  put_identity(stats, out);
  put_link(stats["link"], out);
  put(kFigures, stats, out);
  put_watch(stats["watch"], out);
  const json::View latency = stats["latency_us"];
  put_histogram("nodebeat_push_accept_seconds", "Time in the agent until a call was accepted",
                latency["accept"], kMicroseconds, out);
  put_histogram("nodebeat_push_store_seconds", "Time from the acceptance until Redis has confirmed",
                latency["store"], kMicroseconds, out);
  put_histogram("nodebeat_push_interval_seconds", "Time between two pushes of one program",
                stats["push_interval_ms"], kMilliseconds, out);
  put_deadlines(stats["clients"], out);
  out.family(kGauge, "nodebeat_stroke_running", "Whether a stroke session runs on this node");
  const json::View session = at(stats, "stroke.session_id");
  if (session.exists()) out.sample(session.is(json::View::Type::null) ? 0 : 1);
}

}  // namespace nb::metrics
