// LocalApi: what the agent does for the programs on its own computer: the method table of
// include/nodebeat/PROTOCOL.md, and whose will is carried out when.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/event_bus.h"
#include "agent/hourly_budget.h"
#include "agent/operation.h"
#include "agent/request.h"
#include "agent/robot_service.h"
#include "agent/state_service.h"
#include "agent/stroke_service.h"
#include "base/histogram.h"
#include "fleet/fleet.h"
#include "ipc/rpc_server.h"
#include "json/writer.h"
#include "node/heartbeat.h"
#include "node/node_register.h"

namespace nb::agent {

class LocalApi {
 public:
  struct Parts {
    uv::Loop& loop;
    const Log& log;
    const node::Identity& identity;
    outbox::Outbox& outbox;
    redis::Link& link;
    const node::Heartbeat& heartbeat;
    const std::string& notes;  // the path beside which the running session is noted; empty: nowhere
    redis::MakeTransport make_transport;
    const std::vector<std::pair<std::string, std::string>>& environment;  // for socket activation
  };

  // `config` is what is in force, at any time: it must outlive this, and may change between calls.
  LocalApi(const Parts& parts, const config::Config& config);
  ~LocalApi();
  LocalApi(const LocalApi&) = delete;
  LocalApi& operator=(const LocalApi&) = delete;

  // Serves the socket, if there is to be one. The error is for a person.
  Status start();
  // Says no more: connections are closed, wills are void.
  void stop();
  // It has changed.
  void reconfigure();

  // From the link, the outbox and the heartbeat.
  void on_link_status(const redis::LinkStatus& status);
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice);
  void on_settled(const outbox::Settled& settled) { requests_.on_settled(settled); }
  void on_room() { requests_.on_room(); }
  void on_losses();
  void on_lost();
  void on_node_event(std::string_view channel, std::string_view payload) {
    bus_.deliver_local(channel, payload);
  }

 private:
  struct Method;
  struct Client {
    ipc::ClientId id = 0;
    ipc::Peer peer{};
    std::string name;
    std::string will;  // the array's JSON; empty: none
  };
  static const Method kMethods[];

  static const Method* find_method(std::string_view name);
  static std::string_view nearest_method(std::string_view name);
  static std::string link_words(void* self);

  void on_open(ipc::ClientId id, const ipc::Peer& peer);
  void on_close(ipc::ClientId id, ipc::Departure departure);
  void on_may_yield(ipc::ClientId id, bool& needed);
  void on_call(const ipc::Call& call);
  // Checks the params, and calls the method's function with them.
  void dispatch(const Method& method, json::View params, Request& request);
  Client* find_client(ipc::ClientId id);
  std::optional<rpc::Error> check_will(json::View will);
  void see_to_will(const Client& gone, ipc::Departure departure);
  void carry_out(const Client& gone);
  void tell_losses();
  void on_server_info(const redis::QueryReply& reply);

  void client_hello(Request& request);
  size_t value_bytes() const;
  void put_probes(std::string& out) const;
  void put_limits(json::Writer& json, ipc::ClientId client);
  void client_goodbye(Request& request);
  void robot_update(Request& request) { robot_.update(request); }
  void note_user(Request& request);
  void stroke_start(Request& request);
  void stroke_update(Request& request);
  void stroke_end(Request& request);
  void error_report(Request& request);
  void state_set(Request& request);
  void state_get(Request& request) { state_.get(request); }
  void state_delete(Request& request) { state_.remove(request); }
  void state_list(Request& request) { state_.list(request); }
  void event_publish(Request& request);
  void event_subscribe(Request& request) { bus_.subscribe(request); }
  void event_unsubscribe(Request& request) { bus_.unsubscribe(request); }
  void health_get(Request& request);
  void system_status(Request& request);
  std::string_view own_health() const;
  void answer_status(uint64_t token, std::string_view page) { rpc_.answer(token, page); }
  void node_forget(Request& request);
  void agent_stats(Request& request);
  void redis_inspect(Request& request);

  void register_node();
  void read_back();

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  outbox::Outbox& outbox_;
  redis::Link& link_;
  const node::Heartbeat& heartbeat_;
  const config::Config& config_;
  bool enabled_;
  int db_;
  MonoTime started_;

  ipc::RpcServer rpc_;
  redis::Subscriber subscriber_;
  redis::Reader reader_;
  Requests requests_;
  Operations operations_;
  fleet::Fleet fleet_;
  node::NodePruner pruner_;
  EventBus bus_;
  RobotService robot_;
  StrokeService strokes_;
  StateService state_;
  HourlyBudget errors_;  // of each client, that go into the node's stream

  uv::Timer losses_timer_;  // clients have lost events and have not been told
  MonoTime losses_told_ = MonoTime::min();
  MonoTime lost_said_ = MonoTime::min();
  std::string run_id_;  // of the server that was there last
  std::vector<Client> clients_;
  uint64_t reading_ = 0;  // of the last call
  MonoTime ended_;
  Histogram accept_latency_;
  std::string event_;  // reused
  bool was_steady_ = false;
  static constexpr int kMostBadReadBacks = 2;
  bool reading_back_ = false;  // until the link is steady
  int bad_read_backs_ = 0;
};

}  // namespace nb::agent
