// nodebeatctl's pure parts: text and tables, JSON as text, events and the fleet in words, doctor's
// rules, the pictures of `top`.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "ctl/check_config.h"
#include "ctl/doctor_rules.h"
#include "ctl/duration.h"
#include "ctl/event_line.h"
#include "ctl/fleet.h"
#include "ctl/fleet_pages.h"
#include "ctl/json_merge.h"
#include "ctl/keys.h"
#include "ctl/link_words.h"
#include "ctl/mcp_config.h"
#include "ctl/top_screen.h"
#include "redis/trouble.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/style.h"
#include "terminal/table.h"
#include "terminal/text.h"

namespace nb::ctl {

using namespace terminal;
namespace {

Style plain(size_t columns = 100) {
  Style style;
  style.utf8 = true;
  style.terminal = true;
  style.columns = columns;
  return style;
}

Style coloured(size_t columns = 100) {
  Style style = plain(columns);
  style.colour = true;
  return style;
}

// --- text ----------------------------------------------------------------------------------------

TEST(Text, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(width(""), 0u);
  EXPECT_EQ(width("hog"), 3u);
  EXPECT_EQ(width("Wärme °C"), 8u);
  EXPECT_EQ(width("e\u0301"), 1u);  // a combining accent
  EXPECT_EQ(width("日本"), 4u);     // East Asian wide
  EXPECT_EQ(width("🤖"), 2u);
  EXPECT_EQ(width("\xff\xfe"), 2u);  // no UTF-8: a column a byte
  EXPECT_EQ(width("\xe2\x82"), 2u);  // cut short
}

TEST(Text, ClipNeverExceedsAndNeverCutsACharacter) {
  EXPECT_EQ(clip("gripper", 7, true), "gripper");
  EXPECT_EQ(clip("gripper", 6, true), "gripp…");
  EXPECT_EQ(clip("gripper", 6, false), "gri...");
  EXPECT_EQ(clip("gripper", 2, false), "..");
  EXPECT_EQ(clip("gripper", 0, true), "");
  EXPECT_EQ(clip("日本語", 4, true), "日…");  // 5 would be too wide, 4 leaves a column free
  for (size_t columns = 0; columns < 12; ++columns) {
    EXPECT_LE(width(clip("aä日e\u0301🤖zzz", columns, true)), columns);
  }
}

TEST(Text, PadFillsByColumns) {
  EXPECT_EQ(pad("ä", 3), "ä  ");
  EXPECT_EQ(pad("日", 3, Align::right), " 日");
  EXPECT_EQ(pad("long", 2), "long");
}

TEST(Text, NothingPrintableSteersATerminal) {
  EXPECT_EQ(printable("a\033[31mb"), "a?[31mb");
  EXPECT_EQ(printable("a\nb\tc\x7f"), "a?b?c?");
  EXPECT_EQ(printable("a\u009b"
                      "31m"),
            "a?31m");                       // CSI as one C1 character
  EXPECT_EQ(printable("a\u202eb"), "a?b");  // right-to-left override
  EXPECT_EQ(printable("ok \xff"), "ok ?");
  EXPECT_EQ(printable("Wärme 日本"), "Wärme 日本");
  EXPECT_EQ(printable_lines("a\nb\r\033"), "a\nb??");
}

// A terminal is not steered by JSON either, and the JSON says the same as before.
TEST(Text, JsonThatIsPrintedIsTheSameJson) {
  EXPECT_EQ(json_printable("{\"a\":\"\xc2\x9b"
                           "31m\x7f\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xd8\x9c\"}"),
            R"({"a":"\u009b31m\u007f\u202e\u2066\u2028\u061c"})");
  const std::string plain = "{\n  \"sch\xc3\xb6n\": \"\xf0\x9f\xa4\x96\\u001b\",\r\t\"b\": 1.50\n}";
  EXPECT_EQ(json_printable(plain), plain);
  EXPECT_EQ(json_printable("\"\xff\x1b\""), R"("\ufffd\u001b")");
}

TEST(Text, Durations) {
  EXPECT_EQ(ago(400), "now");
  EXPECT_EQ(ago(999), "now");
  EXPECT_EQ(ago(1999), "1 s ago");
  EXPECT_EQ(ago(12'000), "12 s ago");
  EXPECT_EQ(ago(-999), "now");
  EXPECT_EQ(ago(-3000), "in 3 s");
}

TEST(Text, SizesAndLatencies) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(1048576), "1 MiB");
  EXPECT_EQ(size_text(1048575), "1 MiB");  // not "1024 KiB"
  EXPECT_EQ(latency(350), "350 us");
  EXPECT_EQ(latency(1234), "1.2 ms");
  EXPECT_EQ(latency(2.5e6), "2.5 s");
}

TEST(Text, BarsInEighthsOrInAscii) {
  EXPECT_EQ(bar(0, 4, true), "░░░░");
  EXPECT_EQ(bar(1, 4, true), "████");
  EXPECT_EQ(bar(0.5, 4, true), "██░░");
  EXPECT_EQ(bar(0.125, 1, true), "▏");
  EXPECT_EQ(bar(0.5, 4, false), "##--");
  EXPECT_EQ(bar(7, 3, false), "###");
  EXPECT_EQ(bar(-1, 3, false), "---");
  EXPECT_EQ(bar(0.0 / 0.0, 2, false), "--");
  for (int i = 0; i <= 100; ++i) EXPECT_EQ(width(bar(i / 100.0, 10, true)), 10u);
}

// --- times ---------------------------------------------------------------------------------------

int64_t moment(const char* timestamp) {
  const std::string json = '"' + std::string(timestamp) + '"';
  return JsonDocument(json).root().timestamp_us().value_or(-1);
}

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

// --- JSON as text --------------------------------------------------------------------------------

TEST(JsonText, FaultsAreFoundWhereTheyAre) {
  for (const char* good :
       {"1", "-0.5e+7", "\"a\\u00e4\"", "[]", "{}", " {\"a\" : [1, null, true]} "}) {
    EXPECT_FALSE(json_fault(good)) << good << ": " << *json_fault(good);
  }
  EXPECT_EQ(json_fault("fast"), "expected a value, at byte 1");
  EXPECT_EQ(json_fault("{\"a\":1,}"), "expected a name in double quotes, at byte 8");
  EXPECT_EQ(json_fault("[1,2"), "ends too early, at byte 5");
  EXPECT_EQ(json_fault("1 2"), "something follows the value, at byte 3");
  // What would break out of the call that it is put into.
  EXPECT_TRUE(json_fault("1,\"ttl_ms\":5"));
  for (const char* bad : {"", " ", "01", "1.", ".5", "+1", "NaN", "tru", "\"a", "\"\\x\"", "\"\n\"",
                          "{1:2}", "[1 2]", "}", "\"\\u12g4\""}) {
    EXPECT_TRUE(json_fault(bad)) << bad;
  }
  EXPECT_TRUE(json_fault(std::string(100, '[') + std::string(100, ']')));
  // What the agent does not take (PROTOCOL.md, 1.4).
  for (const char* bad : {"\"\xff\"", "\"\\u0000\"", "\"\\ud800\"", "1e400", R"({"a":1,"a":2})"}) {
    EXPECT_TRUE(json_fault(bad)) << bad;
  }
}

TEST(JsonText, Quote) {
  EXPECT_EQ(json_quote("a\"b\\c\nd\x01"), R"("a\"b\\c\nd\u0001")");
}

TEST(JsonText, CompactKeepsStringsAndDigits) {
  EXPECT_EQ(json_compact("{ \"a b\" :\n [ 1.50 , \"x \\\" y\" ] }"), R"({"a b":[1.50,"x \" y"]})");
}

TEST(JsonText, IndentedForPeople) {
  EXPECT_EQ(json_indented(R"({"a":[1,2.50],"b":{},"c":{"d":[]},"e":["x","y"]})"),
            "{\n  \"a\": [1, 2.50],\n  \"b\": {},\n  \"c\": {\n    \"d\": []\n  },\n"
            "  \"e\": [\n    \"x\",\n    \"y\"\n  ]\n}");
  EXPECT_EQ(json_indented("1.0"), "1.0");
}

// --- tables --------------------------------------------------------------------------------------

TEST(Table, AlignsByColumnsAndLeavesNoTrailingSpace) {
  Table table;
  table.column("NAME");
  table.column("N", Align::right);
  table.column("X");
  table.row({{"ä"}, {"5"}, {""}});
  table.row({{"gripper"}, {"12"}, {"y"}});
  EXPECT_EQ(table.text(plain()),
            "NAME      N  X\n"
            "ä         5\n"
            "gripper  12  y\n");
}

TEST(Table, WrapsOnANarrowTerminalOnly) {
  Table table;
  table.column("A");
  table.column("WORDS", Align::left, Table::kWraps);
  table.row({{"1"}, {"something long to say"}});
  EXPECT_EQ(table.text(plain(16)), "A  WORDS\n1  something\n   long to say\n");
  Style file = plain(16);
  file.terminal = false;
  EXPECT_EQ(table.lines(file)[1], "1  something long to say");
}

TEST(Table, ANameIsWholeWhileAnythingElseCanGiveWay) {
  Table table;
  table.column("NODE");
  table.column("WORDS", Align::left, Table::kWraps);
  table.row({{"a-name-of-twenty-five-xxx"}, {"one two three four"}});
  EXPECT_EQ(table.least_width(), 25u + 2 + 12);
  for (const size_t columns : {50u, 39u, 35u}) {
    EXPECT_EQ(table.lines(plain(columns))[1].find("a-name-of-twenty-five-xxx"), 0u) << columns;
  }
  for (size_t columns = 10; columns < 50; ++columns) {
    std::string all;
    for (const std::string& line : table.lines(plain(columns))) {
      EXPECT_LE(width(line), columns);
      all += line;
    }
    std::erase(all, ' ');
    EXPECT_NE(all.find("four"), std::string::npos) << "nothing is cut: " << all;
  }
}

TEST(Text, WrapsAtSpacesAndInLongWords) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrap("", 5), Lines{""});
  EXPECT_EQ(wrap("one two", 7), Lines{"one two"});
  EXPECT_EQ(wrap("one two", 6), (Lines{"one", "two"}));
  EXPECT_EQ(wrap("one two", 3), (Lines{"one", "two"}));
  EXPECT_EQ(wrap("abcdefgh ij", 3), (Lines{"abc", "def", "gh", "ij"}));
  EXPECT_EQ(wrap("日本語", 4), (Lines{"日本", "語"}));
  EXPECT_EQ(wrap("日", 1), Lines{"日"});
  EXPECT_EQ(wrap(" a", 1), (Lines{"", "a"}));
}

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

TEST(Table, ColoursTakeNoColumn) {
  Table table;
  table.column("");
  table.column("");
  table.row({{"up", Colour::green}, {"x"}});
  table.row({{"down", Colour::red}, {"y"}});
  EXPECT_EQ(table.text(coloured()), "\033[32mup\033[0m    x\n\033[31mdown\033[0m  y\n");
}

TEST(Style, Utf8ByTheFirstLocaleVariableThatIsSet) {
  EXPECT_TRUE(is_utf8_locale(nullptr, nullptr, "de_DE.UTF-8"));
  EXPECT_TRUE(is_utf8_locale("", nullptr, "C.utf8"));
  EXPECT_FALSE(is_utf8_locale("C", nullptr, "de_DE.UTF-8"));
  EXPECT_FALSE(is_utf8_locale(nullptr, nullptr, nullptr));
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

// --- doctor --------------------------------------------------------------------------------------

Findings from(Findings (*rule)(Json), const char* json) {
  const JsonDocument document(json);
  return rule(document.root());
}

Findings outbox_of(Json stats) {
  return outbox_findings(stats, 0);
}

Findings server_of(Json inspect) {
  return server_findings(facts_of(inspect));
}

Findings clock_of(Json inspect) {
  return clock_findings(facts_of(inspect));
}

// The one finding of that check; fails if there is none or more.
Finding only(const Findings& findings, std::string_view check) {
  Finding found;
  int count = 0;
  for (const Finding& finding : findings) {
    if (finding.check != check) continue;
    found = finding;
    ++count;
  }
  EXPECT_EQ(count, 1) << check;
  return found;
}

TEST(Doctor, ConfigurationWithTheEyesOfTheCaller) {
  ConfigCheck check;
  EXPECT_EQ(config_findings(check)[0].level, Level::warning);  // no nodebeatd
  check.found = true;
  check.user = "ann";
  EXPECT_EQ(config_findings(check)[0].level, Level::ok);
  EXPECT_EQ(config_findings(check)[0].text, "no file, so the defaults hold");
  check.file = "/etc/nodebeat/nodebeat.toml";
  // Nobody is told that all is well who has not seen all.
  EXPECT_NE(config_findings(check)[0].text.find("is right as ann reads it"), std::string::npos);
  check.readable = false;
  EXPECT_EQ(config_findings(check)[0].level, Level::warning);
  EXPECT_NE(config_findings(check)[0].advice.find("sudo -u nodebeat nodebeatd"), std::string::npos);
  check.readable = true;
  check.exit = 78;
  check.lines = {"nodebeatd: a:1: no such key", "nodebeatd: a:2: /p: Permission denied"};
  const Findings wrong = config_findings(check);
  ASSERT_EQ(wrong.size(), 2u);
  EXPECT_EQ(wrong[0].text, "a:1: no such key");
  EXPECT_EQ(wrong[0].level, Level::problem);
  EXPECT_EQ(wrong[1].level, Level::warning) << "the agent may be allowed what ann is not";
  EXPECT_EQ(section_of(wrong[1]), "configuration-unseen");
  check.lines.clear();
  EXPECT_EQ(config_findings(check)[0].level, Level::problem);
  check.exit = 0;
  check.lines = {"nodebeatd: /p holds a password and may be read by every user of this host"};
  EXPECT_EQ(config_findings(check)[0].level, Level::problem);
}

TEST(Doctor, ConfigurationWithTheEyesOfTheAgent) {
  const auto found = [](const char* json) { return config_findings(JsonDocument(json).root()); };
  Findings findings = found(R"({"files":["/etc/nodebeat/arm.toml"],"faults":[],"warnings":[]})");
  EXPECT_EQ(only(findings, "configuration").text,
            "/etc/nodebeat/arm.toml is right, as the agent reads it");
  findings = found(R"({"files":[],"faults":["a:3: no such key"],"warnings":[]})");
  EXPECT_EQ(only(findings, "configuration").level, Level::problem);
  findings = found(
      R"({"files":["/a"],"faults":[],"warnings":["/p holds a password and may be read by all","odd"]})");
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(section_of(findings[0]), "configuration-password");
  EXPECT_EQ(findings[1].level, Level::warning);
}

TEST(Doctor, EventsThatWereLostHaveTheirReasons) {
  constexpr int64_t kMinute = 60'000'000;
  const int64_t last = moment("2026-11-20T14:03:07.0");
  const auto found = [&](const char* link, const char* counts, int64_t now) {
    const JsonDocument stats(std::string(R"({"link":{"state":")") + link + R"("},"outbox":{)" +
                             counts + R"(,"event_bytes":0,"event_bytes_limit":1000,)" +
                             R"("last_dropped":"2026-11-20T14:03:07.0"}})");
    return outbox_findings(stats.root(), now);
  };
  const auto has = [](const Finding& finding, const char* words) {
    return finding.text.find(words) != std::string::npos;
  };
  Findings both = found("waiting", R"("dropped":9,"dropped_old":4)", last + kMinute);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_TRUE(has(both[0], "4 events were dropped: they had waited")) << both[0].text;
  EXPECT_EQ(section_of(both[0]), "queue-age");
  EXPECT_TRUE(has(both[1], "5 events were dropped: there was no room")) << both[1].text;
  EXPECT_EQ(section_of(both[1]), "queue-room");
  Findings over = found("steady", R"("dropped":4,"dropped_old":4)", last + kMinute);
  EXPECT_TRUE(has(over[0], "that is over, and they are lost")) << over[0].text;
  EXPECT_EQ(section_of(over[0]), "queue-outage-over");
  over = found("steady", R"("dropped":4,"dropped_old":4)", last + 90 * kMinute);
  EXPECT_EQ(over[0].level, Level::ok) << "it is history";
  over = found("waiting", R"("dropped":4,"dropped_old":4)", last + 90 * kMinute);
  EXPECT_EQ(over[0].level, Level::warning) << "it goes on";
}

TEST(Doctor, EachFindingNamesItsSection) {
  EXPECT_EQ(section_of(warning("redis eviction", "x", "y")), "redis-eviction");
  EXPECT_EQ(section_of(warning("user nodebeat-hog", "x", "y")), "users");
  EXPECT_EQ(section_of(warning("queue", "x", "y", "queue-age")), "queue-age");
  EXPECT_EQ(section_of(fine("queue", "x")), "");
  EXPECT_NE(findings_text({warning("clock", "x", "y")}, plain()).find("[#clock]"),
            std::string::npos);
  EXPECT_NE(findings_json({warning("clock", "x", "y")}).find("troubleshooting.md#clock"),
            std::string::npos);
  Style narrow = plain(60);
  const std::string long_words(200, 'x');
  std::string text = findings_text({warning("clock", long_words, "y")}, narrow);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    EXPECT_LE(width(rest.substr(0, end)), 75u);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

TEST(Doctor, Socket) {
  SocketLook look;
  look.state = SocketState::missing;
  look.path = "/run/nodebeat/agent.sock";
  EXPECT_EQ(socket_findings(look)[0].text,
            "no agent listens at /run/nodebeat/agent.sock: is nodebeat running? systemctl status "
            "nodebeat");
  look.state = SocketState::not_permitted;
  look.owner = "root";
  look.group = "nodebeat";
  look.mode = 0660;
  EXPECT_NE(words(look).find("you are not in the group nodebeat"), std::string::npos);
  look.user_will_be_in_group = true;
  EXPECT_NE(words(look).find("log in again"), std::string::npos);
  look.state = SocketState::listening;
  EXPECT_EQ(socket_findings(look)[0].level, Level::ok);
  look.mode = 0666;
  EXPECT_EQ(socket_findings(look)[0].level, Level::warning);
}

TEST(Doctor, EveryReasonWhyASocketCannotBeUsedIsASentence) {
  for (const SocketState state :
       {SocketState::missing, SocketState::not_permitted, SocketState::no_socket, SocketState::dead,
        SocketState::overrun, SocketState::too_long, SocketState::other}) {
    SocketLook look;
    look.state = state;
    look.path = "/x/\033y";
    const std::string said = words(look);
    EXPECT_NE(said.find("/x/?y"), std::string::npos) << said;
    EXPECT_EQ(said.find('\033'), std::string::npos);
  }
}

TEST(Doctor, WhoWatches) {
  const auto watch = [](const char* members) {
    return from(watch_findings, (std::string(R"({"watch":{)") + members + "}}").c_str());
  };
  EXPECT_EQ(only(watch(R"("role":"watching","nodes":12)"), "watch").text,
            "this agent watches 12 nodes");
  EXPECT_EQ(only(watch(R"("role":"watched","node":"hog")"), "watch").text,
            "node hog watches the cell");
  EXPECT_EQ(doctor_code(watch(R"("role":"unknown")")), 0);
  EXPECT_EQ(only(watch(R"("role":"nobody","enabled":true)"), "watch").level, Level::problem);
  EXPECT_NE(
      only(watch(R"("role":"nobody","enabled":false)"), "watch").advice.find("[watch] enabled"),
      std::string::npos);
  const Findings refused =
      watch(R"("role":"unknown","lease_trouble":"NOPERM","trouble":"NOPERM x")");
  EXPECT_EQ(only(refused, "lease").level, Level::problem);
  EXPECT_NE(refused[1].text.find("NOPERM x"), std::string::npos);
  EXPECT_NE(refused[1].advice.find("redis setup --force"), std::string::npos);
  EXPECT_TRUE(from(watch_findings, "{}").empty()) << "an agent of an earlier version says nothing";
}

TEST(Doctor, Link) {
  Findings findings =
      from(link_findings, R"({"link":{"state":"steady","trouble":null,"ping_ms":0.21,
    "target":"127.0.0.1:6379"}})");
  EXPECT_EQ(only(findings, "link").text, "connected to Redis at 127.0.0.1:6379, 210 us");
  EXPECT_EQ(doctor_code(findings), 0);
  findings = from(link_findings,
                  R"_({"link":{"state":"waiting","cause":"wrong-password",
    "trouble":"the server does not accept the user or password (it said no)","target":"r"}})_");
  EXPECT_EQ(doctor_code(findings), 2);
  EXPECT_EQ(only(findings, "link").text,
            "not connected to Redis at r: the server does not accept the user or password "
            "(it said no); waits for the next try");
  EXPECT_NE(only(findings, "link").advice.find("password_file"), std::string::npos);
  for (const auto& [target, command] :
       {std::pair{"cell:6379", "redis-cli -h cell -p 6379 ping"},
        std::pair{"[fd00::1]:7", "redis-cli -h fd00::1 -p 7 ping"},
        std::pair{"/run/r.sock", "redis-cli -s /run/r.sock ping"}}) {
    const JsonDocument document(std::string(R"({"state":"waiting","cause":"silent","target":")") +
                                target + "\"}");
    EXPECT_NE(link_advice(document.root()).find(command), std::string::npos) << target;
  }
  findings = from(link_findings,
                  R"({"link":{"state":"waiting","cause":"brand-new","trouble":"brand-new"}})");
  EXPECT_NE(findings[0].text.find("brand-new"), std::string::npos);
  EXPECT_FALSE(findings[0].advice.empty());
  // Connected, and yet the node's own health is refused.
  findings = from(link_findings, R"({"link":{"state":"degraded","cause":"no-permission","target":
      "10.0.0.2:6379","trouble":"NOPERM no rights for node:health:hog","ping_ms":0.2}})");
  EXPECT_EQ(findings[0].level, Level::problem);
  EXPECT_EQ(findings[0].text,
            "degraded: connected to Redis at 10.0.0.2:6379, which refuses this node's data: "
            "NOPERM no rights for node:health:hog");
  EXPECT_NE(findings[0].advice.find("nodebeatctl redis check"), std::string::npos);
  findings = from(link_findings, R"({"link":{"state":"steady","ping_ms":80}})");
  EXPECT_EQ(doctor_code(findings), 1);
  findings = from(link_findings, R"({"uptime_s":7200,"link":{"state":"steady","failures":21}})");
  EXPECT_EQ(only(findings, "link history").level, Level::warning);
  findings = from(link_findings, R"({"uptime_s":7200,"link":{"state":"steady","failures":20}})");
  EXPECT_EQ(doctor_code(findings), 0);
}

TEST(Doctor, EveryCauseOfTheLinkHasAnAdvice) {
  using redis::Trouble;
  for (auto i = static_cast<int>(Trouble::none) + 1; i <= static_cast<int>(Trouble::refused); ++i) {
    const std::string cause(name(static_cast<Trouble>(i)));
    const JsonDocument link("{\"cause\":\"" + cause + "\"}");
    EXPECT_NE(link_advice(link.root()), "") << cause;
  }
}

TEST(Doctor, Eviction) {
  const auto level = [](const char* json) {
    return only(from(server_of, json), "redis eviction").level;
  };
  EXPECT_EQ(level(R"({"maxmemory_policy":"noeviction","maxmemory_bytes":1})"), Level::ok);
  EXPECT_EQ(level(R"({"maxmemory_policy":"allkeys-lru","maxmemory_bytes":1000})"), Level::problem);
  EXPECT_EQ(level(R"({"maxmemory_policy":"allkeys-lfu","maxmemory_bytes":0})"), Level::warning);
  EXPECT_EQ(level(R"({"maxmemory_policy":"volatile-ttl","maxmemory_bytes":1000})"), Level::warning);
  EXPECT_EQ(level(R"({"maxmemory_policy":"volatile-ttl","maxmemory_bytes":0})"), Level::ok);
}

TEST(Doctor, Memory) {
  const auto level = [](const char* json) {
    return only(from(server_of, json), "redis memory").level;
  };
  EXPECT_EQ(level(R"({"used_memory_bytes":500,"maxmemory_bytes":0})"), Level::ok);
  EXPECT_EQ(level(R"({"used_memory_bytes":799,"maxmemory_bytes":1000})"), Level::ok);
  EXPECT_EQ(level(R"({"used_memory_bytes":800,"maxmemory_bytes":1000})"), Level::warning);
  EXPECT_EQ(level(R"({"used_memory_bytes":1000,"maxmemory_bytes":1000})"), Level::problem);
}

TEST(Doctor, AccessPersistenceRoleLoading) {
  EXPECT_EQ(
      only(from(server_of, R"({"protected_mode":false,"has_password":false})"), "redis access")
          .level,
      Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"protected_mode":true,"has_password":false})"), "redis access")
                .level,
            Level::ok);
  EXPECT_EQ(only(from(server_of, R"({"protected_mode":false,"has_password":true})"), "redis access")
                .level,
            Level::ok);
  EXPECT_EQ(only(from(server_of, R"({"aof_enabled":false})"), "redis persistence").level,
            Level::warning);
  EXPECT_EQ(only(from(server_of, R"({"aof_enabled":true})"), "redis persistence").level, Level::ok);
  EXPECT_EQ(
      only(from(server_of, R"({"aof_enabled":true,"rdb_last_save_ok":false})"), "redis persistence")
          .level,
      Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"version":"7","role":"slave"})"), "redis").level,
            Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"version":"7","role":"master"})"), "redis").level, Level::ok);
  EXPECT_EQ(doctor_code(from(server_of, R"({"version":"7","role":"master","loading":true})")), 2);
}

TEST(Doctor, WhatAServerDoesNotSayIsNoFinding) {
  const Findings findings = from(server_of, R"({"version":null,"role":null,"maxmemory_policy":null,
    "used_memory_bytes":null,"protected_mode":null,"has_password":null,"aof_enabled":null})");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].level, Level::warning);
  EXPECT_NE(findings[0].advice.find("+info"), std::string::npos);
}

TEST(Doctor, Clock) {
  EXPECT_TRUE(from(clock_of, R"({"clock_offset_ms":null})").empty());
  EXPECT_EQ(from(clock_of, R"({"clock_offset_ms":3.2})")[0].level, Level::ok);
  EXPECT_EQ(from(clock_of, R"({"clock_offset_ms":-250})")[0].level, Level::warning);
  const Finding far = from(clock_of, R"({"clock_offset_ms":-7200000})")[0];
  EXPECT_EQ(far.level, Level::problem);
  EXPECT_EQ(far.text, "Redis' clock is 2 h behind this node's");
}

TEST(Doctor, QueuesProbesClients) {
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"dropped":0}})")), 0);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"dropped":37}})")), 1);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"refused":1}})")), 1);
  EXPECT_EQ(
      doctor_code(from(outbox_of, R"({"outbox":{"event_bytes":900,"event_bytes_limit":1000}})")),
      1);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"latency_us":{"store":{"p99":600000}}})")), 1);
  EXPECT_TRUE(from(probe_findings, R"({"probes":[]})").empty());
  EXPECT_EQ(
      from(probe_findings, R"({"probes":[{"name":"a","up":true},{"name":"b","up":null}]})")[0].text,
      "all up (1)");
  const Finding down =
      from(probe_findings,
           R"({"probes":[{"name":"vision","type":"mcp","up":false,"detail":"refused"}]})")[0];
  EXPECT_EQ(down.level, Level::problem);
  EXPECT_EQ(down.text, "vision (mcp) is down: refused");
  const Finding unknown =
      from(probe_findings,
           R"({"probes":[{"name":"robot","type":"systemd","up":null,"detail":"no bus"}]})")[0];
  EXPECT_EQ(unknown.level, Level::warning);
  EXPECT_EQ(unknown.text, "robot (systemd) is unknown: no bus");
  EXPECT_EQ(doctor_code(from(client_findings, R"({"socket":{"clients":3,"clients_limit":64}})")),
            0);
  EXPECT_EQ(doctor_code(from(client_findings, R"({"socket":{"clients":60,"clients_limit":64}})")),
            1);
  EXPECT_EQ(doctor_code(from(client_findings,
                             R"({"socket":{"clients":3,"clients_limit":64,"cut_off":1}})")),
            1);
  EXPECT_EQ(
      doctor_code(from(client_findings, R"({"clients":[{"name":"robot","pid":7,"errors":4}]})")),
      1);
  EXPECT_EQ(from(client_findings, R"({"subscriptions":{"lost":7}})")[0].text,
            "7 messages were lost by subscribers that did not keep up");
}

TEST(Doctor, TwoAgentsOfOneName) {
  const JsonDocument stats(R"({"node_id":"hog","instance_id":"a"})");
  const JsonDocument ours(R"({"instance_id":"a"})");
  const JsonDocument other(R"({"instance_id":"b"})");
  const JsonDocument gone(R"({"instance_id":"b","is_reachable":false})");
  const JsonDocument nothing("null");
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), ours.root()})[0].level, Level::ok);
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), other.root()})[0].level, Level::problem);
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), gone.root()})[0].level, Level::ok);
  EXPECT_TRUE(name_findings(stats.root(), {nothing.root(), nothing.root()}).empty());
  const JsonDocument told(R"({"node_id":"hog","instance_id":"a","conflict":"b"})");
  EXPECT_EQ(name_findings(told.root(), {ours.root(), ours.root()})[0].text,
            "two agents beat as node hog: this one (a) and b");
  const JsonDocument nameless(R"({"node_id":"hog","instance_id":"a","conflict":"unknown"})");
  EXPECT_EQ(name_findings(nameless.root(), {nothing.root()})[0].level, Level::problem);
}

TEST(Doctor, TheWorstFindingDecides) {
  EXPECT_EQ(doctor_code({}), 0);
  EXPECT_EQ(doctor_code({{Level::ok, "", "", ""}, {Level::warning, "", "", ""}}), 1);
  EXPECT_EQ(doctor_code({{Level::problem, "", "", ""}, {Level::warning, "", "", ""}}), 2);
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
