// Unit tests of cell/state: state.set, .get, .delete, .list.
#include "cell/state_read.h"
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellState : public CellTest {
 protected:
  explicit CellState(std::string_view more = "") : CellTest(more) {}
};

TEST_F(CellState, AValueIsSetAndReadBackBeforeAndAfterItIsStored) {
  EXPECT_EQ(call("state.set", R"({"key":"k","value":{"a": [1, 2.50]}})"), "{}");
  EXPECT_EQ(call("state.get", R"({"key":"k"})"),
            R"({"key":"k","value":{"a":[1,2.50]},"source":"agent"})");
  settle();
  EXPECT_EQ(store.last("SET"), "SET k {\"a\":[1,2.50]}");
  store.answer("TYPE k", "+string\r\n");
  store.answer("STRLEN k", ":14\r\n");
  store.answer("GET k", test::bulk(R"({"a":[1,2.50]})"));
  EXPECT_EQ(finally("state.get", R"({"key":"k"})"),
            R"({"key":"k","value":{"a":[1,2.50]},"source":"redis"})");
}

TEST_F(CellState, AKeyIsDeleted) {
  EXPECT_EQ(call("state.set", R"({"key":"k","value":1})"), "{}");
  EXPECT_EQ(call("state.delete", R"({"key":"k"})"), "{}");
  EXPECT_EQ(call("state.get", R"({"key":"k"})"), "not_found: there is no such key");
  settle();
  EXPECT_EQ(store.last("DEL"), "DEL k");
}

TEST_F(CellState, ATimeToLiveIsKeptTo) {
  EXPECT_EQ(call("state.set", R"({"key":"k","value":1,"ttl_ms":60000})"), "{}");
  settle();
  EXPECT_TRUE(store.last("SET k 1 PX ").size() > 11) << store.last("SET");
}

TEST_F(CellState, KeysThatOthersParseAreRefused) {
  for (const char* key : {"node:health:ook", "robot:state:ook", "stroke:progress:x",
                          "stream:node_metrics:ook", "session:x", "nodebeat:nodes"}) {
    const std::string params = "{\"key\":\"" + std::string(key) + "\"";
    for (const std::string& answer :
         {call("state.set", params + ",\"value\":1}"), call("state.delete", params + "}"),
          check_will("state.set", params + ",\"value\":1}"),
          check_will("state.delete", params + "}"), will("state.delete", params + "}")}) {
      EXPECT_TRUE(answer.starts_with("refused_key: ")) << key << answer;
      EXPECT_NE(answer.find("{\"key\":\"" + std::string(key) + "\"}"), answer.npos) << answer;
    }
  }
  connect();
  EXPECT_EQ(store.count("SET") + store.count("DEL"), 0);
}

TEST_F(CellState, WhatFitsIntoNoAnswerIsRefused) {
  const std::string value(state.value_bytes() - 3 - 2, 'x');  // the key and the value's quotes
  const auto set = [&](const std::string& text) {
    return call("state.set", R"({"key":"k","value":")" + text + R"("})");
  };
  EXPECT_EQ(set(value), "{}");
  const std::string answer = call("state.get", R"({"key":"k"})");
  EXPECT_TRUE(answer.starts_with("{\"key\":\"k\"")) << "what can be set can be read back";
  EXPECT_LE(answer.size(), rpc::result_bytes(front.line_bytes));
  EXPECT_TRUE(set(value + "x").starts_with("too_large: key and value have "));
}

TEST_F(CellState, AWillIsWrittenAndACheckIsNot) {
  EXPECT_EQ(check_will("state.set", R"({"key":"k","value":1})"), "");
  EXPECT_EQ(check_will("state.delete", R"({"key":"k"})"), "");
  EXPECT_EQ(will("state.set", R"({"key":"k","value":2})"), "{}");
  EXPECT_EQ(will("state.delete", R"({"key":"gone"})"), "{}");
  settle();
  EXPECT_EQ(store.last("SET"), "SET k 2");
  EXPECT_EQ(store.last("DEL"), "DEL gone");
}

class CellStateBudget : public CellState {
 protected:
  CellStateBudget() : CellState("[outbox]\nnew_value_bytes_per_hour = \"1MiB\"\n") {}

  std::string set(const std::string& key, size_t size, uint64_t client = 7) {
    return call("state.set",
                "{\"key\":\"" + key + "\",\"value\":\"" + std::string(size, 'x') + "\"}", client);
  }
};

TEST_F(CellStateBudget, AUserAddsSoMuchWithinAnHour) {
  int taken = 0;
  std::string answer;
  while ((answer = set("k" + std::to_string(taken), 60'000)) == "{}" && taken < 100) {
    ++taken;
    settle();
  }
  EXPECT_EQ(taken, 17);
  EXPECT_TRUE(answer.starts_with("queue_full: the programs of this user have added as much"));
  EXPECT_EQ(set("k1", 60'000), "{}") << "a value that was there already";
  int grown = 0;
  while (set("k" + std::to_string(grown), 64'000) == "{}" && grown < taken) ++grown;
  EXPECT_EQ(grown, 6) << "a larger one costs what it is larger by";
  EXPECT_EQ(set("other", 60'000, 27), "{}") << "another user";
  clock.ahead += 1h;
  EXPECT_EQ(set("k" + std::to_string(taken), 60'000), "{}");
}

TEST_F(CellStateBudget, WhatIsNotTakenCostsNothing) {
  outbox.set_slot_limits({16 * 1024, 8 * 1024});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(set("k", 60'000).starts_with("too_large: "));
  outbox.set_slot_limits({});
  EXPECT_EQ(set("k", 60'000), "{}");
}

TEST_F(CellStateBudget, AClientHasAShareOfWhatWaits) {
  outbox.set_slot_limits({64 * 1024, 16 * 1024});
  std::string answer;
  int taken = 0;
  while ((answer = set("k" + std::to_string(taken), 1000)) == "{}" && taken < 100) ++taken;
  EXPECT_GT(taken, 5);
  EXPECT_TRUE(answer.starts_with("queue_full: the values of this client that wait for Redis"))
      << answer;
  EXPECT_EQ(set("other", 1000, 27), "{}");
}

// --- reading

TEST_F(CellState, WithoutRedisOnlyWhatWaitsIsRead) {
  store.go_away();
  EXPECT_EQ(call("state.set", R"({"key":"k","value":1})"), "{}");
  EXPECT_EQ(call("state.get", R"({"key":"k"})"), R"({"key":"k","value":1,"source":"agent"})");
  EXPECT_TRUE(finally("state.get", R"({"key":"other"})").starts_with("unavailable: "));
  EXPECT_TRUE(finally("state.list").starts_with("unavailable: "));
  EXPECT_EQ(operations.running(), 0u);
}

TEST_F(CellState, AHashIsReadByItsFieldOrWhole) {
  connect();
  store.answer("TYPE", "+hash\r\n");
  store.answer("HSTRLEN robot:state:eek state", ":7\r\n");
  store.answer("HGET robot:state:eek state", test::bulk("{\"a\":1}"));
  EXPECT_EQ(finally("state.get", R"({"key":"robot:state:eek"})"),
            R"({"key":"robot:state:eek","value":{"a":1},"source":"redis"})");
  store.answer("HLEN h", ":2\r\n");
  store.answer("MEMORY USAGE h SAMPLES 0", ":200\r\n");
  store.answer("HGETALL h", test::array_of({"a\"", "1", "b", "x\xff"}));
  EXPECT_EQ(
      finally("state.get", R"({"key":"h"})"),
      "{\"key\":\"h\",\"value\":{\"a\\\"\":\"1\",\"b\":\"x\xef\xbf\xbd\"},\"source\":\"redis\"}");
}

TEST_F(CellState, WhatIsNotThereOrNoValueIsSaid) {
  connect();
  store.answer("TYPE", "+none\r\n");
  EXPECT_EQ(finally("state.get", R"({"key":"k"})"), "not_found: there is no such key");
  store.answer("TYPE", "+stream\r\n");
  EXPECT_TRUE(
      finally("state.get", R"({"key":"k"})").starts_with("wrong_type: the key holds a stream"));
  store.answer("TYPE", "-NOPERM no\r\n");
  EXPECT_TRUE(finally("state.get", R"({"key":"k"})").starts_with("refused_by_redis: "));
  // It is gone between two questions.
  store.answer("TYPE", "+string\r\n");
  store.answer("STRLEN k", ":0\r\n");
  store.answer("GET k", "$-1\r\n");
  EXPECT_EQ(finally("state.get", R"({"key":"k"})"), "not_found: there is no such key");
  store.answer("TYPE", "+hash\r\n");
  store.answer("HLEN k", ":0\r\n");
  EXPECT_EQ(finally("state.get", R"({"key":"k"})"), "not_found: there is no such key");
}

TEST_F(CellState, WhatIsTooLargeIsNotAskedFor) {
  connect();
  store.answer("TYPE s", "+string\r\n");
  store.answer("STRLEN s", ":1000000\r\n");
  EXPECT_TRUE(finally("state.get", R"({"key":"s"})").starts_with("too_large: "));
  store.answer("TYPE h", "+hash\r\n");
  store.answer("HLEN h", ":33000\r\n");
  const std::string many = finally("state.get", R"({"key":"h"})");
  EXPECT_TRUE(many.starts_with("too_large: the HASH has 33000 fields")) << many;
  EXPECT_EQ(many.find("limit_bytes"), many.npos);
  store.answer("HLEN h", ":3\r\n");
  store.answer("MEMORY USAGE h SAMPLES 0", ":10000000\r\n");
  EXPECT_TRUE(finally("state.get", R"({"key":"h"})").starts_with("too_large: "));
  EXPECT_EQ(store.count("GET") + store.count("HGETALL"), 0);
  // A user that may not ask for the size reads all the same; the answer has to fit.
  store.answer("STRLEN s", "-NOPERM no\r\n");
  store.answer("GET s", test::bulk('"' + std::string(70'000, 'x') + '"'));
  EXPECT_TRUE(finally("state.get", R"({"key":"s"})").starts_with("too_large: "));
}

TEST_F(CellState, AReplyOfAnotherFormIsRefused) {
  connect();
  const auto get = [&] { return finally("state.get", R"({"key":"k"})"); };
  const std::string_view malformed = "unavailable: Redis answers ";
  for (const char* reply : {":7\r\n", "*0\r\n", "$-1\r\n"}) {
    store.answer("TYPE", reply);
    EXPECT_TRUE(get().starts_with(malformed)) << reply << get();
  }
  store.answer("TYPE", "+string\r\n");
  for (const char* reply : {"$1\r\n7\r\n", ":-1\r\n", "*1\r\n:7\r\n", "$-1\r\n"}) {
    store.answer("STRLEN k", reply);
    EXPECT_TRUE(get().starts_with(malformed)) << reply << get();
  }
  store.answer("STRLEN k", ":7\r\n");
  for (const char* reply : {":7\r\n", "*1\r\n$1\r\nx\r\n"}) {
    store.answer("GET k", reply);
    EXPECT_TRUE(get().starts_with(malformed)) << reply << get();
  }
  store.answer("TYPE", "+hash\r\n");
  store.answer("HLEN k", ":1\r\n");
  store.answer("MEMORY USAGE k SAMPLES 0", ":100\r\n");
  for (const char* reply :
       {":7\r\n", "$1\r\nx\r\n", "*1\r\n$1\r\nx\r\n", "*2\r\n$1\r\nx\r\n:7\r\n"}) {
    store.answer("HGETALL k", reply);
    EXPECT_TRUE(get().starts_with(malformed)) << reply << get();
  }
}

TEST_F(CellState, ACallerThatHasGoneIsNotAskedFor) {
  connect();
  store.answer("TYPE", "");  // held back
  EXPECT_EQ(call("state.get", R"({"key":"k"})"), "(later)");
  const rpc::Token token = last_token;
  run_until([&] { return store.count("TYPE k") == 1; });
  client_closed(7);
  EXPECT_EQ(operations.running(), 0u);
  EXPECT_EQ(front.later[token], "");
  EXPECT_EQ(notify("state.get", R"({"key":"k"})"), "") << "a notification is not even asked";
}

TEST_F(CellState, AClientThatDoesNotReadWaitsForItsAnswers) {
  connect();
  store.answer("TYPE", "+none\r\n");
  front.queued = 4 * rpc::kLineBytes;
  EXPECT_EQ(call("state.get", R"({"key":"k"})"), "(later)");
  const rpc::Token token = last_token;
  clock.ahead += 1s;
  loop.loop().run_once(false);
  EXPECT_EQ(store.count("TYPE"), 0);
  front.queued = 0;
  run_until([&] { return !front.later[token].empty(); });
  EXPECT_EQ(front.later[token], "not_found: there is no such key");
}

// --- listing

TEST_F(CellState, AListHasItsLimitAndGoesOn) {
  connect();
  store.answer("SCAN 0 MATCH a\\[b*", "");
  const std::string page = "*2\r\n$1\r\n5\r\n" + test::array_of({"a1", "a2", "a3"});
  store.answer("SCAN", page);
  const std::string first = finally("state.list", R"({"prefix":"a","limit":2})");
  EXPECT_EQ(store.last("SCAN"), "SCAN 0 MATCH a* COUNT 250");
  EXPECT_TRUE(first.starts_with(R"({"keys":["a1","a2"],"cursor":"0:2:)")) << first;
  const std::string cursor(json::View::of(first)["cursor"].raw());
  // The same page: it goes on behind what was handed out.
  EXPECT_EQ(finally("state.list", R"({"prefix":"a","limit":1,"cursor":)" + cursor + "}"),
            R"({"keys":["a3"],"cursor":"5"})");
  // Another page by now: it begins anew.
  store.answer("SCAN", "*2\r\n$1\r\n0\r\n" + test::array_of({"a2", "a3"}));
  EXPECT_EQ(finally("state.list", R"({"prefix":"a","cursor":)" + cursor + "}"),
            R"({"keys":["a2","a3"],"cursor":null})");
}

TEST_F(CellState, AListQuotesItsPrefixAndSkipsWhatIsTooLong) {
  connect();
  store.answer("SCAN", "*2\r\n$1\r\n0\r\n" + test::array_of({std::string(513, 'k'), "k"}));
  EXPECT_EQ(finally("state.list", R"({"prefix":"a[b*"})"),
            R"({"keys":["k"],"cursor":null,"skipped":1})");
  EXPECT_EQ(store.last("SCAN"), "SCAN 0 MATCH a\\[b\\** COUNT 250");
}

TEST_F(CellState, ACursorIsOneThatWasHandedOut) {
  for (const char* cursor :
       {"x", "1:", "1:2", "1:2:", "-1", "1:2:3:4", "99999999999999999999999"}) {
    EXPECT_TRUE(call("state.list", "{\"cursor\":\"" + std::string(cursor) + "\"}")
                    .starts_with("invalid_params: cursor: "))
        << cursor;
  }
  EXPECT_EQ(ListCursor::parse("1:2:3")->text(), "1:2:3");
  EXPECT_EQ(ListCursor::parse("7")->text(), "7");
}

TEST_F(CellState, APageOfAnotherFormIsRefused) {
  connect();
  for (const char* reply : {":7\r\n", "*0\r\n", "*2\r\n$1\r\nx\r\n*0\r\n",
                            "*2\r\n$1\r\n0\r\n$1\r\nx\r\n", "*2\r\n$1\r\n0\r\n*1\r\n:7\r\n"}) {
    store.answer("SCAN", reply);
    EXPECT_TRUE(finally("state.list").starts_with("unavailable: Redis answers SCAN")) << reply;
  }
  store.answer("SCAN", "-NOPERM no\r\n");
  EXPECT_TRUE(finally("state.list").starts_with("refused_by_redis: "));
}

TEST_F(CellState, AWalkThatNeverEndsIsEnded) {
  connect();
  store.answer("SCAN", "*2\r\n$1\r\n5\r\n*0\r\n");
  EXPECT_EQ(finally("state.list"), R"({"keys":[],"cursor":"5"})");
  EXPECT_EQ(store.count("SCAN"), 400);
}

}  // namespace
}  // namespace nb::cell
