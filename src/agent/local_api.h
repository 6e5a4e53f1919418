// LocalApi: what the agent does for the programs on its own computer. It puts the nouns of cell/
// together with the socket and the link; what it does itself is the clients: their hello, goodbye
// and last will, and the agent's figures.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/config_view.h"
#include "agent/deaths.h"
#include "agent/figures.h"
#include "cell/bus.h"
#include "cell/bus_filter.h"
#include "cell/deadlines.h"
#include "cell/errors.h"
#include "cell/events.h"
#include "cell/listeners.h"
#include "cell/look.h"
#include "cell/operation.h"
#include "cell/robot.h"
#include "cell/session.h"
#include "cell/state.h"
#include "cell/state_watch.h"
#include "cell/stroke.h"
#include "cell/writes.h"
#include "fleet/watch.h"
#include "ipc/rpc_server.h"
#include "json/writer.h"
#include "node/heartbeat.h"
#include "node/lease.h"
#include "node/node_register.h"
#include "rpc/dispatcher.h"
#include "rpc/method.h"

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
    const node::LeaseRenewal& lease;
    fleet::WatchService& watch;
    const std::string& notes;  // the path beside which the running session is noted; empty: nowhere
    redis::MakeTransport make_transport;
    // Also names the socket of the service manager. Must outlive the object.
    const config::Sources& sources;
  };

  // `config` is the configuration in force. It must outlive this object, and may change between
  // calls.
  LocalApi(const Parts& parts, const config::Config& config);
  ~LocalApi();
  LocalApi(const LocalApi&) = delete;
  LocalApi& operator=(const LocalApi&) = delete;

  // Serves the socket, if there is to be one. The error is for a person.
  Status start();
  // Stops serving: closes every connection without carrying out wills.
  void stop();
  // Redis has stored a beat. Once a minute it is asked for its run id then: the loop is awake.
  void on_beat_stored();
  // The configuration has changed.
  void reconfigure();

  const redis::ServerClock& server_clock() const { return clock_reader_.clock(); }
  // The lease is renewed: asks Redis for its time in the same turn.
  void read_clock() { clock_reader_.read(); }

  // All figures but how often the configuration was swapped.
  Figures figures() const;

  // From the link, the outbox and the heartbeat.
  void on_link_status(const redis::LinkStatus& status);
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice);
  void on_settled(const outbox::Settled& settled) { writes_.on_settled(settled); }
  void on_room() { writes_.on_room(); }
  void on_losses();
  void on_lost();
  void on_node_event(std::string_view channel, std::string_view payload) {
    listeners_.deliver_local(channel, payload);
  }

 private:
  struct Client {
    ipc::ClientId id = 0;
    ipc::Peer peer{};
    std::string name;
    std::string will;    // the array's JSON; empty: none
    rpc::Rights rights;  // of the client that left the will
  };
  static const rpc::Method kMethods[3];

  void on_open(ipc::ClientId id, const ipc::Peer& peer);
  void on_close(ipc::ClientId id, ipc::Departure departure);
  void on_may_yield(ipc::ClientId id, bool& needed);
  Client* find_client(ipc::ClientId id);
  std::string_view socket_with(rpc::Right right);
  std::optional<rpc::Error> check_will(const rpc::Caller& who, json::View will);
  void see_to_death(const Client& gone);
  void carry_out(const Client& gone);
  void tell_losses();
  std::string_view name_of(ipc::ClientId id);
  wire::EventClient about(ipc::ClientId id);
  cell::Deadlines::Unread unread(ipc::ClientId id);
  void on_server_info(const redis::QueryReply& reply);

  void hello(rpc::Call& call);
  void goodbye(rpc::Call& call);
  void stats(rpc::Call& call);
  std::string_view own_health() const;
  void put_probes(std::string& out) const;
  void put_limits(json::Writer& json, ipc::ClientId client);

  void tell_of_redis(const redis::LinkStatus& status);
  void register_node();
  void read_back();
  void ask_for_info();

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  outbox::Outbox& outbox_;
  redis::Link& link_;
  const node::Heartbeat& heartbeat_;
  const node::LeaseRenewal& lease_;
  fleet::WatchService& watch_;
  const config::Config& config_;
  bool enabled_;
  int db_;
  MonoTime started_;

  rpc::Dispatcher dispatcher_;
  ipc::RpcServer rpc_;
  redis::Subscriber subscriber_;
  redis::Reader reader_;
  redis::Scripts scripts_;
  node::NodePruner pruner_;
  cell::Writes writes_;
  cell::Operations operations_;
  redis::ClockReader clock_reader_;
  cell::BusFilter bus_filter_;
  cell::Listeners listeners_;
  cell::Events events_;
  cell::Deadlines deadlines_;
  Deaths deaths_;
  cell::Bus bus_;
  cell::Robot robot_;
  cell::Stroke stroke_;
  cell::Errors errors_;
  cell::StateWatch state_watch_;
  cell::State state_;
  cell::Sessions sessions_;
  cell::Look look_;
  ConfigView config_view_;

  uv::Timer losses_timer_;  // runs while clients have lost events and have not been told yet
  MonoTime losses_told_ = MonoTime::min();
  MonoTime lost_said_ = MonoTime::min();
  bool gone_said_ = false;  // redis_gone was published
  std::string run_id_;      // of the server that was there last
  MonoTime info_asked_{};
  MonoTime registered_at_{};
  WallTime since_{};  // when this agent was started
  std::vector<Client> clients_;
  bool was_steady_ = false;
  static constexpr int kMostBadReadBacks = 2;
  bool reading_back_ = false;  // until the link is steady
  int bad_read_backs_ = 0;
};

}  // namespace nb::agent
