// FakeToolbox: what the fuzz targets of MCP let a client call, read and watch. It has arguments of
// every type, a call that is answered when the next one comes, and resources that may change.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "mcp/toolbox.h"
#include "require.h"

namespace nb::fuzz {

using namespace mcp;

inline constexpr std::string_view kChoices[] = {"a", "b"};
inline constexpr Argument kArguments[] = {
    {.name = "key", .words = "A key.", .required = true, .least = 1, .most = 8},
    {.name = "number", .type = Type::integer, .words = "A number.", .least = -3, .most = 9},
    {.name = "choice", .words = "A choice.", .choices = kChoices},
    {.name = "list", .type = Type::texts, .words = "Texts.", .most = 3},
    {.name = "any", .type = Type::any, .words = "Anything."},
};
inline constexpr Tool kEcho{.name = "echo", .words = "Echoes.", .arguments = kArguments};
inline constexpr Tool kLater{.name = "later", .words = "Answers with the next call."};
inline constexpr Resource kResources[] = {{"state://a", "a", "A", "A."}};
inline constexpr Resource kTemplates[] = {{"state://{id}", "id", "Id", "An id."}};

class FakeToolbox final : public mcp::Toolbox {
 public:
  struct Later final : Work {
    Later(FakeToolbox& owner, Reply to) : box(owner), reply(to) { box.later = this; }
    ~Later() override {
      if (box.later == this) box.later = nullptr;
    }
    FakeToolbox& box;
    Reply reply;
  };
  struct Watch final : Work {
    explicit Watch(FakeToolbox& owner) : box(owner) { ++box.watches; }
    ~Watch() override { --box.watches; }
    FakeToolbox& box;
  };

  ServerInfo info() const override { return {"fuzz", "Fuzz", "1", "Try."}; }
  std::vector<const Tool*> tools() const override { return {&kEcho, &kLater}; }
  WorkPtr call(const Tool& tool, Given arguments, Reply reply) override {
    if (later != nullptr) {
      const Reply waiting = later->reply;
      waiting.progress(1, 2, "half");
      waiting.tool("{}");
    }
    if (&tool == &kLater) return std::make_unique<Later>(*this, reply);
    require(arguments.has("key") && arguments.text("key").size() <= 32);
    require(arguments.integer("number", 0) >= -3 && arguments.integer("number", 0) <= 9);
    const std::string_view any = arguments.raw("any");
    reply.tool("{\"any\":" + std::string(any.empty() ? "null" : any) + '}');
    return nullptr;
  }
  std::span<const Resource> resources() const override { return kResources; }
  std::span<const Resource> templates() const override { return kTemplates; }
  WorkPtr read(std::string_view uri, Reply reply) override {
    if (uri.starts_with("state://")) {
      reply.resource(uri, "text/plain", uri);
    } else {
      reply.no_such_resource(uri);
    }
    return nullptr;
  }
  WorkPtr complete(const Resource&, std::string_view, std::string_view begin,
                   Reply reply) override {
    reply.completions({std::string(begin)});
    return nullptr;
  }
  WorkPtr watch(std::string_view uri, Delegate<void()> on_change) override {
    if (!uri.starts_with("state://")) return nullptr;
    changed = on_change;
    return std::make_unique<Watch>(*this);
  }

  Later* later = nullptr;
  int watches = 0;
  Delegate<void()> changed;
};

}  // namespace nb::fuzz
