// nodebeatctl's pure parts: times and keys, events and the fleet in words, the pictures of `top`.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "ctl/duration.h"
#include "ctl/event_line.h"
#include "ctl/fleet.h"
#include "ctl/fleet_pages.h"
#include "ctl/json_merge.h"
#include "ctl/keys.h"
#include "ctl/mcp_config.h"
#include "ctl/top_screen.h"
#include "terminal/local_time.h"
#include "terminal/text.h"
#include "unit/ctl_fixture.h"

namespace nb::ctl {
namespace {

// --- times ---------------------------------------------------------------------------------------

TEST(Timestamp, IsReadInTheSchemasForm) {
  EXPECT_EQ(moment("1970-01-01T00:00:01.500000"), 1'500'000);
  EXPECT_EQ(moment("2026-11-20T14:03:07.123456"), 1'795'183'387'123'456);
  EXPECT_EQ(moment("2026-11-20T14:03:07Z"), 1'795'183'387'000'000);
  for (const char* other : {"", "yesterday", "2026-11-20T14:03:07+01:00", "2026-02-30T00:00:00"})
    EXPECT_EQ(moment(other), -1) << other;
  EXPECT_FALSE(JsonDocument("17").root().timestamp_us());
}

TEST(Timestamp, LocalTimesNameTheDateOnlyOfAnotherDay) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const int64_t then = moment("2026-11-20T14:03:07.123456");
  EXPECT_EQ(local_time(then, then + 1), "14:03:07");
  EXPECT_EQ(local_time(then, then + 86'400'000'000), "2026-11-20 14:03:07");
  EXPECT_EQ(local_time_ms(then), "14:03:07.123");
}

TEST(Timestamp, DurationsOnTheCommandLine) {
  EXPECT_EQ(parse_duration("10"), 10'000);
  EXPECT_EQ(parse_duration("250ms"), 250);
  EXPECT_EQ(parse_duration("5min"), 300'000);
  EXPECT_EQ(parse_duration("2m"), 120'000);
  EXPECT_EQ(parse_duration("1d"), 86'400'000);
  EXPECT_EQ(parse_duration("3000us"), 3);
  EXPECT_FALSE(parse_duration("500us")) << "no whole millisecond";
  for (const char* bad :
       {"", "s", "-1s", "1.5s", "10 s", "10x", "99999999999999999999s", "9223372036854775807d"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

// --- keys ----------------------------------------------------------------------------------------

TEST(Keys, AreReadFromTheirBytes) {
  const auto kinds = [](std::string_view bytes) {
    std::string out;
    for (const Key& key : read_keys(bytes)) {
      out += key.kind == Key::Kind::text ? key.text : std::to_string(static_cast<int>(key.kind));
      out += ' ';
    }
    return out;
  };
  using Kind = Key::Kind;
  const auto one = [](Kind kind) { return std::to_string(static_cast<int>(kind)) + ' '; };
  EXPECT_EQ(kinds("qä"), "q ä ");
  EXPECT_EQ(kinds("\033[A"), one(Kind::up));
  EXPECT_EQ(kinds("\033OB"), one(Kind::down));
  EXPECT_EQ(kinds("\033[6~x"), one(Kind::page_down) + "x ");
  EXPECT_EQ(kinds("\033"), one(Kind::escape));
  EXPECT_EQ(kinds("\033[1;5C\r\x7f\x03"),
            one(Kind::enter) + one(Kind::backspace) + one(Kind::interrupt));
  EXPECT_EQ(kinds("\033[<0;1"), "") << "half a sequence is nothing";
}

// --- events --------------------------------------------------------------------------------------

TEST(EventLine, WordsOfAnEvent) {
  EXPECT_EQ(event_words(R"({"type":"error","node_id":"hog","timestamp":"2026-11-20T14:03:07.1",)"
                        R"("category":"gripper","message":"no air","value":0.1000})"),
            "error hog category=gripper message=\"no air\" value=0.1000");
  EXPECT_EQ(event_words("\"just text\""), "\"just text\"");
  EXPECT_EQ(event_words("{\"type\":\"x\\u001b[2J\"}"), "x?[2J");
}

TEST(EventLine, RemoteAndGapAreMarked) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const int64_t at = moment("2026-11-20T14:03:07.123456");
  Event event{"robot:events", R"({"type":"state_update","node_id":"ook"})", true};
  EXPECT_EQ(event_line(event, at, plain()),
            "14:03:07.123  robot:events            remote  state_update ook");
  EXPECT_EQ(event_json(event, at),
            R"({"time":"2026-11-20T14:03:07.123456","channel":"robot:events","remote":true,)"
            R"("event":{"type":"state_update","node_id":"ook"}})");
  const Event gap{"", R"({"from":"2026-11-20T14:03:07.0","to":"2026-11-20T14:04:07.5"})", false,
                  false, true};
  EXPECT_EQ(event_line(gap, at, plain()),
            "-- messages of other nodes may have been missed from 14:03:07.000 to 14:04:07.500");
}

// --- the fleet -----------------------------------------------------------------------------------

constexpr char kStatus[] = R"({"redis_connected":true,"active_stroke_sessions":1,"nodes_online":2,
  "total_nodes":3,"timestamp":"2026-11-20T14:03:10.000000","nodes_health":{
  "ook":{"timestamp":"2026-11-20T14:03:09.000000","node_id":"ook","cpu_percent":38.5,"memory_percent":61,
    "disk_percent":93,"is_reachable":true,"mcp_server_running":false,"mcp_port":8080,
    "last_heartbeat":"2026-11-20T14:03:09.000000","probes":[{"name":"vision","up":false},{"name":"x","up":true}]},
  "hog":{"node_id":"hog","cpu_percent":5,"memory_percent":20,"disk_percent":30,"is_reachable":true,
    "temperature_c":48.5,"mcp_server_running":true,"mcp_port":9000,"last_heartbeat":"2026-11-20T14:03:08.000000"},
  "eek":null},
  "nodes_last_seen":{"eek":"2026-11-20T13:00:00.000000","hog":null,"ook":null}})";

TEST(Fleet, ReadsWhichNodesAreUpAndSinceWhenOthersAreNot) {
  const JsonDocument document(kStatus);
  const Fleet fleet = read_fleet(document.root(), 0);
  ASSERT_EQ(fleet.nodes.size(), 3u);
  EXPECT_EQ(fleet.nodes[0].name, "eek");
  EXPECT_FALSE(fleet.nodes[0].up);
  EXPECT_EQ(fleet.nodes[0].age_ms, 3'790'000);
  EXPECT_EQ(fleet.nodes[1].age_ms, 2000);
  EXPECT_EQ(fleet.nodes[2].probes_down, std::vector<std::string>{"vision"});
  EXPECT_EQ(fleet_summary(fleet), "2 of 3 nodes are up");
}

TEST(Fleet, TableForAWideAndForANarrowTerminal) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const JsonDocument document(kStatus);
  const Fleet fleet = read_fleet(document.root(), 0);
  EXPECT_EQ(fleet_table(fleet, "hog", plain(160)).text(plain(160)),
            "NODE  STATE                    LAST BEAT               CPU            MEMORY   DISK   "
            "TEMP  MCP       PROBES\n"
            "eek   down since 13:00:00  1 h 3 min ago                 -                 -      -   "
            "   -  -         -\n"
            "hog*  up                         2 s ago  ▌░░░░░░░░░   5 %  ██░░░░░░░░  20 %   30 %  "
            "48 °C  up :9000  -\n"
            "ook   up                         1 s ago  ███▉░░░░░░  38 %  ██████▏░░░  61 %   93 %   "
            "   -  down      vision down\n");
  for (const std::string& line : fleet_table(fleet, "hog", plain(80)).lines(plain(80))) {
    EXPECT_LE(width(line), 80u) << line;
  }
}

TEST(Fleet, ANodeThatSaidGoodByeIsDownWithItsReason) {
  const JsonDocument document(
      R"({"nodes_health":{"hog":{"is_reachable":false,"reason":"stopped"}}})");
  const Fleet fleet = read_fleet(document.root(), 0);
  ASSERT_EQ(fleet.nodes.size(), 1u);
  EXPECT_FALSE(fleet.nodes[0].up);
  EXPECT_EQ(fleet.nodes[0].reason, "stopped");
}

TEST(Fleet, PagesAreOneStatus) {
  StatusPages pages;
  EXPECT_EQ(pages.add(R"({"redis_connected":true,"nodes_online":2,"nodes_health":{"a":{"n":1.50}},)"
                      R"("nodes_last_seen":{"a":null},"timestamp":"t","cursor":"7\"x"})"),
            "7\"x");
  EXPECT_EQ(pages.add(R"({"nodes_online":9,"nodes_health":{"b":null,"a":{"n":2}},)"
                      R"("nodes_last_seen":{"b":"s","a":null},"cursor":null})"),
            "");
  EXPECT_EQ(pages.joined(),
            R"({"redis_connected":true,"nodes_online":2,"nodes_health":{"a":{"n":1.50},"b":null},)"
            R"("nodes_last_seen":{"a":null,"b":"s"},"timestamp":"t"})");
}

TEST(Fleet, ProbesThatCannotBeToldAreNeitherUpNorDown) {
  const JsonDocument status(R"({"nodes_health":{
      "a":{"probes":[{"name":"x","up":true},{"name":"y","up":null}]},
      "b":{"probes":[{"name":"x","up":false},{"name":"y","up":null}]}}})");
  const Fleet fleet = read_fleet(status.root(), 0);
  const std::string text = fleet_table(fleet, "", Style{}).text(Style{});
  EXPECT_NE(text.find("y unknown\n"), std::string::npos) << text;
  EXPECT_NE(text.find("x down; y unknown\n"), std::string::npos) << text;
}

TEST(Fleet, ForgivesWhatIsMissingOrStrange) {
  for (const char* odd :
       {"null", "[]", "{}", R"({"nodes_health":[1,2]})", R"({"nodes_health":{"x":5}})",
        R"({"nodes_health":{"x":{"cpu_percent":"a","probes":{}}}})"}) {
    const JsonDocument document(odd);
    const Fleet fleet = read_fleet(document.root(), 0);
    EXPECT_FALSE(fleet_table(fleet, "", plain()).lines(plain()).empty()) << odd;
  }
}

// --- top -----------------------------------------------------------------------------------------

void tell(TopModel& model, std::string_view channel, std::string_view json) {
  model.on_event({channel, json}, moment("2026-11-20T14:03:11.000000"));
}

std::string picture(const TopModel& model, const Style& style, size_t rows) {
  TopScreen screen(model);
  std::string out;
  for (const std::string& line : screen.lines(style, rows, moment("2026-11-20T14:03:12"))) {
    out += line + '\n';
  }
  return out;
}

TopModel busy_model() {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  TopModel model;
  const JsonDocument status(kStatus);
  const JsonDocument stats(R"({"node_id":"hog","link":{"state":"steady","target":"cell:6379"}})");
  model.on_stats(stats.root());
  model.on_status(status.root(), 0);
  tell(
      model, "stroke:events:session",
      R"({"type":"session_start","node_id":"ook","session_id":"stroke_ook_1_1","total_strokes":40})");
  tell(model, "stroke:events:progress",
       R"({"type":"progress_update","node_id":"ook","session_id":"stroke_ook_1_1","stroke_idx":10,)"
       R"("total_strokes":40,"pose_idx":3,"stroke_length":8,"description_l":"wipe"})");
  tell(
      model, "robot:events",
      R"({"type":"state_update","node_id":"ook","current_pose":"executing","is_connected_r":false})");
  tell(model, "error:events:gripper",
       R"({"type":"error","node_id":"ook","category":"gripper","message":"no air"})");
  return model;
}

TEST(Top, ShowsFleetStrokesAndEvents) {
  const std::string shown = picture(busy_model(), plain(140), 30);
  EXPECT_NE(shown.find("2 of 3 nodes are up"), std::string::npos) << shown;
  EXPECT_NE(shown.find("Redis at cell:6379"), std::string::npos);
  EXPECT_NE(shown.find("10 of 40   25 %  pose 3 of 8  left: wipe"), std::string::npos) << shown;
  EXPECT_NE(shown.find("executing, right arm away"), std::string::npos) << shown;
  EXPECT_NE(shown.find("error ook category=gripper message=\"no air\""), std::string::npos)
      << shown;
  // What comes many times a second is not among the events.
  EXPECT_EQ(shown.find("progress_update"), std::string::npos);
  EXPECT_EQ(shown.find("state_update"), std::string::npos);
}

TEST(Top, FitsEverySize) {
  const TopModel model = busy_model();
  TopScreen screen(model);
  for (size_t columns = 1; columns < 150; columns += 7) {
    for (size_t rows = 1; rows < 40; rows += 3) {
      const auto lines = screen.lines(coloured(columns), rows, 0);
      EXPECT_LE(lines.size(), rows);
      for (const std::string& line : lines) {
        EXPECT_EQ(clip_painted(line, columns), line) << columns << 'x' << rows;
      }
    }
  }
}

TEST(Top, AStrokeThatEndsGoesAway) {
  TopModel model = busy_model();
  EXPECT_NE(picture(model, plain(), 30).find("STROKES"), std::string::npos);
  tell(model, "stroke:events:session", R"({"type":"session_end","session_id":"stroke_ook_1_1"})");
  EXPECT_EQ(picture(model, plain(), 30).find("STROKES"), std::string::npos);
  const JsonDocument ended(R"({"node_id":"ook","is_executing":false,"total_strokes":3})");
  model.on_progress("stroke_ook_0_1", ended.root());
  EXPECT_EQ(picture(model, plain(), 30).find("STROKES"), std::string::npos);
}

TEST(Top, TheSameEventAgainIsCounted) {
  TopModel model = busy_model();
  for (int i = 0; i < 4; ++i) tell(model, "system:events", R"({"type":"tick"})");
  EXPECT_NE(picture(model, plain(), 30).find("tick  4 times"), std::string::npos);
}

TEST(Top, AMessageThatWasTooLongIsNamedBySize) {
  TopModel model = busy_model();
  Event event{"cell:map", "70000"};
  event.omitted = true;
  model.on_event(event, 0);
  EXPECT_NE(picture(model, plain(), 30).find("70000 bytes, too long to be shown"),
            std::string::npos);
}

TEST(Top, AnAgentThatIsAwayIsSaid) {
  TopModel model = busy_model();
  model.set_presence(Presence::silent);
  EXPECT_NE(picture(model, plain(), 30).find("the agent does not answer"), std::string::npos);
  model.set_presence(Presence::away);
  EXPECT_NE(picture(model, plain(), 30).find("the agent has gone away"), std::string::npos);
}

TEST(Top, ClippingLeavesNoColourBehind) {
  EXPECT_EQ(clip_painted("\033[31mabc\033[0m", 2), "\033[31mab\033[0m");
  EXPECT_EQ(clip_painted("日本", 3), "日");
  EXPECT_EQ(clip_painted("abc", 3), "abc");
}

// --- two changes of one object -------------------------------------------------------------------

std::string list_of(const std::vector<MemberChange>& changes) {
  std::string out;
  for (const auto& c : changes) {
    out += c.path + ":" + c.base + "|" + c.mine + "|" + c.theirs + " ";
  }
  return out;
}

TEST(JsonMerge, UnitesWhatTouchesDifferentMembers) {
  const Merge merged =
      merge(R"({"a":1,"b":{"x":1.10,"y":2},"gone":0,"kept":[]})",
            R"({"a":1, "b":{"x":1.20,"y":2},"kept":[],"mine":1e2})",
            R"({"kept":[],"b":{"x":1.10,"y":3,"z":null},"a":5.00,"gone":0,"theirs":{}})");
  EXPECT_EQ(merged.text,
            R"({"a":5.00,"b":{"x":1.20,"y":3,"z":null},"kept":[],"mine":1e2,"theirs":{}})");
  EXPECT_EQ(list_of(merged.mine), "b.x:1.10|1.20|1.10 mine:|1e2| gone:0||0 ");
  EXPECT_EQ(list_of(merged.theirs), "a:1|1|5.00 b.y:2|2|3 b.z:||null theirs:||{} ");
  EXPECT_TRUE(merged.both.empty());
}

TEST(JsonMerge, WhatBothHaveChangedIsNamedAndOneIsTaken) {
  constexpr char kBase[] = R"({"a":1,"b":[1],"c":2,"same":0,"d":4})";
  constexpr char kMine[] = R"({"a":2,"b":[1,2],"same":9})";
  constexpr char kTheirs[] = R"({"a":3,"b":[0],"c":5,"same":9,"d":4})";
  const Merge mine = merge(kBase, kMine, kTheirs);
  EXPECT_EQ(mine.text, R"({"a":2,"b":[1,2],"same":9})");
  EXPECT_EQ(list_of(mine.both), "a:1|2|3 b:[1]|[1,2]|[0] c:2||5 ");
  EXPECT_EQ(list_of(mine.mine), "d:4||4 ");
  EXPECT_EQ(merge(kBase, kMine, kTheirs, Prefer::theirs).text, R"({"a":3,"b":[0],"same":9,"c":5})");
}

TEST(JsonMerge, NamesAreComparedByWhatTheyMean) {
  EXPECT_EQ(merge(R"({"\u00e9":1})", R"({"é":2})", R"({"\u00e9":1,"x":0})").text,
            R"({"é":2,"x":0})");
  EXPECT_EQ(without_members(R"({"version":1, "x" : 1.0})", {"version"}), R"({"x":1.0})");
}

TEST(McpConfig, IsJsonThatClientsHaveInAFile) {
  EXPECT_EQ(mcp_config_json({}),
            R"({"mcpServers":{"nodebeat":{"command":"/usr/bin/nodebeat-gate","args":["mcp"]}}})");
  EXPECT_EQ(mcp_config_json({.socket = "/a b.sock", .allow_writes = true}),
            R"({"mcpServers":{"nodebeat":{"command":"/usr/bin/nodebeat-gate",)"
            R"("args":["mcp","--socket","/a b.sock","--allow-writes"]}}})");
}

TEST(McpConfig, OnAnotherComputerAShellReadsTheCommand) {
  const std::vector<std::string> words = {"ssh",
                                          "-T",
                                          "-o",
                                          "BatchMode=yes",
                                          "--",
                                          "-hog",
                                          "/usr/bin/nodebeat-gate mcp --socket '/a b.sock'"};
  EXPECT_EQ(mcp_command({.socket = "/a b.sock", .host = "-hog"}), words);
}

TEST(McpConfig, NamesAServiceByItsAddress) {
  const McpServer server{.url = "http://127.0.0.1:9809/mcp"};
  EXPECT_EQ(mcp_config_json(server),
            R"({"mcpServers":{"nodebeat":{"type":"http","url":"http://127.0.0.1:9809/mcp"}}})");
  EXPECT_EQ(fault_in_url(server), "");
  EXPECT_EQ(fault_in_url({}), "");
  EXPECT_EQ(fault_in_url({.url = "https://gate.local/mcp"}), "");
  for (const char* url :
       {"javascript:alert(1)", "http://", "file:///etc", "http://a b", "localhost", "http://a\n"}) {
    EXPECT_NE(fault_in_url({.url = url}), "") << url;
  }
  const std::string text = mcp_config_text({.url = server.url, .with_token = true});
  for (const char* part :
       {"claude mcp add --transport http nodebeat http://127.0.0.1:9809/mcp --header "
        "'Authorization: Bearer TOKEN'\n",
        "\nurl = \"http://127.0.0.1:9809/mcp\"\nbearer_token_env_var = ",
        "\"Authorization\": \"Bearer TOKEN\"", "--mcp-token-file"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << text;
  }
}

TEST(McpConfig, NamesEachClientWithItsFile) {
  const std::string text = mcp_config_text({});
  for (const char* part :
       {"claude mcp add nodebeat -- /usr/bin/nodebeat-gate mcp\n", "claude_desktop_config.json",
        "~/.cursor/mcp.json", "\"servers\": {", "[mcp_servers.nodebeat]\n", "args = [\"mcp\"]",
        "group nodebeat-view.\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << '\n' << text;
  }
}

}  // namespace
}  // namespace nb::ctl
