// Unit tests of gate/: the connection to the agent, the command line.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "gate/agent.h"
#include "gate/options.h"
#include "gate/recent_events.h"
#include "unit/gate_fixture.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

class Asker {
 public:
  explicit Asker(Agent& agent)
      : call(agent, Delegate<void(const CallAnswer&)>::to<&Asker::on>(this)) {}
  void on(const CallAnswer& answer) {
    ++answers;
    if (answer.ok()) {
      result = answer.result.raw();
    } else {
      failure = *answer.failure;
    }
    if (again) call.start("again");
  }

  int answers = 0;
  std::string result;
  CallFailure failure;
  bool again = false;
  AgentCall call;
};

class GateAgent : public WithAgent {
 protected:
  void connect() {
    agent.start();
    greet();
    ASSERT_TRUE(run_until([&] { return agent.is_there(); }));
  }

  Agent agent{loop, {.socket = fake.path(), .dial_deadline = 300ms}, log};
};

TEST_F(GateAgent, SaysHelloAndKnowsWhoAnswers) {
  connect();
  EXPECT_TRUE(fake.has(R"("params":{"name":"nodebeat-gate","max_line_bytes":1048576})"));
  EXPECT_EQ(agent.hello().node_id, "hog");
  EXPECT_EQ(agent.hello().agent_version, "1.2");
  EXPECT_TRUE(agent.hello().rights.has(rpc::Right::state));
  EXPECT_FALSE(agent.hello().rights.has(rpc::Right::event));
  EXPECT_EQ(agent.why_away(), "");
}

TEST_F(GateAgent, HandsOutAnswersInAnyOrder) {
  connect();
  Asker first(agent), second(agent);
  first.call.start("a", R"({"n":1})");
  second.call.start("b");
  EXPECT_EQ(first.answers, 0);
  ASSERT_TRUE(run_until([&] { return fake.has(R"("method":"b")"); }));
  EXPECT_TRUE(fake.has(R"("method":"a","params":{"n":1})"));
  fake.answer("b", "2.50");
  fake.send(R"({"jsonrpc":"2.0","id":)" + fake.id_of("a") +
            R"(,"error":{"code":-32001,"message":"no such key","data":{"name":"not_found"}}})"
            "\n");
  ASSERT_TRUE(run_until([&] { return first.answers == 1; }));
  EXPECT_EQ(second.result, "2.50");
  EXPECT_EQ(first.failure.kind, CallFailure::Kind::refused);
  EXPECT_EQ(first.failure.name, "not_found");
  EXPECT_EQ(first.failure.words, "no such key");
  EXPECT_EQ(first.failure.data, R"({"name":"not_found"})");
}

TEST_F(GateAgent, ACallBeforeTheHelloWaitsForIt) {
  agent.start();
  Asker asker(agent);
  asker.call.start("early");
  greet();
  ASSERT_TRUE(run_until([&] { return fake.has("early"); }));
  fake.answer("early", "{}");
  ASSERT_TRUE(run_until([&] { return asker.answers == 1; }));
  EXPECT_EQ(asker.result, "{}");
}

TEST_F(GateAgent, WithoutAnAgentACallFailsAtOnceAndSaysWhy) {
  fake.close();
  agent.start();
  Asker asker(agent);
  asker.call.start("x", {}, 60s);
  ASSERT_TRUE(run_until([&] { return asker.answers == 1; }));
  EXPECT_EQ(asker.failure.kind, CallFailure::Kind::away);
  EXPECT_FALSE(asker.failure.was_sent);
  EXPECT_NE(asker.failure.words.find(fake.path()), std::string::npos) << asker.failure.words;
  // One that asks again at once is told of the same try, and does not dial without a pause.
  asker.call.start("y", {}, 60s);
  ASSERT_TRUE(run_until([&] { return asker.answers == 2; }));
  EXPECT_EQ(asker.failure.kind, CallFailure::Kind::away);
}

TEST_F(GateAgent, ACallFindsAnAgentThatIsBackAtOnce) {
  fake.close();
  agent.start();
  ASSERT_TRUE(run_until([&] { return !agent.why_away().empty(); }));
  fake.open();
  Asker asker(agent);
  while (asker.answers == 0 || asker.failure.kind == CallFailure::Kind::away) {
    if (!asker.call.waiting()) asker.call.start("x");
    if (fake.has_caller()) break;
    loop.loop().run_once();
  }
  greet();
  ASSERT_TRUE(run_until([&] { return agent.is_there(); }));
}

TEST_F(GateAgent, PendingCallsEndWhenTheAgentGoes) {
  connect();
  Asker asker(agent), cancelled(agent);
  asker.again = true;
  asker.call.start("x", {}, 60s);
  cancelled.call.start("z", {}, 60s);
  cancelled.call.cancel();
  ASSERT_TRUE(run_until([&] { return fake.has(R"("method":"x")"); }));
  fake.close();
  fake.hang_up();
  ASSERT_TRUE(run_until([&] { return asker.answers >= 2; }));
  EXPECT_EQ(cancelled.answers, 0);
  EXPECT_EQ(asker.failure.kind, CallFailure::Kind::away);
  EXPECT_FALSE(agent.is_there());
  asker.again = false;
}

TEST_F(GateAgent, TheWordsOfAnAgentThatHangsUpAreKept) {
  agent.start();
  ASSERT_TRUE(run_until([&] { return fake.has_caller(); }));
  fake.accept();
  fake.send(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32006,"message":"too many clients"}})"
            "\n");
  fake.hang_up();
  ASSERT_TRUE(run_until([&] { return !agent.why_away().empty(); }));
  EXPECT_NE(agent.why_away().find("too many clients"), std::string::npos) << agent.why_away();
}

TEST_F(GateAgent, AnAgentThatIsSilentIsToldOf) {
  agent.start();
  Asker asker(agent);
  asker.call.start("x", {}, 60s);
  ASSERT_TRUE(run_until([&] { return fake.has_caller(); }));
  fake.accept();
  ASSERT_TRUE(run_until([&] { return asker.answers == 1; }));
  EXPECT_NE(asker.failure.words.find("stopped or hangs"), std::string::npos);
  EXPECT_FALSE(asker.failure.was_sent);
}

TEST_F(GateAgent, ACallEndsAtItsDeadline) {
  connect();
  Asker late(agent), patient(agent);
  patient.call.start("p", {}, 60s);
  late.call.start("x", {}, 10ms);
  ASSERT_TRUE(run_until([&] { return late.answers == 1; }));
  EXPECT_EQ(late.failure.kind, CallFailure::Kind::silent);
  EXPECT_TRUE(late.failure.was_sent);
  fake.answer("x", "{}");  // too late, and harmless
  fake.answer("p", "{}");
  ASSERT_TRUE(run_until([&] { return patient.answers == 1; }));
  EXPECT_TRUE(agent.is_there());
  EXPECT_EQ(late.answers, 1);
}

TEST_F(GateAgent, WhatWaitsIsBounded) {
  connect();
  std::vector<std::unique_ptr<Asker>> askers;
  for (size_t i = 0; i <= Agent::kMaxCalls; ++i) {
    askers.push_back(std::make_unique<Asker>(agent));
    askers.back()->call.start("x", {}, 60s);
  }
  ASSERT_TRUE(run_until([&] { return askers.back()->answers == 1; }));
  EXPECT_EQ(askers.back()->failure.kind, CallFailure::Kind::full);
  EXPECT_EQ(askers.front()->answers, 0);
}

TEST_F(GateAgent, ACallThatTheAgentWouldNotReadIsNotSent) {
  connect();
  Asker asker(agent);
  asker.call.start("x", "{\"t\":\"" + std::string(5000, 'x') + "\"}");
  ASSERT_TRUE(run_until([&] { return asker.answers == 1; }));
  EXPECT_EQ(asker.failure.name, "too_large");
  EXPECT_FALSE(fake.has("xxx"));
}

TEST_F(GateAgent, WhatSendsNoJsonIsNoAgent) {
  connect();
  fake.send("HTTP/1.1 400 Bad Request\n");
  ASSERT_TRUE(run_until([&] { return !agent.is_there(); }));
  EXPECT_NE(agent.why_away().find("no agent"), std::string::npos);
}

class Hearer {
 public:
  void on_event(const AgentEvent& event) {
    heard += event.is_gap ? "gap " : std::string(event.channel) + ' ';
    if (drop != nullptr) drop->reset();
  }
  void on_presence(bool there) { heard += there ? "there " : "gone "; }
  AgentListener::Events events() {
    return {Delegate<void(const AgentEvent&)>::to<&Hearer::on_event>(this),
            Delegate<void(bool)>::to<&Hearer::on_presence>(this)};
  }

  std::string heard;
  std::optional<AgentListener>* drop = nullptr;
};

std::string event_on(std::string_view channel) {
  return R"({"jsonrpc":"2.0","method":"event","params":{"channel":")" + std::string(channel) +
         R"(","event":{}}})"
         "\n";
}

TEST_F(GateAgent, EachListenerGetsWhatItListensTo) {
  Hearer one, two;
  std::optional<AgentListener> a, b;
  a.emplace(agent, std::vector<std::string>{"robot:events"}, std::vector<std::string>{},
            one.events());
  b.emplace(agent, std::vector<std::string>{"robot:events"},
            std::vector<std::string>{"node:events:*"}, two.events());
  connect();
  ASSERT_TRUE(run_until([&] { return fake.has("node:events:*"); }));
  fake.send(event_on("robot:events") + event_on("node:events:ook") +
            R"({"jsonrpc":"2.0","method":"event.gap","params":{}})"
            "\n");
  ASSERT_TRUE(run_until([&] { return two.heard.find("gap") != std::string::npos; }));
  EXPECT_EQ(one.heard, "there robot:events gap ");
  EXPECT_EQ(two.heard, "there robot:events node:events:ook gap ");
  b.reset();
  ASSERT_TRUE(run_until([&] { return fake.has("event.unsubscribe"); }));
  EXPECT_TRUE(fake.has(R"("method":"event.unsubscribe","params":{"patterns":["node:events:*"]})"));
}

TEST_F(GateAgent, SubscriptionsAreRestoredAndAListenerMayGoWhileItHears) {
  Hearer hearer;
  std::optional<AgentListener> listener;
  listener.emplace(agent, std::vector<std::string>{}, std::vector<std::string>{"a:*"},
                   hearer.events());
  connect();
  fake.hang_up();
  greet();
  ASSERT_TRUE(run_until([&] { return fake.has("event.subscribe"); }));
  hearer.drop = &listener;
  fake.send(event_on("a:1") + event_on("a:2"));
  ASSERT_TRUE(run_until([&] { return fake.has("event.unsubscribe"); }));
  EXPECT_EQ(hearer.heard, "there gone there a:1 ");
}

TEST(GateRecentEvents, KeepTheLatestWithinTheirBounds) {
  RecentEvents events;
  EXPECT_EQ(events.json(), "[]");
  for (size_t i = 0; i < RecentEvents::kMost + 2; ++i) events.add(std::to_string(i));
  EXPECT_TRUE(events.json().starts_with("[2,3,"));
  EXPECT_TRUE(events.json().ends_with(",201]"));
  events.add('"' + std::string(RecentEvents::kMostBytes - 5, 'x') + '"');
  EXPECT_TRUE(events.json().starts_with("[201,\"x"));
  events.add('"' + std::string(2 * RecentEvents::kMostBytes, 'y') + '"');
  EXPECT_TRUE(events.json().starts_with("[\"y"));
  events.clear();
  EXPECT_EQ(events.json(), "[]");
  EXPECT_TRUE(events.add("1"));
  EXPECT_TRUE(events.add("2"));
  EXPECT_FALSE(events.add("1"));
  EXPECT_EQ(events.json(), "[1,2]");
}

Result<Options> parse(std::vector<std::string> words, const std::string& socket = {}) {
  words.insert(words.begin(), "nodebeat-gate");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return parse_options(static_cast<int>(words.size()), argv.data(), socket);
}

TEST(GateOptions, AreTakenBeforeAndAfterTheCommand) {
  EXPECT_EQ(parse({"serve"})->socket, "/run/nodebeat/view.sock");
  EXPECT_EQ(parse({"serve"}, "/env.sock")->socket, "/env.sock");
  EXPECT_EQ(parse({"--socket", "/a.sock", "serve"}, "/env.sock")->socket, "/a.sock");
  EXPECT_EQ(parse({"serve", "--socket=/a.sock"})->socket, "/a.sock");
  EXPECT_EQ(parse({"--version"})->command, Command::version);
  EXPECT_EQ(parse({"serve", "--log-level", "debug"})->log_level, LogLevel::debug);
}

TEST(GateOptions, ServeHttpToThisComputerOnlyUnlessItIsSaid) {
  EXPECT_FALSE(parse({"serve"})->http.has_value());
  const auto options = parse({"--http", "localhost:9809", "--http-host", "hog", "serve"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->http->host, "127.0.0.1");
  EXPECT_EQ(options->http->port, 9809);
  EXPECT_EQ(options->http_hosts, std::vector<std::string>{"hog"});
  const auto open = parse({"--http", "0.0.0.0:9809", "serve"});
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().message.find("--http-remote"), std::string::npos);
  EXPECT_TRUE(parse({"--http", "0.0.0.0:9809", "--http-remote", "serve"}));
  EXPECT_FALSE(parse({"--http", "hog:9809", "serve"}));
}

TEST(GateOptions, AreRefusedWithWords) {
  EXPECT_EQ(parse({}).error().message, "a command is missing; try 'nodebeat-gate --help'");
  EXPECT_EQ(parse({"fly"}).error().message,
            "there is no command 'fly'; try 'nodebeat-gate --help'");
  EXPECT_EQ(parse({"serve", "--socket"}).error().message,
            "--socket needs a value; try 'nodebeat-gate --help'");
  EXPECT_EQ(parse({"serve", "--sokcet"}).error().message,
            "there is no option --sokcet; try 'nodebeat-gate --help'");
}

}  // namespace
}  // namespace nb::gate
