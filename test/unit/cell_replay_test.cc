// Unit tests of cell/replay and cell/live_match: event.subscribe with `replay`, over a scripted
// Redis. test/integration/test_replay.py has the real one.
#include "cell/live_match.h"
#include "unit/cell_fixture.h"
#include "wire/stream_id.h"

namespace nb::cell {
namespace {

using test::array_of;
using test::bulk;

// --- LiveMatch

const MonoTime kNow{std::chrono::seconds(1000)};

std::string unrecorded(LiveMatch& match, uint64_t look, MonoTime now = kNow) {
  std::string all;
  while (const LiveMatch::Message* message = match.unrecorded(look, now)) {
    all += message->channel + " " + message->payload + "\n";
    match.pop(*message);
  }
  return all;
}

TEST(LiveMatch, AMessageInNoStreamIsNotRecorded) {
  LiveMatch match;
  EXPECT_TRUE(match.hold("c", "1", 4, kNow));
  EXPECT_TRUE(match.hold("c", "2", 4, kNow));
  EXPECT_TRUE(match.hold("d", "1", 5, kNow));
  match.on_entry("c", "2", 0s, kNow);
  EXPECT_EQ(unrecorded(match, 4), "") << "that look may have begun before they came";
  EXPECT_EQ(unrecorded(match, 5), "c 1\n");
  EXPECT_EQ(unrecorded(match, 6), "d 1\n");
  EXPECT_FALSE(match.take_lost(9));
}

TEST(LiveMatch, AnEntryMayBeReadBeforeItsMessageComes) {
  LiveMatch match;
  match.on_entry("c", "1", 0s, kNow);
  match.on_entry("c", "old", 31s, kNow);
  EXPECT_FALSE(match.hold("c", "1", 1, kNow));
  EXPECT_TRUE(match.hold("c", "1", 1, kNow)) << "each entry counts once";
  EXPECT_TRUE(match.hold("c", "old", 1, kNow)) << "its message was published long ago";
  EXPECT_EQ(unrecorded(match, 2), "c 1\nc old\n");
  match.on_entry("c", "2", 0s, kNow);
  EXPECT_TRUE(match.hold("c", "2", 3, kNow + 31s));
}

// As after a broken connection: the agent that publishes does not know whether the first one went
// out.
TEST(LiveMatch, AMessageThatIsPublishedOnceMoreIsNoOtherOne) {
  LiveMatch match;
  const auto repeat = [&](const char* payload, uint64_t look, MonoTime now = kNow) {
    EXPECT_TRUE(match.hold("c", payload, look, now, true));
  };
  EXPECT_TRUE(match.hold("c", "1", 1, kNow));
  repeat("1", 1);
  match.on_entry("c", "1", 0s, kNow);
  match.on_entry("c", "2", 599s, kNow);
  repeat("2", 1);
  repeat("3", 1);
  EXPECT_EQ(unrecorded(match, 2), "c 3\n") << "the entry of this one was refused";
  EXPECT_TRUE(match.hold("c", "1", 2, kNow));
  EXPECT_EQ(unrecorded(match, 3), "c 1\n") << "said anew, and not recorded";
  repeat("1", 3, kNow + 600s);
  EXPECT_EQ(unrecorded(match, 4, kNow + 600s), "");
  repeat("1", 4, kNow + 601s);
  EXPECT_EQ(unrecorded(match, 5, kNow + 601s), "c 1\n") << "no agent keeps an event for so long";
}

TEST(LiveMatch, WhatIsHeldInAnOutageWaitsForItsEntryToBeStoredAnew) {
  LiveMatch match;
  match.hold("c", "1", 1, kNow);
  match.hold("c", "2", 1, kNow);
  match.on_outage();
  EXPECT_EQ(unrecorded(match, 9, kNow + 1h), "") << "nobody knows what the server has kept";
  EXPECT_EQ(match.next_due(), MonoTime::max());
  match.on_recovery(kNow);
  match.hold("c", "3", 1, kNow);
  EXPECT_EQ(unrecorded(match, 9), "c 3\n") << "it came afterwards, and does not wait";
  EXPECT_EQ(match.next_due(), kNow + 10s);
  match.on_entry("c", "1", 0s, kNow + 9s);
  EXPECT_EQ(unrecorded(match, 9, kNow + 9s), "");
  EXPECT_EQ(unrecorded(match, 9, kNow + 10s), "c 2\n");
  EXPECT_EQ(match.next_due(), MonoTime::max());
}

TEST(LiveMatch, SoManyEntriesAreKnown) {
  LiveMatch match;
  for (size_t i = 0; i <= LiveMatch::kMostEntries; ++i) {
    match.hold("c", std::to_string(i), 1, kNow);
    match.on_entry("c", std::to_string(i), 0s, kNow);
  }
  match.hold("c", "0", 2, kNow, true);
  match.hold("c", "1", 2, kNow, true);
  EXPECT_EQ(unrecorded(match, 3), "c 0\n");
}

TEST(LiveMatch, WhatWasToldThoughItMayBeRecordedIsKnownOncePerMessage) {
  LiveMatch match;
  const auto tell = [&](const std::string& payload) {
    match.hold("c", payload, 1, kNow);
    const LiveMatch::Message* message = match.unrecorded(2, kNow);
    ASSERT_NE(message, nullptr);
    match.remember_told(*message);
    match.pop(*message);
  };
  tell("1");
  EXPECT_FALSE(match.take_told("c", "2"));
  EXPECT_FALSE(match.take_told("d", "1"));
  EXPECT_TRUE(match.take_told("c", "1"));
  EXPECT_FALSE(match.take_told("c", "1"));
  for (size_t i = 0; i <= LiveMatch::kMostEntries; ++i) tell(std::to_string(i));
  EXPECT_FALSE(match.take_told("c", "0")) << "more than are known";
  EXPECT_TRUE(match.take_told("c", "1"));
  match.forget_told();
  EXPECT_FALSE(match.take_told("c", "2"));
}

TEST(LiveMatch, WhatIsGivenUpIsLostUnlessItWasRecorded) {
  for (const bool recorded : {true, false}) {
    LiveMatch match;
    const std::string large(LiveMatch::kMostHeldBytes / 2, 'x');
    for (const char* name : {"1", "2", "3"}) match.hold(name, large, 1, kNow);
    EXPECT_TRUE(match.has_given_up());
    if (recorded) match.on_entry("1", large, 0s, kNow);
    EXPECT_FALSE(match.take_lost(1)) << "that look may have begun before it came";
    EXPECT_EQ(match.take_lost(2), !recorded);
    EXPECT_FALSE(match.has_given_up());
    EXPECT_EQ(unrecorded(match, 2), "2 " + large + "\n3 " + large + "\n");
  }
  LiveMatch match;
  for (size_t i = 0; i < LiveMatch::kMostHeld + LiveMatch::kMostEntries + 1; ++i) {
    match.hold("c", std::to_string(i), 1, kNow);
  }
  EXPECT_TRUE(match.take_lost(0)) << "more than are known still";
}

TEST(StreamId, ReadsWhatRedisWrites) {
  EXPECT_EQ(wire::parse_stream_id("5-7"), (wire::StreamId{5, 7}));
  EXPECT_EQ(wire::parse_stream_start("5"), (wire::StreamId{5, 0}));
  for (const char* wrong :
       {"", "-", "5-", "-5", "a", "5-a", "+", "18446744073709551616-0", "1-2-3"}) {
    EXPECT_FALSE(wire::parse_stream_id(wrong)) << wrong;
  }
  EXPECT_EQ((wire::StreamId{5, 0}.before().text()), "4-18446744073709551615");
  EXPECT_EQ((wire::StreamId{5, 1}.before().text()), "5-0");
  EXPECT_EQ((wire::StreamId{}.before().text()), "0-0");
}

// --- Replay

std::string array(const std::vector<std::string>& replies) {
  std::string out = "*" + std::to_string(replies.size()) + "\r\n";
  for (const std::string& reply : replies) out += reply;
  return out;
}
std::string entry(const std::string& id, const std::string& event) {
  return array({bulk(id), array_of({"channel", "c", "event", event})});
}
std::string page(const std::vector<std::string>& entries,
                 const std::string& stream = "stream:events:ook:c") {
  return array({array({bulk(stream), array(entries)})});
}

class CellReplay : public CellTest {
 protected:
  CellReplay() {
    store.answer("HGETALL", "*0\r\n");
    store.answer("XINFO", "-ERR no such key\r\n");
    store.answer("XREAD", "*-1\r\n");
  }
  std::string subscribe(const std::string& replay = R"({"since":"0-0"})") {
    return finally("event.subscribe", R"({"channels":["c"],"replay":)" + replay + "}");
  }
  // What is heard, up to the line that ends so.
  std::string heard_until(const std::string& end) {
    run_until([&] { return !front.heard.empty() && front.heard.back().ends_with(end); });
    std::string all;
    for (const std::string& line : front.heard) {
      const size_t params = line.find("\"params\":");
      all +=
          (params == line.npos ? line : line.substr(params + 9, line.size() - params - 10)) + "\n";
    }
    front.heard.clear();
    return all;
  }
  // The first words of it hold exactly so many questions.
  void wait_for(const std::string& command, long count) {
    run_until([&] { return store.count(command) >= count; });
  }
};

constexpr const char* kFirst = R"({"channel":"c","event":{"i":1},"id":"5-0","node":"ook"})"
                               "\n";
constexpr const char* kSecond = R"({"channel":"c","event":{"i":2},"id":"5-1","node":"ook"})"
                                "\n";

constexpr const char* kLive = "{\"channel\":\"c\",\"event\":{\"i\":1},\"remote\":true}\n";

std::string gap(const std::string& stream, const std::string& after) {
  return "{\"stream\":\"" + stream + "\",\"after\":\"" + after + "\",\"before\":null}\n";
}

// Without the `from` and `to` of gaps.
std::string without_times(std::string text) {
  for (size_t at; (at = text.find("\"from\":")) != text.npos;) {
    text.erase(at, text.find("\"stream\":", at) - at);
  }
  return text;
}

TEST_F(CellReplay, TheCallIsAnsweredWhenItIsKnownWhereItBegins) {
  connect();
  store.answer("XINFO", "");  // held back
  EXPECT_EQ(call("event.subscribe", R"({"channels":["c"],"replay":{"since":"0-0"}})"), "(later)");
  const rpc::Token token = last_token;
  wait_for("XINFO", 1);
  EXPECT_EQ(front.later[token], "");
  lose_redis();
  run_until([&] { return !front.later[token].empty(); });
  EXPECT_EQ(front.later[token], "{}") << "what is published from now on will come";
}

TEST_F(CellReplay, TheCallIsAnsweredAlthoughTheClientSubscribesToMoreMeanwhile) {
  connect();
  finally("health.get", R"({"node":"elk"})");  // the reader is there, and is answered first
  EXPECT_EQ(call("event.subscribe", R"({"channels":["c"],"replay":{"since":"0-0"}})"), "(later)");
  const rpc::Token replay = last_token;
  wait_for("XINFO", 1);
  EXPECT_EQ(call("event.subscribe", R"({"channels":["d"]})"), "(later)");
  const rpc::Token more = last_token;
  run_until([&] { return !front.later[replay].empty() && !front.later[more].empty(); });
  EXPECT_EQ(front.later[replay], "{}");
}

TEST_F(CellReplay, WithoutRedisItIsAnsweredAtOnceAndBeginsLater) {
  EXPECT_EQ(call("event.subscribe", R"({"channels":["c"],"replay":{"since":"0-0"}})"), "{}");
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  connect();
  EXPECT_EQ(heard_until("\"ook\"}}"), kFirst);
}

TEST_F(CellReplay, AnEntryThatItsServerHasLostAndThatIsStoredAnewComesOnce) {
  connect();
  EXPECT_EQ(subscribe(), "{}");
  store.answer("XREAD", "");  // held back
  store.publish("c", R"({"i":1})");
  wait_for("XREAD", 2);
  lose_redis();
  store.answer("XREAD", "*-1\r\n");  // it has come back empty
  store.forget();
  store.come_back();
  run_until([&] { return is_connected() && !subscriber->will_tell_gap(); });
  wait_for("XREAD", 2);
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  store.publish("c", R"("end")");
  EXPECT_EQ(heard_until("true}}"), std::string("7: gap\n") + kFirst +
                                       "{\"channel\":\"c\",\"event\":\"end\",\"remote\":true}\n");
}

TEST_F(CellReplay, GoesOnBehindTheLastEventOfEachNode) {
  connect();
  store.answer("HGETALL", array_of({"hog", "{}"}));
  store.answer("XINFO", array_of({"last-generated-id", "99-0"}));
  EXPECT_EQ(subscribe(R"({"since":"7","after":{"ook":"5-0","hog":"9-1"}})"), "{}");
  wait_for(
      "XREAD COUNT 65 STREAMS stream:events:ook:c stream:events:ook stream:events:hog:c "
      "stream:events:hog 5-0 5-0 9-1 9-1",
      1);
}

TEST_F(CellReplay, WhatAfterMayBe) {
  const auto fault = [&](const std::string& replay) {
    return call("event.subscribe", R"({"channels":["d"],"replay":)" + replay + "}");
  };
  EXPECT_EQ(fault(R"({"last":1,"after":{"ook":"1-0"}})"),
            "invalid_params: replay.after: expected only with since {\"field\":\"replay.after\"}");
  for (const char* after :
       {R"({"ook":"1"})", R"({"ook":7})", R"({"no name":"1-0"})", R"({"":"1-0"})"}) {
    EXPECT_EQ(fault(std::string(R"({"since":"0","after":)") + after + "}"),
              "invalid_params: replay.after: expected names of nodes, each with the id of an event "
              "{\"field\":\"replay.after\"}")
        << after;
  }
}

TEST_F(CellReplay, WhatHasNoRoomComesLaterAndOnce) {
  connect();
  front.room = 1;
  store.answer("XREAD", page({entry("5-0", R"({"i":1})"), entry("5-1", R"({"i":2})")}));
  EXPECT_EQ(subscribe(), "{}");
  EXPECT_EQ(heard_until("\"ook\"}}"), kFirst);
  wait_for("XREAD COUNT 129 STREAMS stream:events:ook:c stream:events:ook 4-", 2);
  EXPECT_EQ(front.heard.size(), 0u);
  front.room = 10;
  EXPECT_EQ(heard_until("\"ook\"}}"), kSecond);
}

TEST_F(CellReplay, ThePastHasAnEndThatIsToldOnce) {
  connect();
  front.room = 0;
  EXPECT_EQ(subscribe(R"({"since":"0-0","mark":"past \"1\""})"), "{}");
  wait_for("XREAD", 2);
  EXPECT_EQ(front.heard.size(), 0u) << "there is no room for it";
  front.room = 10;
  EXPECT_EQ(heard_until("}}"), "{\"mark\":\"past \\\"1\\\"\"}\n");
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  store.publish("c", R"({"i":1})");
  EXPECT_EQ(heard_until("\"ook\"}}"), kFirst);
}

TEST_F(CellReplay, WhatIsRecordedComesBeforeTheEndOfThePast) {
  connect();
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  EXPECT_EQ(subscribe(R"({"since":"0-0","mark":"m"})"), "{}");
  EXPECT_EQ(heard_until("\"m\"}}"), kFirst + std::string("{\"mark\":\"m\"}\n"));
}

TEST_F(CellReplay, AClientThatDoesNotReadIsAskedNothingFor) {
  connect();
  EXPECT_EQ(subscribe(), "{}");
  wait_for("XREAD", 1);
  front.queued = 1 << 20;
  store.forget();
  store.publish("c", "{}");
  run_until([&] { return loop.loop().now() > MonoTime{} && store.count("XREAD") == 0; });
  EXPECT_EQ(store.count("XREAD"), 0);
  front.queued = 0;
  wait_for("XREAD", 1);
}

TEST_F(CellReplay, AnEntryThatIsGoneIsTold) {
  connect();
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  EXPECT_EQ(subscribe(), "{}");
  heard_until("\"ook\"}}");
  // The entry that was delivered last is no longer the first of what is read from there.
  store.answer("XREAD", page({entry("9-0", R"({"i":9})")}));
  store.publish("c", "{}");
  const std::string heard = heard_until("\"9-0\",\"node\":\"ook\"}}");
  EXPECT_TRUE(heard.starts_with(
      R"({"from":"1970-01-01T00:00:00.005000","to":"1970-01-01T00:00:00.009000","stream":)"
      R"("stream:events:ook:c","after":"5-0","before":"9-0"})"))
      << heard;
}

TEST_F(CellReplay, AStreamThatBeginsAnewIsReadFromItsBeginning) {
  connect();
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  EXPECT_EQ(subscribe(), "{}");
  heard_until("\"ook\"}}");
  store.answer("XREAD", "*-1\r\n");  // it has expired
  store.forget();
  store.publish("c", R"({"i":0})");
  EXPECT_EQ(heard_until("true}}"), "{\"channel\":\"c\",\"event\":{\"i\":0},\"remote\":true}\n");
  EXPECT_EQ(store.count("XINFO STREAM stream:events:ook:c"), 1);
  // The clock was set back meanwhile.
  store.answer("XREAD", page({entry("2-0", R"({"i":2})")}));
  store.publish("c", R"({"i":2})");
  heard_until("\"2-0\",\"node\":\"ook\"}}");
  EXPECT_TRUE(store.last("XREAD").ends_with(" 0-0 0-0") ||
              store.last("XREAD").ends_with(" 1-18446744073709551615 0-0"))
      << store.last("XREAD");
}

TEST_F(CellReplay, WithoutTheRightToAskForItAStreamIsTakenForTheSameOne) {
  connect();
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  EXPECT_EQ(subscribe(), "{}");
  heard_until("\"ook\"}}");
  store.answer("XREAD", "*-1\r\n");  // somebody has deleted the last entry
  store.answer("XINFO", "-NOPERM this user has no permissions to run the 'xinfo' command\r\n");
  store.publish("c", R"({"i":0})");
  heard_until("true}}");
  store.answer("XREAD", page({entry("5-1", R"({"i":2})")}));
  store.publish("c", R"({"i":2})");
  EXPECT_EQ(heard_until("\"ook\"}}"), kSecond);
  EXPECT_TRUE(store.last("XREAD").ends_with(" 5-0 0-0")) << store.last("XREAD");
}

TEST_F(CellReplay, AChannelMayGoWhileItsStreamIsRead) {
  connect();
  store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
  EXPECT_EQ(finally("event.subscribe", R"({"channels":["a","c"],"replay":{"since":"0-0"}})"), "{}");
  EXPECT_EQ(heard_until("\"ook\"}}"), kFirst);
  const std::string first = entry("5-0", R"({"i":1})");
  store.answer(
      "XREAD",
      array({array({bulk("stream:events:ook:a"), array({first})}),
             array({bulk("stream:events:ook:c"), array({first, entry("5-1", R"({"i":2})")})})}));
  store.publish("c", R"({"i":2})");
  EXPECT_EQ(call("event.unsubscribe", R"({"channels":["a"]})"), "{}");
  EXPECT_EQ(heard_until("\"5-1\",\"node\":\"ook\"}}"), kSecond);
}

TEST_F(CellReplay, NodesBeyondTheMostStreamsAreLeftOutAndNamed) {
  std::vector<std::string> nodes;
  for (int i = 0; i < 2100; ++i) nodes.insert(nodes.end(), {"n" + std::to_string(i), "0"});
  store.answer("HGETALL", array_of(nodes));
  connect();
  EXPECT_EQ(call("event.subscribe", R"({"channels":["c"],"replay":{"since":"0-0"}})"), "(later)");
  run_until([&] {
    return log.text().find(
               "a replay would read more than 4096 streams: those of node n2046 are "
               "left out") != std::string::npos;
  });
}

TEST_F(CellReplay, WhatIsTooLargeIsReadInSmallerPages) {
  connect();
  // Longer than the reader takes, which ends the connection.
  store.answer("XREAD", "$5000000\r\n");
  EXPECT_EQ(subscribe(), "{}");
  for (const char* count : {"65", "17", "5", "2"}) {
    wait_for("XREAD COUNT " + std::string(count) + " STREAMS stream:events:ook:c", 1);
  }
  // Then one stream after the other, and what is too large by itself is left out.
  wait_for("XREAD COUNT 2 STREAMS stream:events:ook:c 0-0", 1);
  run_until([&] {
    return log.text().find("events of stream:events:ook are not replayed: an entry is too large") !=
           std::string::npos;
  });
}

TEST_F(CellReplay, KeysThatAreTooLargeEndTheSearchForStreams) {
  connect();
  store.answer("SCAN", "$5000000\r\n");
  EXPECT_EQ(finally("event.subscribe", R"({"patterns":["c*"],"replay":{"since":"0-0"}})"), "{}");
  wait_for("XREAD", 1);
  EXPECT_EQ(store.count("XREAD COUNT 65 STREAMS stream:events:ook stream:node_events:ook "), 1);
  EXPECT_EQ(log.text().find("are not replayed"), std::string::npos) << log.text();
}

TEST_F(CellReplay, WhereReadingIsRefusedLiveEventsComeAllTheSame) {
  connect();
  store.answer("XREAD", "-NOPERM this user has no permissions to run the 'xread' command\r\n");
  EXPECT_EQ(subscribe(), "{}");
  run_until([&] { return log.text().find("ook are not replayed: NOPERM") != std::string::npos; });
  store.publish("c", R"({"i":1})");
  EXPECT_EQ(without_times(heard_until("true}}")),
            gap("stream:events:ook:c", "0-0") + gap("stream:events:ook", "0-0") + kLive);
}

class CellReplayRefused : public CellReplay {
 protected:
  // After one event, Redis refuses to read the stream.
  void hear_one_and_refuse_the_stream() {
    connect();
    store.answer("XREAD", page({entry("5-0", R"({"i":1})")}));
    EXPECT_EQ(subscribe(), "{}");
    EXPECT_EQ(heard_until("\"ook\"}}"), kFirst);
    store.answer("XREAD", "-WRONGTYPE Operation against a key\r\n");
  }
};

TEST_F(CellReplayRefused, AStreamThatCannotBeReadIsToldOnceAndReadAgainLater) {
  hear_one_and_refuse_the_stream();
  store.publish("c", R"({"i":1})");
  EXPECT_EQ(without_times(heard_until("true}}")),
            gap("stream:events:ook:c", "5-0") + gap("stream:events:ook", "0-0") + kLive);
  clock.ahead += 30s;
  store.publish("c", R"({"i":1})");
  EXPECT_EQ(heard_until("true}}"), kLive) << "it is told once";
  store.answer("XREAD", page({entry("5-0", R"({"i":1})"), entry("5-1", R"({"i":2})")}));
  store.publish("c", R"({"i":1})");
  EXPECT_EQ(heard_until("true}}"), kLive) << "not yet";
  clock.ahead += 30s;
  store.publish("c", R"({"i":2})");
  EXPECT_EQ(heard_until("\"ook\"}}"), kSecond);
}

TEST_F(CellReplayRefused, WhatCameWhileItsStreamCouldNotBeReadDoesNotComeAgain) {
  hear_one_and_refuse_the_stream();
  store.publish("c", R"({"i":2})");
  heard_until("true}}");
  clock.ahead += 30s;
  store.publish("c", R"({"i":2})");  // it is refused once more
  heard_until("true}}");
  store.answer("XREAD", page({entry("5-0", R"({"i":1})"), entry("5-1", R"({"i":2})"),
                              entry("5-2", R"({"i":2})"), entry("5-3", R"({"i":2})")}));
  clock.ahead += 30s;
  store.publish("c", "0");
  const std::string third = R"({"channel":"c","event":{"i":2},"id":"5-3","node":"ook"})";
  EXPECT_EQ(heard_until("\"5-3\",\"node\":\"ook\"}}"), third + "\n") << "it came only twice";
}

TEST_F(CellReplayRefused, AStreamThatCouldNotBeReadIsReadAgainThoughNobodyTellsOfIt) {
  hear_one_and_refuse_the_stream();
  clock.longest_wait = 20s;
  store.publish("c", R"({"i":1})");
  heard_until("true}}");
  store.answer("XREAD", page({entry("5-0", R"({"i":1})"), entry("5-1", R"({"i":2})")}));
  clock.ahead += 30s;
  EXPECT_EQ(heard_until("\"ook\"}}"), kSecond);
}

TEST_F(CellReplay, StrangeAnswersStopNothing) {
  connect();
  for (const char* answer : {":1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n$1\r\nx\r\n*0\r\n",
                             "*1\r\n*2\r\n$19\r\nstream:events:ook:c\r\n*1\r\n:7\r\n"}) {
    store.answer("XREAD", answer);
    EXPECT_EQ(subscribe(), "{}");
    store.publish("c", R"({"i":1})");
    EXPECT_TRUE(heard_until("true}}").ends_with(kLive));
    EXPECT_EQ(call("event.unsubscribe"), "{}");
  }
}

TEST_F(CellReplay, AClientMayHaveEight) {
  connect();
  for (int i = 0; i < 8; ++i) {
    const std::string params =
        R"({"channels":["c)" + std::to_string(i) + R"("],"replay":{"last":1}})";
    store.answer("XREVRANGE", "*0\r\n");
    EXPECT_EQ(finally("event.subscribe", params), "{}");
  }
  EXPECT_TRUE(call("event.subscribe", R"({"channels":["x"],"replay":{"last":1}})")
                  .starts_with("queue_full: a client may have at most 8 replays"));
  client_closed(7);
  EXPECT_EQ(listeners.subscriptions(), 0u);
}

// Each is kept as long as its replay.
TEST_F(CellReplay, ItsReplaysMayNameSoManyNodes) {
  const auto params = [](size_t replay, size_t nodes) {
    std::string after;
    for (size_t i = 0; i < nodes; ++i) {
      after += (i == 0 ? "\"n" : ",\"n") + std::to_string(i) + "\":\"1-1\"";
    }
    return R"({"channels":["c)" + std::to_string(replay) +
           R"("],"replay":{"since":"1-1","after":{)" + after + "}}}";
  };
  connect();
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(finally("event.subscribe", params(i, 1024)), "{}");
  EXPECT_TRUE(call("event.subscribe", params(2, 1))
                  .starts_with("queue_full: a client's replays may name at most 2048 nodes"));
  EXPECT_EQ(finally("event.subscribe", params(2, 0)), "{}");
  EXPECT_EQ(call("event.unsubscribe", R"({"channels":["c0"]})"), "{}");
  EXPECT_EQ(finally("event.subscribe", params(3, 1024)), "{}");
}

}  // namespace
}  // namespace nb::cell
