// Unit tests of cell/robot: robot.update.
#include <fstream>

#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellRobot : public CellTest {
 protected:
  std::string stored() { return store.last("HSET robot:state:ook"); }
};

TEST_F(CellRobot, APartialUpdateIsMergedOntoWhatWasKnown) {
  connect();
  EXPECT_EQ(call("robot.update", R"({"joints_l":[1,2.50],"is_connected_l":true})"), "{}");
  EXPECT_EQ(call("robot.update", R"({"current_pose":"home","timestamp":"2026-11-20T14:03:07.5Z"})"),
            "{}");
  settle();
  EXPECT_EQ(
      stored(),
      "HSET robot:state:ook state {\"timestamp\":\"2026-11-20T14:03:07.500000\",\"node_id\":"
      "\"ook\",\"is_connected_l\":true,\"is_connected_r\":false,\"joints_l\":[1,2.50],"
      "\"joints_r\":null,\"velocities_l\":null,\"velocities_r\":null,\"current_pose\":\"home\","
      "\"goal_time_slow\":2.0,\"goal_time_fast\":0.5} last_updated 2026-11-20T14:03:07.500000");
}

TEST_F(CellRobot, TheEventGoesOutAtABoundedRateAndTheLastIsTold) {
  connect();
  EXPECT_EQ(call("event.subscribe", R"({"channels":["robot:events"]})"), "(later)");
  call("robot.update", R"({"current_pose":"a"})");
  call("robot.update", R"({"current_pose":"b"})");
  call("robot.update", R"({"current_pose":"c"})");
  settle();
  EXPECT_EQ(store.count("PUBLISH robot:events"), 1);
  ASSERT_EQ(front.heard.size(), 1u);
  EXPECT_NE(front.heard[0].find(R"("current_pose":"a")"), std::string::npos) << front.heard[0];
  robot->finish();
  settle();
  EXPECT_EQ(store.count("PUBLISH robot:events"), 2);
  EXPECT_NE(store.last("PUBLISH robot:events").find(R"("current_pose":"c")"), std::string::npos);
}

TEST_F(CellRobot, AnAnswerCanWaitUntilRedisHasConfirmed) {
  connect();
  EXPECT_EQ(finally("robot.update", R"({"ack":"stored","current_pose":"a"})"), "{}");
  EXPECT_EQ(store.count("HSET robot:state:ook"), 1);
  store.answer("HSET", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  EXPECT_TRUE(finally("robot.update", R"({"ack":"stored","current_pose":"b"})")
                  .starts_with("refused_by_redis: "));
}

TEST_F(CellRobot, WithoutRedisItIsKeptAndTheWaitEnds) {
  EXPECT_EQ(call("robot.update", R"({"current_pose":"a"})"), "{}");
  EXPECT_EQ(call("robot.update", R"({"current_pose":"b","ack":"stored","timeout_ms":20})"),
            "(later)");
  store.go_away();
  const rpc::Token token = last_token;
  run_until([&] { return !front.later[token].empty(); });
  EXPECT_TRUE(front.later[token].starts_with("not_stored: ")) << front.later[token];
  store.come_back();
  settle();
  EXPECT_NE(stored().find(R"("current_pose":"b")"), std::string::npos) << "kept all the same";
}

TEST_F(CellRobot, ACallerThatHasGoneIsNotAnswered) {
  EXPECT_EQ(call("robot.update", R"({"current_pose":"a","ack":"stored"})"), "(later)");
  const rpc::Token token = last_token;
  EXPECT_EQ(writes.waiting(), 1u);
  client_closed(7);
  EXPECT_EQ(writes.waiting(), 0u);
  settle();
  EXPECT_EQ(front.later[token], "");
  EXPECT_EQ(store.count("HSET robot:state:ook"), 1) << "what it has said is written";
}

TEST_F(CellRobot, ANotificationIsWrittenAndNotAnswered) {
  EXPECT_EQ(notify("robot.update", R"({"current_pose":"a","ack":"stored"})"), "{}");
  EXPECT_EQ(writes.waiting(), 0u);
}

TEST_F(CellRobot, AWillIsWrittenAndACheckIsNot) {
  EXPECT_EQ(check_will("robot.update", R"({"is_connected_l":false})"), "");
  EXPECT_TRUE(check_will("robot.update", R"({"is_connected_l":1})").starts_with("invalid_params"));
  connect();
  EXPECT_EQ(store.count("HSET"), 0);
  EXPECT_EQ(will("robot.update", R"({"current_pose":"gone"})"), "{}");
  settle();
  EXPECT_NE(stored().find(R"("current_pose":"gone")"), std::string::npos);
}

class CellRobotBounded : public CellTest {
 protected:
  CellRobotBounded() : CellTest("[outbox]\nclient_event_bytes = \"64KiB\"\n") {
    outbox.set_event_limits({4096, 10min, 512, 512});
  }
};

TEST_F(CellRobotBounded, ARefusedUpdateLeavesNothingBehind) {
  const std::string large = "[" + std::string(0, ' ') + [] {
    std::string numbers = "0.123456789012345678";
    for (int i = 0; i < 63; ++i) numbers += ",0.123456789012345678";
    return numbers;
  }() + "]";
  EXPECT_EQ(call("robot.update", R"({"current_pose":"a"})"), "{}");
  clock.ahead += 1h;
  // The event of this one does not fit: neither it nor the state is taken.
  const std::string pose(250, 'p');
  const std::string answer =
      call("robot.update", R"({"current_pose":")" + pose + R"(","joints_l":)" + large + "}");
  EXPECT_TRUE(answer.starts_with("too_large: ")) << answer;
  EXPECT_EQ(call("robot.update", R"({"is_connected_l":true})"), "{}");
  settle();
  EXPECT_NE(store.last("HSET robot:state:ook").find(R"("joints_l":null)"), std::string::npos);
  EXPECT_NE(store.last("HSET robot:state:ook").find(R"("current_pose":"a")"), std::string::npos);
}

class CellRobotReadBack : public CellTest {
 protected:
  CellRobotReadBack() { reads_back = true; }
};

TEST_F(CellRobotReadBack, WhatRedisHasIsWhatUpdatesAreMergedOnto) {
  store.answer(
      "HGET robot:state:ook state",
      test::bulk(R"({"current_pose":"before","joints_r":[7],"timestamp":"2026-11-20T14:00:00"})"));
  connect();
  call("robot.update", R"({"joints_l":[1]})");
  settle();
  EXPECT_NE(store.last("HSET robot:state:ook").find(R"("current_pose":"before")"),
            std::string::npos);
  EXPECT_NE(store.last("HSET robot:state:ook").find(R"("joints_r":[7])"), std::string::npos);
}

// A reply that is no text is a failure of the link, which its own tests have.
TEST_F(CellRobotReadBack, ATextOfAnotherFormChangesNothing) {
  connect();
  for (const char* reply : {"-WRONGTYPE it is a list\r\n", "$8\r\nnot json\r\n", "$2\r\n[]\r\n",
                            "$-1\r\n", "$34\r\n{\"current_pose\":7,\"joints_r\":\"xy\"}\r\n"}) {
    store.answer("HGET robot:state:ook state", reply);
    lose_redis();
    store.come_back();
    connect();
    call("robot.update", R"({"joints_l":[1]})");
    settle();
    EXPECT_NE(store.last("HSET robot:state:ook")
                  .find(R"("joints_l":[1],"joints_r":null,"velocities_l":null,"velocities_r":null,)"
                        R"("current_pose":"unknown")"),
              std::string::npos)
        << reply << store.last("HSET robot:state:ook");
  }
}

}  // namespace
}  // namespace nb::cell
