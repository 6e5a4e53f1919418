// Unit tests of gate/: standard streams, a client over bytes, the parent, the names of resources,
// outcomes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/unique_fd.h"
#include "gate/line_peer.h"
#include "gate/outcome.h"
#include "gate/parent.h"
#include "gate/resources.h"
#include "gate/standard_streams.h"
#include "gate/status.h"
#include "gate/strokes.h"
#include "gate/toolbox.h"
#include "unit/gate_fixture.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
  }
  UniqueFd out, in;  // what is read from, and written to
};

bool blocks(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

class Streams : public testing::Test {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }
  StandardStreams::Events events() {
    return {Delegate<void(std::string_view)>::to<&Streams::on_data>(this),
            Delegate<void()>::to<&Streams::on_end>(this),
            Delegate<void()>::to<&Streams::on_drain>(this),
            Delegate<void(int)>::to<&Streams::on_broken>(this)};
  }
  void on_data(std::string_view bytes) { heard += bytes; }
  void on_end() { ++ends; }
  void on_drain() { ++drains; }
  void on_broken(int error) {
    ++broken;
    EXPECT_EQ(error, EPIPE);
  }

  test::TestLoop loop;
  std::string heard;
  int ends = 0, drains = 0, broken = 0;
};

TEST_F(Streams, PipesAreReadToTheirEndAndStayAsTheyWereForOthers) {
  Pipe input, output;
  StandardStreams streams(loop, input.out.get(), output.in.get(), events());
  EXPECT_TRUE(blocks(input.out.get()));
  EXPECT_TRUE(blocks(output.in.get()));
  streams.start_reading();
  ASSERT_EQ(::write(input.in.get(), "abc", 3), 3);
  ASSERT_TRUE(loop.run_until([&] { return heard == "abc"; }));
  input.in.reset();
  ASSERT_TRUE(loop.run_until([&] { return ends == 1; }));
}

TEST_F(Streams, AFileIsReadFromWhereItIs) {
  test::TempTree tree;
  const std::string path = tree("/input");
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(file.get(), "0123456", 7), 7);
  ASSERT_EQ(::lseek(file.get(), 2, SEEK_SET), 2);
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  StandardStreams streams(loop, file.get(), null.get(), events());
  streams.start_reading();
  ASSERT_TRUE(loop.run_until([&] { return ends == 1; }));
  EXPECT_EQ(heard, "23456");
  std::string bytes = "to nowhere";
  streams.write(bytes);
  EXPECT_EQ(streams.queued_bytes(), 0u);
  EXPECT_EQ(bytes, "");
}

TEST_F(Streams, ASlowReaderIsWrittenToAsItReads) {
  Pipe input, output;
  StandardStreams streams(loop, input.out.get(), output.in.get(), events());
  const std::string all(300'000, 'x');
  std::string bytes = all;
  streams.write(bytes);
  EXPECT_GT(streams.queued_bytes(), 0u);
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    char buffer[8192];
    const ssize_t n = ::read(output.out.get(), buffer, sizeof buffer);
    if (n > 0) got.append(buffer, static_cast<size_t>(n));
    return got.size() == all.size();
  }));
  EXPECT_EQ(streams.queued_bytes(), 0u);
  EXPECT_GT(drains, 1);
}

TEST_F(Streams, AReaderThatHasGoneIsToldOnce) {
  Pipe input, output;
  StandardStreams streams(loop, input.out.get(), output.in.get(), events());
  output.out.reset();
  for (int i = 0; i < 2; ++i) {
    std::string bytes = "x";
    streams.write(bytes);
  }
  EXPECT_EQ(broken, 1);
}

TEST_F(Streams, TheParentsEndIsTold) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  // The child stands for a parent: what is watched is a process.
  Parent parent(loop, child, events().on_end);
  EXPECT_TRUE(parent.is_gone());  // it is not ours, as if ours had gone before
  ::kill(child, SIGKILL);
  ASSERT_TRUE(loop.run_until([&] { return ends > 0; }));
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(Parent(loop, ::getppid(), {}).is_gone());
}

// --- a client over bytes

class Peer : public WithAgent {
 protected:
  void on_output() { ++outputs; }
  size_t queued_bytes() { return queued; }
  void on_done() { ++dones; }

  Agent agent{loop, {.socket = fake.path()}, log};
  Toolbox box{loop, agent, true, "1.2"};
  size_t queued = 0;
  int outputs = 0, dones = 0;
  LinePeer peer{loop,
                box,
                agent,
                {Delegate<void()>::to<&Peer::on_output>(this),
                 Delegate<size_t()>::to<&Peer::queued_bytes>(this),
                 Delegate<void()>::to<&Peer::on_done>(this)}};
};

constexpr char kInitialize[] =
    R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}})"
    "\n";
constexpr char kPing[] = R"({"jsonrpc":"2.0","id":2,"method":"ping"})"
                         "\n";

TEST_F(Peer, LinesAreTakenFromWhateverPieces) {
  const std::string all = std::string(kInitialize) + kPing;
  for (const char byte : all) peer.feed(std::string_view(&byte, 1));
  EXPECT_EQ(std::count(peer.output().begin(), peer.output().end(), '\n'), 2);
  EXPECT_GT(outputs, 0);
}

TEST_F(Peer, WhileMuchWaitsNothingIsTakenAndNothingIsLost) {
  peer.feed(kInitialize);
  peer.output().clear();
  queued = LinePeer::kEnough;
  peer.feed(std::string(kPing) + kPing);
  EXPECT_FALSE(peer.wants_input());
  EXPECT_EQ(peer.output(), "");
  queued = 0;
  peer.go_on();
  EXPECT_TRUE(peer.wants_input());
  EXPECT_EQ(std::count(peer.output().begin(), peer.output().end(), '\n'), 2);
  EXPECT_FALSE(peer.is_given_up());
  queued = LinePeer::kTooMuch;
  EXPECT_TRUE(peer.is_given_up());
}

TEST_F(Peer, TheEndComesWhenAllIsAnsweredAndSent) {
  peer.feed(kInitialize);
  peer.end_input();
  EXPECT_EQ(dones, 0);
  peer.output().clear();
  peer.go_on();
  ASSERT_TRUE(run_until([&] { return dones == 1; }));
}

TEST_F(Peer, ToolsThatWriteComeWithTheRightAndAreTold) {
  peer.feed(kInitialize);
  peer.output().clear();
  EXPECT_EQ(box.tools().size(), 10u);
  agent.start();
  greet();  // gives the rights read and state
  ASSERT_TRUE(run_until([&] { return agent.is_there(); }));
  EXPECT_EQ(box.tools().size(), 11u);
  EXPECT_NE(peer.output().find("notifications/tools/list_changed"), std::string::npos);
}

// --- names and outcomes

TEST(GateResources, NamesAreRead) {
  using Kind = ResourceName::Kind;
  EXPECT_EQ(parse_resource("state://status").kind, Kind::status);
  EXPECT_EQ(parse_resource("state://stroke/progress").kind, Kind::progress);
  EXPECT_EQ(parse_resource("state://health/hog").name, "hog");
  EXPECT_EQ(parse_resource("state://session/a%20b%2Fc%zz").name, "a b/c%zz");
  EXPECT_EQ(parse_resource("state://session/100%").name, "100%");
  for (const std::string& uri :
       {std::string("state://health/"), std::string("state://x"), std::string(),
        "state://health/" + std::string(65, 'x'), "state://session/" + std::string(251, 'x'),
        std::string("state://session/%ff"), std::string("state://session/%0a"),
        std::string("state://health/a%20b"), std::string("state://robot/-a")}) {
    EXPECT_EQ(parse_resource(uri).kind, Kind::none) << uri;
  }
}

TEST(GateOutcome, ForeignTextIsHarmlessAndStaysTheSame) {
  EXPECT_EQ(success("a\x1b[31m\u202e"), R"({"success":true,"message":"a\u001b[31m\u202e"})");
  EXPECT_EQ(failure("not_found", "None.", "\"a\":1"),
            R"({"success":false,"message":"None.","error":"not_found","a":1})");
}

TEST(GateOutcome, ALongValueIsCutAndSaysSo) {
  std::string members;
  add_bounded(members, "value", json::View::of("[1.50]"));
  EXPECT_EQ(members, "\"value\":[1.50]");
  members.clear();
  const std::string value = '"' + std::string(100, 'x') + '"';
  add_bounded(members, "value", json::View::of(value), 40);
  EXPECT_EQ(members,
            R"("value":null,"truncated":true,"value_bytes":102,"value_begins":"\"xxxxxxxxx")");
  // By what goes out: the escapes of what would steer a terminal count.
  members.clear();
  add_bounded(members, "value", json::View::of("\"\u202e\u202e\u202e\""), 16);
  EXPECT_TRUE(members.starts_with(R"("value":null,"truncated":true,"value_bytes":11)")) << members;
}

TEST(GateOutcome, AWrongParameterIsToldAsTheToolsArgument) {
  const auto words = [](std::string_view field, const char* what) {
    CallFailure failure{.kind = CallFailure::Kind::refused, .name = "invalid_params"};
    failure.words = std::string(field) + ": " + what;
    failure.data = "{\"field\":\"" + std::string(field) + "\"}";
    return words_of(failure, false);
  };
  EXPECT_EQ(words("node", "is odd"), "The argument `node_id` is wrong: is odd.");
  EXPECT_EQ(words("event.type", "is missing"),
            "The argument `event_data.type` is wrong: is missing.");
  EXPECT_EQ(words("eventful", "is odd"), "The argument `eventful` is wrong: is odd.");
  EXPECT_EQ(words("patterns[1]", "is odd"), "The argument `channels[1]` is wrong: is odd.");
  EXPECT_EQ(words("replay.since", "is odd"),
            "The argument `cursor` is wrong: expected `cursor` of an earlier answer.");
}

TEST(GateStrokes, OnesOfOtherProgramsHaveSecondsInTheirNames) {
  EXPECT_EQ(foreign_stroke("stroke_a_b_1700000000")->node, "a_b");
  EXPECT_EQ(foreign_stroke("stroke_a_b_1700000000")->seconds, 1'700'000'000u);
  for (const char* other :
       {"", "stroke_", "stroke_a", "stroke_a_12", "stroke__1700000000",
        "stroke_a_1700000000_123456", "stroke_a b_1700000000", "x_a_1700000000"}) {
    EXPECT_FALSE(foreign_stroke(other).has_value()) << other;
  }
}

TEST(GateOutcome, AFailureSaysWhatToDo) {
  EXPECT_EQ(words_of({.kind = CallFailure::Kind::refused, .words = "no such key"}, false),
            "No such key.");
  const CallFailure away{.words = "there is no agent", .was_sent = true};
  EXPECT_NE(words_of(away, true).find("Whether it was carried out is not known"),
            std::string::npos);
  EXPECT_EQ(words_of(away, false).find("Whether"), std::string::npos);
  EXPECT_EQ(error_of(away), "agent_away");
}

TEST(GateOutcome, AnAgeIsNeverNegative) {
  const WallTime now{std::chrono::microseconds(1'700'000'000'500'000)};
  EXPECT_EQ(age_ms("2023-11-14T22:13:20.000000", now), 500);
  EXPECT_EQ(age_ms("2023-11-14T22:13:21", now), 0);
  EXPECT_EQ(age_ms("yesterday", now), std::nullopt);
}

TEST(GateStatus, IsCutWhereTheCellIsLarge) {
  std::string nodes, healths;
  for (int i = 0; i < 400; ++i) {
    const std::string name = "node-" + std::to_string(i);
    add_raw(nodes, name, R"({"state":"up","since":null,"age_ms":1,"source":"lease"})");
    add_raw(healths, name, R"({"cpu_percent":1.5})");
  }
  const std::string status =
      R"({"redis_connected":true,"nodes_online":400,"total_nodes":400,"nodes":{)" + nodes +
      R"(},"nodes_health":{)" + healths + R"(},"cursor":null,"timestamp":"t"})";
  const std::string json = status_json({.node_id = "hog"}, json::View::of(status), true);
  EXPECT_LT(json.size(), kRoom + 1024);
  const json::View view = json::View::of(json);
  EXPECT_EQ(view["truncated"].boolean(), true);
  EXPECT_GT(view["nodes_left_out_here"].integer(), 100);
  EXPECT_EQ(view["total_nodes"].integer(), 400);
}

}  // namespace
}  // namespace nb::gate
