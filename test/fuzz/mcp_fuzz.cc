// Any lines of an MCP client, of whatever revision: each that comes back is one line of JSON by
// JSON-RPC, and a request is answered once at most.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "json/guard.h"
#include "mcp/session.h"

namespace {

using namespace nb;
using namespace nb::mcp;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::string_view kChoices[] = {"a", "b"};
constexpr Argument kArguments[] = {
    {.name = "key", .words = "A key.", .required = true, .least = 1, .most = 8},
    {.name = "number", .type = Type::integer, .words = "A number.", .least = -3, .most = 9},
    {.name = "choice", .words = "A choice.", .choices = kChoices},
    {.name = "list", .type = Type::texts, .words = "Texts.", .most = 3},
    {.name = "any", .type = Type::any, .words = "Anything."},
};
constexpr Tool kEcho{.name = "echo", .words = "Echoes.", .arguments = kArguments};
constexpr Tool kLater{.name = "later", .words = "Answers with the next call."};
constexpr Resource kResources[] = {{"state://a", "a", "A", "A."}};
constexpr Resource kTemplates[] = {{"state://{id}", "id", "Id", "An id."}};

class Box final : public Toolbox {
 public:
  struct Later final : Work {
    Later(Box& owner, Reply to) : box(owner), reply(to) { box.later = this; }
    ~Later() override {
      if (box.later == this) box.later = nullptr;
    }
    Box& box;
    Reply reply;
  };
  struct Watch final : Work {
    explicit Watch(Box& owner) : box(owner) { ++box.watches; }
    ~Watch() override { --box.watches; }
    Box& box;
  };

  ServerInfo info() const override { return {"fuzz", "Fuzz", "1", "Try."}; }
  std::vector<const Tool*> tools() const override { return {&kEcho, &kLater}; }
  WorkPtr call(const Tool& tool, Given arguments, Reply reply) override {
    if (later != nullptr) later->reply.tool("{}");
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

class FixedClock final : public Clock {
 public:
  MonoTime now() const override { return MonoTime(time); }
  WallTime wall_now() const override { return {}; }
  Duration time{};
};

class Client {
 public:
  void receive(std::string_view line) {
    ++lines_in_;
    session_.receive(line);
    clock_.time += std::chrono::milliseconds(30);
    if (box_.watches > 0) box_.changed();
    session_.tick();
  }
  void end() {
    session_.end_subscriptions();
    require(answers_ <= lines_in_ + 16);  // a listen is answered at the end
  }

 private:
  void on_line(const Outgoing& out) {
    const std::string_view line = out.line;
    require(line.find('\n') == line.npos);
    require(line.size() < 2 * Session::kMaxResultBytes + 4096);
    require(guard_.check(line).reason == nullptr);
    const json::View message = guard_.view();
    require(message["jsonrpc"].string_is("2.0"));
    const bool answers = message["id"].exists();
    require(answers != message["method"].exists() && answers == out.is_answer);
    require(message["error"]["code"].integer().value_or(0) == out.error);
    if (answers) require(out.request.empty() || out.request == message["id"].raw());
    require(!answers || message["result"].exists() != message["error"].exists());
    answers_ += answers;
  }
  void on_wait(Duration time) { require(time > Duration::zero()); }

  Box box_;
  FixedClock clock_;
  json::Guard guard_;
  size_t lines_in_ = 0, answers_ = 0;
  Session session_{box_,
                   clock_,
                   {Delegate<void(const Outgoing&)>::to<&Client::on_line>(this),
                    Delegate<void(Duration)>::to<&Client::on_wait>(this)},
                   {.page = 1}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Client client;
  while (!input.empty()) {
    const size_t end = std::min(input.find('\n'), input.size());
    client.receive(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  client.end();
  return 0;
}
