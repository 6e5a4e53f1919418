#include "gate/readiness.h"

#include <utility>

#include "metrics/answers.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

// Programs that ask for it usually wait for a second or more.
constexpr Duration kDeadline = 900ms;

struct Verdict {
  std::string agent;  // why the agent is not there; empty: it is
  std::string redis;
};

Verdict judge(const CallAnswer& answer) {
  if (!answer.ok()) {
    return {.agent = answer.failure->words, .redis = "not known, since the agent does not tell"};
  }
  const json::View link = answer.result["link"];
  if (metrics::link_is_up(link)) return {};
  std::string scratch;
  const std::string_view trouble = link["trouble"].string(scratch).value_or("");
  return {.agent = {}, .redis = trouble.empty() ? "not connected yet" : std::string(trouble)};
}

void append_line(std::string& out, const char* what, const std::string& trouble) {
  out.append(trouble.empty() ? "[+] " : "[-] ").append(what).append(": ");
  out.append(trouble.empty() ? "ok" : trouble).append("\n");
}

http::Response response(const Verdict& verdict, bool verbose) {
  const bool ready = verdict.agent.empty() && verdict.redis.empty();
  http::Response response{.status = ready ? 200 : 503, .body = {}};
  if (verbose) {
    append_line(response.body, "agent", verdict.agent);
    append_line(response.body, "redis", verdict.redis);
  }
  const std::string& why = verdict.agent.empty() ? verdict.redis : verdict.agent;
  const char* who = verdict.agent.empty() ? "Redis: " : "";
  response.body += ready ? "ready\n" : "not ready: " + (who + why) + "\n";
  return response;
}

}  // namespace

Readiness::Readiness(Agent& agent)
    : stats_call_(agent, Delegate<void(const CallAnswer&)>::to<&Readiness::on_stats>(this)) {}

void Readiness::handle_live(const http::Request& request, http::Reply&& reply) {
  reply.send({.body = request.asks_for("verbose") ? "[+] gate: ok\nalive\n" : "alive\n"});
}

void Readiness::handle_ready(const http::Request& request, http::Reply&& reply) {
  waiting_.push_back({std::move(reply), request.asks_for("verbose")});
  if (!stats_call_.waiting()) stats_call_.start("agent.stats", {}, kDeadline);
}

void Readiness::on_stats(const CallAnswer& answer) {
  const Verdict verdict = judge(answer);
  for (Waiter& waiter : std::exchange(waiting_, {})) {
    waiter.reply.send(response(verdict, waiter.verbose));
  }
}

}  // namespace nb::gate
