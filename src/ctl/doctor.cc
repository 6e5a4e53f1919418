// doctor: checks everything, from the configuration to Redis' settings, and reports.
#include "ctl/check_config.h"
#include "ctl/commands.h"
#include "ctl/doctor_rules.h"
#include "json/view.h"
#include "terminal/findings.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"

namespace nb::ctl {
namespace {

// This node's health as Redis has it; empty if it cannot be read.
std::string stored_health(AgentLink& link, const std::string& node) {
  const Answer answer =
      link.call("state.get", ObjectText().text("key", "node:health:" + node).str());
  if (!answer.ok()) return {};
  // A health that waits in the agent itself shows nothing about other agents.
  const JsonDocument document(answer.text);
  return document["source"].text() == "agent"
             ? std::string()
             : std::string(json::View::of(answer.text)["value"].raw());
}

void look_at_redis(AgentLink& link, Findings& findings) {
  const Answer inspected = link.call("redis.inspect");
  if (inspected.ok()) {
    const JsonDocument document(inspected.text);
    const redis_admin::ServerFacts facts = facts_of(document.root());
    add(findings, server_findings(facts));
    add(findings, clock_findings(facts));
  } else if (inspected.code != -32008) {  // unavailable: the link's finding has reported it
    findings.push_back({Level::warning, "redis",
                        "its settings could not be read: " + inspected.text,
                        "is the agent of the same version as nodebeatctl?"});
  }
}

void look_at_agent(AgentLink& link, Findings& findings) {
  const Answer stats = link.call("agent.stats");
  if (!stats.ok()) {
    findings.push_back({Level::problem, "agent", stats.text, {}});
    return;
  }
  const JsonDocument document(stats.text);
  const Json root = document.root();
  const std::string node(root["node_id"].text());
  const std::string before = stored_health(link, node);
  add(findings, link_findings(root));
  look_at_redis(link, findings);
  // The health is read a second time, since two agents of one name write in turn.
  const std::string after = stored_health(link, node);
  const JsonDocument first(before);
  const JsonDocument second(after);
  add(findings, name_findings(root, {first.root(), second.root()}));
  add(findings, watch_findings(root));
  add(findings, probe_findings(root));
  add(findings, outbox_findings(root, now_us()));
  add(findings, client_findings(root));
}

// The agent reports what it reads itself. If an agent is away, or too old to report it, nodebeatd
// reads with the rights of the caller, and says so. The same holds for a file that was named.
Findings look_at_config(AgentLink* link, const Context& context, const std::string& file) {
  if (link != nullptr && file.empty()) {
    const Answer config = link->call("agent.config");
    if (config.ok()) return config_findings(JsonDocument(config.text).root());
    if (config.exit == kTimeout) {
      return {warning("configuration",
                      "not seen: the agent does not answer how it reads its files; a file system "
                      "may hang",
                      "journalctl -u nodebeat", "configuration-unseen")};
    }
  }
  return config_findings(check_config(file.empty() ? usual_config(context.socket) : file));
}

}  // namespace

int run_doctor(const Context& context, const std::string& config_file) {
  const SocketLook look = look_at_socket(context.socket);
  AgentLink link(context.link_options());
  const bool listens = look.state == SocketState::listening;
  const Answer opened = listens ? link.open() : Answer{kAway, 0, {}};
  Findings findings = look_at_config(opened.ok() ? &link : nullptr, context, config_file);
  add(findings, socket_findings(look));
  if (opened.ok()) {
    look_at_agent(link, findings);
  } else if (listens) {
    findings.push_back(problem("agent", opened.text, {}));
  }
  const ExitCode said = say_findings(context, findings);
  return said != kOk ? said : doctor_code(findings);
}

}  // namespace nb::ctl
