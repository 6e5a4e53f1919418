// Unit tests of cell/look: health.get, system.status, node.history, node.forget, redis.inspect.
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellLook : public CellTest {
 protected:
  static constexpr std::string_view kMalformed = "unavailable: Redis answers ";

  // Of a view that is too old to be the answer.
  std::string health_of(const std::string& node) {
    clock.ahead += 1s;
    return health_within_a_second(node);
  }
  std::string health_within_a_second(const std::string& node) {
    return finally("health.get", "{\"node\":\"" + node + "\"}");
  }
};

TEST_F(CellLook, TheOwnHealthNeedsNoRedis) {
  for (const char* params : {"", "{}", R"({"node":"ook"})"}) {
    const std::string answer = call("health.get", params);
    EXPECT_TRUE(answer.starts_with("{\"node_id\":\"ook\",\"health\":" + health +
                                   ",\"age_ms\":1000,\"state\":\"up\",\"since\":\""))
        << answer;
    EXPECT_TRUE(answer.ends_with(R"(,"source":"own"})")) << answer;
  }
  health = "null";
  EXPECT_TRUE(call("health.get").starts_with(R"({"node_id":"ook","health":null,"age_ms":null,)"));
}

TEST_F(CellLook, AnothersHealthIsRead) {
  connect();
  store.answer("HSTRLEN node:health:eek health", ":60\r\n");
  store.answer("HGET node:health:eek health",
               test::bulk(R"({"a": 1, "last_heartbeat":"2026-11-20T14:03:06.500000"})"));
  EXPECT_EQ(health_of("eek"),
            R"({"node_id":"eek","health":{"a":1,"last_heartbeat":"2026-11-20T14:03:06.500000"},)"
            R"("age_ms":500,"state":"up","since":null,"source":"health"})");
  // Its clock is ahead.
  store.answer("HGET node:health:eek health",
               test::bulk(R"({"last_heartbeat":"2026-11-20T15:00:00.000000"})"));
  EXPECT_NE(health_of("eek").find("\"age_ms\":0,"), std::string::npos);
  // A user that may not ask for the size reads all the same.
  store.answer("HSTRLEN node:health:eek health", "-NOPERM no\r\n");
  EXPECT_NE(health_of("eek").find("\"age_ms\":0,"), std::string::npos);
  store.answer("HGET node:health:eek health", test::bulk("[1]"));
  EXPECT_TRUE(health_of("eek").starts_with(
      R"({"node_id":"eek","health":null,"age_ms":null,"state":"unknown",)"));
  EXPECT_NE(health_of("eek").find(R"("cause":"its health cannot be read")"), std::string::npos);
}

TEST_F(CellLook, ANodeWithoutAHealthIsKnownOrNot) {
  connect();
  store.answer("HSTRLEN node:health:eek health", ":0\r\n");
  EXPECT_EQ(health_of("eek"), "not_found: no node 'eek' was ever seen");
  store.answer("HGET nodebeat:nodes eek", test::bulk("{}"));
  EXPECT_EQ(health_of("eek"),
            R"({"node_id":"eek","health":null,"age_ms":null,"state":"unknown","since":null,)"
            R"("source":"health","cause":"not seen yet"})");
  // It expires between the two questions.
  store.answer("HSTRLEN node:health:eek health", ":60\r\n");
  store.answer("HGET node:health:eek health", "$-1\r\n");
  EXPECT_TRUE(health_of("eek").starts_with(R"({"node_id":"eek","health":null,"age_ms":null,)"));
}

TEST_F(CellLook, WhatIsTooLongForAMarkOrAnEntryIsNotRead) {
  connect();
  store.answer("HSTRLEN nodebeat:dead eek", ":5000000\r\n");
  store.answer("HSTRLEN nodebeat:nodes eek", ":5000000\r\n");
  EXPECT_NE(health_of("eek").find(R"("state":"unknown")"), std::string::npos) << "but it is known";
  EXPECT_EQ(store.count("HGET nodebeat:"), 0);
}

TEST_F(CellLook, AHealthThatIsKnownIsNotAskedFor) {
  connect();
  store.answer("HSTRLEN node:health:eek health", ":60\r\n");
  store.answer("HGET node:health:eek health", test::bulk(R"({"is_reachable":true})"));
  store.answer("GETRANGE nodebeat:lease:eek 0 384", test::bulk("boot eek-1 7 1000 3000"));
  const std::string first = health_of("eek");
  EXPECT_NE(first.find(R"("state":"up","since":null,"source":"lease")"), first.npos) << first;
  const long asked = store.count("HGET node:health:eek");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(health_within_a_second("eek"), first);
  EXPECT_EQ(store.count("HGET node:health:eek"), asked);
  store.answer("HGET nodebeat:dead eek", test::bulk("boot eek-1 7 1000 3000"));
  const std::string later = health_of("eek");
  EXPECT_NE(later.find(R"("state":"down")"), later.npos) << later;
  EXPECT_EQ(store.count("HGET node:health:eek"), asked + 1);
}

TEST_F(CellLook, WithoutRedisAHealthThatWasKnownIsUnknownSinceThen) {
  connect();
  store.answer("HSTRLEN node:health:eek health", ":60\r\n");
  store.answer("HGET node:health:eek health", test::bulk(R"({"is_reachable":true})"));
  EXPECT_NE(health_of("eek").find(R"("state":"up")"), std::string::npos);
  lose_redis();
  EXPECT_EQ(health_of("eek"), R"({"node_id":"eek","health":null,"age_ms":null,"state":"unknown",)"
                              R"("since":"2026-11-20T14:03:07.000000","source":"health",)"
                              R"("cause":"Redis cannot be read"})");
  EXPECT_TRUE(health_of("hog").starts_with("unavailable: "));
}

TEST_F(CellLook, AHealthOfAnotherFormIsRefused) {
  connect();
  for (const char* asked : {"HSTRLEN nodebeat:dead eek", "HSTRLEN node:health:eek health"}) {
    for (const char* reply : {"$1\r\n7\r\n", "*0\r\n", ":-1\r\n"}) {
      store.answer(asked, reply);
      EXPECT_TRUE(health_of("eek").starts_with(kMalformed)) << asked << reply;
    }
    store.answer(asked, ":0\r\n");
  }
  store.answer("HSTRLEN node:health:eek health", ":60\r\n");
  for (const char* reply : {":7\r\n", "*0\r\n"}) {
    store.answer("HGET node:health:eek health", reply);
    EXPECT_TRUE(health_of("eek").starts_with(kMalformed)) << reply;
  }
  store.answer("HGET node:health:eek health", "-WRONGTYPE no\r\n");
  EXPECT_TRUE(health_of("eek").starts_with("refused_by_redis: "));
  store.answer("HSTRLEN node:health:eek health", ":1000000\r\n");
  EXPECT_TRUE(health_of("eek").starts_with("too_large: "));
  EXPECT_EQ(operations.running(), 0u);
}

TEST_F(CellLook, WithoutRedisItSaysSo) {
  store.go_away();
  EXPECT_TRUE(health_of("eek").starts_with("unavailable: "));
  EXPECT_TRUE(finally("redis.inspect").starts_with("unavailable: "));
  EXPECT_TRUE(finally("node.forget", R"({"node":"eek"})").starts_with("unavailable: "));
  EXPECT_EQ(operations.running(), 0u);
  const std::string status = finally("system.status");
  EXPECT_TRUE(status.starts_with(R"({"redis_connected":false,)")) << status;
}

TEST_F(CellLook, AStatusIsAPageOfNodes) {
  connect();
  store.answer("SCAN", "*2\r\n$1\r\n0\r\n*0\r\n");
  store.answer("HLEN nodebeat:nodes", ":2\r\n");
  store.answer("HSCAN nodebeat:nodes 0 COUNT 500",
               "*2\r\n$1\r\n0\r\n" + test::array_of({"eek", "{}", "hog", "{}"}));
  store.answer("HSCAN nodebeat:dead 0 COUNT 500", "*2\r\n$1\r\n0\r\n*0\r\n");
  store.answer("HSCAN nodebeat:strokes 0 COUNT 500", "*2\r\n$1\r\n0\r\n*0\r\n");
  store.answer("HSTRLEN", ":60\r\n");
  store.answer("HGET node:health:ook health", test::bulk(health));
  store.answer("HGET node:health:eek health",
               test::bulk(R"({"last_heartbeat":"2026-11-20T14:03:06.500000"})"));
  store.answer("HGET node:health:hog health",
               test::bulk(R"({"last_heartbeat":"2026-11-20T14:03:06.000000"})"));
  const std::string first = finally("system.status", R"({"limit":1})");
  EXPECT_TRUE(first.starts_with(R"({"redis_connected":true,"active_stroke_sessions":0,)"
                                R"("nodes_online":3,"total_nodes":3,"nodes_health":{"eek":{)"))
      << first;
  EXPECT_NE(first.find(R"("cursor":"eek")"), first.npos) << first;
  const std::string rest = finally("system.status", R"({"cursor":"eek"})");
  EXPECT_NE(rest.find(R"("nodes_health":{"hog":{)"), rest.npos) << rest;
  EXPECT_NE(rest.find(R"("cursor":null)"), rest.npos) << rest;
}

TEST_F(CellLook, ACallerThatHasGoneIsNotAskedFor) {
  connect();
  for (const char* command : {"HSTRLEN", "INFO", "CONFIG", "ACL", "TYPE", "HLEN", "SCAN"}) {
    store.answer(command, "");  // held back
  }
  EXPECT_EQ(call("health.get", R"({"node":"eek"})"), "(later)");
  EXPECT_EQ(call("redis.inspect"), "(later)");
  EXPECT_EQ(call("node.forget", R"({"node":"eek"})"), "(later)");
  EXPECT_EQ(call("system.status"), "(later)");
  EXPECT_EQ(call("health.get", R"({"node":"eek"})", 8), "(later)");
  client_closed(7);
  EXPECT_EQ(operations.running(), 1u) << "another client's goes on";
  client_closed(8);
  EXPECT_EQ(operations.running(), 0u);
  for (const auto& [token, answer] : front.later) EXPECT_EQ(answer, "");
}

std::string beat(const std::string& id, const std::string& health) {
  return "*1\r\n*2\r\n" + test::bulk(id) + test::array_of({"health", health});
}

// The last beat tells where the range ends; of each step, one beat is read.
TEST_F(CellLook, AHistoryHasABeatForEachStep) {
  connect();
  store.answer("XREVRANGE", "*0\r\n");
  store.answer("XREVRANGE stream:node_metrics:eek + - COUNT 1",
               beat("100000-0", R"({"cpu_percent":5.5,"gpu_percent":null,"state":"up"})"));
  store.answer("XREVRANGE stream:node_metrics:eek 80000 20000 COUNT 1",
               beat("79999-3", R"({"cpu_percent": 7, "state":{"a":1}})"));
  store.answer("XREVRANGE stream:node_metrics:eek 60000 20000 COUNT 1", beat("35000-0", "no JSON"));
  const std::string params =
      R"({"node":"eek","range_ms":80000,"points":4,"fields":["cpu_percent","state","gpu_percent"]})";
  EXPECT_EQ(finally("node.history", params),
            R"({"node_id":"eek","step_ms":20000,"points":[[100000,5.5,"up",null],)"
            R"([79999,7,null,null],[35000,null,null,null]],"complete":true})");
  EXPECT_EQ(store.last("XREVRANGE"), "XREVRANGE stream:node_metrics:eek 20000 20000 COUNT 1");
  EXPECT_EQ(finally("node.history", R"({"range_ms":1000,"fields":[]})"),
            R"({"node_id":"ook","step_ms":8,"points":[],"complete":true})");
}

TEST_F(CellLook, AHistoryIsBounded) {
  connect();
  store.answer("XREVRANGE", beat("100000-0", "{}"));  // whatever is asked for
  const auto points = [&](const char* params) {
    const std::string answer = finally("node.history", params);
    EXPECT_TRUE(answer.ends_with("\"complete\":true}")) << answer;
    return std::count(answer.begin(), answer.end(), '[') - 1;
  };
  EXPECT_EQ(points(R"({"range_ms":10000,"points":3,"fields":[]})"), 3);
  EXPECT_EQ(points(R"({"range_ms":1000,"points":1,"fields":[]})"), 1);
  front.line_bytes = 4096;
  const std::string fields = R"(["a","b","c","d","e","f","g","h"])";
  const std::string answer =
      finally("node.history", R"({"range_ms":240000,"points":240,"fields":)" + fields + "}");
  EXPECT_LT(answer.size(), 4096u);
  EXPECT_TRUE(answer.ends_with("\"complete\":false}")) << answer;
}

TEST_F(CellLook, AHistoryThatCannotBeReadIsRefused) {
  connect();
  const char* params = R"({"range_ms":1000,"fields":["cpu_percent"]})";
  store.answer("XREVRANGE", ":7\r\n");
  EXPECT_TRUE(finally("node.history", params).starts_with(kMalformed));
  store.answer("XREVRANGE", "-NOPERM no\r\n");
  EXPECT_TRUE(finally("node.history", params).starts_with("refused_by_redis: "));
  store.answer("XREVRANGE", "*0\r\n");
  store.answer("XREVRANGE stream:node_metrics:ook + - COUNT 1", beat("5000-0", "{}"));
  store.answer("XREVRANGE stream:node_metrics:ook 4992 4000 COUNT 1", beat("6000-0", "{}"));
  EXPECT_TRUE(finally("node.history", params).starts_with(kMalformed))
      << "later than was asked for";
  EXPECT_EQ(operations.running(), 0u);
}

TEST_F(CellLook, ANodeThatIsGoneIsForgotten) {
  connect();
  store.answer("TYPE node:health:eek", "+none\r\n");
  store.answer("HGET nodebeat:nodes eek", test::bulk("{}"));
  EXPECT_EQ(finally("node.forget", R"({"node":"eek"})"), "{}");
  EXPECT_EQ(store.count("HDEL nodebeat:nodes eek"), 1);
  EXPECT_EQ(store.count("HDEL nodebeat:strokes eek"), 1);
  EXPECT_EQ(finally("node.forget", R"({"node":"hog"})").substr(0, 12), "unavailable:")
      << "what TYPE answers is no type";
  store.answer("TYPE node:health:hog", "+none\r\n");
  EXPECT_EQ(finally("node.forget", R"({"node":"hog"})"), "not_found: no node 'hog' was ever seen");
  store.answer("TYPE node:health:hog", "+hash\r\n");
  EXPECT_TRUE(
      finally("node.forget", R"({"node":"hog"})").starts_with("conflict: node 'hog' is alive"));
  store.answer("TYPE node:health:hog", "-NOPERM no\r\n");
  EXPECT_TRUE(finally("node.forget", R"({"node":"hog"})").starts_with("refused_by_redis: "));
  EXPECT_TRUE(call("node.forget", R"({"node":"ook"})").starts_with("conflict: "));
}

TEST_F(CellLook, AServerIsInspected) {
  connect();
  store.answer("INFO", test::bulk("redis_version:7.0.15\r\nrole:master\r\nmaxmemory:100\r\n"
                                  "used_memory:70\r\nmaxmemory_policy:noeviction\r\nloading:0\r\n"
                                  "aof_enabled:1\r\nrdb_last_bgsave_status:ok\r\n"
                                  "connected_clients:x\r\n# Keyspace\r\n"
                                  "db0:keys=12,expires=3,avg_ttl=0\r\ndb7:keys=1\r\n"));
  store.answer("CONFIG GET protected-mode", test::array_of({"protected-mode", "yes"}));
  store.answer("CONFIG GET requirepass", test::array_of({"requirepass", ""}));
  store.answer("ACL", test::bulk("node:ook"));
  store.answer("SLOWLOG GET 10", "*1\r\n*4\r\n:3\r\n:1795183380\r\n:15000\r\n" +
                                     test::array_of({"KEYS", "a\nb", std::string(200, 'x')}));
  store.answer("TIME", test::array_of({"1795183388", "500000"}));
  EXPECT_EQ(finally("redis.inspect"),
            R"({"version":"7.0.15","role":"master","maxmemory_bytes":100,"used_memory_bytes":70,)"
            R"("maxmemory_policy":"noeviction","loading":false,"aof_enabled":true,)"
            R"("rdb_last_save_ok":true,"connected_clients":null,"protected_mode":true,)"
            R"("has_password":false,"clock_offset_ms":1500,"user":"node:ook",)"
            R"("databases":[{"db":0,"keys":12,"expires":3},{"db":7,"keys":1,"expires":0}],)"
            R"("slowlog":[{"at":"2026-11-20T14:03:00.000000","duration_us":15000,)"
            R"("command":"KEYS a\\x0ab )" +
                std::string(113, 'x') + R"(..."}]})");
}

TEST_F(CellLook, WhatAServerDoesNotLetSeeIsLeftOut) {
  connect();
  for (const char* command : {"INFO", "CONFIG", "ACL", "SLOWLOG", "TIME"}) {
    store.answer(command, "-NOPERM no\r\n");
  }
  const std::string answer = finally("redis.inspect");
  EXPECT_TRUE(answer.starts_with(R"({"version":null,"role":null,)")) << answer;
  EXPECT_TRUE(answer.ends_with(R"("user":null,"databases":null,"slowlog":null})")) << answer;
}

// All that can be asked at once is, so the order of the answers does not matter.
TEST_F(CellLook, AnInspectionAsksAllAtOnceAndTheTimeLast) {
  connect();
  store.answer("INFO", "");
  EXPECT_EQ(call("redis.inspect"), "(later)");
  run_until([&] { return store.count("ACL WHOAMI") == 1; });
  EXPECT_EQ(store.count("CONFIG GET"), 2);
  EXPECT_EQ(store.count("TIME"), 0) << "what TIME tells depends on how long it takes";
}

TEST_F(CellLook, AnInspectionOfAnotherFormIsRefused) {
  connect();
  store.answer("INFO", test::bulk("role:master\r\n"));
  store.answer("CONFIG", "*0\r\n");
  store.answer("ACL", test::bulk("u"));
  store.answer("SLOWLOG", "*0\r\n");
  store.answer("TIME", test::array_of({"1", "2"}));
  EXPECT_NE(finally("redis.inspect").find("\"role\":\"master\""), std::string::npos);
  const struct {
    const char* command;
    const char* bad;
    std::string good;
  } cases[] = {{"INFO", ":7\r\n", test::bulk("")},
               {"CONFIG", "*1\r\n$1\r\nx\r\n", "*0\r\n"},
               {"CONFIG", "$1\r\nx\r\n", "*0\r\n"},
               {"ACL", "*0\r\n", test::bulk("u")},
               {"SLOWLOG", ":7\r\n", "*0\r\n"},
               {"SLOWLOG", "*1\r\n*3\r\n:1\r\n:2\r\n:3\r\n", "*0\r\n"},
               {"TIME", ":7\r\n", ""}};
  for (const auto& c : cases) {
    store.answer(c.command, c.bad);
    EXPECT_TRUE(finally("redis.inspect").starts_with(kMalformed)) << c.command << c.bad;
    EXPECT_EQ(operations.running(), 0u) << "the other questions end with it";
    store.answer(c.command, c.good);
  }
}

TEST_F(CellLook, AReplyThatIsTooLongIsRefused) {
  connect();
  store.answer("INFO", test::bulk(std::string(5 * 1024 * 1024, 'x')));
  EXPECT_TRUE(finally("redis.inspect").starts_with("too_large: what Redis answers is not taken: "));
}

}  // namespace
}  // namespace nb::cell
