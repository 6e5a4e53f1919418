#include "probe/mcp_check.h"

#include <utility>

namespace nb::probe {

McpCheck::McpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : context_(context),
      spec_(spec),
      on_outcome_(on_outcome),
      era_(spec.era == McpEra::automatic ? McpEra::stateless_2026 : spec.era),
      may_switch_(spec.era == McpEra::automatic),
      exchange_(context.loop, {Delegate<void()>::to<&McpCheck::on_progress>(this),
                               Delegate<void(const Status&)>::to<&McpCheck::on_end>(this)}),
      goodbye_(context.loop,
               {{}, Delegate<void(const Status&)>::to<&McpCheck::on_goodbye_end>(this)}),
      goodbye_deadline_(context.loop, Delegate<void()>::to<&McpCheck::on_goodbye_late>(this)) {}

void McpCheck::start() {
  ask();
}

Outcome McpCheck::give_up(const std::string& limit) {
  const Outcome outcome = exchange_.give_up(limit);
  say_goodbye("");
  if (may_be_other_era()) switch_era();
  return outcome;
}

void McpCheck::ask() {
  reader_.reset(era_);
  exchange_.start(spec_.target, mcp_request(era_, spec_.target, spec_.http_path, context_.version));
}

void McpCheck::on_progress() {
  const auto verdict = reader_.look(exchange_.response(), false);
  if (!verdict) return;
  exchange_.cancel();
  settle(*verdict);
}

void McpCheck::on_end(const Status& status) {
  if (status) return settle(*reader_.look(exchange_.response(), true));
  if (status.error().fault == Fault::blind) return on_outcome_(failed(status.error()));
  McpVerdict verdict;
  verdict.detail = status.error().message;
  settle(verdict);
}

// A server that hangs up on a question that it does not know, or never answers it, says nothing of
// the era; as long as none has worked, the other may.
bool McpCheck::may_be_other_era() const {
  return spec_.era == McpEra::automatic && !has_worked_ && exchange_.sent();
}

void McpCheck::switch_era() {
  era_ = era_ == McpEra::stateless_2026 ? McpEra::session_2025 : McpEra::stateless_2026;
}

void McpCheck::settle(const McpVerdict& verdict) {
  say_goodbye(verdict.protocol);
  if (verdict.up) {
    has_worked_ = true;
    may_switch_ = spec_.era == McpEra::automatic;
  } else if (verdict.other_era && spec_.era == McpEra::automatic) {
    switch_era();
    if (std::exchange(may_switch_, false)) return ask();
  } else if (may_be_other_era()) {
    switch_era();
  }
  on_outcome_({verdict.up ? Finding::up : Finding::down, verdict.detail});
}

// Ends the session that the answer may have opened. Nobody waits for it.
void McpCheck::say_goodbye(const std::string& protocol) {
  HttpResponse& response = exchange_.response();
  if (era_ != McpEra::session_2025 || !response.head_complete()) return;
  const std::string request =
      mcp_goodbye(spec_.target, spec_.http_path, context_.version, response.session_id(), protocol);
  if (request.empty()) return;
  goodbye_.cancel();
  goodbye_.start(spec_.target, request);
  goodbye_deadline_.start(spec_.timeout);
}

void McpCheck::on_goodbye_late() {
  goodbye_.cancel();
}

void McpCheck::on_goodbye_end(const Status&) {
  goodbye_deadline_.stop();
}

}  // namespace nb::probe
