// Unit tests of config/'s reader of TOML: each rule, and what is said where one is broken. That it
// agrees with another reader is test/integration/test_toml.py's.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "config/toml.h"

namespace nb::config {
namespace {

using Kind = Value::Kind;

// The value of the only key.
Value value_of(const std::string& text) {
  Result<Value> root = parse_toml("a = " + text, "f");
  EXPECT_TRUE(root.ok()) << text << "\n" << (root ? "" : root.error().message);
  return root && root->members.size() == 1 ? root->members[0].value : Value();
}

std::string text_of(const std::string& text) {
  const Value value = value_of(text);
  EXPECT_EQ(value.kind, Kind::text);
  return value.text;
}

// A table as {name: integer, ...}, a list as [...], in the order of the file.
std::string shape(const Value& value) {
  if (value.kind == Kind::integer) return std::to_string(value.integer);
  std::string out;
  for (const Value& item : value.items) out += (out.empty() ? "" : " ") + shape(item);
  if (value.kind == Kind::list) return "[" + out + "]";
  for (const Member& member : value.members) {
    out += (out.empty() ? "" : " ") + quoted_key(member.key) + ":" + shape(member.value);
  }
  return "{" + out + "}";
}

std::string shape_of(const std::string& text) {
  const Result<Value> root = parse_toml(text, "f");
  return root ? shape(*root) : root.error().message;
}

std::string error_of(const std::string& text) {
  const Result<Value> root = parse_toml(text, "f");
  return root ? "none" : root.error().message;
}

TEST(Toml, IntegersOfEveryBase) {
  EXPECT_EQ(value_of("-1_000").integer, -1000);
  EXPECT_EQ(value_of("+0").integer, 0);
  EXPECT_EQ(value_of("0xdead_BEEF").integer, 0xdeadbeef);
  EXPECT_EQ(value_of("0o0660").integer, 0660);
  EXPECT_EQ(value_of("0b1_01").integer, 5);
  EXPECT_EQ(value_of("-9223372036854775808").integer, INT64_MIN);
  const std::string beyond = "f:1:5: an integer beyond 64 bits, which no key takes";
  EXPECT_EQ(error_of("a = 9223372036854775808"), beyond);
  EXPECT_EQ(error_of("a = 0x8000000000000000"), beyond);
  EXPECT_EQ(error_of("a = 0660"),
            "f:1:5: a number has no zero in front (an octal mode stands in quotes)");
  EXPECT_EQ(error_of("a = 0b12"), "f:1:8: expected the end of the line, saw '2'");
  EXPECT_EQ(error_of("a = 0x"), "f:1:7: expected a digit of base 16, saw the end of the file");
  const std::string digits = "expected decimal digit or exponent, saw ";
  const std::string rule = " (what is no number stands in quotes)";
  EXPECT_EQ(error_of("a = 1_"), "f:1:6: " + digits + "'_'" + rule);
  EXPECT_EQ(error_of("a = 1__0"), "f:1:6: " + digits + "'_'" + rule);
  EXPECT_EQ(error_of("a = 5s"), "f:1:6: " + digits + "'s'" + rule);
  EXPECT_EQ(error_of("a = 127.0.0.1"), "f:1:10: " + digits + "'.'" + rule);
}

TEST(Toml, Floats) {
  EXPECT_EQ(value_of("1_0.2_5e-1").number, 1.025);
  EXPECT_EQ(value_of("1E+05").number, 1e5);
  EXPECT_TRUE(std::signbit(value_of("-0.0").number));
  EXPECT_EQ(value_of("-inf").number, -HUGE_VAL);
  EXPECT_TRUE(std::isnan(value_of("+nan").number));
  EXPECT_EQ(value_of("1.0").kind, Kind::number);
  EXPECT_EQ(error_of("a = 1."), "f:1:7: expected a digit of base 10, saw the end of the file");
  EXPECT_EQ(error_of("a = 1e_5"), "f:1:7: expected a digit of base 10, saw '_'");
  EXPECT_EQ(error_of("a = [1e999]"), "f:1:6: '1e999' is not representable in 64 bits");
}

TEST(Toml, FlagsAndWhatIsNoValue) {
  EXPECT_TRUE(value_of("true").flag);
  EXPECT_EQ(value_of("false").kind, Kind::flag);
  EXPECT_EQ(error_of("a = truey"), "f:1:9: expected the end of the line, saw 'y'");
  const std::string wanted =
      "expected a value (a text stands in quotes, true and false are small), saw ";
  EXPECT_EQ(error_of("a = hog"), "f:1:5: " + wanted + "'h'");
  EXPECT_EQ(error_of("a = ä"), "f:1:5: " + wanted + "'ä'");
  EXPECT_EQ(error_of("a =\nb = 1"), "f:1:4: " + wanted + "the end of the line");
  EXPECT_EQ(error_of("a ="), "f:1:4: " + wanted + "the end of the file");
}

// Which days there are is nobody's question, since no key takes one.
TEST(Toml, DatesAreOnlyRecognised) {
  for (const char* date : {"1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "1979-02-31",
                           "1979-05-27 00:32:00.999-07:00"}) {
    EXPECT_EQ(value_of(date).kind, Kind::date) << date;
  }
  EXPECT_EQ(error_of("a = 1979-05-27T"), "f:1:15: expected the end of the line, saw 'T'");
  EXPECT_EQ(error_of("a = 1979-5-27"),
            "f:1:9: expected decimal digit or exponent, saw '-' (what is no number stands in "
            "quotes)");
}

TEST(Toml, TextsOfOneLine) {
  EXPECT_EQ(text_of(R"("\b\t\n\f\r\"\\")"), "\b\t\n\f\r\"\\");
  EXPECT_EQ(text_of(R"("\u00e4\U0001F600")"), "ä😀");
  EXPECT_EQ(text_of(R"("\u0000")"), std::string(1, '\0'));
  EXPECT_EQ(text_of(R"('\n"')"), "\\n\"");
  EXPECT_EQ(text_of("\"\t# no comment\" # a comment"), "\t# no comment");
  EXPECT_EQ(error_of("a = \"b"),
            "f:1:5: this text does not end on its line: expected \" behind it");
  EXPECT_EQ(error_of("a = 'b\r\n'"),
            "f:1:5: this text does not end on its line: expected ' behind it");
  EXPECT_EQ(error_of("a = \"\\e\""),
            "f:1:7: expected one of b t n f r u U \" \\ behind a backslash (in single quotes it is "
            "itself), saw 'e'");
  for (const char* escape : {"\\u12", "\\ud800", "\\u 041", "\\u+041"}) {
    EXPECT_EQ(error_of("a = \"" + std::string(escape) + "\""),
              "f:1:7: expected \\u and 4 hexadecimal digits that name a character");
  }
  EXPECT_EQ(error_of(R"(a = "\U00110000")"),
            "f:1:7: expected \\U and 8 hexadecimal digits that name a character");
}

TEST(Toml, TextsOfSeveralLines) {
  EXPECT_EQ(text_of("\"\"\"\nb\r\n\"c\" \"\"\\u0064\"\"\""), "b\n\"c\" \"\"d");
  EXPECT_EQ(text_of("'''\r\n\n\\b'c''d'''"), "\n\\b'c''d");
  EXPECT_EQ(text_of("\"\"\"b\\ \r\n\t\n  c\"\"\""), "bc");
  EXPECT_EQ(text_of("\"\"\"\"\"b\"\"\"\"\""), "\"\"b\"\"");
  EXPECT_EQ(text_of("''''''"), "");
  EXPECT_EQ(error_of("\na = \"\"\"b\n\n\"\""),
            "f:2:5: this text does not end: expected \"\"\" behind it");
  EXPECT_EQ(error_of("a = \"\"\"b\"\"\"\"\"\""), "f:1:14: expected the end of the line, saw '\"'");
  EXPECT_EQ(error_of("a = \"\"\"\\ b\"\"\""),
            "f:1:10: expected the end of the line behind a backslash and blanks, saw 'b'");
}

TEST(Toml, Keys) {
  EXPECT_EQ(shape_of("a-_1 = 1\n'b c' = 2\n\"\\u0064\" = 3\n\"\" = 4"),
            "{a-_1:1 \"b c\":2 d:3 \"\":4}");
  EXPECT_EQ(shape_of("a . 'b.c'\t.\"d\" = 1\na.e=2"), "{a:{\"b.c\":{d:1} e:2}}");
  const std::string wanted =
      "expected a key (in quotes, unless it is of a-z, A-Z, 0-9, _ and -), saw ";
  EXPECT_EQ(error_of("ä = 1"), "f:1:1: " + wanted + "'ä'");
  EXPECT_EQ(error_of("a. = 1"), "f:1:4: " + wanted + "'='");
  EXPECT_EQ(error_of("[]"), "f:1:2: " + wanted + "']'");
  EXPECT_EQ(error_of("a b = 1"), "f:1:3: expected '=' and a value behind the key, saw 'b'");
  EXPECT_EQ(error_of("\"\"\"a\"\"\" = 1"),
            "f:1:3: expected '=' and a value behind the key, saw '\"'");
  EXPECT_EQ(error_of("a = 1 b = 2"), "f:1:7: expected the end of the line, saw 'b'");
}

TEST(Toml, Lists) {
  EXPECT_EQ(shape_of("a = [ 1, # one\r\n\n [2,], {b = 3}\n, ]"), "{a:[1 [2] {b:3}]}");
  EXPECT_EQ(shape_of("a = [\n]"), "{a:[]}");
  EXPECT_EQ(error_of("a = [1\n2]"), "f:2:1: expected ',' or ']', saw '2'");
  EXPECT_EQ(error_of("a = [1"), "f:1:7: expected ',' or ']', saw the end of the file");
  EXPECT_NE(error_of("a = [1,,2]"), "none");
}

TEST(Toml, InlineTables) {
  EXPECT_EQ(shape_of("a = { b = 1, c.d = 2, c.e = [\n3], f = {} }"),
            "{a:{b:1 c:{d:2 e:[3]} f:{}}}");
  EXPECT_EQ(error_of("a = {b = 1,}"),
            "f:1:12: expected a key (in quotes, unless it is of a-z, A-Z, 0-9, _ and -), saw '}'");
  EXPECT_EQ(error_of("a = {b = 1\n}"),
            "f:1:11: expected ',' or '}' on the line of the '{', saw the end of the line");
  EXPECT_NE(error_of("a = {\nb = 1}"), "none");
  EXPECT_NE(error_of("a = {b = 1 # c\n}"), "none");
}

TEST(Toml, Tables) {
  EXPECT_EQ(shape_of("z = 0\n[a.b]\nc = 1\n[a]\nd = 2\n[ 'e' ]"), "{z:0 a:{b:{c:1} d:2} e:{}}");
  EXPECT_EQ(shape_of("[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 2\n[[a.e]]\n[[a.e]]\nf = 3"),
            "{a:[{b:1} {c:{d:2} e:[{} {f:3}]}]}");
  EXPECT_EQ(shape_of("[a]\nb.c = 1\n[a.b.d]\ne = 2"), "{a:{b:{c:1 d:{e:2}}}}");
  EXPECT_EQ(shape_of("[a.b.c]\n[a]\nb.d = 1"), "{a:{b:{c:{} d:1}}}");
  EXPECT_EQ(error_of("[a"), "f:1:3: expected '.' or ']', saw the end of the file");
  EXPECT_EQ(error_of("[[a] ]"), "f:1:5: expected a second ']', saw ' '");
  EXPECT_EQ(error_of("[a] b = 1"), "f:1:5: expected the end of the line, saw 'b'");
}

TEST(Toml, NothingIsMadeTwice) {
  struct Case {
    const char* text;
    const char* said;
  };
  for (const Case& one : {
           Case{"a = 1\n\n'a' = 2", "f:3:1: 'a' is there already, from line 1"},
           Case{"[a]\nb = 1\n[ a ]", "f:3:3: 'a' is there already, from line 1"},
           Case{"a.b = 1\n[a]", "f:2:2: 'a' is there already, from line 1"},
           Case{"[a.b]\n[a]\nb.c = 1", "f:3:1: 'b' is there already, from line 1"},
           Case{"[a]\nb.c = 1\n[a.b]", "f:3:4: 'b' is there already, from line 2"},
           Case{"a = {b.c = 1, b = 2}", "f:1:15: 'b' is there already, from line 1"},
           Case{"a = {b = {}, b.c = 2}", "f:1:14: 'b' is there already, from line 1"},
           Case{"a = {}\na.b = 1", "f:2:1: 'a' is there already, from line 1"},
           Case{"a = {b = {}}\n[a.b.c]", "f:2:2: 'a' is there already, from line 1"},
           Case{"a = 1\n[a.b]", "f:2:2: 'a' is there already, from line 1"},
           Case{"a = []\n[[a]]", "f:2:3: 'a' is there already, from line 1"},
           Case{"a = [{}]\n[a.b]", "f:2:2: 'a' is there already, from line 1"},
           Case{"[a]\n[[a]]", "f:2:3: 'a' is there already, from line 1"},
           Case{"[[a]]\n[a]", "f:2:2: 'a' is there already, from line 1"},
           Case{"[a.b]\n[[a]]", "f:2:3: 'a' is there already, from line 1"},
           Case{"[[a.b]]\n[a]\nb.c = 1", "f:3:1: 'b' is there already, from line 1"},
       }) {
    EXPECT_EQ(error_of(one.text), std::string(one.said) + ": each is written once") << one.text;
  }
}

TEST(Toml, LinesAndWhatMayNotBeInThem) {
  EXPECT_EQ(shape_of("\xef\xbb\xbf# a comment\r\n\t a = 1 # ä\r\n\r\n"), "{a:1}");
  EXPECT_EQ(shape_of(""), "{}");
  EXPECT_EQ(error_of("# a\n# b\x01"),
            "f:2:4: control character: in double quotes \\u0001 stands for it");
  EXPECT_EQ(error_of("a = 'ä\x7f'"),
            "f:1:7: control character: in double quotes \\u007F stands for it");
  EXPECT_EQ(error_of(std::string("a = 1\0", 6)),
            "f:1:6: control character: in double quotes \\u0000 stands for it");
  EXPECT_EQ(error_of("a = 1\rb = 2"),
            "f:1:6: carriage return without a line feed: lines end in LF or CR LF");
  EXPECT_EQ(error_of("a = 'ä'\nb = '\xe4'"), "f:2:6: not UTF-8: save it in that form");
  EXPECT_EQ(error_of("\xef\xbb\xbf\xef\xbb\xbf"),
            "f:1:1: expected a key (in quotes, unless it is of a-z, A-Z, 0-9, _ and -), saw "
            "'\xef\xbb\xbf'");
}

TEST(Toml, EveryValueKnowsItsLine) {
  const Result<Value> root =
      parse_toml("\na = '''\n\n'''\nb = [\n1,\n2]\n[[c]]\n[[c]]\nd = 1\n[e.f]\n[e]", "f");
  ASSERT_TRUE(root.ok());
  const auto& members = root->members;
  EXPECT_EQ(members[0].line, 2);
  EXPECT_EQ(members[1].line, 5);
  EXPECT_EQ(members[1].value.items[1].line, 7);
  EXPECT_EQ(members[2].line, 8);
  EXPECT_EQ(members[2].value.items[1].line, 9);
  EXPECT_EQ(members[2].value.items[1].members[0].line, 10);
  EXPECT_EQ(members[3].line, 11);
  EXPECT_EQ(members[3].value.line, 12);
}

TEST(Toml, SizesAreBounded) {
  std::string items;
  for (int i = 0; i < 4095; ++i) items += "1,";
  EXPECT_EQ(value_of("[" + items + "]").items.size(), 4095u);
  EXPECT_EQ(error_of("a = [" + items + "1]"),
            "f:1:8196: more than 4096 values: this is not a configuration");
  std::string sections;
  for (int i = 0; i < 4097; ++i) sections += "[a" + std::to_string(i) + "]\n";
  EXPECT_EQ(error_of(sections), "f:4097:7: more than 4096 values: this is not a configuration");
}

// What is written without its quotes may be a password.
TEST(Toml, AnErrorRepeatsNoValue) {
  for (const char* value :
       {"hunter2", "12hunter2", "99999999999999999999", "\"hunter2", "hunter2\"", "redis://hunter2",
        "'hunter2' hunter2", "\"hunter2\\q\"", "0xhunter2"}) {
    const std::string said = error_of("[redis]\npassword = " + std::string(value) + "\n");
    EXPECT_TRUE(said.starts_with("f:2:")) << said;
    EXPECT_EQ(said.find("unter"), std::string::npos) << said;
    EXPECT_EQ(said.find("999"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace nb::config
