// McpCheck: asks an MCP server who it is, in the era that it understands.
//
// In the 2025 era each `initialize` may open a session in the server; it is ended with a DELETE, so
// that probing leaves nothing behind. With the era `automatic`, 2026 is asked first (nothing is
// opened by asking), what worked is kept, and a refusal that another era may explain is followed by
// one question in the other era within the same try; if that fails too, later tries take turns with
// one question each, so that a server that is wrong for good isn't asked twice as often. Until an
// era has worked, they take turns after whatever goes wrong with a server that is there.
#pragma once

#include "probe/check.h"
#include "probe/http_exchange.h"
#include "probe/mcp_message.h"
#include "uv/timer.h"

namespace nb::probe {

class McpCheck final : public Check {
 public:
  McpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  void ask();
  void on_progress();
  void on_end(const Status& status);
  bool may_be_other_era() const;
  void switch_era();
  void settle(const McpVerdict& verdict);
  void say_goodbye(const std::string& protocol);
  void on_goodbye_late();
  void on_goodbye_end(const Status&);

  const CheckContext& context_;
  const ProbeSpec& spec_;
  OnOutcome on_outcome_;
  McpEra era_;               // to ask in next
  bool may_switch_ = false;  // a refusal is answered with a question in the other era at once
  bool has_worked_ = false;  // an era has been found
  McpReader reader_;
  HttpExchange exchange_;
  HttpExchange goodbye_;
  uv::Timer goodbye_deadline_;
};

}  // namespace nb::probe
