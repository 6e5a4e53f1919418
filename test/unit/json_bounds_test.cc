// Unit tests of json/: where things begin and end. Texts that are cut short or changed in one byte,
// numbers at the edge of their range, characters at the edge of their length.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/text.h"
#include "json/guard.h"
#include "json/number.h"
#include "json/text.h"
#include "json/view.h"
#include "json/writer.h"

namespace nb::json {
namespace {

std::string fault_of(std::string_view text, const Limits& limits = {}) {
  const Fault fault = Guard().check(text, limits);
  const Fault plain = scan(text, limits);
  // The scan knows neither repeated names nor a double's range; else they say the same.
  if (plain.reason != nullptr) {
    EXPECT_STREQ(fault.reason, plain.reason) << text;
    EXPECT_EQ(fault.offset, plain.offset) << text;
  }
  return fault.reason == nullptr ? "" : std::to_string(fault.offset) + ": " + fault.reason;
}

std::string utf8(char32_t code) {
  char text[4];
  return {text, put_character(text, code)};
}

const char32_t kEdges[] = {0x1,    0x7f,   0x80,   0x7ff,   0x800,   0xfff,   0x1000,
                           0xd7ff, 0xe000, 0xffff, 0x10000, 0x103ff, 0x10400, 0x10ffff};

// As an escape of one or two units.
std::string escaped(char32_t code) {
  char text[16];
  if (code < 0x10000) {
    std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(code));
  } else {
    std::snprintf(text, sizeof text, "\\u%04X\\u%04x", static_cast<unsigned>(0xd7c0 + (code >> 10)),
                  static_cast<unsigned>(0xdc00 + (code & 0x3ff)));
  }
  return text;
}

TEST(JsonBounds, ATextThatIsCutShortEndsTooEarlyWhateverFollowsInMemory) {
  const std::string whole =
      R"( {"a" : [1, -2.5e+30, true,false, null , "x\n\u00e9\ud83d\ude00 0123456789abcdef"],)"
      R"("long name of sixteen":{ "b":[[]],"c":{}, "":"y" }})";
  ASSERT_EQ(fault_of(whole), "");
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string_view cut = std::string_view(whole).substr(0, size);
    const Fault fault = Guard().check(cut);
    ASSERT_NE(fault.reason, nullptr) << cut;
    // Within a word or an escape the scanner cannot tell what it would have become.
    if (fault.offset == size) {
      EXPECT_STREQ(fault.reason, "ends too early") << cut;
    }
    EXPECT_GE(fault.offset + 6, size) << cut << fault.reason;
  }
  EXPECT_EQ(fault_of(std::string_view("\"ab\"").substr(0, 3)), "3: ends too early");
  EXPECT_EQ(fault_of(std::string_view("[1]").substr(0, 2)), "2: ends too early");
  EXPECT_EQ(fault_of(std::string_view("12").substr(0, 1)), "") << "a number may end anywhere";
}

TEST(JsonBounds, BetweenTokensStandFourKindsOfSpaceAndNothingElse) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    for (const char* form : {"#1", "1#", "[#1]", "[1#]", "[1#,2]", "[1,#2]", "[#]", "{#}",
                             "{#\"a\":1}", "{\"a\"#:1}", "{\"a\":#1}", "{\"a\":1#}"}) {
      std::string text = form;
      text[text.find('#')] = c;
      // A byte that goes on with a number, or begins or ends something, is no space either.
      if (!space && std::string_view("0123456789-.eE[]{},:\"").find(c) != std::string_view::npos) {
        continue;
      }
      EXPECT_EQ(fault_of(text) == "", space) << text << " " << byte;
    }
  }
}

TEST(JsonBounds, AnEscapeHasFourHexadecimalDigits) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    for (size_t place = 0; place < 4; ++place) {
      std::string text = "\"\\u1111\"";
      text[3 + place] = c;
      EXPECT_EQ(fault_of(text) == "", hex) << text;
    }
    const bool known = std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    const std::string one = std::string("\"\\") + c + "\"";
    EXPECT_EQ(fault_of(one) == "", known && byte != 0) << one;
  }
}

TEST(JsonBounds, EveryCharacterMayBeEscaped) {
  for (const char32_t code : kEdges) {
    const std::string text = "\"" + escaped(code) + "\"";
    EXPECT_EQ(fault_of(text), "") << text;
    std::string scratch;
    EXPECT_EQ(View::of(text).string(scratch), utf8(code)) << text;
    EXPECT_TRUE(View::of(text).string_is(utf8(code)));
    EXPECT_FALSE(View::of(text).string_is(utf8(code) + "x"));
    EXPECT_EQ(compare_escaped(escaped(code), utf8(code)), 0);
    // What follows is another character, not the second half of this one.
    std::string both;
    append_unescaped(escaped(code) + "\\u0041\\u00e9", both);
    EXPECT_EQ(both, utf8(code) + "A\u00e9");
  }
  EXPECT_EQ(fault_of("\"\\ud7ff\\ue000\""), "");
  for (const char* lone : {"\\ud800", "\\udbff", "\\ud800\\ud800", "\\ud800\\udbff",
                           "\\udbff\\ue000", "\\udc00", "\\udfff", "\\ud800x\\udc00"}) {
    EXPECT_NE(fault_of("\"" + std::string(lone) + "\""), "") << lone;
  }
}

TEST(JsonBounds, ComparesByBytesToTheLast) {
  const std::vector<std::string> order = {"",         "a", "a\\u0062", "ab0",
                                          "a\\u0063", "b", "\\u00e9",  "\\ud83d\\ude00"};
  for (size_t a = 0; a < order.size(); ++a) {
    for (size_t b = 0; b < order.size(); ++b) {
      const int sign = compare_escaped(order[a], order[b]);
      EXPECT_EQ(sign < 0, a < b) << order[a] << " " << order[b];
      EXPECT_EQ(sign > 0, a > b) << order[a] << " " << order[b];
    }
  }
  EXPECT_TRUE(equals_escaped("\\\\", "\\"));
  EXPECT_FALSE(equals_escaped("\\\\", "\\\\"));
  EXPECT_FALSE(equals_escaped("", "a"));
  EXPECT_FALSE(equals_escaped("\\n", ""));
  EXPECT_TRUE(equals_escaped("", ""));
}

// Names are told apart by a number made of their first bytes, in eight bytes at a time.
TEST(JsonBounds, ARepeatedNameIsFoundAtAnyLength) {
  for (size_t length = 1; length < 20; ++length) {
    const std::string name(length, 'n');
    const std::string twin = "\\u006e" + name.substr(1);
    const auto object = [](const std::string& a, const std::string& b, const std::string& value) {
      return "{\"" + a + "\":1,\"" + b + "\":" + value + "}";
    };
    for (const std::string value : {"2", "\"a long text that follows\""}) {
      EXPECT_NE(fault_of(object(name, name, value)), "") << name;
      EXPECT_NE(fault_of(object(name, twin, value)), "") << name;
      EXPECT_NE(fault_of(object(twin, name, value)), "") << name;
      for (size_t place = 0; place < length; ++place) {
        std::string other = name;
        other[place] = 'o';
        EXPECT_EQ(fault_of(object(name, other, value)), "") << other;
      }
      EXPECT_EQ(fault_of(object(name, name + "n", value)), "") << name;
    }
  }
  // Sixteen names are compared each with each, more are sorted: the first repeated one is named.
  for (const int count : {15, 16, 17, 18, 40}) {
    std::string text = "{";
    for (int i = 0; i < count - 2; ++i) text += "\"" + std::to_string(i) + "\":0,";
    const size_t first = text.size() + 1;
    text += "\"1\":0,\"0\":0}";
    EXPECT_EQ(fault_of(text), std::to_string(first) + ": a name stands twice in one object");
  }
}

TEST(JsonBounds, ANumberIsOneToItsLastDigit) {
  for (size_t digits = 1; digits < 40; ++digits) {
    const std::string number = std::string(digits, '7');
    EXPECT_EQ(fault_of("[" + number + "]"), "") << number;
    EXPECT_EQ(fault_of("[0." + number + "]"), "") << number;
    for (size_t place = 1; place < digits; ++place) {
      for (const char wrong : {'/', ':', 'x', '\x17', '\xb7'}) {
        std::string broken = number;
        broken[place] = wrong;
        EXPECT_NE(fault_of("[" + broken + "]"), "") << broken;
      }
    }
  }
  for (const char* wrong : {"-", "1.", "1.e1", "1e", "1e+", "-01", "00", "01", "1.5.5", "1e5e5",
                            "0x1", "1E-", "-.5", "1e5.0"}) {
    EXPECT_NE(fault_of(wrong), "") << wrong;
  }
  for (const char* right : {"0", "-0", "0.0", "0e0", "-0E-0", "10", "1E5", "1e05"}) {
    EXPECT_EQ(fault_of(right), "") << right;
  }
}

TEST(JsonBounds, ANumberFitsUpToTheLargestDouble) {
  const std::string zeros(300, '0');
  for (const std::string& fits :
       {std::string("1e308"), std::string("0.1e309"), std::string("0.01e310"),
        std::string("10e307"), std::string("1000e305"), "1" + zeros + "e8",
        "1" + zeros + "00000000", "0." + zeros + "1e609", std::string("1.7976931348623158e308"),
        std::string("0e9999"), std::string("0.0e400"), "1" + zeros + "." + zeros,
        std::string("-1e308"), std::string("1e-99999999999999999999")}) {
    EXPECT_TRUE(fits_double(fits)) << fits;
    EXPECT_EQ(fault_of("[" + fits + "]"), "") << fits;
  }
  for (const std::string& too_large :
       {std::string("1e309"), std::string("0.1e310"), std::string("10e308"),
        std::string("1000e306"), "1" + zeros + "e9", "1" + zeros + "000000000",
        std::string("1.7976931348623160e308"), std::string("1e99999999999999999999"),
        std::string("-1e309"), "0." + zeros + "1e610"}) {
    EXPECT_FALSE(fits_double(too_large)) << too_large;
    EXPECT_EQ(fault_of("[" + too_large + "]"), "1: a number beyond the range of a double");
  }
}

TEST(JsonBounds, AWholeNumberIsExactUpToTwoToThe53) {
  const int64_t most = 9007199254740991;
  for (const std::string& text :
       {std::string("9007199254740991"), std::string("9007199254740991.0"),
        std::string("90071992547409910e-1"), std::string("900719925474099.1e1"),
        std::string("0.9007199254740991e16"), std::string("0.09007199254740991e+17")}) {
    EXPECT_EQ(to_integer(text), most) << text;
    EXPECT_EQ(to_integer("-" + text), -most) << text;
  }
  for (const char* beyond : {"9007199254740992", "90071992547409920e-1", "900719925474099.2e1",
                             "10000000000000000", "1e16", "9007199254740991e1"}) {
    EXPECT_EQ(to_integer(beyond), std::nullopt) << beyond;
  }
  EXPECT_EQ(to_integer("9e15"), 9'000'000'000'000'000);
  EXPECT_EQ(to_integer("10020e-1"), 1002);
  EXPECT_EQ(to_integer("10020e-2"), std::nullopt);
  EXPECT_EQ(to_integer("1.20e2"), 120);
  EXPECT_EQ(to_integer("1.203e2"), std::nullopt);
  EXPECT_EQ(to_integer("0.00100e5"), 100);
}

TEST(JsonBounds, DepthIsWhatTheCallerAllowsAndAtMost64) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  for (const size_t limit : {0u, 1u, 2u, 63u, 64u}) {
    EXPECT_EQ(fault_of(nested(limit + 1), {1000, limit}),
              std::to_string(limit) + ": nested too deep");
    if (limit > 0) {
      EXPECT_EQ(fault_of(nested(limit), {1000, limit}), "");
    }
  }
  EXPECT_EQ(fault_of(nested(65), {1000, 100}), "64: nested too deep");
  EXPECT_EQ(fault_of("[1]", {3}), "");
  EXPECT_EQ(fault_of("[1]", {2}), "2: too long");
}

// A View may be made over what nobody has checked. It keeps within the text all the same.
TEST(JsonBounds, AViewEndsWithItsText) {
  std::string scratch;
  const auto cut = [](std::string_view text, size_t size) {
    return View::of(text.substr(0, size));
  };
  for (const std::string_view text : {R"({"abc":"def"})", R"(["a","b"])", R"({"a":{"b":[1]}})"}) {
    for (size_t size = 0; size <= text.size(); ++size) {
      const char* const end = text.data() + size;
      for (const Member& member : cut(text, size).members()) {
        EXPECT_LE(member.raw_name.data() + member.raw_name.size(), end);
        EXPECT_LE(member.value.raw().data() + member.value.raw().size(), end);
      }
      for (const View element : cut(text, size).elements()) {
        EXPECT_LE(element.raw().data() + element.raw().size(), end);
      }
    }
  }
  EXPECT_EQ(View::of("\t\n\r 7 \r\n\t").raw(), "7");
  EXPECT_EQ(View::of("\v7").raw(), "\v7") << "no white space of JSON's";
  EXPECT_EQ(View::of(" ").raw(), "");
}

// Where a value ends is looked for in eight bytes at a time.
TEST(JsonBounds, AValueEndsWhereItsBracketDoesWhereverThatStands) {
  for (size_t before = 0; before < 20; ++before) {
    for (size_t inside = 0; inside < 20; ++inside) {
      const std::string blank(before, ' ');
      for (const std::string& value :
           {"[" + std::string(inside, ' ') + "]", "{\"a\":[" + std::string(inside, '1') + "9]}",
            "[{},[\"" + std::string(inside, ']') + "\\\\\"]]",
            "{\"}\\\"" + std::string(inside, '}') + "\":{}}", std::string(inside, '1') + "1",
            "\"" + std::string(inside, 'x') + "\\\\\""}) {
        const std::string text = "[" + blank + value + ",[]" + blank + "]";
        std::vector<std::string> found;
        for (const View element : View::of(text).elements()) found.emplace_back(element.raw());
        EXPECT_EQ(found, (std::vector<std::string>{value, "[]"})) << text;
      }
    }
  }
}

TEST(JsonBounds, WhatNeedsNoChangeIsCompactInPlace) {
  Guard guard;
  const std::string_view text = R"(["a b\n",{"c":[1,2]},{"c": [1]},[1 ]])";
  ASSERT_EQ(guard.check(text).reason, nullptr);
  std::vector<bool> in_place;
  for (const View element : guard.view().elements()) {
    std::string scratch;
    const std::string_view compact = compacted(element, scratch);
    in_place.push_back(compact.data() == element.raw().data());
    std::string appended = "x";
    append_compact(element, appended);
    EXPECT_EQ(appended, "x" + std::string(compact));
  }
  EXPECT_EQ(in_place, (std::vector<bool>{true, true, false, false}));
}

TEST(JsonBounds, TheWriterKeepsEveryCharacterAndReplacesEachBadByte) {
  const auto written = [](std::string_view text) {
    std::string out;
    Writer(out).string(text);
    return out;
  };
  for (const char32_t code : kEdges) {
    if (code < 0x80) continue;
    const std::string character = utf8(code);
    EXPECT_EQ(written(character), "\"" + character + "\"") << "at the end";
    EXPECT_EQ(written("a" + character + "b"), "\"a" + character + "b\"");
    std::string replaced;
    for (size_t i = 1; i < character.size(); ++i) replaced += "\xef\xbf\xbd";
    EXPECT_EQ(written(character.substr(0, character.size() - 1)), "\"" + replaced + "\"");
  }
  EXPECT_EQ(written("\x1f\x20\x7e\x7f"), "\"\\u001f ~\\u007f\"");
  EXPECT_EQ(written("\x01\x0a\x0d\x10"), "\"\\u0001\\n\\r\\u0010\"");
  EXPECT_EQ(written("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"") << "a surrogate";
}

TEST(JsonBounds, TheWriterRoundsHalvesUpAndKeepsWhatADoubleHolds) {
  const auto rounded = [](double value, int decimals) {
    std::string out;
    Writer(out).rounded(value, decimals);
    return out;
  };
  EXPECT_EQ(rounded(0.5, 0), "1");
  EXPECT_EQ(rounded(0.49, 0), "0");
  EXPECT_EQ(rounded(-0.5, 0), "-1");
  EXPECT_EQ(rounded(-0.49, 0), "0");
  EXPECT_EQ(rounded(0.125, 2), "0.13");
  EXPECT_EQ(rounded(1.000001, 6), "1.000001");
  EXPECT_EQ(rounded(1.1, 6), "1.1");
  EXPECT_EQ(rounded(1.01, 6), "1.01");
  EXPECT_EQ(rounded(20.05, 2), "20.05");
  EXPECT_EQ(rounded(9007199254740992.0, 0), "9007199254740992");
  EXPECT_EQ(rounded(-90071992547409.92, 2), "-90071992547409.92");
  EXPECT_EQ(rounded(900719925474099.25, 2), "900719925474099") << "beyond 2^53 hundredths";
}

TEST(JsonBounds, TheWriterPutsACommaBetweenTwoAndNowhereElse) {
  std::string out;
  Writer writer(out);
  writer.begin_array().begin_array().end_array().begin_object().end_object().integer(1);
  writer.begin_object().key("a").begin_array().integer(-9).end_array().key("b").null();
  writer.end_object().boolean(false).end_array();
  EXPECT_EQ(out, "[[],{},1,{\"a\":[-9],\"b\":null},false]");
}

}  // namespace
}  // namespace nb::json
