// AgentNews: tells MCP clients which tools there are when the agent connects or disconnects.
#pragma once

#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "gate/agent.h"
#include "mcp/toolbox.h"

namespace nb::gate {

class AgentNews {
 public:
  struct Events {
    Delegate<void()> on_tools;  // there are other tools
    Delegate<void(mcp::LogWord, std::string_view)> on_words;
  };

  AgentNews(mcp::Toolbox& toolbox, Agent& agent, Events events);

 private:
  void on_presence(bool there);

  mcp::Toolbox& toolbox_;
  Agent& agent_;
  Events events_;
  std::vector<const mcp::Tool*> tools_;
  AgentListener presence_;
};

}  // namespace nb::gate
