// Events: event.publish, and the one way by which every event of this node goes out: to Redis, to a
// stream that keeps it, and to the local clients that listen.
#pragma once

#include <string>
#include <string_view>

#include "cell/hourly_budget.h"
#include "cell/listeners.h"
#include "cell/recorded_channels.h"
#include "cell/writes.h"
#include "config/config.h"
#include "node/identity.h"
#include "rpc/method.h"
#include "wire/node_events.h"

namespace nb::cell {

// The parts of an event.
struct Publication {
  std::string_view channel;
  std::string_view payload;  // JSON, one line
  Duration max_age{};
  // The stream into which the event also goes. Events for the node's stream beyond their user's
  // budget go into the shared stream, so one user's programs do not push out the events of others.
  enum class Record : uint8_t {
    no,       // into none
    node,     // the node's
    error,    // likewise, within a budget of its client's too
    channel,  // its channel's, or the shared one if there is no room for a stream of its own
  };
  Record record = Record::no;
};

class Events {
 public:
  using About = Delegate<wire::EventClient(rpc::ClientId)>;

  // All references must outlive it, but for `config`.
  Events(uv::Loop& loop, const node::Identity& identity, Writes& writes, Listeners& listeners,
         const config::Config& config, About about);
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  void reconfigure(const config::Config& config);
  void on_client_closed(rpc::ClientId client) { errors_of_client_.forget(client); }

  static const rpc::Method kMethods[1];
  void publish(rpc::Call& call);
  // Adds the last member, the client's name, to an object without its end. Adds nothing for a
  // client without a name.
  void append_client_name(const rpc::Call& call, std::string& object) const;
  // Likewise, and behind it the number of its process, if the call is of its last will.
  void append_client(const rpc::Call& call, std::string& object) const;

  // Writes one unit, with the event as its message: `slot` and `entry` may be null. Of an event
  // that is recorded the entry is its own, and `entry` is not looked at. Answers the call; false:
  // the unit was refused, and so is the call.
  bool send(rpc::Call& call, const Publication& event, const outbox::SlotUpdate* slot = nullptr,
            const outbox::EntryUpdate* entry = nullptr, AnswerKind kind = AnswerKind::empty,
            std::string_view result = "{}");

 private:
  bool complete(rpc::Call& call, std::string_view channel, bool is_bus, const json::View& event);
  bool has_budget(const rpc::Call& call, Publication::Record record);

  uv::Loop& loop_;
  const node::Identity& identity_;
  Writes& writes_;
  Listeners& listeners_;
  About about_;
  int db_;
  Duration max_age_{};
  uint64_t events_length_ = 0;
  uint64_t stream_bytes_ = 0;
  RecordedChannels::Limits channel_limits_;
  std::string node_stream_;
  std::string bus_instance_;
  RecordedChannels recorded_;
  // For the node's stream.
  HourlyBudget events_of_user_;
  HourlyBudget errors_of_client_;
  std::string event_;  // reused
};

}  // namespace nb::cell
