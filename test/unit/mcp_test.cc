// Unit tests of mcp/session: three revisions over a toolbox that the test works by hand.
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "mcp/session.h"
#include "support/stepped_clock.h"

namespace nb::mcp {
namespace {

using namespace std::chrono_literals;

constexpr Argument kArguments[] = {
    {.name = "key", .words = "The key.", .required = true, .least = 1}};
constexpr Tool kAsk{.name = "ask",
                    .title = "Ask",
                    .words = "Asks.",
                    .arguments = kArguments,
                    .output_schema = R"({"type":"object"})"};
constexpr Tool kSlow{.name = "slow", .words = "Takes its time.", .reads_only = false};
constexpr Resource kResources[] = {{"state://status", "status", "Status", "How all is."}};
constexpr Resource kTemplates[] = {
    {"state://health/{node_id}", "health", "Health", "One node's health."},
    {"state://session/{id}", "session", "", "A session."}};

class FakeToolbox final : public Toolbox {
 public:
  struct Pending final : Work {
    Pending(FakeToolbox& owner, Reply to) : box(owner), reply(to) { box.pending = this; }
    ~Pending() override {
      if (box.pending == this) box.pending = nullptr;
      ++box.ended;
    }
    FakeToolbox& box;
    Reply reply;
  };
  struct Watching final : Work {
    Watching(FakeToolbox& owner, std::string what) : box(owner), uri(std::move(what)) {}
    ~Watching() override { box.changes.erase(uri); }
    FakeToolbox& box;
    std::string uri;
  };

  ServerInfo info() const override { return {"fake", "Fake", "1.2", "Ask."}; }
  std::vector<const Tool*> tools() const override { return {&kAsk, &kSlow}; }
  WorkPtr call(const Tool& tool, Given arguments, Reply reply) override {
    if (&tool == &kSlow) return std::make_unique<Pending>(*this, reply);
    const std::string key = arguments.text("key");
    reply.tool("{\"key\":\"" + key + "\"}", key == "bad");
    return nullptr;
  }
  std::span<const Resource> resources() const override { return kResources; }
  std::span<const Resource> templates() const override { return kTemplates; }
  WorkPtr read(std::string_view uri, Reply reply) override {
    if (uri == "state://status") {
      reply.resource(uri, "application/json", "{}");
    } else {
      reply.no_such_resource(uri);
    }
    return nullptr;
  }
  WorkPtr complete(const Resource&, std::string_view, std::string_view begin,
                   Reply reply) override {
    std::vector<std::string> values;
    for (int i = 0; i < 120; ++i) values.push_back(std::string(begin) + std::to_string(i));
    reply.completions(values);
    return nullptr;
  }
  WorkPtr watch(std::string_view uri, Delegate<void()> on_change) override {
    if (!uri.starts_with("state://")) return nullptr;
    changes[std::string(uri)] = on_change;
    return std::make_unique<Watching>(*this, std::string(uri));
  }

  Extras* extras() override { return more; }

  Extras* more = nullptr;
  Pending* pending = nullptr;
  int ended = 0;
  std::map<std::string, Delegate<void()>> changes;
};

// Methods that only some servers have.
class FakeExtras final : public Extras {
 public:
  std::string_view capabilities() const override { return R"(,"prompts":{})"; }
  bool takes(std::string_view method, json::View params) const override {
    return method.starts_with("prompts/") || params["name"].string_is("of extras");
  }
  WorkPtr begin(std::string_view method, json::View, Reply reply) override {
    reply.progress(1, 2, "half");
    reply.progress(1, 2, "not more than before");
    reply.log(LogWord::debug, "details");
    reply.log(LogWord::warning, "look");
    if (method == "prompts/get") {
      reply.error({kMissingCapability, "needs sampling", R"({"requiredCapabilities":{}})"});
    } else {
      reply.result(
          method == "prompts/list" ? R"("prompts":[])" : R"("resultType":"input_required")",
          method == "prompts/list");
    }
    return nullptr;
  }
};

class Mcp : public testing::Test {
 protected:
  void on_line(const Outgoing& outgoing) {
    ways += std::string(outgoing.request) + (outgoing.is_answer ? "!" : "-");
    out += outgoing.line;
    out += '\n';
  }
  void on_wait(Duration time) { wait = time; }
  std::string say(std::string_view line) {
    session.receive(line);
    return std::exchange(out, {});
  }
  // A request of 2026-07-28; `params` are further members, each with a comma behind it.
  std::string ask(std::string_view method, std::string_view params = {},
                  std::string_view id = "1") {
    return say(R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"method":")" +
               std::string(method) + R"(","params":{)" + std::string(params) +
               R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
               R"("io.modelcontextprotocol/clientCapabilities":{}}}})");
  }
  std::string older(std::string_view method, std::string_view params = "{}",
                    std::string_view id = "1") {
    return say(R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"method":")" +
               std::string(method) + R"(","params":)" + std::string(params) + '}');
  }
  void begin() { older("initialize", R"({"protocolVersion":"2025-06-18","capabilities":{}})"); }
  static bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  }

  FakeToolbox box;
  test::SteppedClock clock;
  std::string out;
  std::string ways;  // of each line its request, and whether it was the answer
  Duration wait{};
  Session session{box,
                  clock,
                  {Delegate<void(const Outgoing&)>::to<&Mcp::on_line>(this),
                   Delegate<void(Duration)>::to<&Mcp::on_wait>(this)},
                  {.page = 1}};
};

#define EXPECT_HAS(text, part) EXPECT_TRUE(has(text, part)) << (text)

// --- what only some servers have

TEST_F(Mcp, ExtrasComeBeforeTheSessionsOwnMethods) {
  EXPECT_HAS(ask("prompts/list"), "-32601");
  FakeExtras extras;
  box.more = &extras;
  EXPECT_HAS(ask("server/discover"), R"("completions":{},"prompts":{}})");
  EXPECT_HAS(ask("prompts/list"), R"("result":{"resultType":"complete","ttlMs":0)");
  const std::string asks = ask("tools/call", R"("name":"of extras",)");
  EXPECT_HAS(asks, R"("resultType":"input_required"})");
  EXPECT_FALSE(has(asks, "complete"));
  EXPECT_HAS(ask("prompts/get"), R"("data":{"requiredCapabilities":{}})");
  EXPECT_HAS(ask("tools/call", R"("name":"ask","arguments":{"key":"x"},)"), "structuredContent");
}

TEST_F(Mcp, ProgressAndLinesAreSentToWhomHasAskedForThem) {
  FakeExtras extras;
  box.more = &extras;
  const std::string silent = ask("prompts/list");
  EXPECT_FALSE(has(silent, "notifications/")) << silent;
  const std::string told = say(
      R"({"jsonrpc":"2.0","id":7,"method":"prompts/list","params":{"_meta":{"progressToken":"t",)"
      R"("io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
      R"("io.modelcontextprotocol/logLevel":"info",)"
      R"("io.modelcontextprotocol/clientCapabilities":{}}}})");
  EXPECT_HAS(told, R"("params":{"progressToken":"t","progress":1,"total":2,"message":"half"}})"
                   "\n");
  EXPECT_FALSE(has(told, "not more than before")) << told;
  EXPECT_HAS(told, R"({"level":"warning","logger":"fake","data":"look"})");
  EXPECT_FALSE(has(told, "details")) << told;
  begin();
  EXPECT_HAS(older("prompts/list"), "look");  // the client has not said which lines it wants
  older("logging/setLevel", R"({"level":"error"})");
  EXPECT_FALSE(has(older("prompts/list"), "look"));
}

TEST_F(Mcp, EachLineSaysToWhichRequestItBelongs) {
  begin();
  ways.clear();
  ask("subscriptions/listen", R"("notifications":{"resourceSubscriptions":["state://x"]},)", "5");
  older("resources/subscribe", R"({"uri":"state://x"})", "\"six\"");
  box.changes["state://x"]();
  ask("nothing", {}, "7");
  session.end_subscriptions(false);
  EXPECT_EQ(ways, "5-\"six\"!-5-7!5!");
}

// --- the handshake

TEST_F(Mcp, TheHandshakeAnswersTheRevisionThatWasAsked) {
  EXPECT_EQ(
      older("initialize", R"({"protocolVersion":"2025-06-18","capabilities":{}})"),
      R"({"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":)"
      R"({"tools":{"listChanged":true},"resources":{"subscribe":true},"completions":{},"logging":{}},)"
      R"("serverInfo":{"name":"fake","title":"Fake","version":"1.2"},"instructions":"Ask."}})"
      "\n");
  EXPECT_HAS(older("initialize", R"({"protocolVersion":"2025-11-25"})"),
             R"("protocolVersion":"2025-11-25")");
  // One that is not served gets the newest with a handshake.
  EXPECT_HAS(older("initialize", R"({"protocolVersion":"2024-11-05"})"),
             R"("protocolVersion":"2025-11-25")");
  EXPECT_HAS(older("initialize", "{}"), "-32602");
  EXPECT_EQ(say(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"), "");
}

TEST_F(Mcp, AfterTheHandshakeRequestsNeedNoMeta) {
  EXPECT_HAS(older("ping"), R"("code":-32602)");
  begin();
  EXPECT_EQ(older("ping"), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
  EXPECT_EQ(
      older("tools/call", R"({"name":"ask","arguments":{"key":"x"}})", "\"a\""),
      R"({"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"{\"key\":\"x\"}"}],)"
      R"("structuredContent":{"key":"x"},"isError":false}})"
      "\n");
  EXPECT_HAS(older("server/discover"), R"("code":-32601)");
  EXPECT_HAS(older("prompts/list"), R"("code":-32601)");
}

TEST_F(Mcp, LogLinesComeToWhomHasAskedForTheirLevel) {
  begin();
  session.log(LogWord::emergency, "no one has asked");
  EXPECT_HAS(older("logging/setLevel", R"({"level":"loud"})"), "expected debug, info");
  EXPECT_EQ(out, "");
  EXPECT_HAS(older("logging/setLevel", R"({"level":"warning"})"), R"("result":{})");
  session.log(LogWord::info, "not that");
  session.log(LogWord::warning, "the agent has gone");
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning",)"
                 R"("logger":"fake","data":"the agent has gone"}})"
                 "\n");
}

// --- 2026-07-28

TEST_F(Mcp, EachRequestNamesItsRevision) {
  EXPECT_EQ(
      ask("server/discover"),
      R"({"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","ttlMs":0,"cacheScope":"private",)"
      R"("_meta":{"io.modelcontextprotocol/serverInfo":{"name":"fake","version":"1.2"}},)"
      R"("supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},)"
      R"("resources":{"subscribe":true},"completions":{}},"instructions":"Ask."}})"
      "\n");
  EXPECT_HAS(ask("tools/call", R"("name":"ask","arguments":{"key":"x"},)"),
             R"("result":{"resultType":"complete","_meta")");
}

TEST_F(Mcp, WhatMetaLacksIsNamed) {
  EXPECT_HAS(older("tools/list"), "io.modelcontextprotocol/protocolVersion");
  EXPECT_HAS(older("tools/list", R"({"_meta":{}})"), R"("code":-32602)");
  EXPECT_HAS(older("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":7}})"),
             "expected a string");
  EXPECT_HAS(
      older("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}})"),
      "clientCapabilities");
  EXPECT_EQ(
      older("tools/list", R"({"_meta":{"io.modelcontextprotocol/protocolVersion":"1900-01-01"}})"),
      R"({"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"this revision is not served",)"
      R"("data":{"supported":["2026-07-28"],"requested":"1900-01-01"}}})"
      "\n");
}

TEST_F(Mcp, WhatWasRemovedIsNotFoundEvenAfterAHandshake) {
  begin();
  for (const char* method : {"initialize", "ping", "logging/setLevel", "resources/subscribe",
                             "resources/unsubscribe", "prompts/get", "x"}) {
    EXPECT_HAS(ask(method, R"("uri":"state://status",)"), R"("code":-32601)") << method;
  }
  EXPECT_HAS(ask("tools/list"), R"("resultType":"complete")");
}

// --- lists

TEST_F(Mcp, ListsComeInPages) {
  const std::string first = ask("tools/list");
  EXPECT_HAS(first, R"("ttlMs":0,"cacheScope":"private")");
  EXPECT_HAS(
      first,
      R"("tools":[{"name":"ask","title":"Ask","description":"Asks.","inputSchema":{"type":)");
  EXPECT_HAS(first,
             R"("outputSchema":{"type":"object"},"annotations":{"title":"Ask","readOnlyHint":true,)"
             R"("destructiveHint":false,"idempotentHint":true,"openWorldHint":false}})");
  EXPECT_HAS(first, R"(],"nextCursor":"at-1")");
  const std::string last = ask("tools/list", R"("cursor":"at-1",)");
  EXPECT_HAS(last, R"("tools":[{"name":"slow")");
  EXPECT_FALSE(has(last, "nextCursor"));
  for (const char* cursor : {"\"\"", "\"at-0\"", "\"at-2\"", "\"at-01\"", "\"x\"", "7", "null"}) {
    EXPECT_HAS(ask("tools/list", "\"cursor\":" + std::string(cursor) + ','), R"("code":-32602)")
        << cursor;
  }
}

TEST_F(Mcp, ResourcesAndTemplatesAreListed) {
  EXPECT_HAS(ask("resources/list"),
             R"("resources":[{"uri":"state://status","name":"status","title":"Status",)"
             R"("description":"How all is.","mimeType":"application/json"}])");
  EXPECT_HAS(ask("resources/templates/list"), R"("uriTemplate":"state://health/{node_id}")");
}

// --- tools

TEST_F(Mcp, WrongArgumentsAreAResultThatAModelCanRead) {
  EXPECT_HAS(ask("tools/call", R"("name":"ask",)"),
             R"("structuredContent":{"success":false,"message":"The argument `key` is missing)");
  EXPECT_HAS(ask("tools/call", R"("name":"ask","arguments":{"kee":1},)"), R"("isError":true)");
  EXPECT_HAS(ask("tools/call", R"("name":"ask","arguments":{"key":"bad"},)"), R"("isError":true)");
}

TEST_F(Mcp, AnUnknownToolIsAProtocolError) {
  EXPECT_HAS(ask("tools/call", R"("name":"fly",)"), R"("code":-32602)");
  EXPECT_HAS(ask("tools/call", R"("arguments":{},)"), R"("code":-32602)");
  EXPECT_HAS(ask("tools/call", R"("name":"ask","arguments":[],)"), R"("code":-32602)");
}

TEST_F(Mcp, AResultBeyondTheLimitBecomesAnError) {
  const std::string key(40'000, 'x');
  const std::string said = ask("tools/call", R"("name":"ask","arguments":{"key":")" + key + "\"},");
  EXPECT_LT(said.size(), 1000u);
  EXPECT_HAS(said, R"("isError":true)");
  EXPECT_HAS(said, "64 KiB");
}

TEST_F(Mcp, AnswersMayComeLaterAndOvertake) {
  EXPECT_EQ(ask("tools/call", R"("name":"slow",)", "7"), "");
  EXPECT_HAS(ask("tools/call", R"("name":"slow",)", "7"), R"("code":-32600)");
  EXPECT_HAS(ask("tools/list", {}, "8"), R"("id":8)");
  box.pending->reply.tool("{}");
  EXPECT_HAS(out, R"("id":7)");
  EXPECT_EQ(box.ended, 1);
}

TEST_F(Mcp, ACancelledRequestGetsNoAnswerAndItsWorkEnds) {
  ask("tools/call", R"("name":"slow",)", "\"7\"");
  say(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}})");
  EXPECT_EQ(box.ended, 0);
  EXPECT_EQ(
      say(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}})"),
      "");
  EXPECT_EQ(box.ended, 1);
  EXPECT_EQ(box.pending, nullptr);
  EXPECT_EQ(say(R"({"jsonrpc":"2.0","method":"notifications/cancelled"})"), "");
}

TEST_F(Mcp, RequestsUnderWayAreBounded) {
  for (size_t i = 0; i < Session::kMaxRequests; ++i) {
    EXPECT_EQ(ask("tools/call", R"("name":"slow",)", std::to_string(i)), "");
  }
  EXPECT_HAS(ask("tools/call", R"("name":"slow",)", "99"), "too many requests");
}

// --- resources

TEST_F(Mcp, ResourcesAreReadAndOnesThatAreNotThereAreErrors) {
  EXPECT_HAS(ask("resources/read", R"("uri":"state://status",)"),
             R"("contents":[{"uri":"state://status","mimeType":"application/json","text":"{}"}])");
  EXPECT_HAS(
      ask("resources/read", R"("uri":"state://x",)"),
      R"("error":{"code":-32602,"message":"there is no resource \"state://x\"","data":{"uri":"state://x"}})");
  begin();
  EXPECT_HAS(older("resources/read", R"({"uri":"state://x"})"), R"("code":-32002)");
  EXPECT_HAS(older("resources/read"), R"("code":-32602)");
}

TEST_F(Mcp, CompletionTellsAHundredAndHowManyThereAre) {
  const std::string said = ask("completion/complete",
                               R"("ref":{"type":"ref/resource","uri":"state://health/{node_id}"},)"
                               R"("argument":{"name":"node_id","value":"h"},)");
  EXPECT_HAS(said, R"("completion":{"values":["h0","h1")");
  EXPECT_HAS(said, R"("h99"],"total":120,"hasMore":true})");
  EXPECT_HAS(ask("completion/complete",
                 R"("ref":{"type":"ref/resource","uri":"state://health/{node_id}"},)"
                 R"("argument":{"name":"node","value":"h"},)"),
             R"("code":-32602)");
  EXPECT_HAS(ask("completion/complete",
                 R"("ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"a","value":""},)"),
             "there are no prompts");
}

// --- subscriptions

TEST_F(Mcp, OlderSubscriptionsAreToldOfChangesAtMostEvery100Ms) {
  begin();
  EXPECT_HAS(older("resources/subscribe", R"({"uri":"http://x"})"), R"("code":-32002)");
  EXPECT_HAS(older("resources/subscribe", R"({"uri":"state://status"})"), R"("result":{})");
  const std::string line = R"({"jsonrpc":"2.0","method":"notifications/resources/updated",)"
                           R"("params":{"uri":"state://status"}})"
                           "\n";
  const auto change = box.changes.at("state://status");
  change();
  EXPECT_EQ(std::exchange(out, {}), line);
  clock.ahead += 30ms;
  change();
  change();
  EXPECT_EQ(out, "");
  EXPECT_LE(wait, 70ms);
  EXPECT_GT(wait, 60ms);
  clock.ahead += 100ms;
  session.tick();
  EXPECT_EQ(std::exchange(out, {}), line);
  session.tick();
  EXPECT_EQ(out, "");
  older("resources/unsubscribe", R"({"uri":"state://status"})");
  EXPECT_TRUE(box.changes.empty());
}

TEST_F(Mcp, AListenIsAcknowledgedToldAndCancelled) {
  EXPECT_EQ(
      ask("subscriptions/listen",
          R"("notifications":{"toolsListChanged":true,"promptsListChanged":true,)"
          R"("resourceSubscriptions":["state://status","http://x","state://status"]},)",
          "\"L\""),
      R"({"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":)"
      R"({"toolsListChanged":true,"resourceSubscriptions":["state://status"]},)"
      R"("_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}})"
      "\n");
  EXPECT_HAS(ask("tools/list", {}, "\"L\""), R"("code":-32600)");
  box.changes.at("state://status")();
  EXPECT_EQ(
      std::exchange(out, {}),
      R"({"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"state://status",)"
      R"("_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}})"
      "\n");
  session.tools_changed();
  EXPECT_HAS(std::exchange(out, {}),
             R"("method":"notifications/tools/list_changed","params":{"_meta")");
  EXPECT_EQ(
      say(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"L"}})"),
      "");
  EXPECT_TRUE(box.changes.empty());
  session.tools_changed();
  EXPECT_EQ(out, "");
}

TEST_F(Mcp, AtTheEndListensAreCancelledAndAnswered) {
  ask("subscriptions/listen", R"("notifications":{"resourceSubscriptions":["state://status"]},)",
      "5");
  session.end_subscriptions();
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5,)"
                 R"("reason":"the server ends"}})"
                 "\n"
                 R"({"jsonrpc":"2.0","id":5,"result":{"resultType":"complete",)"
                 R"("_meta":{"io.modelcontextprotocol/subscriptionId":5}}})"
                 "\n");
}

TEST_F(Mcp, ToolsThatChangeAreToldToAClientWithAHandshake) {
  session.tools_changed();
  EXPECT_EQ(out, "");
  begin();
  session.tools_changed();
  EXPECT_EQ(out, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
}

TEST_F(Mcp, ListensAndWatchesAreBounded) {
  std::string uris;
  for (size_t i = 0; i <= Subscriptions::kMaxWatches; ++i) {
    uris += (i ? ",\"state://" : "\"state://") + std::to_string(i) + '"';
  }
  ask("subscriptions/listen", "\"notifications\":{\"resourceSubscriptions\":[" + uris + "]},", "0");
  EXPECT_EQ(box.changes.size(), Subscriptions::kMaxWatches);
  for (size_t i = 1; i < Subscriptions::kMaxListens; ++i) {
    EXPECT_HAS(ask("subscriptions/listen", R"("notifications":{},)", std::to_string(i)),
               "acknowledged");
  }
  EXPECT_HAS(ask("subscriptions/listen", R"("notifications":{},)", "99"), "too many subscriptions");
  EXPECT_HAS(ask("subscriptions/listen", {}, "98"), R"("code":-32602)");
}

// --- lines that are wrong

TEST_F(Mcp, AWrongLineCostsThatLineOnly) {
  EXPECT_HAS(say("{"), R"("id":null,"error":{"code":-32700)");
  EXPECT_HAS(say(R"({"jsonrpc":"2.0","id":1,"method":"x","method":"y"})"), R"("code":-32700)");
  EXPECT_HAS(say("[]"), R"("code":-32600)");
  EXPECT_HAS(say("7"), R"("code":-32600)");
  EXPECT_HAS(say(R"({"jsonrpc":"2.0","id":null,"method":"ping"})"),
             R"("id":null,"error":{"code":-32600)");
  EXPECT_HAS(say(R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})"),
             R"("id":null,"error":{"code":-32600)");
  EXPECT_HAS(say(R"({"id":4,"method":"ping"})"), R"("id":4,"error":{"code":-32600)");
  EXPECT_HAS(say(R"({"jsonrpc":"2.0","id":4,"method":7})"), R"("id":4,"error":{"code":-32600)");
  EXPECT_HAS(say(R"({"jsonrpc":"2.0","id":4,"method":"ping","params":[]})"),
             R"("id":4,"error":{"code":-32602)");
  EXPECT_EQ(say("  "), "");
  // Nothing here asks a client, so answers are of no use; unknown notifications are ignored.
  EXPECT_EQ(say(R"({"jsonrpc":"2.0","id":4,"result":{}})"), "");
  EXPECT_EQ(say(R"({"jsonrpc":"2.0","method":"notifications/x","params":{}})"), "");
  session.receive_too_long(1024);
  EXPECT_HAS(std::exchange(out, {}), "a line has at most 1024 bytes");
  EXPECT_HAS(ask("server/discover"), "supportedVersions");
}

}  // namespace
}  // namespace nb::mcp
