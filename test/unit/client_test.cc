// Unit tests of client/: the C API against a scripted agent. The pure parts have a file of their
// own, client_parts_test.cc; an agent that is away, client_away_test.cc; calls that wait and
// several threads, client_calls_test.cc.
#include "nodebeat/client.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/count_mallocs.h"
#include "support/count_system_calls.h"
#include "unit/client_fixture.h"

namespace nb::client {
namespace {

// --- what a push says ---------------------------------------------------------------------------

TEST_F(ClientTest, EachPushIsOneLine) {
  open_greeted();
  const double joints[] = {0.1, -0.0, 1, 1e-7, 1e300, 5e-324, 2};
  nb_robot_state state{};
  state.size = sizeof state;
  state.has = (NB_ROBOT_TIMESTAMP << 1) - 1;
  state.is_connected_l = 1;
  state.joints_l = joints;
  state.joints_l_count = 7;
  state.joints_r = joints;
  state.joints_r_count = 1;
  state.velocities_l = nullptr;
  state.velocities_r = joints + 1;
  state.velocities_r_count = 2;
  state.current_pose = "a\"b\\c\n\xc3\xbc";
  state.goal_time_slow = 2.5;
  state.goal_time_fast = 0;
  state.timestamp_us = 1795183387123456;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_OK);

  nb_stroke stroke{};
  stroke.size = sizeof stroke;
  stroke.has = (NB_STROKE_TIMESTAMP << 1) - 1;
  stroke.stroke_idx = 1;
  stroke.pose_idx = -2;
  stroke.total_strokes = 3;
  stroke.stroke_length = 4;
  stroke.offset_idx_l = 5;
  stroke.offset_idx_r = INT64_MIN;
  stroke.description_l = "left";
  stroke.description_r = "";
  stroke.scene_name = "kitchen";
  stroke.dataset_name = nullptr;
  stroke.is_executing = 1;
  stroke.timestamp_us = 0;
  EXPECT_EQ(nb_stroke_start(client_, &stroke), NB_OK);
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_OK);
  EXPECT_EQ(nb_stroke_end(client_), NB_OK);
  EXPECT_EQ(nb_report_error(client_, "arm", "lost \"it\"", "{\n\"a\": 1\r\n}"), NB_OK);
  EXPECT_EQ(nb_report_error(client_, "arm", "lost", nullptr), NB_OK);
  EXPECT_EQ(nb_publish(client_, "scene", " {\"b\":[]}"), NB_OK);
  EXPECT_EQ(nb_notify(client_, "agent.note", nullptr), NB_OK);

  const std::string members =
      R"("timestamp":"1970-01-01T00:00:00.000000","stroke_idx":1,"pose_idx":-2,"total_strokes":3,)"
      R"("stroke_length":4,"offset_idx_l":5,"offset_idx_r":-9223372036854775808,)"
      R"("is_executing":true,"is_paused":false,"stroke_description_l":"left",)"
      R"("stroke_description_r":"","scene_name":"kitchen","dataset_name":null)";
  const Lines expected = {
      robot(R"("timestamp":"2026-11-20T14:03:07.123456","is_connected_l":true,)"
            R"("is_connected_r":false,"joints_l":[0.1,-0.0,1.0,1e-07,1e+300,5e-324,2.0],)"
            R"("joints_r":[0.1],"velocities_l":[],"velocities_r":[-0.0,1.0],)"
            R"("current_pose":"a\"b\\c\u000a)"
            "\xc3\xbc"
            R"(","goal_time_slow":2.5,"goal_time_fast":0.0)"),
      R"({"jsonrpc":"2.0","method":"stroke.start","params":{)" + members + "}}",
      progress(members),
      kEnd,
      R"({"jsonrpc":"2.0","method":"error.report","params":{"category":"arm","message":)"
      R"("lost \"it\"","details":{ "a": 1  }}})",
      R"({"jsonrpc":"2.0","method":"error.report","params":{"category":"arm","message":"lost"}})",
      R"({"jsonrpc":"2.0","method":"event.publish","params":{"channel":"scene","event": {"b":[]}}})",
      R"({"jsonrpc":"2.0","method":"agent.note"})"};
  EXPECT_EQ(agent_->lines(), expected);
  EXPECT_EQ(stats().pushed, 8u);
  EXPECT_EQ(stats().sent, 8u);
  EXPECT_EQ(stats().kept, 0u);
  EXPECT_EQ(stats().waiting_bytes, 0u);
}

// The agent refuses a list with a hole in it, and the rest of the update with it.
TEST_F(ClientTest, NumbersThatAreNoneAreNotKnown) {
  open_greeted();
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(push_joints({0.5, nan, 1}), NB_OK);
  EXPECT_EQ(push_joints({-infinity}), NB_OK);
  EXPECT_EQ(push_joints({0.5}), NB_OK);
  nb_robot_state state{};
  state.size = sizeof state;
  state.has = NB_ROBOT_GOAL_TIME_SLOW;
  state.goal_time_slow = nan;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  state.has = NB_ROBOT_GOAL_TIME_FAST;
  state.goal_time_fast = infinity;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  const Lines expected = {robot(R"("joints_l":null)"), robot(R"("joints_l":null)"),
                          robot(R"("joints_l":[0.5])")};
  EXPECT_EQ(agent_->lines(), expected);
}

TEST_F(ClientTest, WrongArgumentsAreNotTaken) {
  open_greeted();
  nb_robot_state state{};
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_push_robot_state(client_, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_push_robot_state(nullptr, &state), NB_ERR_ARGUMENT);
  state.size = sizeof state;
  state.has = NB_ROBOT_TIMESTAMP << 1;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  state.has = NB_ROBOT_JOINTS_R;
  state.joints_r_count = 1;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  state.joints_r_count = 65;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_TOO_LARGE);
  state.has = NB_ROBOT_TIMESTAMP;
  state.timestamp_us = -1;
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  state.timestamp_us = 253402300800000000;  // the year 10000
  EXPECT_EQ(nb_push_robot_state(client_, &state), NB_ERR_ARGUMENT);
  EXPECT_EQ(push_pose(nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(push_pose("\xff"), NB_ERR_ARGUMENT);
  EXPECT_EQ(push_pose(std::string(257, 'x').c_str()), NB_ERR_TOO_LARGE);

  nb_stroke stroke{};
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_ERR_ARGUMENT);
  stroke.size = sizeof stroke;
  EXPECT_EQ(nb_stroke_start(client_, &stroke), NB_ERR_ARGUMENT);  // total_strokes is missing
  stroke.has = NB_STROKE_TIMESTAMP << 1;
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_ERR_ARGUMENT);
  stroke.has = NB_STROKE_SCENE_NAME;
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_ERR_ARGUMENT);
  const std::string longer(4097, 'x');
  stroke.has = NB_STROKE_DESCRIPTION_L;
  stroke.description_l = longer.c_str();
  EXPECT_EQ(nb_stroke_update(client_, &stroke), NB_ERR_TOO_LARGE);
  EXPECT_EQ(nb_stroke_end(nullptr), NB_ERR_ARGUMENT);

  for (const char* json :
       {"", " ", "1", "[]", "{", "{\"a\":1}}", "{\"a\":01}", "{\"a\":1e999}", "{\"a\":-2e308}",
        "{\"a\":[{\"b\":1,\"c\":2,\"b\":3}]}", "{\"a\":1,\"\\u0061\":2}", "{\"a\":\"\\u0000\"}",
        "{\"a\":\"\\ud800\"}", "{\"a\":\"\x80\"}", "{\"a\":\"\n\"}"}) {
    EXPECT_EQ(nb_publish(client_, "c", json), NB_ERR_ARGUMENT) << json;
    EXPECT_EQ(nb_notify(client_, "m", json), NB_ERR_ARGUMENT) << json;
    EXPECT_EQ(nb_report_error(client_, "c", "m", json), NB_ERR_ARGUMENT) << json;
    EXPECT_EQ(nb_call(client_, "m", json, nullptr, 0, 0), NB_ERR_ARGUMENT) << json;
  }
  EXPECT_EQ(nb_publish(client_, "c", nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_publish(client_, nullptr, "{}"), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_publish(client_, "\xc0\x80", "{}"), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_report_error(client_, "c", nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_notify(client_, nullptr, nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_publish(client_, "c", "{\"a\":[1.7976931348623157e308,0e999]}"), NB_OK);
  EXPECT_EQ(nb_publish(client_, "c", "{\"a\":{\"b\":1},\"b\":[{\"b\":1},{\"b\":2}]}"), NB_OK);
  EXPECT_EQ(agent_->lines().size(), 2u);
  EXPECT_EQ(stats().pushed, 2u);

  // With what is around it, as deep as the agent allows: 64.
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_EQ(nb_publish(client_, "c", nested(62).c_str()), NB_OK);
  EXPECT_EQ(nb_publish(client_, "c", nested(63).c_str()), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_notify(client_, "c", nested(63).c_str()), NB_OK);
  EXPECT_EQ(nb_notify(client_, "c", nested(64).c_str()), NB_ERR_ARGUMENT);
}

TEST_F(ClientTest, OptionsAreChecked) {
  char error[256];
  const auto refused = [&](const nb_client_options& options, const char* word) {
    error[0] = '\0';
    nb_client* client = nullptr;
    EXPECT_EQ(nb_client_open(&options, &client, error, sizeof error), NB_ERR_ARGUMENT) << word;
    EXPECT_EQ(client, nullptr);
    EXPECT_NE(std::string(error).find(word), std::string::npos) << error;
  };
  const auto with = [&](auto change) {
    nb_client_options options{};
    options.size = sizeof options;
    change(options);
    return options;
  };
  refused(with([](auto& o) { o.size = 4; }), "size");
  refused(with([](auto& o) { o.flags = 1; }), "flag");
  refused(with([](auto& o) { o.event_ring_bytes = 1023; }), "event_ring_bytes");
  refused(with([](auto& o) { o.slot_bytes = 65537; }), "slot_bytes");
  refused(with([](auto& o) { o.socket_path = ""; }), "socket_path");
  refused(with([](auto& o) { o.name = ""; }), "name");
  refused(with([](auto& o) { o.name = "\xff"; }), "name");
  refused(with([](auto& o) { o.will = "{}"; }), "will");
  refused(with([](auto& o) { o.will = "[1"; }), "will");
  const std::string path(108, 'p');
  refused(with([&](auto& o) { o.socket_path = path.c_str(); }), "107");
  const std::string name(65, 'n');
  refused(with([&](auto& o) { o.name = name.c_str(); }), "64");
  EXPECT_EQ(nb_client_open(nullptr, nullptr, nullptr, 0), NB_ERR_ARGUMENT);
  nb_client_close(nullptr);

  const std::string longest(107, 'p');  // all of sun_path but the NUL
  const nb_client_options good = with([&](auto& o) { o.socket_path = longest.c_str(); });
  EXPECT_EQ(nb_client_open(&good, &client_, nullptr, 0), NB_OK);
  EXPECT_NE(last_error().find(longest), std::string::npos);
}

TEST_F(ClientTest, HelloCarriesTheWillAndGoodbyeEndsIt) {
  options_.will = NB_WILL_ROBOT;
  start_agent();
  open();
  ASSERT_TRUE(agent_->accept());
  EXPECT_EQ(
      agent_->lines(),
      (Lines{kHello, R"({"jsonrpc":"2.0","method":"client.hello","params":{"will":)" NB_WILL_ROBOT
                     R"(},"id":-2})"}));
  nb_client_close(client_);
  client_ = nullptr;
  EXPECT_EQ(agent_->lines(), Lines{R"({"jsonrpc":"2.0","method":"client.goodbye"})"});
  char byte = 0;
  EXPECT_EQ(::recv(agent_->fd(), &byte, 1, 0), 0);
}

// --- the agent does not read --------------------------------------------------------------------

TEST_F(ClientTest, AReaderThatNeverReadsStopsNobody) {
  open_greeted();
  int notes = 0;
  int result = NB_OK;
  while (result == NB_OK) result = push_note(notes++);
  EXPECT_EQ(result, NB_KEPT);
  EXPECT_NE(nb_client_get_events(client_) & POLLOUT, 0);
  EXPECT_EQ(nb_client_dispatch(client_), NB_KEPT);
  EXPECT_EQ(nb_client_flush(client_, 1), NB_ERR_TIMEOUT);
  EXPECT_EQ(push_start(3), NB_KEPT);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(push_joints({i + 0.5}), NB_KEPT);
    EXPECT_EQ(push_progress(i), NB_KEPT);
  }
  EXPECT_EQ(nb_stroke_end(client_), NB_KEPT);
  while ((result = push_note(notes)) == NB_KEPT) ++notes;
  EXPECT_EQ(result, NB_ERR_FULL);
  EXPECT_EQ(push_joints({0.25}), NB_KEPT);

  // It begins to read, a little at a time: everything that was taken comes, whole and in order.
  Lines lines;
  for (int i = 0; i < 10000 && nb_client_dispatch(client_) == NB_KEPT; ++i) {
    agent_->read_some(777);
    for (const std::string& line : agent_->lines()) lines.push_back(line);
  }
  for (const std::string& line : agent_->lines()) lines.push_back(line);
  EXPECT_EQ(agent_->half_line(), "");
  int expected = 0;
  Lines others;
  for (const std::string& line : lines) {
    if (line == note(expected)) {
      ++expected;
    } else {
      others.push_back(line);
    }
  }
  EXPECT_EQ(expected, notes);
  ASSERT_GE(others.size(), 4u);
  EXPECT_EQ(others[0], R"({"jsonrpc":"2.0","method":"stroke.start","params":{"total_strokes":3}})");
  EXPECT_EQ(others[1], robot(R"("joints_l":[0.25])"));
  EXPECT_EQ(others[2], progress(R"("pose_idx":99)"));
  EXPECT_EQ(others[3], kEnd);
  EXPECT_EQ(push_note(0), NB_OK);
}

// The agent stops reading while its answers are not read (PROTOCOL.md, 1.7): a client that only
// pushes has to read too, or both would wait for ever.
TEST_F(ClientTest, PushesReadWhatTheAgentRefused) {
  open_greeted();
  const std::string refusal =
      R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"robot.update",)"
      R"("error":{"code":-32602,"message":"joints_l[3] must be \"finite\""}}})"
      "\n";
  unsigned refused = 0;
  while (agent_->send(refusal)) ++refused;
  agent_->close();  // what was cut in the middle is no line
  reconnect();
  for (refused = 0; refused < 200; ++refused) ASSERT_TRUE(agent_->send(refusal));
  while (push_note(1) != NB_ERR_FULL) {
  }
  for (int i = 0; i < 100; ++i) push_joints({1});
  EXPECT_EQ(last_error(-32602), "robot.update: joints_l[3] must be \"finite\"");
  EXPECT_GE(stats().rejected, refused);
  char nothing = 0;
  EXPECT_EQ(nb_client_last_error(client_, nullptr, 0), -32602);
  EXPECT_EQ(nb_client_last_error(client_, &nothing, 1), -32602);
}

TEST_F(ClientTest, LookingReadsWhatTheAgentRefused) {
  open_greeted();
  ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32006,"message":"full"}})"
                           "\n"));
  EXPECT_EQ(stats().rejected, 1u);
  EXPECT_EQ(last_error(-32006), "full");
}

// What comes before them and is nobody's does not hide them from a client that only pushes.
TEST_F(ClientTest, RefusalsAreReadBehindALateAnswerAndOfAPublish) {
  open_greeted();
  const std::string refusal =
      R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"event.publish",)"
      R"("error":{"code":-32003,"message":"refused"}}})"
      "\n";
  ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":1,"result":")" + std::string(6000, 'y') +
                           "\"}\n" + refusal));
  for (int i = 0; i < 100 && stats().rejected == 0; ++i) {
  }
  EXPECT_EQ(last_error(-32003), "event.publish: refused");
  // A message of a subscription stays until the caller dispatches.
  ASSERT_TRUE(
      agent_->send(R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":1}})"
                   "\n"));
  EXPECT_EQ(stats().events, 0u);
  EXPECT_EQ(nb_client_get_timeout(client_), 0);
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  EXPECT_EQ(events_.size(), 1u);
}

TEST_F(ClientTest, LastWordsOfTheAgentAreHeard) {
  open_greeted();
  ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32006,"message":"full"}})"
                           "\n"));
  agent_->stop();
  for (int i = 0; i < 2; ++i) push_joints({1});
  EXPECT_EQ(last_error(-32006), "full");
}

// --- rubbish ------------------------------------------------------------------------------------

TEST_F(ClientTest, WhatCannotBeReadIsSkippedAndTheConnectionLives) {
  open_greeted();
  const std::string event =
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":1}})"
      "\n";
  size_t heard = 0;
  for (const std::string& rubbish :
       {std::string("hello\n"), std::string("{}\n{\n"), std::string("\"\xff\"\n"),
        std::string("\0\n", 2),
        std::string(R"({"a":"\u0000"})"
                    "\n"),
        std::string(65, '[') + std::string(65, ']') + "\n", std::string(70000, 'x') + "\n",
        std::string(140000, '[') + "\n"}) {
    push_note(1);
    ASSERT_TRUE(agent_->send(rubbish + event));
    EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
    EXPECT_EQ(events_.size(), ++heard) << rubbish.substr(0, 20);
    EXPECT_EQ(last_error().find("what answers at"), 0u) << last_error();
  }
  // Nor does a client that only pushes end it.
  const std::string refusal =
      R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no call"}})"
      "\n";
  ASSERT_TRUE(agent_->send("hello\n" + std::string(70000, 'x') + "\n" + refusal));
  for (int i = 0; i < 100 && stats().rejected == 0; ++i) {
  }
  EXPECT_EQ(last_error(-32600), "no call");
  EXPECT_EQ(stats().disconnects, 0u);
}

TEST_F(ClientTest, WhatItDoesNotKnowIsIgnored) {
  open_greeted();
  ASSERT_TRUE(
      agent_->send("\n \r\n{}\n[]\n5\n{\"method\":\"event\"}\n{\"method\":7,\"id\":{}}\n"
                   "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":1}\n"
                   "{\"jsonrpc\":\"2.0\",\"method\":\"later\",\"params\":{}}\n"));
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  EXPECT_TRUE(events_.empty());
  EXPECT_EQ(stats().rejected, 0u);
}

TEST_F(ClientTest, AnAgentThatGoesAtEveryByte) {
  open_greeted();
  const std::string event =
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c\u00e9\n","event":{"a":"\""}}})"
      "\n";
  for (size_t size = 0; size <= event.size(); ++size) {
    events_.clear();
    ASSERT_TRUE(agent_->send(event.substr(0, size)));
    agent_->close();
    nb_client_dispatch(client_);
    EXPECT_EQ(events_.size(), size == event.size() ? 1u : 0u) << size;
    reconnect();
  }
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  events_.clear();
  // And in pieces of every size.
  for (size_t size = 1; size < event.size(); ++size) {
    ASSERT_TRUE(agent_->send(event.substr(0, size)));
    EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
    ASSERT_TRUE(agent_->send(event.substr(size)));
    EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
    ASSERT_EQ(events_.size(), size);
    EXPECT_EQ(events_.back().channel, "c\xc3\xa9\n");
    EXPECT_EQ(events_.back().json, R"({"a":"\""})");
  }
}

TEST_F(ClientTest, EventsOfEveryKind) {
  open_greeted();
  ASSERT_TRUE(agent_->send(
      R"({"jsonrpc":"2.0","method":"event","params":{"event":{"b":1},"channel":"x","remote":true}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"y","pattern":"*","text":"a\n"}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"event.gap","params":{"from":"1","to":"2"}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"z","omitted_bytes":70000}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"state.change","params":{"key":"k","value":[1]}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"state.stale","params":{}})"
      "\n"
      R"({"jsonrpc":"2.0","method":"state.change","params":[]})"
      "\n"));
  EXPECT_EQ(nb_client_dispatch(client_), NB_OK);
  ASSERT_EQ(events_.size(), 6u);
  EXPECT_EQ(events_[0].channel, "x");
  EXPECT_EQ(events_[0].json, "{\"b\":1}");
  EXPECT_EQ(events_[0].flags, NB_EVENT_REMOTE);
  EXPECT_EQ(events_[1].json, R"("a\n")");
  EXPECT_EQ(events_[1].flags, NB_EVENT_TEXT);
  EXPECT_EQ(events_[2].channel, "");
  EXPECT_EQ(events_[2].json, R"({"from":"1","to":"2"})");
  EXPECT_EQ(events_[2].flags, NB_EVENT_GAP);
  EXPECT_EQ(events_[3].channel, "z");
  EXPECT_EQ(events_[3].json, "70000");
  EXPECT_EQ(events_[3].flags, NB_EVENT_OMITTED);
  EXPECT_EQ(events_[4].channel, "state.change");
  EXPECT_EQ(events_[4].json, R"({"key":"k","value":[1]})");
  EXPECT_EQ(events_[4].flags, NB_EVENT_STATE);
  EXPECT_EQ(events_[5].channel, "state.stale");
  EXPECT_EQ(events_[5].json, "{}");
  EXPECT_EQ(stats().events, 6u);
}

// --- nothing is allocated -----------------------------------------------------------------------

TEST_F(ClientTest, NothingIsAllocatedAfterOpen) {
  if (!test::kCountsMallocs) GTEST_SKIP() << "a sanitizer has the heap";
  open_greeted();
  const std::vector<double> joints(7, 1.25);
  nb_robot_state state{};
  state.size = sizeof state;
  state.has = NB_ROBOT_JOINTS_L | NB_ROBOT_CURRENT_POSE;
  state.joints_l = joints.data();
  state.joints_l_count = 7;
  state.current_pose = "ready";
  nb_stroke stroke{};
  stroke.size = sizeof stroke;
  stroke.has = NB_STROKE_TOTAL_STROKES;
  char text[256];
  nb_client_stats counters{};
  counters.size = sizeof counters;
  const auto everything = [&] {
    for (int i = 0; i < 300; ++i) {
      nb_push_robot_state(client_, &state);
      nb_stroke_start(client_, &stroke);
      nb_stroke_update(client_, &stroke);
      nb_stroke_end(client_);
      nb_report_error(client_, "c", "m", "{}");
      nb_publish(client_, "c", "{\"a\":[1,{\"b\":2}]}");
    }
    nb_client_dispatch(client_);
    nb_client_wait(client_, 0);
    nb_client_get_stats(client_, &counters);
    nb_client_last_error(client_, text, sizeof text);
  };
  const long before = test::mallocs;
  everything();  // it goes
  everything();  // it does not: the buffer is full
  const long while_up = test::mallocs - before;
  agent_->stop();
  const long between = test::mallocs;
  everything();
  EXPECT_EQ(while_up, 0);
  EXPECT_EQ(test::mallocs - between, 0);
  EXPECT_GT(counters.refused_full, 0u);
  EXPECT_EQ(counters.disconnects, 1u);
  std::string counted(4096, 'x');  // the counter counts
  EXPECT_GT(test::mallocs, between + (counted.empty() ? 1 : 0));
}

TEST_F(ClientTest, APushMakesOneSystemCallAtMost) {
  if (!test::kCountsSystemCalls) GTEST_SKIP() << "a sanitizer stands there";
  open_greeted();
  long most = 0;
  long all = 0;
  const auto push = [&](auto&& one) {
    const long before = test::system_calls;
    const int result = one();
    most = std::max(most, test::system_calls - before);
    all += test::system_calls - before;
    return result;
  };
  const auto push_all = [&](int times) {
    for (int i = 0; i < times; ++i) {
      push([&] { return push_joints({1, 2}); });
      push([&] { return push_progress(i); });
      push([&] { return push_start(i); });
      push([&] { return nb_stroke_end(client_); });
      push([&] { return push_note(i); });
    }
  };
  push_all(10);
  EXPECT_EQ(all, 50);
  agent_->lines();
  push([&] { return push_text(8000); });  // waits for the limit
  push_all(1);
  say_limit(65536);
  push_all(2);
  EXPECT_EQ(stats().waiting_bytes, 0u);
  while (push([&] { return push_note(1); }) != NB_ERR_FULL) {
  }
  push_all(100);
  for (int round = 0; round < 5; ++round) {
    agent_->close();
    for (int i = 0; i < 1000 && !agent_->accept(); ++i) {
      push_all(1);
      ::poll(nullptr, 0, 1);
    }
    ASSERT_TRUE(agent_->connected()) << round;
    push_all(1);
    agent_->lines();
  }
  agent_->stop();
  push_all(100);
  EXPECT_EQ(most, 1);
  EXPECT_EQ(stats().disconnects, 6u);
}

}  // namespace
}  // namespace nb::client
