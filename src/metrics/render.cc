#include "metrics/answers.h"

namespace nb::metrics {
namespace {

void put_gate(const Answers& answers, Exposition& out) {
  out.family(Kind::info, "nodebeat_gate", "The program that writes these metrics");
  out.sample(1, {{"version", answers.gate_version}});
  const auto put = [&](Kind kind, std::string_view name, std::string_view help, uint64_t value) {
    out.family(kind, name, help);
    out.sample(static_cast<double>(value));
  };
  const GateFigures& gate = answers.gate;
  put(Kind::gauge, "nodebeat_gate_http_connections", "HTTP connections of the gate",
      gate.connections);
  put(Kind::counter, "nodebeat_gate_http_requests", "HTTP requests that reached a handler",
      gate.requests);
  put(Kind::counter, "nodebeat_gate_http_refused",
      "HTTP requests that were refused for their host, origin or size", gate.refused);
  put(Kind::counter, "nodebeat_gate_http_timeouts", "HTTP connections that took too long",
      gate.timeouts);
  put(Kind::counter, "nodebeat_gate_http_displaced",
      "Idle HTTP connections that were closed for others", gate.displaced);
  put(Kind::counter, "nodebeat_gate_streams_cut_off", "Event streams that nobody read",
      gate.cut_off);
}

}  // namespace

std::string render(const Answers& answers, Format format) {
  Exposition out(format);
  put_gate(answers, out);
  out.family(Kind::gauge, "nodebeat_agent_up", "Whether the agent of this node answers");
  out.sample(answers.agent_is_there ? 1 : 0);
  put_agent(answers.stats, out);
  put_health(answers.health, answers.stats["probes"], out);
  put_cell(answers.status, out);
  put_redis(answers.stats, answers.redis, out);
  return out.finish();
}

}  // namespace nb::metrics
