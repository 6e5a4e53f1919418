// The tools, resources and prompts that the conformance package asks a server for, under the names
// that the package has given them.
#pragma once

#include <string>

#include "dialogs.h"
#include "mcp/toolbox.h"
#include "uv/loop.h"

namespace nb::conformance {

class Fixtures final : public mcp::Toolbox, public mcp::Extras {
 public:
  // `on_tools`: the tools are others than before, which a tool does.
  explicit Fixtures(uv::Loop& loop) : loop_(loop) {}
  void set_on_tools(Delegate<void()> on_tools) { on_tools_ = on_tools; }

  mcp::ServerInfo info() const override;
  std::vector<const mcp::Tool*> tools() const override;
  mcp::WorkPtr call(const mcp::Tool& tool, mcp::Given arguments, mcp::Reply reply) override;
  std::span<const mcp::Resource> resources() const override;
  std::span<const mcp::Resource> templates() const override;
  mcp::WorkPtr read(std::string_view uri, mcp::Reply reply) override;
  mcp::WorkPtr complete(const mcp::Resource& uri_template, std::string_view variable,
                        std::string_view begin, mcp::Reply reply) override;
  mcp::WorkPtr watch(std::string_view uri, Delegate<void()> on_change) override;
  mcp::Extras* extras() override { return this; }

  std::string_view capabilities() const override { return R"(,"prompts":{})"; }
  bool takes(std::string_view method, json::View params) const override;
  mcp::WorkPtr begin(std::string_view method, json::View params, mcp::Reply reply) override;

 private:
  void get_prompt(json::View params, mcp::Reply reply);

  uv::Loop& loop_;
  Delegate<void()> on_tools_;
  Dialogs dialogs_;
};

}  // namespace nb::conformance
