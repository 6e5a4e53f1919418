#include "agent/figures.h"

#include <unistd.h>

#include "base/text.h"
#include "base/timestamp.h"
#include "node/version.h"

namespace nb::agent {
namespace {

constexpr double kMicrosecond = 1e3;
constexpr double kMillisecond = 1e6;

void put_count(json::Writer& json, const char* key, uint64_t value) {
  json.key(key).integer(static_cast<int64_t>(value));
}

// `unit`: in nanoseconds.
void put_histogram(json::Writer& json, const char* key, const Histogram& histogram, double unit) {
  const auto value = [&](Duration duration) {
    return static_cast<double>(duration.count()) / unit;
  };
  json.key(key).begin_object().key("count").integer(static_cast<int64_t>(histogram.count()));
  json.key("sum").rounded(value(histogram.sum()), 1);
  json.key("p50").rounded(value(histogram.quantile(0.5)), 1);
  json.key("p90").rounded(value(histogram.quantile(0.9)), 1);
  json.key("p99").rounded(value(histogram.quantile(0.99)), 1);
  json.key("max").rounded(value(histogram.max()), 1);
  json.key("buckets").begin_array();
  histogram.for_each_octave([&](Duration up_to, uint64_t count) {
    json.begin_object().key("up_to").rounded(value(up_to), 3);
    json.key("count").integer(static_cast<int64_t>(count)).end_object();
  });
  json.end_array().end_object();
}

// An empty text is null.
void put_text(json::Writer& json, const char* key, std::string_view text) {
  json.key(key);
  text.empty() ? json.null() : json.string(text);
}

double milliseconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

}  // namespace

void append_json(const Figures& figures, json::Writer& json) {
  json.key("node_id").string(figures.node);
  json.key("instance_id").string(figures.instance).key("agent_version").string(node::kVersion);
  json.key("pid").integer(::getpid());
  json.key("uptime_s").integer(std::chrono::floor<std::chrono::seconds>(figures.uptime).count());
  put_text(json, "conflict", figures.conflict);

  const redis::LinkStatus& link = *figures.link;
  json.key("link").begin_object().key("state").string(redis::name(link.state));
  put_text(json, "cause", link.words.empty() ? std::string_view() : redis::name(link.trouble));
  put_text(json, "trouble", link.words);
  json.key("target").string(figures.target);
  put_count(json, "connects", link.connects);
  put_count(json, "failures", link.failures);
  json.key("ping_ms");
  link.round_trip ? json.rounded(milliseconds(*link.round_trip), 3) : json.null();
  json.end_object();

  const Figures::Outbox& outbox = figures.outbox;
  json.key("outbox").begin_object();
  put_count(json, "slots", outbox.slots);
  put_count(json, "slots_waiting", outbox.slots_waiting);
  put_count(json, "events_waiting", outbox.events_waiting);
  put_count(json, "event_bytes", outbox.event_bytes);
  put_count(json, "event_bytes_limit", outbox.event_bytes_limit);
  put_count(json, "urgent_bytes", outbox.urgent_bytes);
  put_count(json, "urgent_bytes_limit", outbox.urgent_bytes_limit);
  put_count(json, "accepted", outbox.counters.accepted);
  put_count(json, "stored", outbox.counters.stored);
  put_count(json, "coalesced", outbox.coalesced);
  put_count(json, "dropped", outbox.dropped);
  put_count(json, "dropped_old", outbox.dropped_old);
  json.key("last_dropped");
  outbox.dropped > 0 ? json.string(format_timestamp(outbox.last_dropped)) : json.null();
  put_count(json, "expired", outbox.counters.expired);
  put_count(json, "refused", outbox.counters.refused);
  put_count(json, "replayed", outbox.counters.replayed);
  put_count(json, "in_flight", outbox.in_flight);
  json.end_object();

  json.key("latency_us").begin_object();
  put_histogram(json, "accept", *figures.accept_latency, kMicrosecond);
  put_histogram(json, "store", *figures.store_latency, kMicrosecond);
  json.end_object();
  put_histogram(json, "push_interval_ms", *figures.push_intervals, kMillisecond);

  const ipc::RpcCounters& calls = figures.calls;
  json.key("calls").begin_object();
  put_count(json, "requests", calls.requests);
  put_count(json, "notifications", calls.notifications);
  put_count(json, "errors", calls.errors);
  put_count(json, "forbidden", calls.forbidden);
  put_count(json, "rate_limited", calls.rate_limited);
  json.end_object();
  json.key("socket").begin_object();
  put_count(json, "clients", figures.clients);
  put_count(json, "clients_limit", figures.clients_limit);
  put_count(json, "accepted", calls.accepted);
  put_count(json, "refused", calls.refused);
  put_count(json, "cut_off", calls.cut_off);
  put_count(json, "yielded", calls.yielded);
  json.end_object();

  const Figures::Subscriptions& subscriptions = figures.subscriptions;
  json.key("subscriptions").begin_object();
  put_count(json, "local", subscriptions.local);
  json.key("remote_state").string(redis::name(subscriptions.remote_state));
  put_count(json, "delivered", subscriptions.delivered);
  put_count(json, "echoes_dropped", subscriptions.echoes_dropped);
  put_count(json, "gaps", subscriptions.gaps);
  put_count(json, "too_late", subscriptions.too_late);
  put_count(json, "lost", calls.events_lost);
  json.end_object();
  const fleet::WatchFigures& watch = figures.watch;
  json.key("watch").begin_object().key("role").string(fleet::name(watch.role));
  put_text(json, "node", watch.node);
  json.key("enabled").boolean(watch.enabled);
  put_count(json, "unchanged_ms", static_cast<uint64_t>(milliseconds(watch.since)));
  put_count(json, "term", watch.term);
  put_count(json, "nodes", watch.nodes);
  put_count(json, "left_out", watch.left_out);
  json.key("lag_ms").rounded(milliseconds(watch.lag), 3);
  put_count(json, "lost", watch.lost);
  put_count(json, "returned", watch.returned);
  put_count(json, "uncertain", watch.uncertain);
  put_text(json, "trouble", watch.trouble);
  put_text(json, "lease_trouble", figures.lease_refusal);
  json.end_object();
  json.key("stroke").begin_object();
  put_text(json, "session_id", figures.stroke_session);
  json.end_object();
}

nb_agent_stats to_c(const Figures& figures) {
  const redis::LinkStatus& link = *figures.link;
  nb_agent_stats stats{};
  stats.size = sizeof stats;
  stats.link_state = static_cast<uint32_t>(link.state);
  stats.beats = figures.beats;
  stats.stored = figures.outbox.counters.stored;
  stats.refused = figures.outbox.counters.refused;
  stats.coalesced = figures.outbox.coalesced;
  stats.events_waiting = figures.outbox.events_waiting;
  stats.events_dropped = figures.outbox.dropped;
  stats.events_expired = figures.outbox.counters.expired;
  stats.connects = link.connects;
  stats.link_failures = link.failures;
  stats.ping_ms = link.round_trip ? milliseconds(*link.round_trip) : -1;
  stats.reloads = figures.reloads;
  return stats;
}

std::string status_line(const Figures& figures) {
  const redis::LinkStatus& link = *figures.link;
  const bool steady = link.state == redis::LinkState::steady;
  const bool degraded = link.state == redis::LinkState::degraded;
  return format("node %.*s; redis %s: %s%s%s", static_cast<int>(figures.node.size()),
                figures.node.data(), figures.target.c_str(),
                steady     ? "connected"
                : degraded ? "degraded: "
                           : "",
                steady ? "" : link.words.c_str(), steady || degraded ? "" : "; trying again");
}

}  // namespace nb::agent
