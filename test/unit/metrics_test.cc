// The agent's answers as metrics: the formats, the names, and that nothing unknown is told.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "metrics/answers.h"

namespace nb::metrics {
namespace {

using json::View;

bool has_line(std::string_view text, std::string_view line) {
  const std::string wanted = std::string(line) + "\n";
  return text.starts_with(wanted) || text.find("\n" + wanted) != text.npos;
}

bool has_family(std::string_view text, std::string_view name) {
  return text.find("# TYPE " + std::string(name) + " ") != text.npos;
}

size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// --- which format -----------------------------------------------------------------------------

TEST(MetricsFormat, IsOpenMetricsOnlyIfTheHeaderAsksForThat) {
  struct Case {
    const char* accept;
    Format format;
  };
  const Case cases[] = {
      {"", Format::text},
      {"*/*", Format::text},
      {"text/plain", Format::text},
      {"text/html,application/xhtml+xml,*/*;q=0.8", Format::text},
      {"application/openmetrics-text", Format::openmetrics},
      {"Application/OpenMetrics-Text; Version=1.0.0", Format::openmetrics},
      {"application/openmetrics-text; version=1.0.0; charset=utf-8", Format::openmetrics},
      {"application/openmetrics-text;version=0.0.1", Format::text},
      {"application/openmetrics-text;version=2.0.0", Format::text},
      {"application/openmetrics-text;q=0", Format::text},
      {"application/openmetrics-text;q=0.4,text/plain;q=0.5", Format::text},
      {"application/openmetrics-text;q=0.5,text/plain;q=0.5", Format::openmetrics},
      {"text/plain;q=0.,application/openmetrics-text;q=0.001", Format::openmetrics},
      {"application/openmetrics-text;q=7", Format::text},
      {"application/openmetrics-text;q=", Format::text},
      {"application/openmetrics-text;q=1.0000", Format::text},
      {"application/openmetrics-text;q=0x1", Format::text},
      {",;=,;;q,==", Format::text},
      // Prometheus 2.42 and 3.
      {"application/openmetrics-text;version=1.0.0,application/"
       "openmetrics-text;version=0.0.1;q=0.75,"
       "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       Format::openmetrics},
      {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
       "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4",
       Format::openmetrics},
  };
  for (const Case& each : cases) EXPECT_EQ(format_for(each.accept), each.format) << each.accept;
}

// --- how a text is put together ---------------------------------------------------------------

TEST(Exposition, NamesTheSamplesInTextAndTheFamilyInOpenMetrics) {
  const auto write = [](Format format) {
    Exposition out(format);
    out.family(Kind::counter, "calls", "Calls");
    out.sample(3);
    out.family(Kind::info, "agent", "Agent");
    out.sample(1, {{"version", "2"}});
    return out.finish();
  };
  EXPECT_EQ(write(Format::text),
            "# HELP calls_total Calls\n# TYPE calls_total counter\ncalls_total 3\n"
            "# HELP agent_info Agent\n# TYPE agent_info gauge\nagent_info{version=\"2\"} 1\n");
  EXPECT_EQ(write(Format::openmetrics),
            "# HELP calls Calls\n# TYPE calls counter\ncalls_total 3\n"
            "# HELP agent Agent\n# TYPE agent info\nagent_info{version=\"2\"} 1\n# EOF\n");
}

TEST(Exposition, AFamilyWithoutAKnownSampleIsNotWritten) {
  Exposition out(Format::text);
  out.family(Kind::gauge, "a", "A");
  out.sample(std::nullopt);
  out.family(Kind::gauge, "b", "B");
  out.states("", "state", {});
  EXPECT_EQ(out.finish(), "");
}

TEST(Exposition, WritesNumbersWithoutTheNoiseOfTheirLastDigits) {
  Exposition out(Format::text);
  out.family(Kind::gauge, "n", "N");
  const double values[] = {0, -0.5, 100000, 1e15, 2.1 / 1000, 1795792581.062, 2.55e-07, 1e300};
  for (size_t i = 0; i < std::size(values); ++i) {
    out.sample(values[i], {{"i", std::string(1, static_cast<char>('a' + i))}});
  }
  const std::string text = out.finish();
  for (const char* line :
       {"n{i=\"a\"} 0", "n{i=\"b\"} -0.5", "n{i=\"c\"} 100000", "n{i=\"d\"} 1000000000000000",
        "n{i=\"e\"} 0.0021", "n{i=\"f\"} 1795792581.062", "n{i=\"g\"} 2.55e-07",
        "n{i=\"h\"} 1e+300"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nin\n" << text;
  }
}

TEST(Exposition, ALabelHoldsNothingThatEndsItsLineOrSteersATerminal) {
  Exposition out(Format::text);
  out.family(Kind::gauge, "n", "N");
  out.sample(1, {{"node", "a\"b\\c\nd\x1b[2J<script>\xff\xe2\x80\xae"}});
  EXPECT_TRUE(has_line(out.finish(),
                       "n{node=\"a\\\"b\\\\c\\\\x0ad\\\\x1b[2J<script>\\\\xff\\\\u202e\"} 1"));
}

TEST(Exposition, OfTwoSamplesWithTheSameLabelsTheFirstIsWritten) {
  Exposition out(Format::text);
  out.family(Kind::gauge, "n", "N");
  out.sample(1, {{"node", "a\x1b"}});
  out.sample(2, {{"node", "a\\x1b"}});
  out.sample(3, {{"node", "b"}});
  const std::string text = out.finish();
  EXPECT_EQ(count_of(text, "\nn{"), 2U) << text;
  EXPECT_TRUE(has_line(text, "n{node=\"b\"} 3"));
}

TEST(Exposition, AHistogramCountsUpwards) {
  Exposition out(Format::openmetrics);
  const Bucket buckets[] = {{0.001, 2}, {0.004, 0}, {0.016, 5}};
  out.family(Kind::histogram, "h", "H");
  out.histogram(buckets, 9, 1.5);
  EXPECT_EQ(out.finish(),
            "# HELP h H\n# TYPE h histogram\nh_bucket{le=\"0.001\"} 2\nh_bucket{le=\"0.004\"} 2\n"
            "h_bucket{le=\"0.016\"} 7\nh_bucket{le=\"+Inf\"} 9\nh_sum 1.5\nh_count 9\n# EOF\n");
}

// --- what the answers tell --------------------------------------------------------------------

std::string stats_text(std::string_view stats) {
  Exposition out(Format::text);
  put_agent(View::of(stats), out);
  return out.finish();
}

TEST(AgentMetrics, TellTheLink) {
  const std::string steady = stats_text(
      R"({"link":{"state":"steady","cause":null,"connects":3,"failures":2,"ping_ms":2.1}})");
  EXPECT_TRUE(has_line(steady, "nodebeat_link_up 1"));
  EXPECT_TRUE(has_line(steady, "nodebeat_link_state{state=\"steady\"} 1"));
  EXPECT_TRUE(has_line(steady, "nodebeat_link_state{state=\"waiting\"} 0"));
  EXPECT_TRUE(has_line(steady, "nodebeat_link_connects_total 3"));
  EXPECT_TRUE(has_line(steady, "nodebeat_link_ping_seconds 0.0021"));
  EXPECT_FALSE(has_family(steady, "nodebeat_link_trouble"));

  const std::string waiting =
      stats_text(R"({"link":{"state":"waiting","cause":"silent","ping_ms":null}})");
  EXPECT_TRUE(has_line(waiting, "nodebeat_link_up 0"));
  EXPECT_TRUE(has_line(waiting, "nodebeat_link_trouble{cause=\"silent\"} 1"));
  EXPECT_FALSE(has_family(waiting, "nodebeat_link_ping_seconds"));
}

TEST(AgentMetrics, PutOctavesIntoBucketsThatAreTheSameAlways) {
  // 300 ns, 15 us, 1 ms, 70 s and longer, as the agent has them.
  const std::string text = stats_text(R"({"latency_us":{"store":{"count":11,"sum":140002000.5,
    "buckets":[{"up_to":0.511,"count":1},{"up_to":16.383,"count":2},{"up_to":1048.575,"count":3},
    {"up_to":137438953.471,"count":5}]}}})");
  EXPECT_EQ(count_of(text, "_bucket{"), 13U);
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_bucket{le=\"1.6383e-05\"} 3"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_bucket{le=\"0.000262143\"} 3"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_bucket{le=\"0.001048575\"} 6"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_bucket{le=\"68.719476735\"} 6"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_bucket{le=\"+Inf\"} 11"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_sum 140.0020005"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_store_seconds_count 11"));
}

TEST(AgentMetrics, KnowTheRoundedBoundsOfIntervals) {
  const std::string text = stats_text(R"({"push_interval_ms":{"count":4,"sum":25,
    "buckets":[{"up_to":1.049,"count":3},{"up_to":4.194,"count":1}]}})");
  EXPECT_TRUE(has_line(text, "nodebeat_push_interval_seconds_bucket{le=\"0.001048575\"} 3"));
  EXPECT_TRUE(has_line(text, "nodebeat_push_interval_seconds_bucket{le=\"0.004194303\"} 4"));
}

TEST(AgentMetrics, OfAnAgentThatTellsNoBucketsThereIsNoHistogram) {
  EXPECT_FALSE(has_family(stats_text(R"({"latency_us":{"store":{"count":11,"p50":3}}})"),
                          "nodebeat_push_store_seconds"));
}

TEST(AgentMetrics, TellDeadlinesByTheNameOfTheProgram) {
  const std::string text = stats_text(R"({"clients":[
    {"client_id":1,"name":"planner","deadline":null},
    {"client_id":2,"name":"arm","deadline":{"deadline_ms":200,"gap_ms":3,"late":false,"missed":2,
      "longest_gap_ms":350,"last_missed":"2026-11-20T14:03:07.5"}},
    {"client_id":3,"name":"arm","deadline":{"deadline_ms":100,"gap_ms":300,"late":true,"missed":1,
      "longest_gap_ms":300,"last_missed":null}}]})");
  EXPECT_TRUE(has_line(text, "nodebeat_deadline_missed_total{robot=\"arm\"} 3"));
  EXPECT_TRUE(has_line(text, "nodebeat_deadline_late{robot=\"arm\"} 1"));
  EXPECT_TRUE(has_line(text, "nodebeat_deadline_seconds{robot=\"arm\"} 0.2"));
  EXPECT_TRUE(has_line(text, "nodebeat_deadline_longest_gap_seconds{robot=\"arm\"} 0.35"));
  EXPECT_TRUE(has_line(
      text, "nodebeat_deadline_last_missed_timestamp_seconds{robot=\"arm\"} 1795183387.5"));
  EXPECT_EQ(text.find("planner"), text.npos);
}

std::string health_text(std::string_view health, std::string_view probes) {
  Exposition out(Format::text);
  put_health(View::of(health), View::of(probes), out);
  return out.finish();
}

TEST(HealthMetrics, HaveBaseUnits) {
  const std::string text = health_text(
      R"({"cpu_percent":12.35,"gpu_percent":null,"gpu_available":false,"clock_offset_ms":-3.5,
      "last_heartbeat":"2026-11-20T14:03:07.25","uptime_s":98765,
      "disks":[{"path":"/","percent":63},{"path":"/mnt","percent":null,"problem":"no answer"}],
      "temperatures":[{"name":"cpu-thermal","celsius":48.5}],
      "network":[{"interface":"eth0","rx_bytes_per_s":1200,"tx_bytes_per_s":30}],
      "pressure":{"io_full":1.5},
      "throttled":{"now":["throttled"],"since_boot":["throttled","under-voltage"],"bits":4},
      "probes":[{"name":"web","type":"http","up":true,"latency_ms":1.5}]})",
      "null");
  for (const char* line :
       {"nodebeat_cpu_ratio 0.1235", "nodebeat_gpu_available 0",
        "nodebeat_clock_offset_seconds -0.0035", "nodebeat_beat_timestamp_seconds 1795183387.25",
        "nodebeat_node_uptime_seconds 98765", "nodebeat_disk_used_ratio{path=\"/\"} 0.63",
        "nodebeat_temperature_celsius{sensor=\"cpu-thermal\"} 48.5",
        "nodebeat_network_receive_bytes_per_second{interface=\"eth0\"} 1200",
        "nodebeat_pressure_ratio{resource=\"io_full\"} 0.015",
        "nodebeat_throttled{cause=\"throttled\"} 1",
        "nodebeat_throttled{cause=\"under-voltage\"} 0",
        "nodebeat_probe_latency_seconds{probe=\"web\",type=\"http\"} 0.0015"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nin\n" << text;
  }
  EXPECT_FALSE(has_family(text, "nodebeat_gpu_ratio"));
  EXPECT_EQ(text.find("/mnt"), text.npos);
}

TEST(HealthMetrics, AProbeOfWhichNothingIsKnownHasNoSample) {
  const std::string text = health_text(
      "null", R"([{"name":"a","type":"mcp","up":true},{"name":"b","type":"tcp","up":false},
      {"name":"c","type":"unix","up":null}])");
  EXPECT_TRUE(has_line(text, "nodebeat_probe_up{probe=\"a\",type=\"mcp\"} 1"));
  EXPECT_TRUE(has_line(text, "nodebeat_probe_up{probe=\"b\",type=\"tcp\"} 0"));
  EXPECT_EQ(text.find("\"c\""), text.npos);
}

std::string cell_text(const std::vector<View>& pages) {
  Exposition out(Format::text);
  put_cell(pages, out);
  return out.finish();
}

TEST(CellMetrics, NameEveryNodeAlsoOnesThatAreDown) {
  const View first = View::of(R"({"redis_connected":true,"nodes_online":2,"total_nodes":3,
    "active_stroke_sessions":1,"nodes_left_out":0,"timestamp":"2026-11-20T14:03:10",
    "nodes_last_seen":{"eek":"2026-11-20T13:00:00","hog":"2026-11-20T14:03:05"},
    "nodes":{"eek":{"state":"down","since":"2026-11-20T13:00:03","age_ms":null},
             "hog":{"state":"up","since":null,"age_ms":1500}}})");
  const View second = View::of(R"({"redis_connected":true,"nodes_online":2,"total_nodes":3,
    "timestamp":"2026-11-20T14:03:10","nodes_last_seen":{"ook":"2026-11-20T14:03:09"},
    "nodes":{"ook":{"state":"suspect","age_ms":null}}})");
  const std::string text = cell_text({first, second});
  for (const char* line :
       {"nodebeat_node_up{node=\"eek\"} 0", "nodebeat_node_up{node=\"hog\"} 1",
        "nodebeat_node_up{node=\"ook\"} 1", "nodebeat_node_state{node=\"eek\",state=\"down\"} 1",
        "nodebeat_node_state{node=\"ook\",state=\"suspect\"} 1",
        "nodebeat_node_state{node=\"ook\",state=\"up\"} 0",
        "nodebeat_node_last_seen_timestamp_seconds{node=\"eek\"} 1795179600",
        "nodebeat_node_last_seen_timestamp_seconds{node=\"hog\"} 1795183388.5",
        "nodebeat_node_last_seen_timestamp_seconds{node=\"ook\"} 1795183389",
        "nodebeat_node_state_since_timestamp_seconds{node=\"eek\"} 1795179603",
        "nodebeat_cell_nodes 3", "nodebeat_cell_nodes_online 2"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nin\n" << text;
  }
}

TEST(CellMetrics, WithoutRedisNoNodeIsUpOrDown) {
  const std::string text = cell_text({View::of(R"({"redis_connected":false,"nodes_online":1,
    "total_nodes":2,"active_stroke_sessions":0,"timestamp":"2026-11-20T14:03:10",
    "nodes_last_seen":{"hog":null,"ook":"2026-11-20T14:03:09"},
    "nodes":{"hog":{"state":"unknown","age_ms":null},"ook":{"state":"up","age_ms":10}}})")});
  EXPECT_TRUE(has_line(text, "nodebeat_node_up{node=\"ook\"} 1"));
  EXPECT_EQ(text.find("nodebeat_node_up{node=\"hog\"}"), text.npos);
  EXPECT_TRUE(has_line(text, "nodebeat_node_state{node=\"hog\",state=\"unknown\"} 1"));
  EXPECT_EQ(text.find("nodebeat_node_last_seen_timestamp_seconds{node=\"hog\"}"), text.npos);
  EXPECT_FALSE(has_family(text, "nodebeat_cell_nodes"));
  EXPECT_FALSE(has_family(text, "nodebeat_cell_strokes_active"));
}

std::string redis_text(View stats, View inspect) {
  Exposition out(Format::text);
  put_redis(stats, inspect, out);
  return out.finish();
}

TEST(RedisMetrics, HaveTheNamesOfRedisExporter) {
  const std::string text =
      redis_text(View::of(R"({"link":{"state":"degraded"}})"),
                 View::of(R"({"version":"7.0.15","role":"master","maxmemory_bytes":0,
      "used_memory_bytes":1048576,"maxmemory_policy":"noeviction","loading":false,
      "aof_enabled":true,"rdb_last_save_ok":null,"connected_clients":5})"));
  for (const char* line :
       {"redis_up 1", "redis_memory_used_bytes 1048576", "redis_memory_max_bytes 0",
        "redis_connected_clients 5", "redis_loading_dump_file 0", "redis_aof_enabled 1",
        "redis_instance_info{redis_version=\"7.0.15\",role=\"master\","
        "maxmemory_policy=\"noeviction\"} 1"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\nin\n" << text;
  }
  EXPECT_FALSE(has_family(text, "redis_rdb_last_bgsave_status"));
}

TEST(RedisMetrics, SayThatItIsAwayAndNothingElse) {
  EXPECT_EQ(redis_text(View::of(R"({"link":{"state":"waiting"}})"), View()),
            "# HELP redis_up Whether the agent is connected to Redis\n# TYPE redis_up gauge\n"
            "redis_up 0\n");
  EXPECT_EQ(redis_text(View(), View()), "");
}

// Families that do not come from the agent.
size_t foreign_families(std::string_view text) {
  return count_of(text, "# TYPE ") - count_of(text, "# TYPE nodebeat_gate") -
         count_of(text, "# TYPE nodebeat_agent_up");
}

TEST(Metrics, WithoutAnAgentOnlyThatIsTold) {
  Answers answers;
  answers.gate_version = "1.2";
  answers.gate.requests = 3;
  const std::string text = render(answers, Format::openmetrics);
  EXPECT_TRUE(has_line(text, "nodebeat_gate_info{version=\"1.2\"} 1"));
  EXPECT_TRUE(has_line(text, "nodebeat_gate_http_requests_total 3"));
  EXPECT_TRUE(has_line(text, "nodebeat_agent_up 0"));
  EXPECT_EQ(foreign_families(text), 0U) << text;
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

TEST(Metrics, AnswersOfOtherTypesAreNoFigures) {
  Answers answers;
  answers.agent_is_there = true;
  for (const char* strange : {R"([])", R"("x")", R"({"link":[1],"outbox":3,"clients":{"a":1},
        "nodes":[1],"nodes_last_seen":7,"probes":[3,null,{"name":4}],"disks":"x","version":1,
        "latency_us":null,"push_interval_ms":{"sum":"x","buckets":[1]}})"}) {
    const View view = View::of(strange);
    answers.stats = answers.health = answers.redis = view;
    answers.status = {view};
    const std::string text = render(answers, Format::text);
    EXPECT_TRUE(has_line(text, "nodebeat_agent_up 1"));
    EXPECT_EQ(foreign_families(text), 0U) << text;
  }
}

}  // namespace
}  // namespace nb::metrics
