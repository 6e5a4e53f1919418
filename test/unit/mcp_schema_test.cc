// Unit tests of mcp/schema: what a tool takes.
#include <gtest/gtest.h>

#include "mcp/schema.h"

namespace nb::mcp {
namespace {

constexpr std::string_view kModes[] = {"fast", "slow"};
constexpr Argument kArguments[] = {
    {.name = "key", .words = "The key.", .required = true, .least = 1, .most = 5},
    {.name = "ttl",
     .type = Type::integer,
     .words = "Seconds.",
     .least = 1,
     .most = 60,
     .fallback = "5"},
    {.name = "mode", .words = "How.", .choices = kModes},
    {.name = "channels", .type = Type::texts, .words = "Which.", .least = 1, .most = 2},
    {.name = "data", .type = Type::any, .words = "What."},
    {.name = "more", .type = Type::object, .words = "More."},
    {.name = "all", .type = Type::boolean, .words = "All of it."},
};

std::string fault(std::string_view json) {
  return fault_in(kArguments, json::View::of(json)).value_or("");
}

TEST(McpSchema, IsWrittenFromTheTable) {
  EXPECT_EQ(
      input_schema(kArguments),
      R"({"type":"object","properties":{)"
      R"("key":{"type":"string","minLength":1,"maxLength":5,"description":"The key."},)"
      R"("ttl":{"type":"integer","minimum":1,"maximum":60,"description":"Seconds.","default":5},)"
      R"("mode":{"type":"string","enum":["fast","slow"],"description":"How."},)"
      R"("channels":{"type":"array","items":{"type":"string","minLength":1},"minItems":1,"maxItems":2,)"
      R"("description":"Which."},)"
      R"("data":{"description":"What."},)"
      R"("more":{"type":"object","description":"More."},)"
      R"("all":{"type":"boolean","description":"All of it."}},)"
      R"("required":["key"],"additionalProperties":false})");
  EXPECT_EQ(input_schema({}), R"({"type":"object","properties":{},"additionalProperties":false})");
}

TEST(McpSchema, ANameIsOneOfTheCell) {
  constexpr Argument kNamed[] = {{.name = "node_id", .type = Type::name, .words = "Which."}};
  EXPECT_EQ(input_schema(kNamed),
            R"({"type":"object","properties":{"node_id":{"type":"string",)"
            R"("pattern":"^[A-Za-z0-9][A-Za-z0-9._-]*$","maxLength":64,"description":"Which."}},)"
            R"("additionalProperties":false})");
  const auto wrong = [&](std::string_view name) {
    const std::string json = R"({"node_id":")" + std::string(name) + "\"}";
    return fault_in(kNamed, json::View::of(json)).value_or("");
  };
  EXPECT_EQ(wrong("hog-1.b_c"), "");
  EXPECT_EQ(wrong("a b"),
            "The argument `node_id` is wrong: expected a name of 1 to 64 letters, digits, '-', '_' "
            "or '.', which begins with a letter or digit, found \"a b\".");
  for (const std::string& name : {std::string(), std::string("-a"), std::string(65, 'a')}) {
    EXPECT_NE(wrong(name), "") << name;
  }
}

TEST(McpSchema, TakesWhatIsRight) {
  EXPECT_EQ(fault(R"({"key":"a"})"), "");
  EXPECT_EQ(fault(R"({"key":"äöüäö","ttl":60.0,"mode":"slow","channels":["a","b"],)"
                  R"("data":null,"more":{},"all":false})"),
            "");
  // What is not required may be null.
  EXPECT_EQ(fault(R"({"key":"a","ttl":null,"mode":null,"channels":null,"more":null,"all":null})"),
            "");
}

TEST(McpSchema, SaysWhichArgumentWhatIsExpectedAndWhatWasFound) {
  EXPECT_EQ(fault("{}"),
            "The argument `key` is missing: expected a text of 1 to 5 characters. The key.");
  EXPECT_EQ(fault(R"({"key":null})"),
            "The argument `key` is missing: expected a text of 1 to 5 characters. The key.");
  EXPECT_EQ(fault(R"({"key":7})"),
            "The argument `key` is wrong: expected a text of 1 to 5 characters, found 7.");
  EXPECT_EQ(fault(R"({"key":""})"),
            "The argument `key` is wrong: expected a text of 1 to 5 characters, found \"\".");
  EXPECT_EQ(fault(R"({"key":"a","ttl":61})"),
            "The argument `ttl` is wrong: expected an integer from 1 to 60, found 61.");
  EXPECT_EQ(fault(R"({"key":"a","ttl":1.5})"),
            "The argument `ttl` is wrong: expected an integer from 1 to 60, found 1.5.");
  EXPECT_EQ(fault(R"({"key":"a","mode":"quick"})"),
            "The argument `mode` is wrong: expected one of \"fast\", \"slow\", found \"quick\".");
  EXPECT_EQ(fault(R"({"key":"a","channels":[]})"),
            "The argument `channels` is wrong: expected an array of 1 to 2 texts, found [].");
  EXPECT_EQ(
      fault(R"({"key":"a","channels":["a",1]})"),
      "The argument `channels` is wrong: expected an array of 1 to 2 texts, found [\"a\",1].");
  EXPECT_EQ(fault(R"({"key":"a","all":"yes"})"),
            "The argument `all` is wrong: expected true or false, found \"yes\".");
  EXPECT_EQ(fault(R"({"key":"a","more":[]})"),
            "The argument `more` is wrong: expected a JSON object, found [].");
  EXPECT_EQ(
      fault(R"({"key":"a","Ttl":1})"),
      "There is no argument `Ttl`: this tool takes `key` (required), `ttl`, `mode`, `channels`, "
      "`data`, `more`, `all`.");
  EXPECT_EQ(fault_in({}, json::View::of(R"({"x":1})")),
            "There is no argument `x`: this tool takes no arguments.");
}

TEST(McpSchema, RepeatsForeignTextCleanedAndInPart) {
  const std::string words = fault("{\"key\":\"\\u001b[31m" + std::string(500, 'x') + "\"}");
  EXPECT_LT(words.size(), 250u);
  EXPECT_EQ(fault("{\"a\\u001bb\":1}").find('\x1b'), std::string::npos);
}

TEST(McpSchema, GivenReadsWhatThereIs) {
  const std::string json = R"({"key":"a\n","ttl":7,"all":true,"data":[1.50],"mode":null})";
  const Given given(json::View::of(json));
  EXPECT_EQ(given.text("key"), "a\n");
  EXPECT_EQ(given.text("mode", "slow"), "slow");
  EXPECT_EQ(given.integer("ttl", 1), 7);
  EXPECT_EQ(given.integer("none", 1), 1);
  EXPECT_TRUE(given.boolean("all", false));
  EXPECT_EQ(given.raw("data"), "[1.50]");
  EXPECT_FALSE(given.has("mode"));
  EXPECT_FALSE(Given({}).has("key"));
}

}  // namespace
}  // namespace nb::mcp
