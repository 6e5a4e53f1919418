// Unit tests of json/: what the scanner and the guard accept, the view that walks over it, and what
// the writer writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "json/guard.h"
#include "json/number.h"
#include "json/text.h"
#include "json/view.h"
#include "json/writer.h"
#include "support/count_allocations.h"
#include "support/json_document.h"
#include "support/processor_time.h"

namespace nb::json {
namespace {

using test::JsonDocument;

using Type = View::Type;

View view(std::string_view text) {
  EXPECT_EQ(scan(text).reason, nullptr) << text;
  return View::of(text);
}

std::string fault_of(std::string_view text, const Limits& limits = {}) {
  const Fault fault = Guard().check(text, limits);
  return fault.reason == nullptr ? "" : std::to_string(fault.offset) + ": " + fault.reason;
}

std::string compact(std::string_view text) {
  std::string out;
  append_compact(view(text), out);
  return out;
}

TEST(JsonView, KnowsTheTypeOfEveryValue) {
  EXPECT_EQ(View().type(), Type::missing);
  EXPECT_EQ(view(" null ").type(), Type::null);
  EXPECT_EQ(view("true").type(), Type::boolean);
  EXPECT_EQ(view("-0").type(), Type::number);
  EXPECT_EQ(view("\"\"").type(), Type::string);
  EXPECT_EQ(view("[]").type(), Type::array);
  EXPECT_EQ(view("\r{}\t").type(), Type::object);
  EXPECT_EQ(view(" [1 , {}] ").raw(), "[1 , {}]");
  EXPECT_EQ(view("true").boolean(), true);
  EXPECT_EQ(view("false").boolean(), false);
  EXPECT_EQ(view("0").boolean(), std::nullopt);
}

TEST(JsonView, FindsMembersByWhatTheirNamesStandFor) {
  const View object = view(R"( {"a": 1 , "\u0062" :[ 2, "]}" ],"":{"a":"x"}, "A":null} )");
  EXPECT_EQ(object["a"].raw(), "1");
  EXPECT_EQ(object["b"].raw(), R"([ 2, "]}" ])");
  EXPECT_EQ(object[""]["a"].raw(), "\"x\"");
  EXPECT_EQ(object["A"].type(), Type::null);
  EXPECT_FALSE(object["c"].exists());
  EXPECT_FALSE(object["\\u0062"].exists());
  EXPECT_FALSE(object["c"]["d"]["e"].exists());
  EXPECT_FALSE(object["a"]["a"].exists());
  EXPECT_FALSE(view("[1]")["0"].exists());
}

TEST(JsonView, WalksInOrder) {
  std::string scratch;
  std::string seen;
  for (const Member& member : view(R"({"x" : [1],"y\n":{ } ,"z":"\""})").members()) {
    seen += std::string(member.name(scratch)) + "=" + std::string(member.value.raw()) + ";";
  }
  EXPECT_EQ(seen, "x=[1];y\n={ };z=\"\\\"\";");
  seen.clear();
  for (const View element : view("[ 1,[2,[3]] , \"a,b\",{\"c\":[]},null ]").elements()) {
    seen += std::string(element.raw()) + ";";
  }
  EXPECT_EQ(seen, "1;[2,[3]];\"a,b\";{\"c\":[]};null;");
  for (const char* none : {"[]", "[ ]", "{}", "1", "\"x\""}) {
    for ([[maybe_unused]] const View element : view(none).elements()) ADD_FAILURE() << none;
    for ([[maybe_unused]] const Member& member : view(none).members()) ADD_FAILURE() << none;
  }
}

TEST(JsonView, ReadsTextsInPlaceWhereItCan) {
  std::string scratch = "untouched";
  const std::string_view plain = "\"gr\xc3\xbc\xc3\x9f dich\"";
  EXPECT_EQ(view(plain).string(scratch), "gr\xc3\xbc\xc3\x9f dich");
  EXPECT_EQ(view(plain).string(scratch)->data(), plain.data() + 1);
  EXPECT_EQ(scratch, "untouched");
  EXPECT_EQ(view(R"("\"\\\/\b\f\n\r\t")").string(scratch), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(view(R"("\u0041\u00fC\u20ac\ud83d\udE00!")").string(scratch),
            "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80!");
  EXPECT_EQ(view("1").string(scratch), std::nullopt);
  EXPECT_TRUE(view(R"("\u0032.0")").string_is("2.0"));
  EXPECT_TRUE(view("\"\"").string_is(""));
  EXPECT_FALSE(view("\"2.0\"").string_is("2.00"));
  EXPECT_FALSE(view(R"("\n")").string_is("\\n"));
  EXPECT_TRUE(view(R"("\\n")").string_is("\\n"));
  EXPECT_FALSE(view("2.0").string_is("2.0"));
}

TEST(JsonView, ComparesEscapedTextsByTheirBytes) {
  EXPECT_EQ(compare_escaped("a", R"(\u0061)"), 0);
  EXPECT_LT(compare_escaped(R"(\u0061)", "b"), 0);
  EXPECT_GT(compare_escaped("ab", R"(\u0061)"), 0);
  EXPECT_GT(compare_escaped("\xc3\xbc", R"(\u007a)"), 0);
  EXPECT_EQ(compare_escaped(R"(\ud83d\ude00)", "\xf0\x9f\x98\x80"), 0);
}

TEST(JsonView, TellsWholeNumbersByTheirDigits) {
  const std::vector<std::pair<const char*, int64_t>> whole = {
      {"0", 0},
      {"-0", 0},
      {"0e999999999999999999999", 0},
      {"0.000", 0},
      {"1e3", 1000},
      {"1.0", 1},
      {"-12.50e1", -125},
      {"100e-2", 1},
      {"1000000000000000000000000000000e-30", 1},
      {"0.0000000000000000000000000000001e31", 1},
      {"9007199254740991", 9007199254740991},
      {"-9007199254740991.000", -9007199254740991},
      {"90071992547409910e-1", 9007199254740991},
  };
  for (const auto& [text, value] : whole) EXPECT_EQ(view(text).integer(), value) << text;
  for (const char* text :
       {"0.5", "1e-1", "15e-1", "9007199254740992", "9007199254740993", "-9007199254740992",
        "9007199254740990.9999999999", "1e16", "1e999999999999999999999", "1e-999999999999999999",
        "123456789012345678901234567890e-40", "true", "\"1\"", "null"}) {
    EXPECT_EQ(view(text).integer(), std::nullopt) << text;
  }
}

TEST(JsonView, ReadsNumbersAsTheNearestDouble) {
  EXPECT_EQ(view("0.1").number(), 0.1);
  EXPECT_EQ(view("-2.5E+3").number(), -2500.0);
  EXPECT_EQ(view("1.7976931348623157e308").number(), 1.7976931348623157e308);
  EXPECT_EQ(view("1e-999").number(), 0.0);
  EXPECT_TRUE(std::signbit(*view("-1e-999").number()));
  EXPECT_EQ(view("1e999").number(), std::nullopt);
  EXPECT_EQ(view("9007199254740993").number(), 9007199254740992.0);
  EXPECT_EQ(view("\"1\"").number(), std::nullopt);
}

TEST(JsonView, KeepsEveryDigitWhenItCompacts) {
  EXPECT_EQ(
      compact(" { \"a b\" : [ 1.10 , 9007199254740993 ,\t0.1000000000000000055511151231257827 ]"
              ",\r\n\"\\u0063 \\\" \":-0.0E+00}\n"),
      "{\"a b\":[1.10,9007199254740993,0.1000000000000000055511151231257827],"
      "\"\\u0063 \\\" \":-0.0E+00}");
  EXPECT_EQ(compact("[]"), "[]");
  EXPECT_EQ(compact("\" x \""), "\" x \"");
}

TEST(JsonView, NeverReadsPastAnythingThatNoScannerSaw) {
  const std::string text = R"({"a":[1,{"b":"\u00e9\n"}],"c":true})";
  for (size_t n = 0; n <= text.size(); ++n) {
    const std::vector<char> exact(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n));
    const View cut = View::of(std::string_view(exact.data(), exact.size()));
    std::string scratch;
    for (const Member& member : cut.members()) {
      (void)member.name(scratch);
      for (const View element : member.value.elements()) (void)element["b"].string(scratch);
    }
    scratch.clear();
    append_compact(cut, scratch);
    EXPECT_LE(scratch.size(), n);
  }
}

TEST(JsonView, ComesToAnEndOverAnything) {
  for (const char* text : {"[]]", "[,]", "[,,1]", "[ ] ]", "{:}", "{\"a\"}", "{\"a\":}", "{}}",
                           "[}", "[1}]]", "{,", "{a:1}"}) {
    int steps = 0;
    const View whole = View::of(text);
    for ([[maybe_unused]] const View element : whole.elements()) ASSERT_LT(++steps, 10) << text;
    for ([[maybe_unused]] const Member& member : whole.members()) {
      ASSERT_LT(++steps, 10) << text;
    }
  }
}

TEST(JsonGuard, RefusesWithReasonAndPlace) {
  EXPECT_EQ(fault_of(R"({"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]})"), "");
  EXPECT_EQ(fault_of(""), "0: ends too early");
  EXPECT_EQ(fault_of("nope"), "0: expected a value");
  EXPECT_EQ(fault_of("{\"a\":NaN}"), "5: expected a value");
  EXPECT_EQ(fault_of("[1e999]"), "1: a number beyond the range of a double");
  EXPECT_EQ(fault_of("[-1.8e308]"), "1: a number beyond the range of a double");
  EXPECT_EQ(fault_of("[1.7976931348623157e308]"), "");
  EXPECT_EQ(fault_of("[" + std::string(400, '9') + "]"),
            "1: a number beyond the range of a double");
  EXPECT_EQ(fault_of("[0." + std::string(400, '9') + "]"), "");
  EXPECT_EQ(fault_of("[" + std::string(400, '9') + "e-200]"), "");
  EXPECT_EQ(fault_of("[1e-999]"), "");
  EXPECT_EQ(fault_of("\"\\u0000\""), "7: \\u0000 is not allowed in text");
  EXPECT_EQ(fault_of("\"\\ud800x\""), "7: a high surrogate without a low one");
  EXPECT_EQ(fault_of("{\"key\":\"ab\xff\"}"), "10: not UTF-8");
  EXPECT_EQ(fault_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(fault_of(std::string(65, '[') + std::string(65, ']')), "64: nested too deep");
  EXPECT_EQ(fault_of("[1,2]", {4}), "4: too long");
}

TEST(JsonGuard, FindsRepeatedNamesAtAnyLevelHoweverWritten) {
  EXPECT_EQ(fault_of(R"({"a":1,"a":2})"), "8: a name stands twice in one object");
  EXPECT_EQ(fault_of(R"([{"x":{"a":1,"\u0061":2}}])"), "14: a name stands twice in one object");
  EXPECT_EQ(fault_of(R"({"":1,"":2})"), "7: a name stands twice in one object");
  EXPECT_EQ(fault_of(R"({"long-name-1":1,"long-name-2":2,"long-name-1":3})"),
            "34: a name stands twice in one object");
  EXPECT_EQ(fault_of("{\"\xc3\xbc\":1,\"\\u00fc\":2}"), "9: a name stands twice in one object");
  EXPECT_EQ(fault_of(R"({"a":{"b":1},"b":{"a":1}})"), "");
  EXPECT_EQ(fault_of(R"({"a":1,"A":2,"a ":3,"\\u0061":4})"), "");
  // Beyond a handful another way is taken.
  for (const int twice : {0, 1, 37, 99}) {
    std::string text = "{";
    size_t at = 0;
    for (int i = 0; i < 100; ++i) text += "\"name-" + std::to_string(i) + "\":0,";
    at = text.size() + 1;
    text += "\"n\\u0061me-" + std::to_string(twice) + "\":{}}";
    EXPECT_EQ(fault_of(text), std::to_string(at) + ": a name stands twice in one object");
    text[at] = 'N';
    EXPECT_EQ(fault_of(text), "");
  }
}

TEST(JsonGuard, FaultsAreThoseOfAnotherParser) {
  for (const char* text : {"{\"a\":1,\"a\":1}", "[1e400]", "[1e-400]", "{\"a\":{\"b\":[]}}", "[01]",
                           "\"\\u0000\"", "{\"a\\/\":1,\"a/\":2}"}) {
    EXPECT_EQ(fault_of(text).empty(), test::JsonDocument::parse(text).ok()) << text;
  }
}

// What the guard's index says must be what a search says, value by value.
void expect_same(View indexed, View searched) {
  ASSERT_EQ(indexed.raw(), searched.raw());
  EXPECT_EQ(indexed.raw().data(), searched.raw().data());
  std::string a, b;
  EXPECT_EQ(indexed.string(a), searched.string(b));
  std::string compact_a, compact_b;
  append_compact(indexed, compact_a);
  append_compact(searched, compact_b);
  EXPECT_EQ(compact_a, compact_b);
  std::vector<Member> members;
  for (const Member& member : searched.members()) members.push_back(member);
  size_t at = 0;
  for (const Member& member : indexed.members()) {
    ASSERT_LT(at, members.size());
    EXPECT_EQ(member.name(a), members[at].name(b));
    EXPECT_TRUE(member.name_is(members[at].name(b)));
    expect_same(member.value, members[at++].value);
  }
  EXPECT_EQ(at, members.size());
  std::vector<View> elements;
  for (const View element : searched.elements()) elements.push_back(element);
  at = 0;
  for (const View element : indexed.elements()) {
    ASSERT_LT(at, elements.size());
    expect_same(element, elements[at++]);
  }
  EXPECT_EQ(at, elements.size());
}

TEST(JsonGuard, ItsViewSaysWhatASearchSays) {
  std::string many = "[";  // more than the index has room for
  for (size_t i = 0; i < 2 * Index::kTokens; ++i) many += std::to_string(i) + ",";
  many.back() = ']';
  std::string just = "[0";  // as many as it has room for, and one more
  for (size_t i = 2; i < Index::kTokens; ++i) just += ",0";
  Guard guard;
  for (const std::string& text :
       {std::string(
            R"({"jsonrpc":"2.0","method":"robot.update","params":{"joints_l":[1,-2.5e3]}})"),
        std::string(
            R"( { "a" : [ ] , "b\u0062" : {"c": "x\"y" ,"d":[[[[1, 2],[ ]]],{"e":{"f":{}}}]}} )"),
        std::string(R"([[],[[]],[[[]]],[[[[]]]],[[[[[1]]]]],{"":{"":{"":{"":{}}}}}])"),
        std::string("7"), std::string(" \"x\" "), std::string("{}"), std::string(R"({"":null})"),
        std::string("[\"h\xc3\xb6me\", true,false , null]"), many, just + "]", just + ",0]"}) {
    ASSERT_EQ(guard.check(text).reason, nullptr) << text;
    expect_same(guard.view(), View::of(text));
  }
}

// Strings are read in pieces of sixteen and of eight bytes: what ends one is found in each of them.
TEST(JsonGuard, FindsTheEndOfAStringInEveryPlace) {
  Guard guard;
  for (size_t before = 0; before < 40; ++before) {
    for (size_t after = 0; after < 40; ++after) {
      const std::string head(before, 'a'), tail(after, '~');
      const std::string escaped = "[\"" + head + "\\\"" + tail + "\"]";
      ASSERT_EQ(guard.check(escaped).reason, nullptr) << escaped;
      for (const View element : guard.view().elements()) {
        std::string scratch;
        EXPECT_EQ(element.string(scratch), head + "\"" + tail);
      }
      const std::string bare = "[\"" + head + "\x1f" + tail + "\"]";
      EXPECT_EQ(fault_of(bare),
                std::to_string(2 + before) + ": a control character in a string must be escaped");
      const std::string early = "[\"" + head + "\"" + tail + "\"]";
      EXPECT_EQ(fault_of(early),
                std::to_string(3 + before) + ": expected ',' or the end of the list or object");
      const std::string open = "[\"" + head + tail;
      EXPECT_EQ(fault_of(open), std::to_string(2 + before + after) + ": ends too early");
      const std::string cut = "[\"" + head + "\xc3" + tail + "\"]";
      EXPECT_EQ(fault_of(cut), std::to_string(2 + before) + ": not UTF-8");
    }
  }
}

TEST(JsonGuard, RefusesWhatIsNotUtf8WhereverItStands) {
  EXPECT_EQ(fault_of("[1,\"ab\xff\"]"), "6: not UTF-8");
  EXPECT_EQ(fault_of("[\"twelve bytes\xc3\", 1]"), "14: not UTF-8");
  EXPECT_EQ(fault_of("{\"\xed\xa0\x80\":1}"), "2: not UTF-8");
  EXPECT_EQ(fault_of("\xff"), "0: not UTF-8");
  EXPECT_EQ(fault_of("{]\xff"), "2: not UTF-8");  // whatever else is wrong before it
  EXPECT_EQ(fault_of("[\"twelve b\xc3\xb6tes\", \"\xe2\x82\xac\"]"), "");
}

// Names that all look alike to a hash, and 13,000 of them: it must not take quadratic time. What a
// clock says would depend on the machine, so the same length with few names is the measure.
TEST(JsonGuard, TakesNoQuadraticTimeForManyNames) {
  const auto nanoseconds = [](const std::string& text) {
    Guard guard;
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; ++i) {
      const int64_t start = test::processor_ns();
      EXPECT_EQ(guard.check(text).reason, nullptr);
      best = std::min(best, test::processor_ns() - start);
    }
    return best;
  };
  const auto object = [](size_t names, const char* head) {
    std::string text = "{";
    for (size_t i = 0; i < names; ++i) {
      char name[32];
      std::snprintf(name, sizeof name, "%s%04x", head, static_cast<unsigned>(i));
      text += '"' + std::string(name) + "\":0,";
    }
    text.back() = '}';
    return text;
  };
  const std::string few = object(800, "aaaaaaaa");
  const std::string many = object(3200, "aaaaaaaa");  // four times as many, all of one hash
  EXPECT_LT(nanoseconds(many), 10 * nanoseconds(few));
  std::string most = "{";
  for (int i = 0; most.size() < 65'000; ++i) {
    most +=
        '"' + std::string(1, static_cast<char>('a' + i % 26)) + std::to_string(i / 26) + "\":1,";
  }
  most.back() = '}';
  EXPECT_EQ(fault_of(most), "");
}

TEST(JsonGuard, AllocatesNothingOnceItHasSeenSuchATextBefore) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "the sanitizer allocates for itself";
  const std::string text = R"({"jsonrpc":"2.0","method":"robot.update","params":{"joints_l":[1,2],)"
                           R"("current_pose":"h\u00f6me","is_connected_l":true},"id":"x-1"})";
  Guard guard;
  EXPECT_EQ(guard.check(text).reason, nullptr);
  const long before = test::allocations;
  EXPECT_EQ(guard.check(text).reason, nullptr);
  const View call = View::of(text);
  EXPECT_TRUE(call["method"].string_is("robot.update"));
  EXPECT_TRUE(call["params"]["current_pose"].string_is("h\xc3\xb6me"));
  EXPECT_EQ(call["params"]["joints_l"].raw(), "[1,2]");
  EXPECT_EQ(test::allocations, before);
}

TEST(JsonWriter, WritesCompactJsonInOrder) {
  std::string out;
  Writer(out)
      .begin_object()
      .key("a")
      .integer(-3)
      .key("b")
      .begin_array()
      .boolean(true)
      .null()
      .begin_object()
      .end_object()
      .end_array()
      .key("c")
      .string("x")
      .key("d")
      .raw("[1, 2]")
      .end_object();
  EXPECT_EQ(out, R"({"a":-3,"b":[true,null,{}],"c":"x","d":[1, 2]})");
}

TEST(JsonWriter, EscapesAndRepairsText) {
  std::string out;
  Writer(out).string("q\" b\\ n\n t\t e\x1b \xc3\xbc bad\xff cut\xe2\x82");
  EXPECT_EQ(
      out,
      "\"q\\\" b\\\\ n\\n t\\t e\\u001b \xc3\xbc bad\xef\xbf\xbd cut\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(scan(out).reason, nullptr);
  out.clear();
  Writer(out).string({"\0x", 2});
  EXPECT_EQ(out, "\"\xef\xbf\xbdx\"");
}

TEST(JsonWriter, Numbers) {
  const auto rounded = [](double v, int decimals) {
    std::string out;
    Writer(out).rounded(v, decimals);
    return out;
  };
  EXPECT_EQ(rounded(std::nan(""), 2), "null");
  EXPECT_EQ(rounded(-std::numeric_limits<double>::infinity(), 2), "null");
  EXPECT_EQ(rounded(12.345678, 2), "12.35");
  EXPECT_EQ(rounded(100, 2), "100");
  EXPECT_EQ(rounded(-0.0001, 2), "0");
  EXPECT_EQ(rounded(-1.005, 1), "-1");
  EXPECT_EQ(rounded(-0.25, 2), "-0.25");
  EXPECT_EQ(rounded(0.1, 6), "0.1");
  EXPECT_EQ(rounded(7.001, 3), "7.001");
  EXPECT_EQ(rounded(99.999, 2), "100");
  EXPECT_EQ(rounded(1234.5, 0), "1235");
  EXPECT_EQ(rounded(0, 3), "0");
  EXPECT_EQ(rounded(1e20, 2), "100000000000000000000");
  EXPECT_EQ(rounded(-9007199254740993.0, 1), "-9007199254740992");
  // Every hundredth prints as C's correctly rounded "%.2f" does, less the zeros at its end.
  for (int i = 0; i <= 10'000; ++i) {
    char text[16];
    std::snprintf(text, sizeof text, "%.2f", i / 100.0);
    std::string want = text;
    want.erase(want.find_last_not_of('0') + 1);
    if (want.back() == '.') want.pop_back();
    EXPECT_EQ(rounded(i / 100.0, 2), want);
  }
}

TEST(JsonScan, AcceptsJson) {
  for (const char* good : {"{}", "[]", " [1, -2.5e+3, 0, 0.1] ", "\"x\"", "true", "null", "-0",
                           R"({"a":{"b":[{},[],"\u00e9\ud83e\udd16\n"]}})", "[[1],{\"k\":[2]}]"}) {
    EXPECT_EQ(scan(good).reason, nullptr) << good << ": " << scan(good).reason;
    EXPECT_TRUE(JsonDocument::parse(good).ok()) << good;
  }
}

TEST(JsonScan, RefusesWhatOtherParsersLetThrough) {
  using namespace std::string_literals;
  const std::string bad[] = {"",
                             " ",
                             "{",
                             "[1,]",
                             "{\"a\":1,}",
                             "0123",
                             "1.",
                             ".5",
                             "+1",
                             "1e",
                             "--1",
                             "NaN",
                             "Infinity",
                             "\xef\xbb\xbf{}",
                             "{} x",
                             "{}{}",
                             "'x'",
                             "{a:1}",
                             "[1 2]",
                             "{\"a\" 1}",
                             "]",
                             "[}",
                             "{]",
                             "\"\n\"",
                             "\"a\0b\""s,
                             "\"\\u0000\"",
                             "\"\\ud800\"",
                             "\"\\udc00x\"",
                             "\"\\ud83e\\u0041\"",
                             "\"\\x\"",
                             "\"\\u12\"",
                             "\"\xff\"",
                             "\"\xc0\x80\"",
                             "\"open",
                             "tru",
                             "{\"a\":}",
                             "[",
                             "{\"a\"",
                             "// c\n1"};
  for (const std::string& text : bad) {
    EXPECT_NE(scan(text).reason, nullptr) << text;
  }
}

TEST(JsonScan, BoundsDepthAndSize) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(scan(nested(64)).reason, nullptr);
  EXPECT_STREQ(scan(nested(65)).reason, "nested too deep");
  std::string mixed;
  for (int i = 0; i < 32; ++i) mixed += "[{\"a\":";
  mixed += "1";
  for (int i = 0; i < 32; ++i) mixed += "}]";
  EXPECT_EQ(scan(mixed).reason, nullptr);
  EXPECT_STREQ(scan(std::string(100, ' '), {99, 64}).reason, "too long");
}

}  // namespace
}  // namespace nb::json
