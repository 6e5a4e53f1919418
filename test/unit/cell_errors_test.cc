// Unit tests of cell/errors: error.report.
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellErrors : public CellTest {
 protected:
  CellErrors() : CellTest("[robot]\nevents_per_hour = 8\n") {}

  std::string report(uint64_t client = 7, std::string_view more = "") {
    return call("error.report", R"({"category":"arm","message":"lost")" + std::string(more) + "}",
                client);
  }
  // Of each stream: how many entries were added.
  long in_nodes_stream() { return store.count("XADD stream:node_events:ook "); }
  long in_shared_stream() { return store.count("XADD stream:events:ook "); }
};

TEST_F(CellErrors, AnErrorIsToldAndKept) {
  connect();
  EXPECT_EQ(report(7, R"(,"details":{"axis": 3})"), "{}");
  settle();
  EXPECT_EQ(store.last("PUBLISH error:events:arm"),
            "PUBLISH error:events:arm {\"type\":\"error\",\"node_id\":\"ook\",\"timestamp\":"
            "\"2026-11-20T14:03:07.000000\",\"category\":\"arm\",\"message\":\"lost\",\"details\":"
            "{\"axis\":3},\"instance_id\":\"ook-1\"}");
  EXPECT_EQ(in_nodes_stream(), 1);
  EXPECT_EQ(report(), "{}");
  settle();
  EXPECT_NE(store.last("PUBLISH error:events:arm").find(R"("details":{})"), std::string::npos);
}

TEST_F(CellErrors, AnErrorNamesTheClientThatReportsIt) {
  connect();
  client_name = "arm \"left\"";
  EXPECT_EQ(report(), "{}");
  settle();
  EXPECT_TRUE(store.last("PUBLISH error:events:arm")
                  .ends_with(R"(,"instance_id":"ook-1","client_name":"arm \"left\""})"))
      << store.last("PUBLISH error:events:arm");
}

TEST_F(CellErrors, AnAcknowledgedErrorIsStored) {
  EXPECT_EQ(report(7, R"(,"ack":"stored")"), "(later)");
  const rpc::Token token = last_token;
  EXPECT_EQ(front.later[token], "");
  settle();
  EXPECT_EQ(front.later[token], "{}");
}

// Of what its user may add to the node's stream, a client has a quarter for its errors.
TEST_F(CellErrors, AClientDoesNotUseUpWhatItsUserMayAdd) {
  connect();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(report(7), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 2);
  EXPECT_EQ(in_shared_stream(), 3) << "what is beyond goes elsewhere, and is not lost";
  for (const uint64_t client : {5, 6, 8}) {
    for (int i = 0; i < 2; ++i) EXPECT_EQ(report(client), "{}");
  }
  settle();
  EXPECT_EQ(in_nodes_stream(), 8) << "others of the user have what it left";
  EXPECT_EQ(report(9), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 8) << "the user's programs together have used it up";
  EXPECT_EQ(report(27), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 9) << "another user has a budget of its own";
  EXPECT_EQ(store.count("PUBLISH error:events:arm"), 13) << "all of them were told";
  clock.ahead += 1h;
  EXPECT_EQ(report(7), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 10);
}

TEST_F(CellErrors, AWillCountsForItsUserOnly) {
  connect();
  for (int i = 0; i < 3; ++i) report(7);
  const std::string params = R"({"category":"arm","message":"died"})";
  EXPECT_EQ(check_will("error.report", params), "");
  EXPECT_EQ(will("error.report", params), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 3);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(will("error.report", params), "{}");
  settle();
  EXPECT_EQ(in_nodes_stream(), 8);
}

TEST_F(CellErrors, AClientThatHasGoneTakesItsShareAlong) {
  connect();
  for (int i = 0; i < 3; ++i) report(7);
  client_closed(7);
  report(7);
  settle();
  EXPECT_EQ(in_nodes_stream(), 3);
}

TEST_F(CellErrors, ItGoesOutBeforeOtherEventsThatWait) {
  store.go_away();
  for (int i = 0; i < 3; ++i) call("event.publish", R"({"channel":"c","event":{}})");
  report();
  store.come_back();
  settle();
  const auto at = [&](std::string_view begin) {
    const auto& all = store.commands();
    return std::find_if(all.begin(), all.end(),
                        [&](const std::string& one) { return one.starts_with(begin); }) -
           all.begin();
  };
  EXPECT_LT(at("XADD stream:node_events:ook"), at("XADD stream:events:ook:c"));
}

}  // namespace
}  // namespace nb::cell
