// Unit tests of wire/: the forms that other programs parse, to the letter.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/json_document.h"
#include "wire/keys.h"
#include "wire/node_events.h"
#include "wire/node_health.h"
#include "wire/record.h"

namespace nb::wire {
namespace {

using namespace std::chrono_literals;
using test::Json;
using test::JsonDocument;

WallTime wall(int64_t microseconds) {
  return WallTime(std::chrono::microseconds(microseconds));
}

NodeHealth minimal() {
  NodeHealth health;
  health.timestamp = health.last_heartbeat = wall(1'795'183'387'123'456);
  health.node_id = "hog";
  return health;
}

TEST(NodeHealth, BeginsWithTheSchemaFieldsInTheirOrder) {
  NodeHealth health = minimal();
  health.cpu_percent = 12.3456;
  health.memory_percent = 140;
  health.disk_percent = std::nan("");
  std::string out;
  append_json(health, out);
  EXPECT_EQ(out,
            R"({"timestamp":"2026-11-20T14:03:07.123456","node_id":"hog","cpu_percent":12.35,)"
            R"("memory_percent":100,"disk_percent":0,"gpu_available":false,"gpu_percent":null,)"
            R"("gpu_memory_percent":null,"is_reachable":true,"ping_latency_ms":null,)"
            R"("mcp_server_running":false,"mcp_port":null,)"
            R"("last_heartbeat":"2026-11-20T14:03:07.123456","seq":0})");
}

TEST(NodeHealth, WritesEverythingItHasAsValidJson) {
  NodeHealth health = minimal();
  health.gpu_available = true;
  health.gpu_percent = 50.5;
  health.gpu_memory_percent = 25;
  health.gpu_name = "Orin";
  health.ping_latency_ms = 0.1234;
  health.mcp_server_running = true;
  health.mcp_port = 8000;
  health.is_reachable = false;
  health.reason = "stopped";
  health.load_1 = 0.5;
  health.uptime_s = 3600;
  health.memory_total_bytes = 8'000'000'000;
  health.disks = {{"/", 40, ""}, {"/mnt/\"odd\"", 90.129, ""}, {"/data", {}, "not mounted"}};
  health.temperature_c = 61.26;
  health.temperatures = {{"cpu-thermal", 61.26, {}}, {"nvme", 40, 10}};
  Throttling throttling;
  throttling.under_voltage = throttling.throttled_occurred = true;
  throttling.bits = 0x40001;
  health.throttling = throttling;
  health.pressure.cpu_some = 1.5;
  health.network = {{"eth0", 1000.4, 2000.6}};
  health.probes = {{"mcp", "mcp", true, 1.5, "everything 2.0.0", 8000},
                   {"cam", "tcp", {}, {}, "", {}}};
  health.agent_version = "0.1.0";
  health.boot_id = "b";
  health.instance_id = "i";
  health.seq = 7;
  health.loop_lag_ms = 0.25;
  std::string out;
  append_json(health, out);
  auto document = JsonDocument::parse(out);
  ASSERT_TRUE(document.ok()) << out;
  const Json root = document->root();
  EXPECT_EQ(root["gpu_percent"].number(), 50.5);
  EXPECT_EQ(root["mcp_port"].integer(), 8000);
  EXPECT_EQ(root["is_reachable"].boolean(), false);
  EXPECT_EQ(root["reason"].string(), "stopped");
  EXPECT_EQ(root["disks"].first_child().next_sibling()["path"].string(), "/mnt/\"odd\"");
  EXPECT_NE(out.find(R"({"path":"/data","percent":null,"problem":"not mounted"})"), out.npos);
  EXPECT_NE(out.find(R"({"name":"nvme","celsius":40,"age_s":10})"), out.npos) << out;
  EXPECT_EQ(root["throttled"]["now"].first_child().string(), "under-voltage");
  EXPECT_EQ(root["throttled"]["since_boot"].first_child().string(), "throttled");
  EXPECT_EQ(root["pressure"]["cpu_some"].number(), 1.5);
  EXPECT_EQ(root["network"].first_child()["tx_bytes_per_s"].integer(), 2001);
  EXPECT_EQ(root["probes"].first_child()["detail"].string(), "everything 2.0.0");
  EXPECT_TRUE(root["probes"].first_child().next_sibling()["up"].is_null());
  EXPECT_EQ(root["seq"].integer(), 7);
}

TEST(NodeEvents, AreObjectsWithTextTypeAndTimestamp) {
  const EventSource source{"hog", "hog-1-2", wall(0)};
  EXPECT_EQ(node_up_event(source, "0.1.0", "boot"),
            R"({"type":"node_up","node_id":"hog","timestamp":"1970-01-01T00:00:00.000000",)"
            R"("instance_id":"hog-1-2","agent_version":"0.1.0","boot_id":"boot"})");
  EXPECT_EQ(node_down_event(source, "stopped"),
            R"({"type":"node_down","node_id":"hog","timestamp":"1970-01-01T00:00:00.000000",)"
            R"("instance_id":"hog-1-2","reason":"stopped"})");
  ProbeReport probe;
  probe.name = "mcp";
  probe.type = "mcp";
  probe.up = false;
  probe.detail = "refused";
  EXPECT_EQ(
      probe_changed_event(source, probe),
      R"({"type":"probe_changed","node_id":"hog","timestamp":"1970-01-01T00:00:00.000000",)"
      R"("instance_id":"hog-1-2","probe":"mcp","probe_type":"mcp","up":false,"detail":"refused"})");
  EXPECT_TRUE(JsonDocument::parse(node_conflict_event(source, "hog-9")).ok());
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
