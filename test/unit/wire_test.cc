// Unit tests of wire/: the forms that other programs parse, to the letter: every member with its
// name, in its order.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "json/view.h"
#include "wire/keys.h"
#include "wire/node_events.h"
#include "wire/node_health.h"
#include "wire/program_events.h"
#include "wire/record.h"

namespace nb::wire {
namespace {

const WallTime kWall{std::chrono::microseconds(1'795'183'387'123'456)};

std::string json_of(const NodeHealth& health) {
  std::string out;
  append_json(health, out);
  return out;
}

// What stands behind the members of the schema, which are the same in all of these.
std::string own_members(const NodeHealth& health) {
  const std::string text = json_of(health);
  const size_t last = text.find("\"last_heartbeat\"");
  return text.substr(text.find(',', last));
}

NodeHealth plain() {
  NodeHealth health;
  health.timestamp = health.last_heartbeat = kWall;
  health.node_id = "hog";
  return health;
}

TEST(NodeHealthForm, HasTheSchemasMembersWithTheirValues) {
  NodeHealth health = plain();
  health.cpu_percent = 12.3456;
  health.memory_percent = -1;
  health.disk_percent = 100.01;
  health.gpu_available = true;
  health.gpu_percent = 101;
  health.gpu_memory_percent = 0.0;
  health.is_reachable = false;
  health.ping_latency_ms = 0.1234;
  health.mcp_server_running = true;
  health.mcp_port = 8765;
  EXPECT_EQ(json_of(health),
            R"({"timestamp":"2026-11-20T14:03:07.123456","node_id":"hog","cpu_percent":12.35,)"
            R"("memory_percent":0,"disk_percent":100,"gpu_available":true,"gpu_percent":100,)"
            R"("gpu_memory_percent":0,"is_reachable":false,"ping_latency_ms":0.123,)"
            R"("mcp_server_running":true,"mcp_port":8765,)"
            R"("last_heartbeat":"2026-11-20T14:03:07.123456","seq":0})");
}

TEST(NodeHealthForm, APercentageIsNeverNull) {
  NodeHealth health = plain();
  health.disk_percent = std::nan("");
  EXPECT_NE(json_of(health).find(R"("disk_percent":0,)"), std::string::npos);
}

TEST(NodeHealthForm, HasOurOwnMembersBehindThem) {
  NodeHealth health = plain();
  health.reason = "stopped";
  health.last_run = LastRun{"hog-0", kWall, kWall + std::chrono::seconds(1), "signal KILL"};
  health.load_1 = 0.125;
  health.load_5 = 2;
  health.load_15 = 3.5;
  health.uptime_s = 98765;
  health.memory_total_bytes = 8'000'000'000;
  health.memory_available_bytes = 4'000'000'000;
  health.disks = {{"/mnt/\"odd\"", 40, ""}, {"/data", {}, "not mounted"}};
  health.gpu_name = "Orin";
  health.temperature_c = 61.26;
  health.temperatures = {{"cpu", 61.26, {}}, {"nvme", 40, 10}};
  health.network = {{"eth0", 1000.4, 2000.6}};
  health.probes = {{"mcp", "mcp", true, 1.5, "2.0.0", 8000},
                   {"cam", "tcp", false, {}, "", {}},
                   {"new", "unix", {}, {}, "", {}}};
  health.agent_version = "1.2.3";
  health.boot_id = "boot";
  health.instance_id = "hog-1";
  health.seq = 7;
  health.loop_lag_ms = 0.2504;
  EXPECT_EQ(own_members(health),
            R"(,"reason":"stopped","last_run":{"clean":false,"instance_id":"hog-0",)"
            R"("started":"2026-11-20T14:03:07.123456","last_beat":"2026-11-20T14:03:08.123456",)"
            R"("how":"signal KILL"},"load_1":0.13,"load_5":2,"load_15":3.5,"uptime_s":98765,)"
            R"("memory_total_bytes":8000000000,"memory_available_bytes":4000000000,)"
            R"("disks":[{"path":"/mnt/\"odd\"","percent":40},)"
            R"({"path":"/data","percent":null,"problem":"not mounted"}],"gpu_name":"Orin",)"
            R"("temperature_c":61.3,"temperatures":[{"name":"cpu","celsius":61.3},)"
            R"({"name":"nvme","celsius":40,"age_s":10}],)"
            R"("network":[{"interface":"eth0","rx_bytes_per_s":1000,"tx_bytes_per_s":2001}],)"
            R"("probes":[{"name":"mcp","type":"mcp","up":true,"latency_ms":1.5,"port":8000,)"
            R"("detail":"2.0.0"},{"name":"cam","type":"tcp","up":false},)"
            R"({"name":"new","type":"unix","up":null}],"agent_version":"1.2.3","boot_id":"boot",)"
            R"("instance_id":"hog-1","seq":7,"loop_lag_ms":0.25})");
}

TEST(NodeHealthForm, TellsPressureWhereThereIsAny) {
  NodeHealth health = plain();
  health.pressure.memory_full = 1.0;
  EXPECT_EQ(own_members(health), R"(,"seq":0})") << "a kernel that tells tells all of them";
  health.pressure = {1.25, 2.25, 3.25, 4.25, 5.25};
  EXPECT_EQ(own_members(health), R"(,"pressure":{"cpu_some":1.25,"memory_some":2.25,)"
                                 R"("memory_full":3.25,"io_some":4.25,"io_full":5.25},"seq":0})");
  for (auto Pressure::*only : {&Pressure::cpu_some, &Pressure::memory_some, &Pressure::io_some}) {
    health.pressure = {};
    health.pressure.*only = 0.5;
    EXPECT_NE(own_members(health).find(":0.5}"), std::string::npos);
  }
}

TEST(NodeHealthForm, NamesEachReasonToThrottle) {
  const auto throttled = [](bool Throttling::*flag) {
    NodeHealth health = plain();
    health.throttling = Throttling{};
    (*health.throttling).*flag = true;
    health.throttling->bits = 5;
    return own_members(health);
  };
  const auto form = [](const std::string& now, const std::string& since_boot) {
    return R"(,"throttled":{"now":[)" + now + R"(],"since_boot":[)" + since_boot +
           R"(],"bits":5},"seq":0})";
  };
  EXPECT_EQ(throttled(&Throttling::under_voltage), form(R"("under-voltage")", ""));
  EXPECT_EQ(throttled(&Throttling::frequency_capped), form(R"("frequency-capped")", ""));
  EXPECT_EQ(throttled(&Throttling::throttled), form(R"("throttled")", ""));
  EXPECT_EQ(throttled(&Throttling::soft_temperature_limit),
            form(R"("soft-temperature-limit")", ""));
  EXPECT_EQ(throttled(&Throttling::under_voltage_occurred), form("", R"("under-voltage")"));
  EXPECT_EQ(throttled(&Throttling::frequency_capped_occurred), form("", R"("frequency-capped")"));
  EXPECT_EQ(throttled(&Throttling::throttled_occurred), form("", R"("throttled")"));
  EXPECT_EQ(throttled(&Throttling::soft_temperature_limit_occurred),
            form("", R"("soft-temperature-limit")"));
}

TEST(NodeHealthForm, TheOffsetToRedisClockHasOneDigit) {
  NodeHealth health = plain();
  health.clock_offset_ms = -12.36;
  EXPECT_TRUE(own_members(health).ends_with(",\"clock_offset_ms\":-12.4}")) << own_members(health);
}

TEST(NodeHealthForm, OfALastRunTellsWhatIsKnown) {
  std::string out;
  append_json(LastRun{}, out);
  EXPECT_EQ(out, R"({"clean":false})");
}

TEST(NodeEventsForm, EachHasItsMembers) {
  const EventSource source{"hog", "hog-1", kWall};
  const std::string head = R"(","node_id":"hog","timestamp":"2026-11-20T14:03:07.123456",)"
                           R"("instance_id":"hog-1",)";
  EXPECT_EQ(node_up_event(source, "1.2.3", "boot", {"panic", "dmesg-1"}, LastRun{}),
            R"({"type":"node_up)" + head +
                R"("agent_version":"1.2.3","boot_id":"boot","boot_reason":"panic",)"
                R"("boot_detail":"dmesg-1","last_run":{"clean":false}})");
  EXPECT_EQ(node_up_event(source, "1.2.3", "boot", {}),
            R"({"type":"node_up)" + head +
                R"("agent_version":"1.2.3","boot_id":"boot","boot_reason":"unknown"})");
  EXPECT_EQ(client_lost_event(source, {"robot", 7}, {"signal", "SEGV", {}, true, true}),
            R"({"type":"client_lost)" + head +
                R"("client_name":"robot","pid":7,"cause":"signal","signal":"SEGV",)"
                R"("core_dump":true,"had_will":true})");
  EXPECT_EQ(client_lost_event(source, {{}, 7}, {"exit", {}, 3}),
            R"({"type":"client_lost)" + head +
                R"("pid":7,"cause":"exit","exit_code":3,"had_will":false})");
  EXPECT_EQ(node_down_event(source, "stopped"),
            R"({"type":"node_down)" + head + R"("reason":"stopped"})");
  EXPECT_EQ(node_conflict_event(source, "hog-9"),
            R"({"type":"node_conflict)" + head + R"("other_instance_id":"hog-9"})");
  EXPECT_EQ(events_lost_event(source, 3, kWall, kWall + std::chrono::seconds(2)),
            R"({"type":"events_lost)" + head +
                R"("count":3,"from":"2026-11-20T14:03:07.123456",)"
                R"("to":"2026-11-20T14:03:09.123456"})");
  EXPECT_EQ(watch_event(source, {.type = "node_suspect", .last_change_ms = 0, .watcher = "ook"}),
            R"({"type":"node_suspect)" + head + R"("last_change_ms":0,"watcher":"ook"})");
  EXPECT_EQ(watch_event(source, {.type = "node_lost",
                                 .boot_id = "boot",
                                 .cause = "lease not renewed",
                                 .last_change_ms = 3001,
                                 .watcher = "ook"}),
            R"({"type":"node_lost)" + head + R"("boot_id":"boot","cause":"lease not renewed",)" +
                R"("last_change_ms":3001,"watcher":"ook"})");
  EXPECT_EQ(watch_event(source, {.type = "node_returned", .how = "rebooted", .watcher = "ook"}),
            R"({"type":"node_returned)" + head + R"("how":"rebooted","watcher":"ook"})");
  EXPECT_EQ(watch_event(source, {.type = "watcher_uncertain", .silent = 3, .nodes = 4}),
            R"({"type":"watcher_uncertain)" + head + R"("silent":3,"nodes":4})");
  std::string bare = R"({"type":"watcher_sure)" + head;
  bare.back() = '}';
  EXPECT_EQ(watch_event(source, {.type = "watcher_sure"}), bare);
  EXPECT_EQ(redis_gone_event(source, "silent"),
            R"({"type":"redis_gone)" + head + R"("reason":"silent"})");
  EXPECT_EQ(deadline_event(source, "deadline_missed", {"robot", 7},
                           {std::chrono::milliseconds(100), std::chrono::microseconds(250'900), 3}),
            R"({"type":"deadline_missed)" + head +
                R"("client_name":"robot","pid":7,"deadline_ms":100,"gap_ms":250,"missed":3})");
  EXPECT_EQ(deadline_event(source, "deadline_ended", {{}, 7}, {{}, {}, 0, "closed"}),
            R"({"type":"deadline_ended)" + head +
                R"("pid":7,"deadline_ms":0,"gap_ms":0,"missed":0,"reason":"closed"})");
  ProbeReport probe;
  probe.name = "cam";
  probe.type = "tcp";
  EXPECT_EQ(probe_changed_event(source, probe),
            R"({"type":"probe_changed)" + head +
                R"("probe":"cam","probe_type":"tcp","up":false,"detail":""})");
  probe.up = true;
  EXPECT_NE(probe_changed_event(source, probe).find(R"("up":true)"), std::string::npos);
}

// --- the events of programs ---

const ProgramSource kSource{"hog", "hog-1", "2026-11-20T14:03:07.123456"};

TEST(ProgramEventsForm, ARobotsChangeOfState) {
  Record robot(kRobotStateFields);
  robot.set(kRobotConnectedL, "true");
  robot.set(kRobotPose, R"("ready")");
  std::string event = "what was there before";
  write_state_update(kSource, robot, event);
  EXPECT_EQ(event,
            R"({"type":"state_update","node_id":"hog","timestamp":"2026-11-20T14:03:07.123456",)"
            R"("is_connected_l":true,"is_connected_r":false,"current_pose":"ready",)"
            R"("instance_id":"hog-1"})");
}

TEST(ProgramEventsForm, AStrokeSessionsStartProgressAndEnd) {
  Record progress(kStrokeProgressFields);
  progress.set(kStrokeIdx, "1");
  progress.set(kStrokePoseIdx, "2");
  progress.set(kStrokeTotal, "3");
  progress.set(kStrokeLength, "4");
  progress.set(kStrokeDescriptionL, R"("l")");
  progress.set(kStrokeDescriptionR, R"("r")");
  progress.set(kStrokeScene, R"("portrait")");
  const std::string behind_type =
      R"(,"node_id":"hog","timestamp":"2026-11-20T14:03:07.123456","session_id":"stroke_hog_1")";
  std::string event = "what was there before";
  write_session_start(kSource, "stroke_hog_1", progress, event);
  EXPECT_EQ(event, R"({"type":"session_start")" + behind_type +
                       R"(,"total_strokes":3,"scene_name":"portrait","instance_id":"hog-1"})");
  write_progress_update(kSource, "stroke_hog_1", progress, event);
  EXPECT_EQ(event, R"({"type":"progress_update")" + behind_type +
                       R"(,"stroke_idx":1,"pose_idx":2,"total_strokes":3,"stroke_length":4,)"
                       R"("description_l":"l","description_r":"r","instance_id":"hog-1"})");
  write_session_end(kSource, "stroke_hog_1", event);
  EXPECT_EQ(event, R"({"type":"session_end")" + behind_type + R"(,"instance_id":"hog-1"})");
}

TEST(ProgramEventsForm, AnErrorIsOpenForTheNamesOfItsClient) {
  const auto view = [](std::string_view text) { return json::View::of(text); };
  const std::string head =
      R"({"type":"error","node_id":"hog","timestamp":"2026-11-20T14:03:07.123456",)"
      R"("category":"robot","message":"no air","details":)";
  std::string event = "what was there before";
  begin_error(kSource, view(R"("robot")"), view(R"("no air")"), view(R"({ "bar" : 1.50 })"), event);
  EXPECT_EQ(event, head + R"({"bar":1.50},"instance_id":"hog-1")");
  begin_error(kSource, view(R"("robot")"), view(R"("no air")"), {}, event);
  EXPECT_EQ(event, head + R"({},"instance_id":"hog-1")");
}

TEST(NodeEventsForm, AClientThatIsNotKnownHasNoNumber) {
  const EventSource source{"hog", "hog-1", kWall};
  const std::string event = deadline_event(source, "deadline_missed", {}, {});
  EXPECT_NE(event.find(R"("pid":0,)"), event.npos) << event;
  EXPECT_EQ(event.find("client_name"), event.npos) << event;
}

TEST(RecordForm, ARobotsStateBeginsAsTheSchemaSays) {
  std::string out;
  Record(kRobotStateFields).append_json("T", "hog", out);
  EXPECT_EQ(out,
            R"({"timestamp":"T","node_id":"hog","is_connected_l":false,"is_connected_r":false,)"
            R"("joints_l":null,"joints_r":null,"velocities_l":null,"velocities_r":null,)"
            R"("current_pose":"unknown","goal_time_slow":2.0,"goal_time_fast":0.5})");
}

TEST(RecordForm, AStrokesProgressBeginsAsTheSchemaSays) {
  std::string out;
  Record(kStrokeProgressFields).append_json("T", "hog", out);
  EXPECT_EQ(out, R"({"timestamp":"T","node_id":"hog","stroke_idx":0,"pose_idx":0,)"
                 R"("total_strokes":0,"stroke_length":0,"offset_idx_l":0,"offset_idx_r":0,)"
                 R"("stroke_description_l":"","stroke_description_r":"","is_executing":false,)"
                 R"("is_paused":false,"scene_name":"default","dataset_name":null})");
}

// The enums count the tables' rows.
TEST(RecordForm, EachFieldIsTheRowOfItsName) {
  const auto robot = [](RobotField field) { return kRobotStateFields[field].param.name; };
  EXPECT_EQ(robot(kRobotConnectedL), "is_connected_l");
  EXPECT_EQ(robot(kRobotConnectedR), "is_connected_r");
  EXPECT_EQ(robot(kRobotJointsL), "joints_l");
  EXPECT_EQ(robot(kRobotVelocitiesR), "velocities_r");
  EXPECT_EQ(robot(kRobotPose), "current_pose");
  const auto stroke = [](StrokeField field) { return kStrokeProgressFields[field].param.name; };
  EXPECT_EQ(stroke(kStrokeIdx), "stroke_idx");
  EXPECT_EQ(stroke(kStrokePoseIdx), "pose_idx");
  EXPECT_EQ(stroke(kStrokeTotal), "total_strokes");
  EXPECT_EQ(stroke(kStrokeOffsetR), "offset_idx_r");
  EXPECT_EQ(stroke(kStrokeDescriptionR), "stroke_description_r");
  EXPECT_EQ(stroke(kStrokePaused), "is_paused");
  EXPECT_EQ(stroke(kStrokeScene), "scene_name");
}

TEST(RecordForm, TheBoundsOfItsFieldsAreThoseOfTheProtocol) {
  for (const RecordField& field : kRobotStateFields) {
    EXPECT_FALSE(field.param.required);
    const bool array =
        field.param.name.starts_with("joints") || field.param.name.starts_with("velocities");
    EXPECT_EQ(field.param.max, array                                ? 64
                               : field.param.name == "current_pose" ? 256
                                                                    : 0)
        << field.param.name;
    EXPECT_EQ(field.param.min, 0);
  }
  for (const RecordField& field : kStrokeProgressFields) {
    EXPECT_FALSE(field.param.required);
    const std::string_view name = field.param.name;
    const bool text = field.initial.starts_with('"') || name == "dataset_name";
    const bool flag = name.starts_with("is_");
    EXPECT_EQ(field.param.max, flag                                     ? 0
                               : !text                                  ? 9007199254740991
                               : name.starts_with("stroke_description") ? 4096
                                                                        : 256)
        << name;
    EXPECT_EQ(field.param.min, text || flag || name == "total_strokes" ? 0 : -9007199254740991)
        << name;
  }
}

TEST(Record, AnUpdateIsTakenBackToWhatWasBefore) {
  Record record(kStrokeProgressFields);
  record.set(kStrokeIdx, json::View::of("3"));
  record.set(kStrokeIdx, json::View::of("4"));
  record.take_back(kStrokeIdx);
  EXPECT_EQ(record.json(kStrokeIdx), "3");
  EXPECT_FALSE(record.adopt(json::View::of(R"({"stroke_idx":9})"))) << "it was set";
  EXPECT_EQ(record.json(kStrokeIdx), "3");
  record.set(kStrokePoseIdx, json::View::of("5"));
  record.take_back(kStrokePoseIdx);
  EXPECT_EQ(record.json(kStrokePoseIdx), "0");
  EXPECT_TRUE(record.adopt(json::View::of(R"({"pose_idx":9})"))) << "it was not";
  EXPECT_EQ(record.json(kStrokePoseIdx), "9");
  EXPECT_EQ(record.json(kStrokeIdx), "3") << "another field's set stays";
}

TEST(Record, AnUpdateOfSomeFieldsIsTakenBackAsAWhole) {
  Record record(kStrokeProgressFields);
  const json::View first[] = {json::View::of("1"), json::View::of("2"), {}};
  const json::View second[] = {json::View::of("5"), {}, json::View::of("6")};
  record.update(first);
  record.update(second);
  EXPECT_EQ(record.json(kStrokeIdx), "5");
  EXPECT_EQ(record.json(kStrokePoseIdx), "2") << "it was not named";
  EXPECT_EQ(record.json(kStrokeTotal), "6");
  record.take_back(second);
  EXPECT_EQ(record.json(kStrokeIdx), "1");
  EXPECT_EQ(record.json(kStrokePoseIdx), "2");
  EXPECT_EQ(record.json(kStrokeTotal), "0");
}

TEST(Record, AdoptsWhatAFieldMayBeAndTellsWhetherItIsNews) {
  Record record(kStrokeProgressFields);
  EXPECT_FALSE(record.adopt(json::View::of("[1]")));
  EXPECT_FALSE(record.adopt(json::View::of(R"({"stroke_idx":"x","other":1})")));
  EXPECT_FALSE(record.adopt(json::View::of(R"({"stroke_idx":0})"))) << "as it was";
  EXPECT_TRUE(record.adopt(json::View::of(R"({"stroke_idx":2.0,"scene_name":"a\"b"})")));
  EXPECT_EQ(record.json(kStrokeIdx), "2");
  EXPECT_EQ(record.text(kStrokeScene), "a\"b");
  EXPECT_EQ(record.text(kStrokeIdx), "2");
  record.set(kStrokeTotal, std::string_view("7"));
  EXPECT_FALSE(record.adopt(json::View::of(R"({"total_strokes":8})")));
  record.reset();
  EXPECT_EQ(record.json(kStrokeIdx), "0");
  EXPECT_EQ(record.text(kStrokeScene), "default");
  EXPECT_TRUE(record.adopt(json::View::of(R"({"total_strokes":8})")));
}

TEST(Record, AMomentIsTheGivenOneOrNow) {
  std::string out = "old";
  take_timestamp(json::View::of(R"("2026-11-20T14:03:07Z")"), WallTime{}, out);
  EXPECT_EQ(out, "2026-11-20T14:03:07.000000");
  take_timestamp(json::View(), kWall, out);
  EXPECT_EQ(out, "2026-11-20T14:03:07.123456");
}

TEST(Keys, AreTheSchemasAndOurs) {
  EXPECT_EQ(node_events_stream("hog"), "stream:node_events:hog");
  EXPECT_EQ(channel_events_stream("hog", "cell:x"), "stream:events:hog:cell:x");
  EXPECT_EQ(other_events_stream("hog"), "stream:events:hog");
  EXPECT_EQ(robot_state_key("hog"), "robot:state:hog");
  EXPECT_EQ(robot_telemetry_stream("hog"), "stream:robot_telemetry:hog");
  EXPECT_EQ(stroke_progress_key("stroke_hog_1"), "stroke:progress:stroke_hog_1");
  EXPECT_EQ(stroke_history_stream("stroke_hog_1"), "stream:stroke_history:stroke_hog_1");
  EXPECT_EQ(error_events_channel("arm"), "error:events:arm");
  EXPECT_EQ(kRobotEventsChannel, "robot:events");
  EXPECT_EQ(kStrokeSessionChannel, "stroke:events:session");
  EXPECT_EQ(kStrokeProgressChannel, "stroke:events:progress");
  EXPECT_EQ(kNodesKey, "nodebeat:nodes");
  EXPECT_EQ(kStrokesKey, "nodebeat:strokes");
}

TEST(Keys, TheNumberAtTheEndOfASessionIsTakenAway) {
  std::string_view name = "stroke_arm_2_1700000000";
  EXPECT_EQ(take_stroke_number(name), 1'700'000'000u);
  EXPECT_EQ(name, "stroke_arm_2");
  for (const std::string_view other : {"", "hog", "hog_", "hog_1x", "hog_-1"}) {
    name = other;
    EXPECT_FALSE(take_stroke_number(name)) << other;
    EXPECT_EQ(name, other);
  }
}

TEST(Keys, WhatOthersParseIsReserved) {
  for (const char* key : {"node:health:hog", "robot:state:hog", "stroke:progress:s", "stream:x",
                          "session:1", "nodebeat:nodes", "node:"}) {
    EXPECT_TRUE(is_reserved_key(key)) << key;
  }
  for (const char* key : {"", "node", "nodes:x", "cell:mode", "x:node:", "sessions", "Node:x"}) {
    EXPECT_FALSE(is_reserved_key(key)) << key;
  }
}

TEST(Keys, TheChannelsOfTheSchemaAreStrict) {
  for (const char* channel : {"robot:events", "system:events", "stroke:events:session",
                              "stroke:events:progress", "error:events:arm", "node:events:hog"}) {
    EXPECT_TRUE(is_strict_channel(channel)) << channel;
  }
  for (const char* channel : {"", "robot:events:x", "robot:event", "system:events:x", "system",
                              "stroke:events", "cell:x", "x:node:events:hog"}) {
    EXPECT_FALSE(is_strict_channel(channel)) << channel;
  }
}

TEST(Record, AnIntegerIsWrittenAsItsDigits) {
  const rpc::Param& spec = kStrokeProgressFields[kStrokeIdx].param;
  const struct {
    std::string_view given, written;
  } cases[] = {{"2", "2"},
               {"2.0", "2"},
               {"1e3", "1000"},
               {"-0.50e1", "-5"},
               {"9007199254740991.0", "9007199254740991"},
               {"-0", "0"}};
  for (const auto& c : cases) {
    ASSERT_FALSE(rpc::check_param(json::View::of(c.given), spec, "stroke_idx")) << c.given;
    Record record(kStrokeProgressFields);
    record.set(kStrokeIdx, json::View::of(c.given));
    EXPECT_EQ(record.json(kStrokeIdx), c.written);
    const std::string stored = "{\"stroke_idx\":" + std::string(c.given) + "}";
    Record read(kStrokeProgressFields);
    read.adopt(json::View::of(stored));
    EXPECT_EQ(read.json(kStrokeIdx), c.written);
  }
  for (const std::string_view wrong : {"1.5", "1e-1", "9007199254740992", "\"1\"", "true"}) {
    EXPECT_TRUE(rpc::check_param(json::View::of(wrong), spec, "stroke_idx")) << wrong;
  }
  Record record(kRobotStateFields);
  record.set(kRobotJointsL, json::View::of("[1.0,1e3]"));
  EXPECT_EQ(record.json(kRobotJointsL), "[1.0,1e3]") << "other numbers stay as they are";
}

TEST(Keys, FollowTheSchema) {
  EXPECT_EQ(node_health_key("hog"), "node:health:hog");
  EXPECT_EQ(node_metrics_stream("hog"), "stream:node_metrics:hog");
  EXPECT_EQ(node_events_channel("hog"), "node:events:hog");
}

}  // namespace
}  // namespace nb::wire
