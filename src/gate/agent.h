// Agent: one connection to the agent's Unix socket, on the gate's loop. It dials, says hello, dials
// again after a loss, and restores the subscriptions.
//
// A part that asks has an AgentCall as a member, a part that listens has an AgentListener. Both end
// with their owner. The callbacks may make and destroy calls and listeners, but not the Agent.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.h"
#include "base/delegate.h"
#include "base/glob.h"
#include "base/line_framer.h"
#include "base/log.h"
#include "json/guard.h"
#include "rpc/line_limits.h"
#include "rpc/rights.h"
#include "uv/dialer.h"
#include "uv/loop.h"
#include "uv/soon.h"
#include "uv/stream.h"
#include "uv/timer.h"

namespace nb::gate {

class AgentCall;
class AgentListener;

// Why a call has no result.
struct CallFailure {
  enum class Kind : uint8_t {
    refused,  // the agent has answered with an error: `name` and `data` are that error's
    away,     // there is no agent, or the agent has gone before it answered
    silent,   // no answer within the deadline
    full,     // too many calls wait already: this one was not sent
  };
  Kind kind = Kind::away;
  int code = 0;           // of PROTOCOL.md, section 5; refused only
  std::string name;       // "not_found"; refused only
  std::string words;      // a sentence for people
  std::string data;       // the object `data` as JSON, or empty; refused only
  bool was_sent = false;  // the agent may have carried out the call
};

struct CallAnswer {
  json::View result;                     // missing if the call has failed
  const CallFailure* failure = nullptr;  // null: there is a result
  bool ok() const { return failure == nullptr; }
};

// The answer to client.hello.
struct AgentHello {
  std::string node_id;
  std::string instance_id;
  std::string agent_version;
  rpc::Rights rights;
  size_t line_bytes = rpc::kLeastLineBytes;  // the longest line that the agent reads
};

// A message or a gap, as PROTOCOL.md has it in 3.4: `params` of the notification.
struct AgentEvent {
  bool is_gap = false;
  std::string_view channel;  // empty: a gap
  json::View params;
};

struct AgentOptions {
  std::string socket;
  std::string name = "nodebeat-gate";
  // Of the dial and the hello together. An agent that takes longer counts as absent.
  Duration dial_deadline = std::chrono::seconds(2);
  Backoff::Limits backoff;
};

class Agent {
 public:
  // A call beyond that is refused with `full`. The agent itself reads no more than that from one
  // client.
  static constexpr size_t kMaxCalls = rpc::kWaitingCalls;
  // More than that unsent, and further calls are refused with `full`.
  static constexpr size_t kMaxUnsent = 1024 * 1024;

  // `log` must outlive this object.
  Agent(uv::Loop& loop, AgentOptions options, const Log& log);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  void start();

  bool is_there() const { return state_ == State::there; }
  // Only while the agent is there; otherwise the last one.
  const AgentHello& hello() const { return hello_; }
  // Why there is no connection, in words: "there is no agent at /run/...: no such file". Empty
  // while there is one.
  const std::string& why_away() const { return why_away_; }
  const std::string& socket() const { return options_.socket; }

 private:
  friend class AgentCall;
  friend class AgentListener;
  enum class State : uint8_t { stopped, waiting, dialling, greeting, there };

  // For AgentCall.
  void begin(AgentCall& call);
  void send(AgentCall& call);
  // For AgentListener.
  void add(AgentListener& listener);
  void remove(const AgentListener& listener);
  void subscribe(AgentListener& listener);
  void on_subscribed(AgentListener& listener, json::View error);
  bool is_heard(const std::string& name, std::vector<std::string> AgentListener::*kind) const;

  void dial();
  void on_dialled(uv::Dialer::Answer& answer);
  void on_dial_deadline();
  void on_data(std::string_view bytes);
  void on_line(std::string_view line);
  void on_hello(json::View message);
  void on_answer(json::View message);
  void on_notification(std::string_view method, json::View params);
  void on_end(int error);
  void on_turn();
  void on_call_deadline();

  CallFailure failure_of(json::View error);
  void lose(std::string why);
  void fail_calls();
  void tell_presence(bool there);
  void tell_event(const AgentEvent& event);
  void tell_replayed(std::string_view mark);
  void watch_deadline();
  void write(std::string_view method, uint64_t id, std::string_view params);
  size_t unsent_bytes() const;

  uv::Loop& loop_;
  AgentOptions options_;
  const Log& log_;
  State state_ = State::stopped;
  AgentHello hello_;
  std::string why_away_;
  std::string last_words_;  // an error of the agent that answers no call
  std::unique_ptr<uv::Stream> stream_;
  std::string output_;
  LineFramer framer_{rpc::kMostLineBytes};
  json::Guard guard_;
  std::string scratch_;
  GlobText channel_;  // of the event that is being handed out
  std::optional<bool> told_there_;
  MonoTime there_since_{};
  MonoTime lost_at_{};
  uint64_t last_id_ = 0;
  uint64_t hello_id_ = 0;
  std::map<uint64_t, AgentCall*> calls_;
  // null: a listener that has gone while events were delivered
  std::vector<AgentListener*> listeners_;
  int handing_out_ = 0;
  Backoff backoff_;
  uv::Dialer dialer_;
  uv::Timer retry_;
  uv::Timer dial_deadline_;
  uv::Timer call_deadline_;
  uv::Soon soon_;
};

// A call that may be made again after its answer. Destroying it cancels the call: the agent still
// carries out a call that was sent.
class AgentCall {
 public:
  AgentCall(Agent& agent, Delegate<void(const CallAnswer&)> on_answer)
      : agent_(agent), on_answer_(on_answer) {}
  AgentCall(const AgentCall&) = delete;
  AgentCall& operator=(const AgentCall&) = delete;
  ~AgentCall() { cancel(); }

  // `params` is a JSON object, or empty. The answer comes exactly once, never before start() has
  // returned; its views are valid during the callback only. While there is no agent the call asks
  // for a try to connect at once, and fails when that try fails. A call that waits is cancelled
  // first.
  void start(std::string_view method, std::string_view params = {},
             Duration deadline = std::chrono::seconds(3));
  void cancel();
  bool waiting() const { return id_ != 0; }

 private:
  friend class Agent;
  void answer(const CallAnswer& answer);
  void fail(const CallFailure& failure);

  Agent& agent_;
  Delegate<void(const CallAnswer&)> on_answer_;
  uint64_t id_ = 0;
  std::string method_, params_;  // until the call is sent
  bool is_sent_ = false;
  MonoTime due_{};
  std::optional<CallFailure> verdict_;  // known already, reported at the end of the turn
};

// Listens to channels and patterns for as long as it lives.
class AgentListener {
 public:
  struct Events {
    Delegate<void(const AgentEvent&)> on_event;
    // The agent is there (true), or is away (false): events meanwhile are lost. Called first when
    // this is known.
    Delegate<void(bool)> on_presence;
    // The agent has taken the subscription (null), or has refused it.
    Delegate<void(const CallFailure*)> on_subscribed;
    // A replay with this `mark` has brought the past (PROTOCOL.md, 3.4.5.5). All listeners are
    // told.
    Delegate<void(std::string_view)> on_replayed;
  };

  // Without channels and patterns it receives the presence only. A pattern has Redis' form ('*',
  // '?', '['). At most 64 for all listeners of one Agent together: the agent refuses those beyond,
  // which the log and on_subscribed report. `replay` is that member of event.subscribe
  // (PROTOCOL.md, 3.4.5), or empty.
  AgentListener(Agent& agent, std::vector<std::string> channels, std::vector<std::string> patterns,
                Events events, std::string replay = {});
  AgentListener(const AgentListener&) = delete;
  AgentListener& operator=(const AgentListener&) = delete;
  ~AgentListener();

 private:
  friend class Agent;
  bool wants(const GlobText& channel) const;

  Agent& agent_;
  std::vector<std::string> channels_;
  std::vector<std::string> patterns_;
  std::string replay_;
  Events events_;
  uint64_t subscribing_ = 0;  // the id of event.subscribe, until it is answered
};

}  // namespace nb::gate
