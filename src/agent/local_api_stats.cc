// agent.stats: everything that the agent counts, in one answer.
#include <unistd.h>

#include <algorithm>

#include "agent/local_api.h"
#include "agent/mapping.h"
#include "json/writer.h"
#include "node/heartbeat.h"
#include "node/version.h"

namespace nb::agent {
namespace {

// What stands in the answer besides the lists of clients and of probes, and one client.
constexpr size_t kAroundClients = 1024;

void put_count(json::Writer& json, const char* key, uint64_t value) {
  json.key(key).integer(static_cast<int64_t>(value));
}

void put_latency(json::Writer& json, const char* key, const Histogram& histogram) {
  const auto us = [](Duration duration) { return static_cast<double>(duration.count()) / 1e3; };
  json.key(key).begin_object().key("count").integer(static_cast<int64_t>(histogram.count()));
  json.key("p50").rounded(us(histogram.quantile(0.5)), 1);
  json.key("p90").rounded(us(histogram.quantile(0.9)), 1);
  json.key("p99").rounded(us(histogram.quantile(0.99)), 1);
  json.key("max").rounded(us(histogram.max()), 1).end_object();
}

// Nothing to say is null.
void put_text(json::Writer& json, std::string_view text) {
  text.empty() ? json.null() : json.string(text);
}

int64_t seconds(Duration duration) {
  return std::chrono::floor<std::chrono::seconds>(duration).count();
}

}  // namespace

void LocalApi::stats(rpc::Call& call) {
  const redis::LinkStatus& link = link_.status();
  const outbox::OutboxCounters& counters = outbox_.counters();
  const ipc::RpcCounters calls = rpc_.counters();
  const auto clients = rpc_.clients();
  std::string out;
  json::Writer json(out);
  json.begin_object().key("node_id").string(identity_.node);
  json.key("instance_id").string(identity_.instance_id).key("agent_version").string(node::kVersion);
  json.key("pid").integer(::getpid()).key("uptime_s").integer(seconds(loop_.now() - started_));
  json.key("conflict");
  put_text(json, heartbeat_.other_instance());

  json.key("link").begin_object().key("state").string(redis::name(link.state));
  json.key("cause");
  put_text(json, link.words.empty() ? std::string_view() : redis::name(link.trouble));
  json.key("trouble");
  put_text(json, link.words);
  json.key("target").string(describe(link_options(config_).target));
  put_count(json, "connects", link.connects);
  put_count(json, "failures", link.failures);
  json.key("ping_ms");
  link.round_trip ? json.rounded(static_cast<double>(link.round_trip->count()) / 1e6, 3)
                  : json.null();
  json.end_object();

  json.key("outbox").begin_object();
  put_count(json, "slots", outbox_.slots().size());
  put_count(json, "slots_waiting", outbox_.slots().dirty_count());
  put_count(json, "events_waiting", outbox_.lanes().size());
  put_count(json, "event_bytes", outbox_.events().bytes());
  put_count(json, "event_bytes_limit", config_.outbox.event_bytes);
  put_count(json, "urgent_bytes", outbox_.urgent_events().bytes());
  put_count(json, "urgent_bytes_limit", config_.outbox.urgent_bytes);
  put_count(json, "accepted", counters.accepted);
  put_count(json, "stored", counters.stored);
  put_count(json, "coalesced", outbox_.slots().coalesced());
  put_count(json, "dropped", outbox_.lanes().dropped());
  put_count(json, "expired", counters.expired);
  put_count(json, "refused", counters.refused);
  put_count(json, "replayed", counters.replayed);
  put_count(json, "in_flight", outbox_.in_flight());
  json.end_object();

  json.key("latency_us").begin_object();
  put_latency(json, "accept", rpc_.accept_latency());
  put_latency(json, "store", outbox_.store_latency());
  json.end_object();

  json.key("calls").begin_object();
  put_count(json, "requests", calls.requests);
  put_count(json, "notifications", calls.notifications);
  put_count(json, "errors", calls.errors);
  json.end_object();
  json.key("socket").begin_object();
  put_count(json, "clients", clients.size());
  put_count(json, "clients_limit", config_.socket.max_clients);
  put_count(json, "accepted", calls.accepted);
  put_count(json, "refused", calls.refused);
  put_count(json, "cut_off", calls.cut_off);
  put_count(json, "yielded", calls.yielded);
  json.end_object();
  json.key("subscriptions").begin_object();
  put_count(json, "local", listeners_.subscriptions());
  json.key("remote_state").string(redis::name(subscriber_.state()));
  put_count(json, "delivered", listeners_.counters().delivered);
  put_count(json, "echoes_dropped", listeners_.counters().echoes_dropped);
  put_count(json, "gaps", listeners_.counters().gaps);
  put_count(json, "lost", calls.events_lost);
  json.end_object();
  json.key("stroke").begin_object().key("session_id");
  put_text(json, stroke_.session());
  json.end_object();

  // The list of clients takes what the line has left.
  std::string probes;
  put_probes(probes);
  const size_t most = rpc::result_bytes(rpc_.max_line_bytes(call.who.client));
  const size_t room = most - std::min(most, probes.size() + kAroundClients);
  size_t left_out = 0;
  json.key("clients").begin_array();
  for (const ipc::ClientInfo& info : clients) {
    if (out.size() > room) {
      ++left_out;
      continue;
    }
    const Client* client = find_client(info.id);
    json.begin_object();
    put_count(json, "client_id", info.id);
    json.key("name").string(client != nullptr ? client->name : std::string());
    json.key("pid").integer(info.peer.pid).key("uid").integer(info.peer.uid);
    put_count(json, "calls", info.calls);
    put_count(json, "errors", info.errors);
    put_count(json, "subscriptions", listeners_.subscriptions_of(info.id));
    put_count(json, "queued_bytes", info.queued_bytes);
    json.key("connected_s").integer(seconds(loop_.now() - info.connected)).end_object();
  }
  json.end_array();
  put_count(json, "clients_left_out", left_out);
  json.key("probes").raw(probes).end_object();
  call.answer(out);
}

void LocalApi::put_probes(std::string& out) const {
  json::Writer json(out);
  json.begin_array();
  for (const wire::ProbeReport& probe : heartbeat_.probes()) {
    json.begin_object().key("name").string(probe.name).key("type").string(probe.type).key("up");
    probe.up ? json.boolean(*probe.up) : json.null();
    json.key("detail").string(probe.detail).end_object();
  }
  json.end_array();
}

}  // namespace nb::agent
