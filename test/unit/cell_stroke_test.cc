// Unit tests of cell/stroke: stroke.start, .update, .end.
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellStroke : public CellTest {
 protected:
  explicit CellStroke(std::string_view more = "") : CellTest(more) {}

  // Starts a session; its name.
  std::string start(std::string_view params = R"({"total_strokes":3})", uint64_t client = 7) {
    const std::string answer = call("stroke.start", params, client);
    EXPECT_TRUE(answer.starts_with(R"({"session_id":"stroke_ook_)")) << answer;
    return std::string(json::View::of(answer)["session_id"].raw()).substr(1, answer.size() - 17);
  }
  std::string stored(const std::string& session) {
    return store.last("HSET stroke:progress:" + session);
  }
};

TEST_F(CellStroke, ASessionBeginsGoesOnAndEnds) {
  connect();
  const std::string session = start(R"({"total_strokes":3,"scene_name":"wall"})");
  settle();
  EXPECT_EQ(store.last("PUBLISH stroke:events:session"),
            "PUBLISH stroke:events:session {\"type\":\"session_start\",\"node_id\":\"ook\","
            "\"timestamp\":\"2026-11-20T14:03:07.000000\",\"session_id\":\"" +
                session +
                "\",\"total_strokes\":3,\"scene_name\":\"wall\",\"instance_id\":\"ook-1\"}");
  EXPECT_EQ(store.last("HSET nodebeat:strokes"), "HSET nodebeat:strokes ook " + session);
  EXPECT_EQ(call("stroke.update", R"({"stroke_idx":1,"stroke_description_l":"a \"b\""})"), "{}");
  settle();
  EXPECT_NE(stored(session).find(R"("stroke_idx":1)"), std::string::npos);
  EXPECT_NE(stored(session).find(R"("is_executing":true)"), std::string::npos);
  EXPECT_NE(store.last("XADD stream:stroke_history:" + session)
                .find(R"(stroke_idx 1 pose_idx 0 description_l a "b" description_r  node_id ook)"),
            std::string::npos)
      << store.last("XADD");
  EXPECT_EQ(call("stroke.end", "{}"), "{}");
  settle();
  EXPECT_NE(stored(session).find(R"("is_executing":false)"), std::string::npos);
  EXPECT_EQ(store.last("HSET nodebeat:strokes"), "HSET nodebeat:strokes ook ");
  EXPECT_NE(store.last("PUBLISH stroke:events:session").find(R"("type":"session_end")"),
            std::string::npos);
  EXPECT_TRUE(stroke->session().empty());
}

TEST_F(CellStroke, TheNumberOfStrokesIsRequired) {
  EXPECT_EQ(call("stroke.start", R"({"scene_name":"wall"})"),
            "invalid_params: total_strokes: is required and missing {\"field\":\"total_strokes\"}");
  EXPECT_TRUE(stroke->session().empty());
}

TEST_F(CellStroke, AStartEndsTheSessionBefore) {
  const std::string first = start();
  const std::string second = start();
  EXPECT_NE(first, second) << "within one microsecond, too";
  settle();
  EXPECT_NE(stored(first).find(R"("is_executing":false)"), std::string::npos);
  EXPECT_NE(stored(second).find(R"("is_executing":true)"), std::string::npos);
  EXPECT_EQ(store.count("PUBLISH stroke:events:session"), 3);
}

TEST_F(CellStroke, WithoutASessionNothingIsUpdatedOrEnded) {
  const std::string none =
      "not_found: no stroke session runs on this node: call stroke.start first";
  EXPECT_EQ(call("stroke.update", R"({"stroke_idx":1})"), none);
  EXPECT_EQ(call("stroke.end"), none);
  const std::string session = start();
  const std::string another = "not_found: the stroke session that runs is " + session;
  EXPECT_EQ(call("stroke.update", R"({"stroke_idx":1,"session_id":"stroke_ook_1"})"), another);
  EXPECT_EQ(call("stroke.end", R"({"session_id":"stroke_ook_1"})"), another);
  EXPECT_EQ(call("stroke.end", R"({"session_id":")" + session + R"("})"), "{}");
}

TEST_F(CellStroke, AWillEndsWhatRunsIfAnythingDoes) {
  EXPECT_EQ(check_will("stroke.end", "{}"), "");
  EXPECT_EQ(will("stroke.end"), "") << "nothing runs: that is no refusal";
  const std::string session = start();
  EXPECT_EQ(check_will("stroke.end", "{}"), "");
  EXPECT_EQ(stroke->session(), session) << "a check ends nothing";
  EXPECT_EQ(will("stroke.end"), "{}");
  EXPECT_TRUE(stroke->session().empty());
}

TEST_F(CellStroke, AnAcknowledgedStartTellsTheSessionWhenItIsStored) {
  connect();
  const std::string answer = finally("stroke.start", R"({"total_strokes":1,"ack":"stored"})");
  EXPECT_EQ(answer, "{\"session_id\":\"" + stroke->session() + "\"}");
}

TEST_F(CellStroke, ACallerThatHasGoneLeavesTheSessionRunning) {
  EXPECT_EQ(call("stroke.start", R"({"total_strokes":1,"ack":"stored"})"), "(later)");
  const rpc::Token token = last_token;
  client_closed(7);
  settle();
  EXPECT_EQ(front.later[token], "");
  EXPECT_FALSE(stroke->session().empty());
}

class CellStrokeBudget : public CellStroke {
 protected:
  CellStrokeBudget()
      : CellStroke("[robot]\nsessions_per_hour = 2\nhistory_bytes_per_hour = \"64KiB\"\n") {}
};

TEST_F(CellStrokeBudget, AUserStartsSoManySessionsWithinAnHour) {
  start(R"({"total_strokes":1})", 7);
  const std::string running = start(R"({"total_strokes":1})", 8);  // of the same user
  EXPECT_TRUE(call("stroke.start", R"({"total_strokes":1})")
                  .starts_with("queue_full: the programs of this user have started as many"));
  EXPECT_EQ(stroke->session(), running) << "what runs goes on";
  start(R"({"total_strokes":1})", 27);  // another user
  clock.ahead += 31min;
  start();
}

TEST_F(CellStrokeBudget, AUserAddsSoMuchToHistoriesWithinAnHour) {
  start();
  const std::string text(4000, 'x');
  int taken = 0;
  std::string answer;
  do {
    answer = call("stroke.update", R"({"stroke_idx":)" + std::to_string(taken) +
                                       R"(,"stroke_description_l":")" + text + R"("})");
  } while (answer == "{}" && ++taken < 1000);
  EXPECT_EQ(taken, 16);
  EXPECT_TRUE(answer.starts_with("queue_full: the programs of this user have added as much"))
      << answer;
  settle();
  EXPECT_NE(stored(stroke->session()).find(R"("stroke_idx":15)"), std::string::npos)
      << "what was refused is not kept";
  EXPECT_EQ(call("stroke.update", R"({"stroke_description_l":"x"})", 27), "{}") << "another user";
  settle();
  EXPECT_NE(stored(stroke->session()).find(R"("stroke_idx":15)"), std::string::npos);
}

class CellStrokeNoted : public CellStroke {
 protected:
  CellStrokeNoted() {
    keeps_notes = true;
    reads_back = true;
    restart();
  }
  void restart() {
    stroke.reset();
    make();
  }
};

TEST_F(CellStrokeNoted, ARestartGoesOnWithTheSession) {
  const std::string session = start();
  call("stroke.update", R"({"stroke_idx":2})");
  restart();
  EXPECT_EQ(stroke->session(), session);
  EXPECT_EQ(call("stroke.update", R"({"pose_idx":5})"), "{}");
  settle();
  EXPECT_NE(stored(session).find(R"("stroke_idx":2,"pose_idx":5)"), std::string::npos)
      << stored(session);
}

TEST_F(CellStrokeNoted, TheLaterProgressWinsWhereverItIs) {
  const std::string session = start();
  call("stroke.update", R"({"stroke_idx":2,"timestamp":"2026-11-20T14:00:00"})");
  restart();
  store.answer("HGET stroke:progress:" + session + " progress",
               test::bulk(R"({"stroke_idx":9,"timestamp":"2026-11-20T15:00:00"})"));
  connect();
  EXPECT_EQ(call("stroke.update", R"({"pose_idx":1})"), "{}");
  settle();
  EXPECT_NE(stored(session).find(R"("stroke_idx":9,"pose_idx":1)"), std::string::npos)
      << stored(session);
}

// A reply that is no text is a failure of the link, which its own tests have.
TEST_F(CellStrokeNoted, ATextOfAnotherFormChangesNothing) {
  const std::string session = start();
  call("stroke.update", R"({"stroke_idx":2})");
  connect();
  for (const char* reply : {"-WRONGTYPE it is a list\r\n", "$8\r\nnot json\r\n", "$2\r\n[]\r\n",
                            "$-1\r\n", "$17\r\n{\"stroke_idx\":\"\"}\r\n"}) {
    lose_redis();
    restart();
    store.answer("HGET stroke:progress:" + session + " progress", reply);
    store.come_back();
    connect();
    EXPECT_EQ(call("stroke.update", R"({"pose_idx":1})"), "{}");
    settle();
    EXPECT_NE(stored(session).find(R"("stroke_idx":2,"pose_idx":1)"), std::string::npos)
        << reply << stored(session);
  }
}

TEST_F(CellStrokeNoted, AnEndThatRedisHasNotGotIsMadeUpFor) {
  const std::string session = start();
  call("stroke.end");
  restart();
  EXPECT_TRUE(stroke->session().empty());
  store.answer("HGET stroke:progress:" + session + " progress",
               test::bulk(R"({"stroke_idx":1,"is_executing":true})"));
  store.forget();
  connect();
  run_until([&] { return store.count("PUBLISH stroke:events:session") > 1; });
  EXPECT_NE(store.last("PUBLISH stroke:events:session").find(R"("type":"session_end")"),
            std::string::npos);
}

TEST_F(CellStrokeNoted, ANoteOfAnotherFormIsNone) {
  for (const char* text : {"", "not json", "[]", R"({"session_id":7})", R"({"session_id":"x"})",
                           R"({"session_id":"stroke_eek_1_2"})", R"({"ended":[1]})"}) {
    tree.write("/agent.sock.session", text);
    restart();
    EXPECT_EQ(stroke->session(), "") << text;
  }
}

}  // namespace
}  // namespace nb::cell
