// Unit tests of cell/deadlines: who is late, who is told of it, and when it is the agent that was.
#include "cell/deadlines.h"
#include "json/view.h"
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellDeadlines : public CellTest {
 protected:
  CellDeadlines() {
    dispatcher->set_on_push(Delegate<void(const rpc::Call&)>::to<&Deadlines::on_push>(&deadlines));
    call("event.subscribe", R"({"channels":["node:events:ook"]})", 99);
  }
  ~CellDeadlines() override { deadlines.stop(); }

  wire::EventClient about(rpc::ClientId client) {
    return {client_name, static_cast<int>(1000 + client)};
  }
  Deadlines::Unread unread(rpc::ClientId) {
    ++asked;
    return in_socket;
  }

  void set(rpc::ClientId client, Duration deadline) { deadlines.set({client}, deadline); }
  void push(rpc::ClientId client) {
    EXPECT_EQ(call("robot.update", R"({"current_pose":"a"})", client), "{}");
  }
  uint64_t missed(rpc::ClientId client) { return deadlines.report(client).value().missed; }
  void until_missed(rpc::ClientId client, uint64_t count) {
    run_until([&] { return missed(client) == count; });
  }
  // Another client is late: whoever had to be told of before it was.
  void let_time_pass() {
    set(50, 10ms);
    push(50);
    const uint64_t before = missed(50);
    until_missed(50, before + 1);
    deadlines.on_goodbye(50);
  }
  // Those of one type that local programs have heard of this client.
  std::vector<std::string> told(std::string_view type, rpc::ClientId client = 7) {
    const std::string pid = "\"pid\":" + std::to_string(1000 + client) + ",";
    std::vector<std::string> out;
    for (const std::string& line : front.heard) {
      if (line.find("\"" + std::string(type) + "\"") == std::string::npos) continue;
      if (line.find(pid) != std::string::npos) out.push_back(line);
    }
    return out;
  }
  static int64_t number(const std::string& event, std::string_view name) {
    const size_t at = event.find("\"" + std::string(name) + "\":");
    return at == std::string::npos ? -1 : std::atoll(event.c_str() + at + name.size() + 3);
  }

  Deadlines::Unread in_socket = Deadlines::Unread::nothing;
  int asked = 0;
  Deadlines deadlines{
      loop,
      log,
      identity,
      events,
      config,
      {Delegate<wire::EventClient(rpc::ClientId)>::to<&CellDeadlines::about>(this),
       Delegate<Deadlines::Unread(rpc::ClientId)>::to<&CellDeadlines::unread>(this)}};
};

TEST_F(CellDeadlines, AClientThatIsLateIsToldOfOnceAndAgainWhenItPushes) {
  client_name = "robot";
  connect();
  set(7, 20ms);
  push(7);
  until_missed(7, 1);
  ASSERT_EQ(told("deadline_missed").size(), 1u) << log.text();
  const std::string event = told("deadline_missed")[0];
  EXPECT_NE(event.find(R"("client_name":"robot","pid":1007,"deadline_ms":20,"gap_ms":)"),
            std::string::npos)
      << event;
  EXPECT_GE(number(event, "gap_ms"), 20);
  EXPECT_EQ(number(event, "missed"), 1);
  EXPECT_EQ(log.count(LogLevel::warning, "client robot (pid 1007) has pushed nothing for"), 1);
  EXPECT_TRUE(deadlines.report(7)->late);
  EXPECT_TRUE(deadlines.report(7)->last_missed);
  let_time_pass();
  EXPECT_EQ(told("deadline_missed").size(), 1u) << "it is late once, however long";
  EXPECT_EQ(missed(7), 1u);

  clock.ahead += 1s;
  push(7);
  ASSERT_EQ(told("deadline_met").size(), 1u);
  EXPECT_GE(number(told("deadline_met")[0], "gap_ms"), 1000);
  EXPECT_GE(deadlines.report(7)->longest_gap, 1s);
  EXPECT_FALSE(deadlines.report(7)->late);
  settle();
  EXPECT_NE(store.last("XADD stream:node_events:ook").find("deadline_"), std::string::npos)
      << "it is in a stream that lasts";
  EXPECT_EQ(store.count("PUBLISH node:events:ook"), 4);  // of both clients
}

TEST_F(CellDeadlines, WhatCountsIsAPushOfTheClientItself) {
  set(7, 20ms);
  push(7);
  call("stroke.start", R"({"total_strokes":3})");
  call("error.report", R"({"category":"c","message":"m"})");
  EXPECT_EQ(will("robot.update", R"({"current_pose":"a"})"), "{}");
  EXPECT_EQ(deadlines.intervals().count(), 0u);
  call("robot.update", R"({"no such member":1})");
  EXPECT_EQ(deadlines.intervals().count(), 0u) << "a wrong call says nothing of the robot";
  call("stroke.update", R"({"stroke_idx":1})");
  EXPECT_EQ(deadlines.intervals().count(), 1u);
  // It came, and is refused for another reason.
  call("stroke.end");
  EXPECT_TRUE(call("stroke.update", R"({"stroke_idx":1})").starts_with("not_found"));
  EXPECT_EQ(deadlines.intervals().count(), 2u);
  push(8);
  EXPECT_EQ(deadlines.intervals().count(), 2u) << "of another client, that has no deadline";
  EXPECT_FALSE(deadlines.has_deadline(8));
}

TEST_F(CellDeadlines, ItBeginsWithTheFirstPush) {
  set(7, 10ms);
  EXPECT_TRUE(deadlines.has_deadline(7));
  EXPECT_FALSE(deadlines.report(7)->gap);
  let_time_pass();
  EXPECT_EQ(missed(7), 0u);
  push(7);
  EXPECT_TRUE(deadlines.report(7)->gap);
  until_missed(7, 1);
}

TEST_F(CellDeadlines, AGoodbyeEndsItAndSoDoesNullInAHello) {
  for (const rpc::ClientId client : {7u, 8u}) {
    set(client, 10ms);
    push(client);
  }
  deadlines.on_goodbye(7);
  set(8, {});
  let_time_pass();
  EXPECT_FALSE(deadlines.report(7) || deadlines.report(8));
  EXPECT_EQ(told("deadline_missed").size() + told("deadline_missed", 8).size(), 0u);
  EXPECT_EQ(told("deadline_ended").size(), 0u) << "nobody waits for that";
}

TEST_F(CellDeadlines, WhoHeardOfALateClientHearsOfItsEnd) {
  set(7, 10ms);
  push(7);
  until_missed(7, 1);
  client_closed(7);
  deadlines.on_client_closed(7);
  ASSERT_EQ(told("deadline_ended").size(), 1u);
  EXPECT_NE(told("deadline_ended")[0].find(R"("reason":"closed")"), std::string::npos);
  EXPECT_FALSE(deadlines.report(7));
}

TEST_F(CellDeadlines, ALateAgentGivesAClientTimeToBeHeard) {
  set(7, 100ms);
  push(7);
  clock.ahead += 10s;  // as if the agent had been stopped
  run_until([&] { return asked > 0; });
  EXPECT_EQ(missed(7), 0u);
  push(7);
  EXPECT_EQ(missed(7), 0u) << log.text();
  EXPECT_LT(deadlines.report(7)->longest_gap, 1s) << "it was the agent's";

  // If nothing comes, it was the client all the same.
  clock.ahead += 10s;
  asked = 0;
  until_missed(7, 1);
  EXPECT_GE(asked, 2) << "at the time, and when it had had its chance";
  EXPECT_GE(number(told("deadline_missed").at(0), "gap_ms"), 10'000);
}

TEST_F(CellDeadlines, WhatLiesInTheSocketWasSaidInTime) {
  set(7, 10ms);
  set(8, 10ms);
  in_socket = Deadlines::Unread::held;
  push(7);
  run_until([&] { return asked >= 20; });
  EXPECT_EQ(missed(7), 0u) << "as long as the agent does not read, for a reason of its own";
  in_socket = Deadlines::Unread::some;
  asked = 0;
  push(8);
  until_missed(8, 1);
  EXPECT_GE(asked, 5) << "but a program whose other calls fill the socket is late in the end";
}

TEST_F(CellDeadlines, AClientThatIsLateAgainAndAgainIsCounted) {
  connect();
  set(7, 10ms);
  push(7);
  for (uint64_t i = 1; i <= 5; ++i) {
    until_missed(7, i);
    push(7);
  }
  EXPECT_EQ(told("deadline_missed").size(), 1u);
  EXPECT_EQ(told("deadline_met").size(), 1u);
  EXPECT_EQ(log.count(LogLevel::warning), 1) << log.text();
  EXPECT_EQ(log.count(LogLevel::notice, "in time again"), 1) << log.text();
  clock.ahead += 11s;
  let_time_pass();  // that it is over, with the number
  ASSERT_EQ(told("deadline_missed").size() + told("deadline_met").size(), 3u) << log.text();
  const bool late = told("deadline_missed").size() == 2;
  const std::string last = late ? told("deadline_missed")[1] : told("deadline_met")[1];
  EXPECT_GE(number(last, "missed"), 5);
  EXPECT_EQ(number(last, "missed"), static_cast<int64_t>(missed(7)));
}

TEST_F(CellDeadlines, ManyClientsTogetherAreToldOfAFewTimesAMinute) {
  connect();
  for (rpc::ClientId client = 100; client < 140; ++client) {
    set(client, 10ms);
    push(client);
  }
  for (rpc::ClientId client = 100; client < 140; ++client) until_missed(client, 1);
  size_t count = 0;
  for (rpc::ClientId client = 100; client < 140; ++client) {
    count += told("deadline_missed", client).size();
  }
  EXPECT_EQ(count, 30u);
  clock.ahead += 61s;
  let_time_pass();
  count = 0;
  for (rpc::ClientId client = 100; client < 140; ++client) {
    count += told("deadline_missed", client).size();
  }
  EXPECT_EQ(count, 40u);
}

}  // namespace
}  // namespace nb::cell
