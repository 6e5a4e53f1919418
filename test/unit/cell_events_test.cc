// Unit tests of cell/events and cell/listeners: event.publish, .subscribe, .unsubscribe.
#include "support/processor_time.h"
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellEvents : public CellTest {
 protected:
  explicit CellEvents(std::string_view more = "") : CellTest(more) {}

  std::string publish(const std::string& channel, const std::string& event = "{}",
                      const std::string& more = "", uint64_t client = 7) {
    return call("event.publish", "{\"channel\":\"" + channel + "\",\"event\":" + event + more + "}",
                client);
  }
  std::string subscribe(std::string_view params, uint64_t client = 7) {
    return call("event.subscribe", params, client);
  }
  std::string heard_by_all() {
    std::string all;
    for (const std::string& line : front.heard) all += line + "\n";
    front.heard.clear();
    return all;
  }
  static std::string line(uint64_t client, const std::string& channel, const std::string& rest) {
    return std::to_string(client) +
           ": {\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"channel\":\"" + channel +
           "\"," + rest + "}}\n";
  }
};

// --- publishing

TEST_F(CellEvents, AnEventIsToldAndKept) {
  connect();
  EXPECT_EQ(publish("scene", R"({"a": [1, 2.50]})"), "{}");
  settle();
  EXPECT_EQ(store.last("PUBLISH"), R"(PUBLISH scene {"a":[1,2.50],"node_id":"ook"})");
  EXPECT_EQ(store.count("XADD stream:events:ook:scene "), 1) << store.last("XADD");
  EXPECT_EQ(publish("scene", "{}", ",\"record\":false"), "{}");
  settle();
  EXPECT_EQ(store.count("PUBLISH scene"), 2);
  EXPECT_EQ(store.count("XADD"), 1);
}

TEST_F(CellEvents, AnAcknowledgementTellsHowManyHeardIt) {
  connect();
  EXPECT_EQ(finally("event.publish", R"({"channel":"c","event":{},"ack":"stored"})"),
            R"({"subscribers":2})");
  store.answer("XADD", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  const std::string partial =
      finally("event.publish", R"({"channel":"c","event":{},"ack":"stored"})");
  EXPECT_TRUE(partial.starts_with(R"({"subscribers":2,"refused":["entry"],"redis":"WRONGTYPE )"))
      << partial;
}

TEST_F(CellEvents, TheReadersOfStrictChannelsGetWhatTheyParse) {
  connect();
  EXPECT_EQ(publish("robot:events", R"({"type":"x"})"), "{}");
  settle();
  EXPECT_EQ(store.last("PUBLISH"),
            "PUBLISH robot:events {\"type\":\"x\",\"node_id\":\"ook\",\"timestamp\":"
            "\"2026-11-20T14:03:07.000000\"}");
  EXPECT_EQ(publish("robot:events", R"({"type":"x","timestamp":"t","node_id":"ook"})"), "{}");
  settle();
  EXPECT_EQ(store.last("PUBLISH"),
            "PUBLISH robot:events {\"type\":\"x\",\"timestamp\":\"t\",\"node_id\":\"ook\"}");
  for (const bool in_will : {false, true}) {
    const auto ask = [&](const std::string& event) {
      const std::string params = "{\"channel\":\"system:events\",\"event\":" + event + "}";
      return in_will ? check_will("event.publish", params) : call("event.publish", params);
    };
    EXPECT_TRUE(ask("{}").starts_with("invalid_params: event.type: "));
    EXPECT_TRUE(ask(R"({"type":1})").starts_with("invalid_params: event.type: "));
    EXPECT_TRUE(
        ask(R"({"type":"x","timestamp":1})").starts_with("invalid_params: event.timestamp: "));
  }
}

// No client speaks for another node, or for another client.
TEST_F(CellEvents, TheAgentItselfNamesTheClient) {
  connect();
  client_name = "arm \"left\"";
  const auto published = [&](const std::string& channel, const std::string& event) {
    EXPECT_EQ(publish(channel, event), "{}");
    settle();
    return store.last("PUBLISH");
  };
  const std::string name = R"("client_name":"arm \"left\"")";
  EXPECT_EQ(published("c", "{}"), R"(PUBLISH c {"node_id":"ook",)" + name + "}");
  EXPECT_EQ(published("c", R"({"n": 1})"), R"(PUBLISH c {"n":1,"node_id":"ook",)" + name + "}");
  EXPECT_EQ(published("c", R"({"node_id":"ook"})"), R"(PUBLISH c {"node_id":"ook",)" + name + "}");
  EXPECT_EQ(published("c", "{" + name + "}"), "PUBLISH c {" + name + R"(,"node_id":"ook"})");
  EXPECT_EQ(published("c", R"({"n":{"node_id":"eek"}})"),
            R"(PUBLISH c {"n":{"node_id":"eek"},"node_id":"ook",)" + name + "}")
      << "what is deeper is its own";
  EXPECT_EQ(published("robot:events", R"({"type":"x"})"),
            R"(PUBLISH robot:events {"type":"x","node_id":"ook",)"
            R"("timestamp":"2026-11-20T14:03:07.000000",)" +
                name + "}");
  const size_t before = store.count("PUBLISH");
  for (const char* node : {"\"eek\"", "\"ook2\"", "\"\"", "null", "7", "{\"a\":1}"}) {
    const std::string event = "{\"n\":1,\"node_id\":" + std::string(node) + "}";
    EXPECT_EQ(publish("c", event),
              "invalid_params: event.node_id: this is node 'ook', and no client speaks for another "
              "one: leave it out {\"field\":\"event.node_id\"}");
    EXPECT_TRUE(check_will("event.publish", "{\"channel\":\"c\",\"event\":" + event + "}")
                    .starts_with("invalid_params: event.node_id: "));
  }
  EXPECT_EQ(publish("c", R"({"n":1,"node\u005fid":"eek"})").substr(0, 30),
            "invalid_params: event.node_id:");
  for (const char* other : {"\"arm\"", "null", "\"\""}) {
    EXPECT_EQ(publish("c", "{\"client_name\":" + std::string(other) + "}"),
              "invalid_params: event.client_name: the agent writes the name of the client's hello "
              "here: leave it out {\"field\":\"event.client_name\"}");
  }
  client_name.clear();
  EXPECT_EQ(publish("c", R"({"client_name":"arm"})").substr(0, 34),
            "invalid_params: event.client_name:");
  settle();
  EXPECT_EQ(store.count("PUBLISH"), before);
}

TEST_F(CellEvents, ProgressIsNobodysToPublish) {
  const std::string params = R"({"channel":"stroke:events:progress","event":{"type":"x"}})";
  for (const std::string& answer :
       {call("event.publish", params), check_will("event.publish", params),
        will("event.publish", params)}) {
    EXPECT_TRUE(answer.starts_with("refused_key: progress is published by stroke.update"))
        << answer;
  }
}

TEST_F(CellEvents, OnTheChannelOfANodeOnlyItsOwnProgramsSpeak) {
  EXPECT_EQ(publish("node:events:ook", R"({"type":"x"})"), "{}");
  for (const char* other : {"node:events:eek", "node:events:ook2", "node:events:"}) {
    EXPECT_TRUE(publish(other, R"({"type":"x"})")
                    .starts_with("refused_key: only programs on that node speak there"))
        << other;
  }
}

TEST_F(CellEvents, AWillIsPublishedAndACheckIsNot) {
  connect();
  EXPECT_EQ(check_will("event.publish", R"({"channel":"c","event":{}})"), "");
  EXPECT_EQ(will("event.publish", R"({"channel":"c","event":{"gone":true}})"), "{}");
  settle();
  EXPECT_EQ(store.count("PUBLISH"), 1);
  EXPECT_EQ(store.last("PUBLISH"), R"(PUBLISH c {"gone":true,"node_id":"ook"})");
}

TEST_F(CellEvents, AnEventThatIsTooOldIsNotPublishedAnyMore) {
  store.go_away();
  EXPECT_EQ(publish("c", R"({"n":1})", ",\"max_age_ms\":1000"), "{}");
  EXPECT_EQ(publish("c", R"({"n":2})", ",\"max_age_ms\":3600000"), "{}");
  clock.ahead += 2s;
  store.come_back();
  settle();
  EXPECT_EQ(store.count("PUBLISH"), 1);
  EXPECT_EQ(store.last("PUBLISH"), R"(PUBLISH c {"n":2,"node_id":"ook"})");
  EXPECT_EQ(store.count("XADD stream:events:ook:c"), 2) << "both are kept";
}

TEST_F(CellEvents, AnEventThatNeverFitsIsRefused) {
  outbox.set_event_limits({4096, 10min, 2048, 2048});
  EXPECT_TRUE(
      publish("c", "{\"x\":\"" + std::string(3000, 'x') + "\"}").starts_with("too_large: "));
  EXPECT_TRUE(front.heard.empty()) << "what was refused nobody hears";
}

TEST_F(CellEvents, AClientWithMuchWaitingIsNotReadUntilThereIsRoom) {
  connect();
  outbox.set_event_limits({64 * 1024, 10min, 16 * 1024, 16 * 1024});
  std::string event = "{\"x\":\"" + std::string(1000, 'x') + "\"}";
  for (int i = 0; i < 14 && front.paused().empty(); ++i) EXPECT_EQ(publish("c", event), "{}");
  EXPECT_EQ(front.paused(), std::vector<rpc::ClientId>{7});
  settle();
  EXPECT_TRUE(front.paused().empty());
  EXPECT_EQ(outbox.events().dropped(), 0u);
}

// --- listening

TEST_F(CellEvents, ListenersHearAtOnceRedisOrNot) {
  EXPECT_EQ(subscribe(R"({"channels":["a"],"patterns":["b*"]})"), "{}") << "nothing to wait for";
  EXPECT_EQ(subscribe(R"({"patterns":["*"]})", 8), "{}");
  publish("a", R"({"n": 1})");
  EXPECT_EQ(heard_by_all(), line(7, "a", R"("event":{"n":1,"node_id":"ook"})") +
                                line(8, "a", R"("event":{"n":1,"node_id":"ook"},"pattern":"*")"));
  publish("bc");
  EXPECT_EQ(heard_by_all(), line(8, "bc", R"("event":{"node_id":"ook"},"pattern":"*")") +
                                line(7, "bc", R"("event":{"node_id":"ook"},"pattern":"b*")"));
  publish("d");
  EXPECT_EQ(heard_by_all(), line(8, "d", R"("event":{"node_id":"ook"},"pattern":"*")"));
}

TEST_F(CellEvents, ASubscriptionIsAnsweredWhenRedisHasConfirmedIt) {
  connect();
  EXPECT_EQ(subscribe(R"({"channels":["a"]})"), "(later)");
  const rpc::Token token = last_token;
  run_until([&] { return !front.later[token].empty(); });
  EXPECT_EQ(front.later[token], "{}");
  store.publish("a", R"({"from": "afar"})");
  EXPECT_EQ(heard_by_all(), line(7, "a", R"("event":{"from":"afar"},"remote":true)"));
  store.publish("a", "not json \xff");
  EXPECT_EQ(heard_by_all(), line(7, "a", "\"text\":\"not json \xef\xbf\xbd\",\"remote\":true"));
  store.publish("other", "{}");
  EXPECT_EQ(heard_by_all(), "");
}

TEST_F(CellEvents, TheOwnEchoIsNotHeardTwice) {
  connect();
  subscribe(R"({"channels":["a"]})");
  const rpc::Token token = last_token;
  run_until([&] { return !front.later[token].empty(); });
  publish("a", R"({"n":1})");
  settle();
  heard_by_all();
  store.publish("a", R"({"n":1,"node_id":"ook"})");
  EXPECT_EQ(heard_by_all(), "");
  EXPECT_EQ(listeners.counters().echoes_dropped, 1u);
}

TEST_F(CellEvents, AnEventThatIsTooLongForItsListenerIsNamed) {
  subscribe(R"({"channels":["a"]})");
  front.line_bytes = 4096;
  publish("a", "{\"x\":\"" + std::string(5000, 'x') + "\"}");
  EXPECT_EQ(heard_by_all(), line(7, "a", R"("omitted_bytes":5024)"));
}

TEST_F(CellEvents, NothingToSubscribeToIsAFault) {
  for (const char* params : {"", "{}", R"({"channels":[]})", R"({"channels":[],"patterns":[]})"}) {
    EXPECT_TRUE(subscribe(params).starts_with("invalid_params: channels: name at least one"));
  }
  EXPECT_TRUE(subscribe(R"({"channels":[1]})").starts_with("invalid_params: channels[0]: "));
  EXPECT_TRUE(subscribe(R"({"patterns":["a",""]})").starts_with("invalid_params: patterns[1]: "));
  EXPECT_EQ(listeners.subscriptions(), 0u);
}

TEST_F(CellEvents, SubscriptionsAreBoundedAndTooManyLeaveNone) {
  std::string many = "[\"c0\"";
  for (int i = 1; i < 64; ++i) many += ",\"c" + std::to_string(i) + "\"";
  EXPECT_EQ(subscribe("{\"channels\":" + many + "]}"), "{}");
  EXPECT_EQ(subscribe(R"({"channels":["c1","c2"]})"), "{}") << "it has them already";
  const std::string answer = subscribe(R"({"channels":["c1","more"]})");
  EXPECT_TRUE(answer.starts_with("queue_full: a client may have at most 64 subscriptions"));
  EXPECT_EQ(listeners.subscriptions_of(7), 64u);
  EXPECT_EQ(subscribe(R"({"channels":["more"]})", 8), "{}") << "another client's are its own";
}

TEST_F(CellEvents, PatternsAreBoundedByWhatTheyCost) {
  const std::string dear = "*" + std::string(250, '?');
  const std::string list =
      "[\"" + dear + "1\",\"" + dear + "2\",\"" + dear + "3\",\"" + dear + "4\",\"" + dear + "5\"]";
  const std::string answer = subscribe("{\"patterns\":" + list + "}");
  EXPECT_TRUE(answer.starts_with("queue_full: the client's patterns would cost ")) << answer;
  EXPECT_EQ(listeners.subscriptions(), 0u) << "none of them is kept";
  EXPECT_EQ(subscribe("{\"patterns\":[\"" + dear + "1\"]}"), "{}");
}

TEST_F(CellEvents, APatternIsMatchedOnceHoweverManyListenToIt) {
  connect();
  std::string dear = "*";
  for (int i = 0; i < 100; ++i) dear += "a?";
  const std::string params = R"({"patterns":[")" + dear + "1\",\"" + dear + "2\"]}";
  const std::string channel(240, 'a');
  const auto publish_many = [&] {
    const int64_t began = test::processor_ns();
    for (int i = 0; i < 1000; ++i) {
      listeners.deliver_local(channel + std::to_string(i) + "-", "{}");
    }
    return test::processor_ns() - began;
  };
  subscribe(params, 100);
  const int64_t for_one = publish_many();
  for (uint64_t client = 101; client < 160; ++client) subscribe(params, client);
  EXPECT_LT(publish_many(), 10 * for_one) << "for sixty";
  EXPECT_TRUE(front.heard.empty());
}

// Whoever looked at it again for the next listener would find something else.
TEST_F(CellEvents, AMessageIsCheckedOnceHoweverManyListenToIt) {
  connect();
  for (uint64_t client = 100; client < 103; ++client) subscribe(R"({"channels":["c"]})", client);
  std::string message = R"({"a":1})";
  front.on_notify = [&] { message.assign(message.size(), '#'); };
  listeners.on_remote("c", message, "");
  ASSERT_EQ(front.heard.size(), 3u);
  for (const std::string& line : front.heard) {
    EXPECT_NE(line.find(R"("event":{"a":1})"), std::string::npos) << line;
  }
  EXPECT_EQ(message, "#######");
}

TEST_F(CellEvents, UnsubscribingEndsWhatIsNamedOrAll) {
  subscribe(R"({"channels":["a","b"],"patterns":["a"]})");
  EXPECT_EQ(call("event.unsubscribe", R"({"channels":["a","never"]})"), "{}");
  EXPECT_EQ(listeners.subscriptions_of(7), 2u);
  publish("a");
  EXPECT_EQ(heard_by_all(), line(7, "a", R"("event":{"node_id":"ook"},"pattern":"a")"));
  EXPECT_EQ(call("event.unsubscribe"), "{}");
  EXPECT_EQ(listeners.subscriptions(), 0u);
  publish("b");
  EXPECT_EQ(heard_by_all(), "");
  EXPECT_EQ(call("event.unsubscribe", "{}", 9), "{}") << "of one that has none";
}

TEST_F(CellEvents, UnsubscribingAnswersTheSubscriptionThatWaits) {
  connect();
  EXPECT_EQ(subscribe(R"({"channels":["a"]})"), "(later)");
  const rpc::Token token = last_token;
  EXPECT_EQ(call("event.unsubscribe", R"({"channels":["a"]})"), "{}");
  EXPECT_EQ(front.later[token], "{}");
}

TEST_F(CellEvents, AClientThatHasGoneHearsNothing) {
  subscribe(R"({"channels":["a"]})");
  subscribe(R"({"channels":["a"]})", 8);
  client_closed(7);
  publish("a");
  EXPECT_EQ(heard_by_all(), line(8, "a", R"("event":{"node_id":"ook"})"));
  EXPECT_EQ(listeners.subscriptions(), 1u);
}

TEST_F(CellEvents, WhatWasMissedIsToldAsAGap) {
  connect();
  subscribe(R"({"channels":["a"]})");
  const rpc::Token token = last_token;
  run_until([&] { return !front.later[token].empty(); });
  lose_redis();
  clock.wall_ahead += 10s;
  store.come_back();
  run_until([&] { return !front.heard.empty(); });
  EXPECT_EQ(heard_by_all(), "7: gap\n");
}

class CellEventsBudget : public CellEvents {
 protected:
  CellEventsBudget() : CellEvents("[outbox]\nchannels = 4\n") {}
};

TEST_F(CellEventsBudget, ChannelsWithoutAStreamShareOne) {
  connect();
  publish("a");
  publish("b");
  publish("a");
  publish("b", "{}", "", 27);
  publish("c", "{}", "", 27);
  settle();
  EXPECT_EQ(store.count("XADD stream:events:ook:a "), 2);
  EXPECT_EQ(store.count("XADD stream:events:ook "), 2) << "a client has a quarter of them";
  EXPECT_EQ(store.count("XADD stream:events:ook:b "), 1) << "of the first that had room for one";
}

TEST_F(CellEventsBudget, WhatSubscribersOfSessionsHearIsSaidBySessions) {
  for (const char* channel : {"session-updates", "ws:game"}) {
    EXPECT_TRUE(call("event.publish", std::string(R"({"channel":")") + channel + R"(","event":{}})")
                    .starts_with("refused_key: "))
        << channel;
  }
  EXPECT_EQ(call("event.publish", R"({"channel":"wss","event":{}})"), "{}");
}

TEST_F(CellEventsBudget, OfTheBusAnEmergencyStopGoesItsOwnWayAndWhatIsForNowIsNotRecorded) {
  connect();
  const std::string stop =
      R"("channel":"cv:system:broadcast","event":{"type":"system_broadcast","data":)";
  EXPECT_TRUE(
      call("event.publish", "{" + stop + R"({"action":"emergency_stop"}}})")
          .starts_with("invalid_params: event: an emergency stop is published by bus.publish"));
  const char* data = R"({"action":"x","max_age_ms":5})";
  EXPECT_EQ(call("event.publish", "{" + stop + data + "}}"), "{}");
  EXPECT_TRUE(call("event.publish", "{" + stop + data + R"(},"record":true})")
                  .starts_with("invalid_params: record: what has data.max_age_ms"));
  settle();
  EXPECT_EQ(store.count("PUBLISH cv:system:broadcast"), 1);
  EXPECT_EQ(store.count("XADD stream:events"), 0);
  EXPECT_EQ(call("event.publish", "{" + stop + R"({"action":"clear_all"}}})"), "{}");
  settle();
  EXPECT_EQ(store.count("XADD stream:events"), 1);
}

}  // namespace
}  // namespace nb::cell
