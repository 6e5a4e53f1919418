// The toolbox of nodebeat-gate: the tools that this connection to the agent may have, and the
// resources.
#pragma once

#include <string>
#include <vector>

#include "gate/resources.h"
#include "gate/tools.h"
#include "mcp/toolbox.h"

namespace nb::gate {

class Toolbox final : public mcp::Toolbox {
 public:
  // `version` is of nodebeat-gate.
  Toolbox(uv::Loop& loop, Agent& agent, bool allow_writes, std::string version);

  mcp::ServerInfo info() const override;
  std::vector<const mcp::Tool*> tools() const override;
  mcp::WorkPtr call(const mcp::Tool& tool, mcp::Given arguments, mcp::Reply reply) override;
  std::span<const mcp::Resource> resources() const override { return gate::resources(); }
  std::span<const mcp::Resource> templates() const override { return resource_templates(); }
  mcp::WorkPtr read(std::string_view uri, mcp::Reply reply) override {
    return read_resource(context_, uri, reply);
  }
  mcp::WorkPtr complete(const mcp::Resource&, std::string_view variable, std::string_view begin,
                        mcp::Reply reply) override {
    return complete_name(context_, variable, begin, reply);
  }
  mcp::WorkPtr watch(std::string_view uri, Delegate<void()> on_change) override {
    return watch_resource(context_, uri, on_change);
  }

 private:
  bool offers(const ToolEntry& entry) const;

  ToolContext context_;
  std::string version_;
  std::string instructions_;
  std::vector<const ToolEntry*> entries_;
};

}  // namespace nb::gate
