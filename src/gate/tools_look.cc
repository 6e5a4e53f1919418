// Tools that read: the cell, a node, Redis, and faults.
#include <cstdio>

#include "base/timestamp.h"
#include "ctl/doctor_rules.h"
#include "gate/ask.h"
#include "gate/outcome.h"
#include "gate/status.h"
#include "gate/tools.h"
#include "json/writer.h"
#include "redis_admin/rules.h"
#include "terminal/findings.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::gate {

namespace {

using mcp::Given;
using mcp::Reply;
using mcp::WorkPtr;

// --- system_status

constexpr mcp::Argument kStatusArguments[] = {
    {.name = "detailed",
     .type = mcp::Type::boolean,
     .words = "Also tell the health of each node (CPU, memory, disk, GPU, temperatures, probes).",
     .fallback = "false"}};

// Answers in any case: without an agent, and without Redis, it says so.
class Status final : public Steps {
 public:
  Status(ToolContext& context, bool detailed, Reply reply)
      : Steps(context.agent), context_(context), detailed_(detailed), reply_(reply) {
    next({"system.status", {}});
  }

 private:
  void on_answer(const CallAnswer& answer) override {
    if (!status_.empty()) return tell_trouble(answer);
    if (!answer.ok()) {
      const std::string now = format_timestamp(context_.loop.clock().wall_now());
      std::string members;
      add_raw(members, "status", status_without_agent(*answer.failure, now));
      return reply_.tool(success(words_of(*answer.failure, false), members));
    }
    status_ = status_json(context_.agent.hello(), answer.result, detailed_);
    const bool connected = answer.result["redis_connected"].boolean().value_or(false);
    if (!connected) return next({"agent.stats", {}});
    const auto online = answer.result["nodes_online"].integer().value_or(0);
    const auto total = answer.result["total_nodes"].integer().value_or(0);
    tell(std::to_string(online) + " of " + std::to_string(total) + " nodes are online.");
  }

  void tell_trouble(const CallAnswer& stats) {
    std::string scratch;
    const std::string trouble(
        stats.ok() ? stats.result["link"]["trouble"].string(scratch).value_or("") : "");
    tell("Redis is not connected" + (trouble.empty() ? "" : ": " + trouble) +
         ". So only this node is known; every other node is unknown. doctor tells what to do.");
  }

  void tell(const std::string& words) {
    std::string members;
    add_raw(members, "status", status_);
    reply_.tool(success(words, members));
  }

  ToolContext& context_;
  bool detailed_;
  Reply reply_;
  std::string status_;
};

WorkPtr system_status(ToolContext& context, Given given, Reply reply) {
  return std::make_unique<Status>(context, given.boolean("detailed", false), reply);
}

// --- nodes

constexpr mcp::Argument kPage[] = {kLimitArgument, kCursorArgument};
constexpr mcp::Argument kNode[] = {
    node_argument("The node's name, as list_nodes tells it. Left out: this node.")};

WorkPtr list_nodes(ToolContext& context, Given given, Reply reply) {
  Page page{"system.status", {}, given.integer("limit", 20)};
  if (given.has("cursor")) {
    const auto name = node_of_cursor(given.text("cursor"));
    if (!name) {
      reply.tool(failure("invalid_params", wrong_argument("cursor", kCursorWords)), true);
      return nullptr;
    }
    add_text(page.params, "cursor", *name);
  }
  return ask_page(context.agent, reply, page,
                  [](json::View result) -> std::pair<std::string_view, std::string> {
                    const bool connected = result["redis_connected"].boolean().value_or(false);
                    return {connected
                                ? "These are the nodes of the cell."
                                : "Redis is not connected: every node but this one is unknown.",
                            node_list_members(result)};
                  });
}

WorkPtr node_health(ToolContext& context, Given given, Reply reply) {
  std::string params;
  if (given.has("node_id")) add_text(params, "node", given.text("node_id"));
  return ask(
      context.agent, reply, {"health.get", '{' + params + '}'},
      [](json::View result) {
        std::string scratch;
        std::string members;
        for (const char* name : {"node_id", "state", "since", "age_ms", "source", "cause"}) {
          if (result[name].exists()) add_raw(members, name, result[name].raw());
        }
        add_bounded(members, "health", result["health"]);
        const std::string name(result["node_id"].string(scratch).value_or(""));
        return success("Node " + name + " is " +
                           std::string(result["state"].string(scratch).value_or("unknown")) + '.',
                       members);
      },
      [](const CallFailure& failure) {
        return failure.name == "not_found"
                   ? std::string("list_nodes names the nodes that there are.")
                   : "";
      });
}

// --- Redis

WorkPtr redis_info(ToolContext& context, Given, Reply reply) {
  return ask(context.agent, reply, {"redis.inspect", {}}, [](json::View result) {
    std::string info;
    const auto add_group = [&](const char* group, std::initializer_list<const char*> names) {
      std::string all;
      for (const char* name : names) {
        if (result[name].exists()) add_raw(all, name, result[name].raw());
      }
      add_raw(info, group, '{' + all + '}');
    };
    add_group("info",
              {"version", "role", "loading", "aof_enabled", "rdb_last_save_ok", "clock_offset_ms"});
    add_group("memory", {"used_memory_bytes", "maxmemory_bytes", "maxmemory_policy"});
    add_group("clients", {"connected_clients", "user"});
    add_group("config", {"protected_mode", "has_password", "maxmemory_policy", "maxmemory_bytes"});
    for (const char* name : {"databases", "slowlog"}) {
      if (result[name].exists()) add_raw(info, name, result[name].raw());
    }
    return success("This is what the server reports. null: the agent's user may not see it.", info);
  });
}

// --- doctor

class Doctor final : public Steps {
 public:
  Doctor(ToolContext& context, Reply reply) : Steps(context.agent), reply_(reply) {
    const ctl::SocketLook look = ctl::look_at_socket(context.agent.socket());
    terminal::add(findings_, ctl::socket_findings(look));
    next({"agent.stats", {}});
  }

 private:
  enum class Step : uint8_t { stats, inspect };

  void on_answer(const CallAnswer& answer) override {
    if (step_ == Step::stats) {
      step_ = Step::inspect;
      if (!answer.ok()) {
        findings_.push_back(terminal::problem("agent", answer.failure->words,
                                              "systemctl status nodebeat, journalctl -u nodebeat"));
        return tell();
      }
      const ctl::JsonDocument stats(answer.result.raw());
      terminal::add(findings_, ctl::link_findings(stats.root()));
      terminal::add(findings_, ctl::name_findings(stats.root(), {}));
      terminal::add(findings_, ctl::watch_findings(stats.root()));
      terminal::add(findings_, ctl::probe_findings(stats.root()));
      terminal::add(findings_, ctl::outbox_findings(stats.root(), terminal::now_us()));
      terminal::add(findings_, ctl::client_findings(stats.root()));
      return next({"redis.inspect", {}});
    }
    if (answer.ok()) {
      const ctl::JsonDocument inspected(answer.result.raw());
      const redis_admin::ServerFacts facts = ctl::facts_of(inspected.root());
      terminal::add(findings_, redis_admin::server_findings(facts));
      terminal::add(findings_, redis_admin::clock_findings(facts));
    } else if (answer.failure->name != "unavailable") {  // that is in the link's finding
      findings_.push_back(terminal::warning("redis", answer.failure->words, "see the agent's log"));
    }
    tell();
  }

  void tell() {
    size_t counts[3] = {};
    std::string list;
    size_t told = 0;
    for (const terminal::Finding& finding : findings_) {
      ++counts[static_cast<size_t>(finding.level)];
      std::string one;
      constexpr const char* kLevels[] = {"ok", "warning", "problem"};
      add_text(one, "level", kLevels[static_cast<size_t>(finding.level)]);
      add_text(one, "check", finding.check);
      add_text(one, "text", finding.text);
      if (!finding.advice.empty()) add_text(one, "advice", finding.advice);
      const std::string section = terminal::section_of(finding);
      if (!section.empty()) add_text(one, "more", "troubleshooting.md#" + section);
      one = terminal::json_printable(one);
      if (list.size() + one.size() > kRoom) continue;
      list += (list.empty() ? "{" : ",{") + one + '}';
      ++told;
    }
    std::string members;
    add_integer(members, "problems", static_cast<int64_t>(counts[2]));
    add_integer(members, "warnings", static_cast<int64_t>(counts[1]));
    add_raw(members, "findings", '[' + list + ']');
    if (told < findings_.size()) add_boolean(members, "truncated", true);
    reply_.tool(success(counts[1] + counts[2] == 0
                            ? "All is well."
                            : std::to_string(counts[2]) + " problems and " +
                                  std::to_string(counts[1]) +
                                  " warnings were found: each has an advice.",
                        members));
  }

  Reply reply_;
  Step step_ = Step::stats;
  terminal::Findings findings_;
};

WorkPtr doctor(ToolContext& context, Given, Reply reply) {
  return std::make_unique<Doctor>(context, reply);
}

constexpr ToolEntry kTools[] = {
    {{.name = "system_status",
      .title = "Status of the cell",
      .words = "How the robot cell is: whether the agent and Redis are connected, how many nodes "
               "are online, how each node is, how many strokes run. Begin here. It answers also "
               "when Redis or the agent is away, and says so.",
      .arguments = kStatusArguments,
      .output_schema = NB_OUTPUT(R"(,"status":{"type":"object"})")},
     rpc::Right::read,
     &system_status},
    {{.name = "list_nodes",
      .title = "List the nodes",
      .words = "The nodes (computers) of the cell, page by page: state (up, suspect, down, "
               "unknown), since when, the cause, and the figures that are looked at first.",
      .arguments = kPage,
      .output_schema = NB_OUTPUT(
          R"(,"nodes":{"type":"array","items":{"type":"object"}},"total_nodes":{"type":["integer","null"]},"next_cursor":{"type":["string","null"]})")},
     rpc::Right::read,
     &list_nodes},
    {{.name = "node_health",
      .title = "Health of a node",
      .words = "All that is known of one node: CPU, memory, disks, GPU, temperatures, network, "
               "probes of programs, and how old it is (age_ms).",
      .arguments = kNode,
      .output_schema = NB_OUTPUT(
          R"(,"node_id":{"type":"string"},"state":{"type":"string"},"age_ms":{"type":["integer","null"]},"health":{"type":["object","null"]})")},
     rpc::Right::read,
     &node_health},
    {{.name = "redis_info",
      .title = "The Redis server",
      .words = "What the cell's Redis server reports of itself: version, role, memory, clients, "
               "persistence, settings, the difference of its clock, the databases that have keys, "
               "the latest slow commands.",
      .output_schema = NB_OUTPUT(
          R"(,"info":{"type":"object"},"memory":{"type":"object"},"clients":{"type":"object"},"config":{"type":"object"},"databases":{"type":["array","null"]},"slowlog":{"type":["array","null"]})")},
     rpc::Right::read,
     &redis_info},
    {{.name = "doctor",
      .title = "Find out what is wrong",
      .words = "Checks the agent's socket, its link to Redis, who watches the cell, probes, "
               "queues, clients and the server's settings, and says for each what to do.",
      .output_schema = NB_OUTPUT(
          R"(,"problems":{"type":"integer"},"warnings":{"type":"integer"},"findings":{"type":"array","items":{"type":"object"}})")},
     rpc::Right::read,
     &doctor},
};

}  // namespace

std::span<const ToolEntry> look_tools() {
  return kTools;
}

}  // namespace nb::gate
