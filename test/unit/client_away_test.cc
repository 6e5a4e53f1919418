// Unit tests of client/: an agent that is away, comes back, or has other limits.
#include <sys/resource.h>

#include "unit/client_fixture.h"

namespace nb::client {
namespace {

TEST_F(ClientTest, KeepsWhileThereIsNoAgentAndDeliversWhenItComes) {
  open();
  EXPECT_EQ(nb_client_get_fd(client_), -1);
  EXPECT_EQ(nb_client_dispatch(client_), NB_ERR_AWAY);
  EXPECT_EQ(last_error(), "cannot connect to " + path() + ": No such file or directory");
  EXPECT_EQ(push_pose("sleep"), NB_KEPT);
  EXPECT_EQ(push_note(1), NB_KEPT);
  EXPECT_EQ(push_joints({1, 2}), NB_KEPT);
  EXPECT_EQ(push_joints({3, 4}), NB_KEPT);
  EXPECT_EQ(push_note(2), NB_KEPT);
  EXPECT_EQ(stats().coalesced, 2u);
  EXPECT_EQ(stats().kept, 5u);
  EXPECT_EQ(stats().waiting_bytes,
            note(1).size() + note(2).size() + 2 +
                robot(R"("joints_l":[3.0,4.0],"current_pose":"sleep")").size() + 1);
  EXPECT_EQ(stats().connected, 0u);

  start_agent();
  reconnect();
  // The slot stands where it began to wait, with the union of what was pushed.
  EXPECT_EQ(agent_->lines(), (Lines{kHello, robot(R"("joints_l":[3.0,4.0],"current_pose":"sleep")"),
                                    note(1), note(2)}));
  EXPECT_EQ(stats().waiting_bytes, 0u);
  EXPECT_EQ(stats().connected, 1u);
  EXPECT_EQ(nb_client_get_events(client_), POLLIN);
  EXPECT_GE(nb_client_get_fd(client_), 0);
  EXPECT_EQ(nb_client_get_timeout(client_), -1);
}

TEST_F(ClientTest, PushesAloneReconnect) {
  open_greeted();
  agent_->stop();
  agent_->start();
  int pushes = 0;
  for (; pushes < 1000 && !agent_->accept(); ++pushes) {
    push_joints({1});
    ::poll(nullptr, 0, 1);
  }
  EXPECT_LT(pushes, 20);
  int result = NB_KEPT;
  for (int i = 0; i < 3 && result == NB_KEPT; ++i) result = push_joints({2});
  EXPECT_EQ(result, NB_OK);
  EXPECT_EQ(agent_->lines(), (Lines{kHello, robot(R"("joints_l":[2.0])")}));
  EXPECT_EQ(stats().disconnects, 1u);
  EXPECT_EQ(stats().connects, 2u);
}

// The agent would keep the client that nobody knows any more, and carry out its will one day.
TEST_F(ClientTest, TheOldConnectionIsClosedBeforeTheNewOne) {
  open_greeted();
  const UniqueFd old(::dup(agent_->fd()));
  ::shutdown(old.get(), SHUT_WR);
  ::poll(nullptr, 0, 2);  // the next try is due: nothing else is done before it
  reconnect();
  EXPECT_EQ(agent_->lines(), Lines{kHello});
  char byte = 0;
  EXPECT_EQ(::recv(old.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST_F(ClientTest, WithoutADescriptorItTriesAgainLater) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int free = ::dup(0);
  ASSERT_GE(free, 0);
  ::close(free);
  const rlimit none{static_cast<rlim_t>(free), limit.rlim_max};
  options_.reconnect_ms = 60000;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  open();
  EXPECT_EQ(nb_client_dispatch(client_), NB_ERR_AWAY);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_GT(nb_client_get_timeout(client_), 0);
  EXPECT_EQ(last_error(), "cannot connect to " + path() + ": Too many open files");
}

TEST_F(ClientTest, LatestSlotsGoAgainAfterAReconnectAndEventsDoNot) {
  open_greeted();
  EXPECT_EQ(push_pose("ready"), NB_OK);
  EXPECT_EQ(push_joints({1}), NB_OK);
  EXPECT_EQ(push_start(9), NB_OK);
  EXPECT_EQ(push_progress(4), NB_OK);
  EXPECT_EQ(push_note(1), NB_OK);
  agent_->close();  // without having read any of it
  reconnect();
  EXPECT_EQ(agent_->lines(), (Lines{kHello, robot(R"("joints_l":[1.0],"current_pose":"ready")"),
                                    progress(R"("pose_idx":4)")}));
  EXPECT_EQ(last_error().find("the agent"), 0u) << last_error();

  // A session that is over does not come back.
  EXPECT_EQ(nb_stroke_end(client_), NB_OK);
  EXPECT_EQ(agent_->lines(), Lines{kEnd});
  agent_->close();
  reconnect();
  EXPECT_EQ(agent_->lines(), (Lines{kHello, robot(R"("joints_l":[1.0],"current_pose":"ready")")}));
}

TEST_F(ClientTest, ATimestampBelongsToOnePush) {
  open();
  nb_robot_state state{};
  state.size = sizeof state;
  state.has = NB_ROBOT_TIMESTAMP | NB_ROBOT_IS_CONNECTED_L;
  state.timestamp_us = 1;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_KEPT);
  EXPECT_EQ(push_joints({1}), NB_KEPT);
  start_agent();
  reconnect();
  EXPECT_EQ(agent_->lines(), (Lines{kHello, robot(R"("is_connected_l":false,"joints_l":[1.0])")}));
}

TEST_F(ClientTest, KeptProgressStaysInItsSession) {
  open();
  push_start(1);
  push_progress(1);
  push_progress(2);
  nb_stroke_end(client_);
  push_start(2);
  push_progress(3);
  push_progress(4);
  start_agent();
  reconnect();
  const std::string start = R"({"jsonrpc":"2.0","method":"stroke.start","params":)";
  EXPECT_EQ(agent_->lines(),
            (Lines{kHello, start + R"({"total_strokes":1}})", progress(R"("pose_idx":2)"), kEnd,
                   start + R"({"total_strokes":2}})", progress(R"("pose_idx":4)")}));
}

TEST_F(ClientTest, KeptProgressStaysInItsSessionWithAFullRing) {
  options_.event_ring_bytes = 1024;
  open();
  push_start(1);
  push_progress(1);
  const std::string filler = "{\"f\":\"" + std::string(820, 'f') + "\"}";
  EXPECT_EQ(nb_notify(client_, "fill", filler.c_str()), NB_KEPT);
  EXPECT_EQ(nb_stroke_end(client_), NB_KEPT);  // there is room for it, but not for both
  EXPECT_EQ(push_progress(7), NB_KEPT);        // of no session: takes the place of the first
  start_agent();
  reconnect();
  Lines lines = agent_->lines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[3], kEnd);
  EXPECT_EQ(lines[4], progress(R"("pose_idx":7)"));
}

TEST_F(ClientTest, ProgressThatFindsNoRoomAmongTheEventsKeepsItsPlace) {
  options_.event_ring_bytes = 1024;
  open();
  push_start(1);
  push_progress(8);
  const std::string filler = "{\"f\":\"" + std::string(820, 'f') + "\"}";
  EXPECT_EQ(nb_notify(client_, "fill", filler.c_str()), NB_KEPT);
  EXPECT_EQ(nb_stroke_end(client_), NB_KEPT);
  start_agent();
  reconnect();
  const Lines lines = agent_->lines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[2], progress(R"("pose_idx":8)"));
  EXPECT_EQ(lines[4], kEnd);
}

TEST_F(ClientTest, TheRingIsBoundedAndSaysSo) {
  options_.event_ring_bytes = 1024;
  options_.slot_bytes = 1024;
  open();
  int taken = 0;
  while (push_note(taken) == NB_KEPT) ++taken;
  EXPECT_EQ(taken, 1024 / static_cast<int>(note(10).size() + 1));
  EXPECT_EQ(push_note(0), NB_ERR_FULL);
  EXPECT_EQ(push_start(1), NB_ERR_FULL);
  EXPECT_EQ(stats().refused_full, 3u);
  EXPECT_EQ(push_pose("still taken"), NB_KEPT);
  const std::string big = "{\"a\":\"" + std::string(1000, 'x') + "\"}";
  EXPECT_EQ(nb_notify(client_, "m", big.c_str()), NB_ERR_TOO_LARGE);
  EXPECT_EQ(push_joints(std::vector<double>(60, 1)), NB_ERR_TOO_LARGE);  // could take 1500 bytes
  start_agent();
  reconnect();
  Lines expected = {kHello};
  for (int i = 0; i < taken; ++i) expected.push_back(note(i));
  expected.push_back(robot(R"("current_pose":"still taken")"));
  EXPECT_EQ(agent_->lines(), expected);
  EXPECT_EQ(push_note(0), NB_OK);
}

TEST_F(ClientTest, TheLongestLine) {
  options_.event_ring_bytes = 1 << 20;
  open_greeted();
  say_limit(1 << 20);  // more than the library sends
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  const size_t around = std::string(R"({"jsonrpc":"2.0","method":"m","params":{"a":""}})").size();
  const auto params = [&](size_t line) {
    return "{\"a\":\"" + std::string(line - around, 'x') + "\"}";
  };
  EXPECT_EQ(nb_notify(client_, "m", params(65537).c_str()), NB_ERR_TOO_LARGE);
  EXPECT_EQ(nb_notify(client_, "m", params(65536).c_str()), NB_OK);
  Lines lines = agent_->lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), 65536u);
}

// A line of the least size that every agent takes goes at once, a longer one waits for the answer
// to the hello, and what is longer than that allows is never sent.
TEST_F(ClientTest, ALongLineWaitsForTheLimitOfTheAgent) {
  open_greeted();
  EXPECT_EQ(push_text(4000), NB_OK);
  EXPECT_EQ(push_text(8000), NB_KEPT);
  EXPECT_EQ(push_text(9000), NB_KEPT);
  EXPECT_EQ(push_note(1), NB_KEPT);  // behind them
  EXPECT_EQ(nb_client_get_events(client_), POLLIN);
  EXPECT_EQ(nb_client_dispatch(client_), NB_KEPT);
  EXPECT_EQ(agent_->lines().size(), 1u);
  say_limit(8100);
  for (int i = 2; push_note(i) != NB_OK; ++i) ASSERT_LT(i, 10);  // pushes alone read it
  const Lines lines = agent_->lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0].size(), 8000 + text_around());
  EXPECT_EQ(lines[1], note(1));
  EXPECT_EQ(stats().rejected, 1u);
  EXPECT_NE(last_error().find("at most 8100 bytes"), std::string::npos) << last_error();
  EXPECT_EQ(push_text(8101 - text_around()), NB_ERR_TOO_LARGE);
  EXPECT_NE(last_error().find("has at most 8100 bytes"), std::string::npos) << last_error();
  EXPECT_EQ(push_text(8100 - text_around()), NB_OK);
  EXPECT_EQ(agent_->lines().back().size(), 8100u);
}

// Neither an agent that does not know max_line_bytes, nor one that refuses the hello or names no
// limit, holds a message back.
TEST_F(ClientTest, AnAgentMayRefuseAHello) {
  options_.max_line_bytes = 1 << 20;
  options_.will = NB_WILL_ROBOT;
  options_.deadline_ms = 100;
  start_agent();
  open();
  ASSERT_TRUE(agent_->accept());
  const Lines greeting = agent_->lines();
  ASSERT_EQ(greeting.size(), 4u);
  EXPECT_EQ(greeting[0], kHello);
  EXPECT_EQ(greeting[2],
            R"({"jsonrpc":"2.0","method":"client.hello","params":{"deadline_ms":100},"id":-3})");
  const auto refuse = [&](int id) {
    ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
                             R"(,"error":{"code":-32602,"message":"not this"}})"
                             "\n"));
    EXPECT_EQ(nb_client_dispatch(client_), NB_KEPT);
  };
  EXPECT_EQ(push_text(8000), NB_KEPT);
  refuse(-1);
  EXPECT_EQ(stats().rejected, 0u);
  refuse(-2);
  EXPECT_EQ(last_error(-32602), "client.hello: not this");
  refuse(-3);
  EXPECT_EQ(stats().rejected, 2u) << "this agent tells of no deadline, which is worth knowing";
  EXPECT_TRUE(agent_->lines().empty());
  ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}})"
                           "\n"));
  nb_client_dispatch(client_);
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  EXPECT_EQ(agent_->lines().size(), 1u);
  agent_->close();
  push_note(1);
  reconnect();
  agent_->lines();
  EXPECT_EQ(push_text(8000), NB_KEPT);
  ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":0,"result":{"protocol":1}})"
                           "\n"));
  nb_client_dispatch(client_);
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  EXPECT_GE(agent_->lines().size(), 1u);
}

TEST_F(ClientTest, SlotsStartsAndTheWillKeepToTheLimitOfTheAgent) {
  const std::string will = R"([{"method":"error.report","params":{"category":"c","message":")" +
                           std::string(5000, 'x') + "\"}}]";
  options_.will = will.c_str();
  options_.slot_bytes = 65536;
  open_greeted();
  const std::string text(4096, '"');  // twice as long when it is escaped
  nb_stroke stroke{};
  stroke.size = sizeof stroke;
  stroke.has = NB_STROKE_DESCRIPTION_L | NB_STROKE_TOTAL_STROKES;
  stroke.description_l = text.c_str();
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_KEPT);
  EXPECT_EQ(nb_client_dispatch(client_), NB_KEPT);
  EXPECT_TRUE(agent_->lines().empty());
  say_limit(5000);
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  EXPECT_TRUE(agent_->lines().empty());
  EXPECT_EQ(stats().rejected, 2u);
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_ERR_TOO_LARGE);
  EXPECT_EQ(nb_stroke_start(client_, &stroke), NB_ERR_TOO_LARGE);
  EXPECT_EQ(push_note(1), NB_OK);
  EXPECT_EQ(agent_->lines(), Lines{note(1)});

  // An agent that takes more gets them.
  agent_->close();
  push_note(2);
  reconnect();
  EXPECT_EQ(nb_client_dispatch(client_), NB_KEPT);
  say_limit(65536);
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  const Lines lines = agent_->lines();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_NE(lines[1].find(will), std::string::npos);
  EXPECT_NE(lines[2].find("stroke_description_l"), std::string::npos);
}

}  // namespace
}  // namespace nb::client
