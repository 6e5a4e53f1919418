#include "gate/agent_news.h"

#include "base/foreign_text.h"

namespace nb::gate {

AgentNews::AgentNews(mcp::Toolbox& toolbox, Agent& agent, Events events)
    : toolbox_(toolbox),
      agent_(agent),
      events_(events),
      tools_(toolbox.tools()),
      presence_(agent, {}, {}, {{}, Delegate<void(bool)>::to<&AgentNews::on_presence>(this), {}}) {}

void AgentNews::on_presence(bool there) {
  std::vector<const mcp::Tool*> tools = toolbox_.tools();
  if (tools != tools_) {
    tools_ = std::move(tools);
    events_.on_tools();
  }
  if (there) {
    events_.on_words(mcp::LogWord::info, "connected to the agent");
  } else {
    events_.on_words(mcp::LogWord::warning, foreign_text(agent_.why_away()));
  }
}

}  // namespace nb::gate
