// Unit tests of cell/bus and cell/bus_filter: bus.publish, and which messages of the bus are handed
// on.
#include "unit/cell_fixture.h"

namespace nb::cell {
namespace {

class CellBus : public CellTest {
 protected:
  explicit CellBus(std::string_view more = "") : CellTest(more) {}

  std::string publish(const std::string& type, const std::string& data,
                      const std::string& more = "") {
    return call("bus.publish", "{\"type\":\"" + type + "\",\"data\":" + data + more + "}");
  }
  std::string heard() {
    std::string all;
    for (const std::string& line : front.heard) all += line + "\n";
    front.heard.clear();
    return all;
  }
  static std::string line(const std::string& channel, const std::string& rest) {
    return "7: {\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"channel\":\"" + channel +
           "\",\"event\":" + rest + "}}\n";
  }
  // Redis' clock stands so many milliseconds after 1970.
  void redis_says(int64_t ms) {
    const MonoTime now = loop.loop().now();
    clock_reader.take(WallTime(std::chrono::milliseconds(ms)), now);
  }
  // From Redis, and then a message that certainly comes through.
  std::string from_afar(const std::string& channel, const std::string& payload) {
    store.publish(channel, payload);
    return heard_from_afar();
  }
  std::string heard_from_afar() {
    store.publish("cv:end", "{}");
    run_until([&] {
      return !front.heard.empty() && front.heard.back().find("\"cv:end\"") != std::string::npos;
    });
    front.heard.pop_back();
    return heard();
  }
  void redis_will_say(const char* seconds) { store.answer("TIME", test::array_of({seconds, "0"})); }
  static std::string sent_at(int64_t ms, const std::string& data = "\"max_age_ms\":1000") {
    return "{\"timestamp\":" + std::to_string(ms) + ",\"type\":\"t\",\"data\":{" + data + "}}";
  }
  void listen() {
    connect();
    EXPECT_EQ(
        finally("event.subscribe", R"({"channels":["cv:system:broadcast","cv:x","x","cv:end"]})"),
        "{}");
  }

  const std::string stop = R"({"action":"emergency_stop","admin":"ann"})";
  const std::string own_time = "{\"timestamp\":1795183387000,";  // the fixture's wall clock
};

TEST_F(CellBus, TheFourKindsHaveTheirEnvelopeAndTheirChannel) {
  connect();
  const struct {
    const char* type;
    const char* data;
    const char* channel;
    const char* written;
  } kinds[] = {
      {"parameter_update", R"({"user": "ann", "variable":"v","value":12.0})", "cv:parameter:update",
       R"({"variable":"v","value":12,"user":"ann",)"},
      {"routing_change", R"({"routingData":{"a" : [1.50]},"admin":"ann"})", "cv:routing:change",
       R"({"routingData":{"a":[1.50]},"admin":"ann",)"},
      {"system_broadcast", R"({"action":"overlay_toggle","enabled":false,"admin":"ann"})",
       "cv:system:broadcast", R"({"action":"overlay_toggle","admin":"ann","enabled":false,)"},
      {"admin_command", R"({"command":"c","admin":"ann","enabled":true})", "cv:admin:command",
       R"({"command":"c","admin":"ann","enabled":true,)"},
  };
  for (const auto& kind : kinds) {
    EXPECT_EQ(publish(kind.type, kind.data), "{}");
    settle();
    EXPECT_EQ(store.last("PUBLISH"), "PUBLISH " + std::string(kind.channel) + " " + own_time +
                                         "\"type\":\"" + kind.type + "\",\"data\":" + kind.written +
                                         "\"source_instance\":\"ook-1\"}}");
    EXPECT_EQ(store.count("XADD stream:events:ook:" + std::string(kind.channel)), 1)
        << "recorded like other events";
  }
}

TEST_F(CellBus, OtherTypesPassOnOtherChannels) {
  connect();
  EXPECT_EQ(publish("ours", R"({ "x" : 1.10 })", ",\"channel\":\"cv:x\""), "{}");
  EXPECT_EQ(publish("ours", "{}", ",\"channel\":\"cv:x\",\"record\":false"), "{}");
  settle();
  EXPECT_EQ(store.count("PUBLISH cv:x " + own_time +
                        R"("type":"ours","data":{"x":1.10,"source_instance":"ook-1"}})"),
            1);
  EXPECT_EQ(store.last("PUBLISH"),
            "PUBLISH cv:x " + own_time + R"("type":"ours","data":{"source_instance":"ook-1"}})");
  EXPECT_EQ(store.count("XADD"), 1);
}

TEST_F(CellBus, WhatIsWrongIsNamed) {
  const struct {
    const char* params;
    const char* error;
  } wrong[] = {
      {R"("parameter_update","data":{"variable":"v","value":"1","user":"u"}})",
       "data.value: expected an integer, got a text"},
      {R"("parameter_update","data":{"variable":"v","value":1.5,"user":"u"}})", "data.value: "},
      {R"("parameter_update","data":{"variable":"v","value":1}})", "data.user: "},
      {R"("parameter_update","data":{"variable":"v","value":1,"user":"u","usr":1}})",
       "data.usr: there is no such parameter; known are: variable, value, user"},
      {R"("routing_change","data":{"admin":"a"}})", "data.routingData: "},
      {R"("system_broadcast","data":{"action":"stop","admin":"a"}})",
       "data.action: expected clear_all, overlay_toggle or emergency_stop"},
      {R"("system_broadcast","data":{"action":"overlay_toggle","admin":"a"}})",
       "data.enabled: overlay_toggle needs true or false here"},
      {R"("admin_command","data":{"command":"c","admin":"a","enabled":1}})", "data.enabled: "},
      {R"("admin_command","data":{"command":"c","admin":"a","source_instance":"other"}})",
       "data.source_instance: is set by the agent"},
      {R"("other","channel":"cv:x","data":{"max_age_ms":1}})",
       "data.max_age_ms: is set by the agent"},
      {R"("other","data":{}})",
       "channel: needed for any other type than the known ones: parameter_update, routing_change, "
       "system_broadcast, admin_command"},
      {R"("other","channel":"robot:events","data":{}})",
       "channel: the channels of the bus begin with 'cv:'"},
      {R"("other","channel":"cv:admin:command","data":{}})",
       "type: on this channel goes only the type admin_command"},
      {R"("admin_command","channel":"cv:x","data":{"command":"c","admin":"a"}})",
       "channel: messages of this type go on cv:admin:command"},
      {R"("system_broadcast","record":true,"data":{"action":"emergency_stop","admin":"a"}})",
       "record: a message that may become too old is not recorded"},
      {R"("other","channel":"cv:x","data":{},"max_age_ms":5,"record":true})", "record: "},
  };
  for (const auto& one : wrong) {
    const std::string params = "{\"type\":" + std::string(one.params);
    for (const std::string& answer :
         {call("bus.publish", params), check_will("bus.publish", params)}) {
      EXPECT_TRUE(answer.starts_with("invalid_params: " + std::string(one.error)))
          << params << answer;
    }
  }
  EXPECT_EQ(outbox.lanes().size(), 0u);
}

TEST_F(CellBus, NobodySpeaksAsAnotherInstanceByEventPublish) {
  const auto event = [&](const std::string& channel, const std::string& instance) {
    return call("event.publish", "{\"channel\":\"" + channel +
                                     "\",\"event\":{\"data\":{\"source_instance\":" + instance +
                                     "}}}");
  };
  EXPECT_TRUE(
      event("cv:x", "\"other\"").starts_with("invalid_params: event.data.source_instance: "));
  EXPECT_TRUE(event("cv:x", "7").starts_with("invalid_params: event.data.source_instance: "));
  EXPECT_EQ(event("cv:x", "\"ook-1\""), "{}");
  EXPECT_EQ(event("elsewhere", "\"other\""), "{}");
}

TEST_F(CellBus, AStopIsHeardHereAtOnceAndGoesAheadOfOthers) {
  EXPECT_EQ(call("event.subscribe", R"({"channels":["cv:system:broadcast"]})"), "{}");
  EXPECT_EQ(call("event.publish", R"({"channel":"c","event":{}})"), "{}");
  EXPECT_EQ(publish("system_broadcast", stop), "{}");
  EXPECT_EQ(heard(), line("cv:system:broadcast", own_time + R"("type":"system_broadcast","data":)" +
                                                     R"({"action":"emergency_stop","admin":"ann",)"
                                                     R"("source_instance":"ook-1"}})"))
      << "no max_age_ms: Redis has not yet told its time";
  connect();
  settle();
  EXPECT_LT(store.commands().size(), 8u);
  const auto& commands = store.commands();
  const auto at = [&](std::string_view begin) {
    return std::find_if(commands.begin(), commands.end(),
                        [&](const std::string& c) { return c.starts_with(begin); });
  };
  EXPECT_LT(at("PUBLISH cv:system:broadcast"), at("PUBLISH c ")) << "the urgent lane";
  EXPECT_EQ(store.count("XADD stream:events:ook:cv"), 0) << "not recorded";
}

TEST_F(CellBus, AStopThatIsTooOldIsNotPublishedAndThatIsTold) {
  outbox.client_came(7, 1000);
  bool lost = false;
  outbox.set_on_losses(
      Delegate<void()>(&lost, [](void* flag) { *static_cast<bool*>(flag) = true; }));
  const std::string stored = ",\"max_age_ms\":1000,\"ack\":\"stored\",\"timeout_ms\":60000";
  EXPECT_EQ(publish("system_broadcast", stop, stored), "(later)");
  const rpc::Token token = last_token;
  clock.ahead += 1100ms;
  settle();
  EXPECT_EQ(store.count("PUBLISH"), 0);
  EXPECT_TRUE(front.later[token].starts_with("dropped: ")) << front.later[token];
  EXPECT_TRUE(lost) << "the client is told by client.error as well";
  EXPECT_EQ(publish("system_broadcast", stop, stored), "(later)");
  settle();
  EXPECT_EQ(store.count("PUBLISH cv:system:broadcast"), 1) << "the next one is young";
}

TEST_F(CellBus, RedisClockIsWrittenIfItIsKnown) {
  connect();
  redis_says(5'000'000);
  clock.ahead += 2s;
  publish("system_broadcast", stop);
  settle();
  const std::string sent = store.last("PUBLISH");
  EXPECT_TRUE(sent.starts_with("PUBLISH cv:system:broadcast {\"timestamp\":5002")) << sent;
  EXPECT_NE(sent.find(R"("admin":"ann","max_age_ms":5000,"source_instance":)"), sent.npos) << sent;
  publish("other", "{}", ",\"channel\":\"cv:x\",\"max_age_ms\":70");
  settle();
  EXPECT_NE(store.last("PUBLISH").find(R"("data":{"max_age_ms":70,"source_instance":)"),
            std::string::npos);
  EXPECT_EQ(store.count("XADD"), 0) << "what may become too old is not recorded";
}

TEST_F(CellBus, ARemoteMessageIsMarkedAndMayBeWithoutAnInstance) {
  listen();
  const std::string foreign = R"({"timestamp":1,"type":"t","data":{}})";
  EXPECT_EQ(from_afar("cv:x", foreign), line("cv:x", foreign + ",\"remote\":true"));
  const std::string other = R"({"timestamp":1,"type":"t","data":{"source_instance":"bot-001"}})";
  EXPECT_EQ(from_afar("cv:x", other), line("cv:x", other + ",\"remote\":true"));
  EXPECT_NE(from_afar("cv:x", "no JSON").find("\"text\":\"no JSON\""), std::string::npos);
}

TEST_F(CellBus, WhatIsSentInItsNameIsItsOwn) {
  listen();
  EXPECT_EQ(from_afar("cv:x", R"({"timestamp":1,"type":"t","data":{"source_instance":"ook-1"}})"),
            "");
  EXPECT_EQ(from_afar("x", R"({"data":{"source_instance":"ook-1"}})").empty(), false)
      << "only on the channels of the bus";
  EXPECT_EQ(listeners.counters().echoes_dropped, 1u);
}

TEST_F(CellBus, WhatComesTooLateIsNotHandedOnAndThatIsTold) {
  listen();
  EXPECT_NE(from_afar("cv:x", sent_at(1)), "7: gap\n") << "no clock to compare with";
  redis_says(50'000'000);
  EXPECT_NE(from_afar("cv:x", sent_at(49'999'900)), "7: gap\n");
  EXPECT_NE(from_afar("cv:x", sent_at(51'000'000)), "7: gap\n") << "from the future";
  EXPECT_NE(from_afar("cv:x", sent_at(1, "")), "7: gap\n") << "may be of any age";
  EXPECT_EQ(from_afar("cv:x", sent_at(49'998'900)), "7: gap\n");
  EXPECT_EQ(listeners.counters().too_late, 1u);
  EXPECT_NE(log.text().find("a message on cv:x has come too late and is not handed on: it is 11"),
            std::string::npos)
      << log.text();
}

TEST_F(CellBus, RedisIsAskedForItsTimeBeforeAMessageIsDropped) {
  listen();
  redis_says(50'000'000);
  redis_will_say("49980");  // its clock was set back meanwhile
  const std::string fresh = sent_at(49'980'000);
  EXPECT_EQ(from_afar("cv:x", fresh), line("cv:x", fresh + ",\"remote\":true"));
  EXPECT_EQ(store.count("TIME"), 1);
  EXPECT_EQ(from_afar("cv:x", fresh), line("cv:x", fresh + ",\"remote\":true"));
  EXPECT_EQ(store.count("TIME"), 1) << "the agent knows the time now";
  EXPECT_EQ(listeners.counters().too_late, 0u);
}

TEST_F(CellBus, NothingOvertakesAMessageThatIsHeld) {
  listen();
  redis_says(50'000'000);
  redis_will_say("49980");
  const std::string fresh = sent_at(49'980'000), ageless = sent_at(1, "");
  for (const std::string& message : {ageless, fresh, ageless, fresh})
    store.publish("cv:x", message);
  std::string expected;
  for (const std::string& message : {ageless, fresh, ageless, fresh}) {
    expected += line("cv:x", message + ",\"remote\":true");
  }
  EXPECT_EQ(heard_from_afar(), expected);
}

TEST_F(CellBus, ASenderMayNotHaveNoticedYetThatRedisClockWasSet) {
  listen();
  redis_says(50'000'000);
  redis_says(50'020'000);
  const auto is_handed_on = [&](int64_t sent) {
    return from_afar("cv:x", sent_at(sent)) != "7: gap\n";
  };
  EXPECT_TRUE(is_handed_on(50'000'000)) << "by the clock as it was";
  EXPECT_TRUE(is_handed_on(50'020'000));
  EXPECT_FALSE(is_handed_on(49'998'000)) << "too late by both";
  EXPECT_FALSE(is_handed_on(50'018'000)) << "nobody wrote that by the clock as it was";
  clock.ahead += 11s;
  EXPECT_FALSE(is_handed_on(50'011'000)) << "by now everybody has read the clock";
  EXPECT_TRUE(is_handed_on(50'031'000));
}

TEST_F(CellBus, WhereRedisDoesNotTellItsTimeTheLastReadingCounts) {
  listen();
  store.answer("TIME", "-NOPERM this user has no permissions to run the 'time' command\r\n");
  redis_says(50'000'000);
  for (uint64_t late = 1; late <= 2; ++late) {
    EXPECT_EQ(from_afar("cv:x", sent_at(49'990'000)), "7: gap\n");
    EXPECT_EQ(listeners.counters().too_late, late);
  }
  EXPECT_EQ(store.count("TIME"), 1) << "not again on this connection";
}

TEST_F(CellBus, WhatIsHeldIsDroppedWhenTheConnectionEnds) {
  listen();
  redis_says(50'000'000);
  store.answer("TIME", "");
  store.publish("cv:x", sent_at(49'990'000));
  run_until([&] { return store.count("TIME") == 1; });
  EXPECT_EQ(heard(), "");
  lose_redis();
  EXPECT_EQ(heard(), "7: gap\n");
}

TEST_F(CellBus, AFloodOfLateMessagesIsHeldToALimit) {
  listen();
  redis_says(50'000'000);
  redis_will_say("50000");
  const std::string late =
      sent_at(1, R"("max_age_ms":1000,"pad":")" + std::string(1000, 'x') + '"');
  for (int i = 0; i < 200; ++i) store.publish("cv:x", late);
  const std::string all = heard_from_afar();
  EXPECT_EQ(all.size(), 200 * std::string_view("7: gap\n").size());
  EXPECT_EQ(listeners.counters().too_late, 200u);
  EXPECT_LT(store.count("TIME"), 10);
}

class CellNamedBus : public CellBus {
 protected:
  CellNamedBus() : CellBus("[bus]\ninstance = \"bot-001\"\n") {}
};

TEST_F(CellNamedBus, TheInstanceCanBeConfigured) {
  listen();
  publish("other", "{}", ",\"channel\":\"cv:y\"");
  settle();
  EXPECT_NE(store.last("PUBLISH").find(R"("source_instance":"bot-001")"), std::string::npos);
  EXPECT_EQ(from_afar("cv:x", R"({"data":{"source_instance":"bot-001"}})"), "");
}

TEST_F(CellBus, AWillMayStopTheCell) {
  connect();
  const std::string params = "{\"type\":\"system_broadcast\",\"data\":" + stop + "}";
  EXPECT_EQ(check_will("bus.publish", params), "");
  EXPECT_EQ(outbox.lanes().size(), 0u);
  EXPECT_EQ(will("bus.publish", params), "{}");
  settle();
  EXPECT_EQ(store.count("PUBLISH cv:system:broadcast"), 1);
}

}  // namespace
}  // namespace nb::cell
