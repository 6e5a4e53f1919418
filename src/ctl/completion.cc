#include "ctl/completion.h"

#include "ctl/agent_link.h"
#include "ctl/completion_scripts.h"
#include "ctl/json.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr int64_t kPatience = 300;  // ms: a person has pressed Tab and waits
constexpr int kMostKeys = 200;

constexpr const char* kChannels[] = {"robot:events",
                                     "stroke:events:session",
                                     "stroke:events:progress",
                                     "error:events:",
                                     "node:events:",
                                     "system:events",
                                     "cv:"};
constexpr const char* kBusTypes[] = {"parameter_update", "routing_change", "system_broadcast",
                                     "admin_command"};
constexpr const char* kMethods[] = {
    "agent.config",  "agent.stats",   "bus.publish",       "client.goodbye", "client.hello",
    "error.report",  "event.publish", "health.get",        "node.forget",    "node.history",
    "redis.inspect", "robot.update",  "session.broadcast", "session.create", "session.delete",
    "session.get",   "session.list",  "session.touch",     "session.update", "state.delete",
    "state.get",     "state.list",    "state.set",         "stroke.end",     "stroke.start",
    "stroke.update", "system.status"};

std::vector<Choice> keys(const std::string& begun, const std::string& socket) {
  AgentLink link({socket, kPatience, nullptr, nullptr});
  if (!link.open().ok()) return {};
  ObjectText params;
  if (!begun.empty()) params.text("prefix", begun);
  const Answer answer = link.call("state.list", params.integer("limit", kMostKeys).str());
  std::vector<Choice> out;
  const JsonDocument document(answer.ok() ? answer.text : "null");
  for (const Json key : document["keys"]) out.push_back({std::string(key.text()), {}});
  return out;
}

template <size_t N>
std::vector<Choice> fixed(const char* const (&words)[N]) {
  std::vector<Choice> out;
  for (const char* word : words) out.push_back({word, {}});
  return out;
}

}  // namespace

std::string_view completion_script(std::string_view shell) {
  return shell == "bash" ? kBashCompletion : shell == "zsh" ? kZshCompletion : kFishCompletion;
}

std::vector<Choice> operand_choices(const std::string& command, size_t index,
                                    const std::string& begun, const std::string& socket) {
  const bool first = index == 0;
  if (first && (command == "get" || command == "set" || command == "delete" || command == "list")) {
    return keys(begun, socket);
  }
  if (command == "watch" || (first && command == "publish")) return fixed(kChannels);
  if (first && command == "bus send") return fixed(kBusTypes);
  if (first && command == "call") return fixed(kMethods);
  if (first && command == "completion") return {{"bash", {}}, {"zsh", {}}, {"fish", {}}};
  return {};
}

std::string choices_text(const std::vector<Choice>& choices, std::string_view begun) {
  std::string out;
  for (const Choice& choice : choices) {
    if (!choice.word.starts_with(begun)) continue;
    out += printable(choice.word);
    if (!choice.description.empty()) out += '\t' + choice.description;
    out += '\n';
  }
  return out;
}

}  // namespace nb::ctl
