// McpCheck: asks an MCP server whether it is there, in the era that it understands.
//
// In the 2025 era the first question is `initialize`, which opens a session; where a bridge stands
// before a stdio server, it starts a process. So that session is kept, and each further question is
// a `ping` in it. A new one is opened when the server no longer knows the old one (or has not
// answered in it for start_timeout), and the session is ended when the probe goes. A server that
// refuses every first ping gets `initialize` each time, and its session is ended at once.
//
// A server that starts takes its time: while the first question has no answer, it goes on over
// several tries, up to start_timeout, and what it is is unknown ("starting"). A server that
// has let that time pass is down, until something comes from it.
//
// With the era `automatic`, 2026 is asked first (nothing is opened by asking), what worked is kept,
// and a refusal that another era may explain is followed by one question in the other era within
// the same try; if that fails too, later tries take turns with one question each, so that a server
// that is wrong for good isn't asked twice as often; of the two eras' reasons the more telling one
// is reported. Until an era has worked, they take turns after whatever goes wrong with a server
// that is there.
#pragma once

#include <optional>

#include "probe/check.h"
#include "probe/http_exchange.h"
#include "probe/mcp_message.h"

namespace nb::probe {

class McpCheck final : public Check {
 public:
  McpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);
  ~McpCheck() override;

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  struct Session : McpSession {
    std::string server;   // its name and version, for the detail
    bool proven = false;  // a ping in it was answered
  };

  McpAsk next_question() const;
  void ask(McpAsk question);
  void on_progress();
  void on_end(const Status& status);
  bool may_be_other_era() const;
  void switch_era();
  void settle(const McpVerdict& verdict);
  void open_session(const McpVerdict& verdict);
  void end_session(const McpSession& session);
  void drop_session();
  void ping_failed();
  McpVerdict more_telling(const McpVerdict& verdict);

  const CheckContext& context_;
  const ProbeSpec& spec_;
  OnOutcome on_outcome_;
  McpEra era_;               // to ask in next
  bool may_switch_ = false;  // a refusal is answered with a question in the other era at once
  bool has_worked_ = false;  // an era has been found
  std::optional<McpVerdict> refusals_[2];  // the last one of each era, since something worked

  std::optional<Session> session_;
  unsigned unproven_ = 0;  // sessions in a row in which the first ping was refused
  std::optional<MonoTime> pings_fail_since_;

  McpAsk asked_ = McpAsk::discover;
  int64_t id_ = 0;
  bool going_on_ = false;  // `initialize` of an earlier try, still without an answer
  MonoTime asked_at_{};
  std::optional<MonoTime> silent_since_;  // first questions have had no answer
  bool had_its_time_ = false;             // and that for longer than start_timeout
  McpReader reader_;
  HttpExchange exchange_;
};

}  // namespace nb::probe
