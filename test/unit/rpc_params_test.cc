// Unit tests of rpc/params: what a method takes, and what the error of anything else says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "json/guard.h"
#include "json/view.h"
#include "rpc/codec.h"
#include "rpc/params.h"

namespace nb::rpc {
namespace {

// The error's message, or nothing.
std::string fault(std::string_view value, const Param& spec) {
  EXPECT_EQ(json::Guard().check(value).reason, nullptr) << value;
  const auto error = check_param(json::View::of(value), spec, "f");
  if (!error) return "";
  EXPECT_EQ(name_of(error->code), "invalid_params");
  return error->message;
}

Param param(ParamKind kind, int64_t min = 0, int64_t max = 0) {
  return {"f", kind, false, min, max};
}

std::string array_of(size_t count, const std::string& element) {
  std::string text = "[";
  for (size_t i = 0; i < count; ++i) text += (i > 0 ? "," : "") + element;
  return text + "]";
}

TEST(Params, AWrongTypeIsNamed) {
  const std::pair<const char*, const char*> got[] = {{"null", "null"},   {"true", "a boolean"},
                                                     {"1", "a number"},  {"\"x\"", "a text"},
                                                     {"[]", "an array"}, {"{}", "an object"}};
  const struct {
    ParamKind kind;
    const char* expected;
    std::vector<std::string> right;
  } cases[] = {
      {ParamKind::boolean, "true or false", {"true", "false"}},
      {ParamKind::integer, "an integer", {"1"}},
      {ParamKind::integer_or_null, "an integer", {"1", "null"}},
      {ParamKind::number, "a number", {"1"}},
      {ParamKind::numbers_or_null, "an array of numbers, or null", {"null", "[]"}},
      {ParamKind::text, "a text", {"\"x\""}},
      {ParamKind::text_or_null, "a text", {"\"x\"", "null"}},
      {ParamKind::word, "a text", {"\"x\""}},
      {ParamKind::plain, "a text", {"\"x\""}},
      {ParamKind::object, "an object", {"{}"}},
      {ParamKind::array, "an array", {"[]"}},
      {ParamKind::array_or_null, "an array", {"[]", "null"}},
      {ParamKind::texts, "an array", {"[]"}},
      {ParamKind::any, "", {"null", "true", "1", "\"x\"", "[]", "{}"}},
  };
  for (const auto& c : cases) {
    for (const auto& [value, type] : got) {
      const bool is_right = std::find(c.right.begin(), c.right.end(), value) != c.right.end();
      EXPECT_EQ(fault(value, param(c.kind, 0, 10)),
                is_right ? "" : "f: expected " + std::string(c.expected) + ", got " + type);
    }
  }
}

TEST(Params, ANumberHasItsRange) {
  const Param integer = param(ParamKind::integer, -2, 5);
  for (const char* right : {"-2", "0", "5", "5.0", "0.5e1", "-2e0"}) {
    EXPECT_EQ(fault(right, integer), "");
  }
  for (const char* wrong : {"-3", "6", "1e3"}) {
    EXPECT_EQ(fault(wrong, integer), "f: out of range: allowed is -2 to 5");
  }
  for (const char* wrong : {"1.5", "9007199254740992"}) {
    EXPECT_EQ(fault(wrong, integer), "f: expected an integer of at most 2^53-1 (1.0 is one)");
  }
  const Param number = param(ParamKind::number, 1);
  for (const char* right : {"1", "1.0", "1e300"}) EXPECT_EQ(fault(right, number), "");
  for (const char* wrong : {"0.999", "-1", "0"}) {
    EXPECT_EQ(fault(wrong, number), "f: out of range: expected 1 or more");
  }
}

TEST(Params, ATextHasItsLength) {
  const Param text = param(ParamKind::text, 2, 4);
  EXPECT_EQ(fault("\"ab\"", text), "");
  EXPECT_EQ(fault("\"abcd\"", text), "");
  EXPECT_EQ(fault(R"("\u00e9\u00e9")", text), "") << "as bytes, decoded";
  for (const char* wrong : {"\"a\"", "\"abcde\"", "\"\"", R"("\u00e9\u00e9x")"}) {
    EXPECT_EQ(fault(wrong, text), "f: expected a text of 2 to 4 bytes");
  }
  EXPECT_EQ(fault("\"\"", param(ParamKind::text, 0, 4)), "");
  for (const ParamKind kind : {ParamKind::word, ParamKind::plain}) {
    EXPECT_EQ(fault("\"\"", param(kind, 0, 4)), "f: expected a text of 1 to 4 bytes");
    EXPECT_EQ(fault("\"abcd\"", param(kind, 3, 4)), "");
    EXPECT_EQ(fault("\"a\"", param(kind, 3, 4)), "") << "the least is one, whatever the table says";
  }
}

TEST(Params, AWordAndAPlainTextHaveTheirCharacters) {
  for (int byte = 1; byte < 128; ++byte) {
    const char c = static_cast<char>(byte);
    char value[16];
    std::snprintf(value, sizeof value, "\"\\u%04x\"", byte);
    const bool in_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    EXPECT_EQ(fault(value, param(ParamKind::word, 0, 4)),
              in_word ? "" : "f: may hold letters, digits, '-', '_' and '.' only");
    const bool is_control = byte < 0x20 || byte == 0x7f;
    EXPECT_EQ(fault(value, param(ParamKind::plain, 0, 4)),
              is_control ? "f: must not hold control characters" : "");
  }
  EXPECT_EQ(fault("\"\u00e9\"", param(ParamKind::plain, 0, 4)), "");
}

TEST(Params, AnArrayHasItsLengthAndElements) {
  const Param numbers = param(ParamKind::numbers_or_null, 0, 3);
  EXPECT_EQ(fault("[1,2.5,-3e1]", numbers), "");
  EXPECT_EQ(fault("[1,2,3,4]", numbers), "f: has more than the 3 numbers that are allowed");
  EXPECT_EQ(fault("[1,\"2\"]", numbers), "f[1]: expected a number, got a text");
  EXPECT_EQ(fault("[null]", numbers),
            "f[0]: expected a number (what is not known is null as a whole), got null");
  const Param array = param(ParamKind::array, 0, 3);
  EXPECT_EQ(fault("[1,null,{}]", array), "");
  EXPECT_EQ(fault(array_of(4, "1"), array), "f: has more than the 3 elements that are allowed");
  EXPECT_EQ(fault(array_of(4, "1"), param(ParamKind::array_or_null, 0, 3)),
            "f: has more than the 3 elements that are allowed");
  const Param texts = param(ParamKind::texts, 0, 3);
  const std::string longest = "\"" + std::string(256, 'x') + "\"";
  const std::string longer = "\"" + std::string(257, 'x') + "\"";
  EXPECT_EQ(fault(array_of(3, longest), texts), "");
  EXPECT_EQ(fault(array_of(4, "\"x\""), texts), "f: has more than the 3 elements that are allowed");
  EXPECT_EQ(fault("[\"x\"," + longer + "]", texts), "f[1]: expected a text of 1 to 256 bytes");
  EXPECT_EQ(fault("[\"\"]", texts), "f[0]: expected a text of 1 to 256 bytes");
  EXPECT_EQ(fault("[\"\\n\"]", texts), "f[0]: must not hold control characters");
  EXPECT_EQ(fault("[1]", texts), "f[0]: expected a text, got a number");
}

TEST(Params, ATimestampIsOneOfTheProtocolsForms) {
  EXPECT_EQ(fault("\"2026-11-20T14:03:07Z\"", param(ParamKind::timestamp)), "");
  for (const char* wrong : {"\"now\"", "1", "null"}) {
    EXPECT_EQ(fault(wrong, param(ParamKind::timestamp)),
              "f: expected a timestamp in UTC as 2026-11-20T14:03:07.123456 (also without "
              "fraction, with 1 to 9 digits of it, with Z or +00:00)");
  }
}

// --- all of a method's ---

class Table : public testing::Test {
 protected:
  // The error's message, or nothing.
  std::string check(std::string_view params) {
    EXPECT_EQ(json::Guard().check(params).reason, nullptr) << params;
    const auto error = check_params(json::View::of(params), specs_, values_);
    return error ? error->message : "";
  }

  static constexpr Param kA{"a", ParamKind::integer, true, 0, 9};
  static constexpr Param kB{"b", ParamKind::text, false, 0, 9};
  static constexpr Param kC{"c", ParamKind::any};
  std::vector<const Param*> specs_ = {&kA, &kB, &kC};
  std::vector<json::View> values_ = std::vector<json::View>(3);
};

TEST_F(Table, EachValueIsFoundInAnyOrder) {
  for (const char* params : {R"({"a":1,"b":"x","c":[2]})", R"({"c":[2],"b":"x","a":1})",
                             R"({"b":"x","a":1,"c":[2]})", R"({"\u0061":1,"c":[2],"b":"x"})"}) {
    EXPECT_EQ(check(params), "");
    EXPECT_EQ(values_[0].raw(), "1");
    EXPECT_EQ(values_[1].raw(), "\"x\"");
    EXPECT_EQ(values_[2].raw(), "[2]");
  }
  EXPECT_EQ(check(R"({"a":1})"), "");
  EXPECT_FALSE(values_[1].exists()) << "not the one before";
  EXPECT_FALSE(values_[2].exists());
}

TEST_F(Table, WhatIsRequiredMustBeThere) {
  EXPECT_EQ(check(R"({"b":"x"})"), "a: is required and missing");
  EXPECT_EQ(check("{}"), "a: is required and missing");
  EXPECT_EQ(check_params(json::View(), specs_, values_)->message, "a: is required and missing");
}

TEST_F(Table, WhatIsUnknownIsRefusedWithWhatIsKnown) {
  EXPECT_EQ(check(R"({"a":1,"bb":2})"), "bb: there is no such parameter; known are: a, b, c");
  specs_.clear();
  EXPECT_EQ(check(R"({"a":1})"), "a: there is no such parameter; this method takes none");
  EXPECT_EQ(check("{}"), "");
}

TEST_F(Table, AFaultNamesItsMember) {
  EXPECT_EQ(check(R"({"a":10})"), "a: out of range: allowed is 0 to 9");
  EXPECT_EQ(check(R"({"a":1,"b":2})"), "b: expected a text, got a number");
}

// --- errors ---

TEST(Error, TellsWhereInAWillItIs) {
  Error inner = invalid_params("joints_l", "expected an array");
  add_place(inner, "will[1].params.");
  EXPECT_EQ(inner.message, "will[1].params.joints_l: expected an array");
  EXPECT_EQ(inner.data, R"("field":"will[1].params.joints_l")");
  Error other = not_found("no such session");
  add_place(other, "will[1]");
  EXPECT_EQ(other.message, "will[1]: no such session");
  EXPECT_EQ(other.data, "");
}

TEST(Error, TellsBackTheBeginningOfWhatAClientMadeUp) {
  const std::string text(600, 'x');
  EXPECT_EQ(rpc::quoted("abc"), "'abc'");
  EXPECT_EQ(rpc::quoted(std::string(64, 'x')), "'" + std::string(64, 'x') + "'");
  EXPECT_EQ(rpc::quoted(std::string(65, 'x')), "'" + std::string(64, 'x') + "...'");
  EXPECT_EQ(invalid_params(text, "w").message, std::string(64, 'x') + ": w");
  EXPECT_EQ(invalid_params("", "w").message, "w");
  EXPECT_EQ(refused_key(text, "w").data, "\"key\":\"" + std::string(512, 'x') + "\"");
  EXPECT_EQ(refused_by_redis(text).message, "Redis refused this: " + std::string(512, 'x'));
  EXPECT_EQ(conflict("w").data, "");
  EXPECT_EQ(dropped("w", 3).data, R"("count":3)");
  EXPECT_EQ(malformed_flood("w", 9).data, R"("limit":9)");
  EXPECT_EQ(malformed_flood("w", 9).code, -32700);
}

TEST(EventGap, TellsItsTimeAndItsCount) {
  const WallTime from{std::chrono::seconds(1'795'183'387)};
  std::string out;
  append_event_gap(out, from, from + std::chrono::seconds(2), 0);
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"event.gap","params":{)"
                 R"("from":"2026-11-20T14:03:07.000000","to":"2026-11-20T14:03:09.000000"}})");
  out.clear();
  append_event_gap(out, from, from, 1);
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"event.gap","params":{)"
                 R"("from":"2026-11-20T14:03:07.000000","to":"2026-11-20T14:03:07.000000",)"
                 R"("lost":1}})");
}

}  // namespace
}  // namespace nb::rpc
