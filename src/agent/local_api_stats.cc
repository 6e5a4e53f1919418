// agent.stats: the agent's figures, and the lists of clients and probes.
#include <algorithm>

#include "agent/figures.h"
#include "agent/local_api.h"
#include "agent/mapping.h"
#include "base/timestamp.h"
#include "json/writer.h"

namespace nb::agent {
namespace {

// The size of the answer without the lists of clients and of probes, and of one client.
constexpr size_t kAroundClients = 1024;

void put_deadline(const std::optional<cell::Deadlines::Report>& report, json::Writer& json) {
  json.key("deadline");
  if (!report) return void(json.null());
  const auto ms = [](Duration duration) {
    return std::chrono::floor<std::chrono::milliseconds>(duration).count();
  };
  json.begin_object().key("deadline_ms").integer(ms(report->deadline));
  json.key("gap_ms");
  report->gap ? json.integer(ms(*report->gap)) : json.null();
  json.key("late").boolean(report->late).key("missed");
  json.integer(static_cast<int64_t>(report->missed));
  json.key("longest_gap_ms").integer(ms(report->longest_gap)).key("last_missed");
  report->last_missed ? json.string(format_timestamp(*report->last_missed)) : json.null();
  json.end_object();
}

}  // namespace

Figures LocalApi::figures() const {
  Figures figures;
  figures.node = identity_.node;
  figures.instance = identity_.instance_id;
  figures.conflict = heartbeat_.other_instance();
  figures.uptime = loop_.now() - started_;
  figures.beats = heartbeat_.beats();
  figures.link = &link_.status();
  figures.target = describe(link_options(config_).target);
  figures.outbox = {outbox_.slots().size(),          outbox_.slots().dirty_count(),
                    outbox_.lanes().size(),          outbox_.events().bytes(),
                    outbox_.urgent_events().bytes(), config_.outbox.event_bytes,
                    config_.outbox.urgent_bytes,     outbox_.counters(),
                    outbox_.slots().coalesced(),     outbox_.lanes().dropped(),
                    outbox_.lanes().dropped_old(),   outbox_.in_flight(),
                    outbox_.lanes().last_dropped()};
  figures.accept_latency = &rpc_.accept_latency();
  figures.store_latency = &outbox_.store_latency();
  figures.push_intervals = &deadlines_.intervals();
  figures.calls = rpc_.counters();
  figures.clients = rpc_.client_count();
  figures.clients_limit = config_.socket.max_clients;
  for (const config::SocketConfig& more : config_.more_sockets) {
    figures.clients_limit += more.max_clients;
  }
  const auto& events = listeners_.counters();
  figures.subscriptions = {listeners_.subscriptions(), subscriber_.state(), events.delivered,
                           events.echoes_dropped,      events.gaps,         events.too_late};
  figures.watch = watch_.figures();
  figures.lease_refusal = lease_.refusal();
  figures.stroke_session = stroke_.session();
  return figures;
}

void LocalApi::stats(rpc::Call& call) {
  std::string out;
  json::Writer json(out);
  json.begin_object();
  append_json(figures(), json);

  // The list of clients takes the rest of the line.
  std::string probes;
  put_probes(probes);
  const size_t most = rpc::result_bytes(rpc_.max_line_bytes(call.who.client));
  const size_t room = most - std::min(most, probes.size() + kAroundClients);
  size_t left_out = 0;
  json.key("clients").begin_array();
  for (const ipc::ClientInfo& info : rpc_.clients()) {
    if (out.size() > room) {
      ++left_out;
      continue;
    }
    const Client* client = find_client(info.id);
    json.begin_object();
    json.key("client_id").integer(static_cast<int64_t>(info.id));
    json.key("name").string(client != nullptr ? client->name : std::string());
    json.key("pid").integer(info.peer.pid).key("uid").integer(info.peer.uid);
    json.key("calls").integer(static_cast<int64_t>(info.calls));
    json.key("errors").integer(static_cast<int64_t>(info.errors));
    json.key("subscriptions");
    json.integer(static_cast<int64_t>(listeners_.subscriptions_of(info.id)));
    json.key("queued_bytes").integer(static_cast<int64_t>(info.queued_bytes));
    const Duration connected = loop_.now() - info.connected;
    json.key("connected_s");
    json.integer(std::chrono::floor<std::chrono::seconds>(connected).count());
    put_deadline(deadlines_.report(info.id), json);
    json.end_object();
  }
  json.end_array();
  json.key("clients_left_out").integer(static_cast<int64_t>(left_out));
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
