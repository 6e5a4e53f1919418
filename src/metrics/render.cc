#include "metrics/answers.h"

namespace nb::metrics {

std::string render(const Answers& answers, Format format) {
  Exposition out(format);
  out.family(Kind::info, "nodebeat_gate", "The program that writes these metrics");
  out.sample(1, {{"version", answers.gate_version}});
  out.family(Kind::gauge, "nodebeat_agent_up", "Whether the agent of this node answers");
  out.sample(answers.agent_is_there ? 1 : 0);
  put_agent(answers.stats, out);
  put_health(answers.health, answers.stats["probes"], out);
  put_cell(answers.status, out);
  put_redis(answers.stats, answers.redis, out);
  return out.finish();
}

}  // namespace nb::metrics
