// Text for a terminal: widths, JSON as text, tables.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "terminal/json_text.h"
#include "terminal/style.h"
#include "terminal/table.h"
#include "terminal/text.h"
#include "unit/ctl_fixture.h"

namespace nb::ctl {
namespace {

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

}  // namespace
}  // namespace nb::ctl
