// Unit tests of client/'s pure parts: numbers, what goes out in which order and cut where, lines
// that come in.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "client/incoming.h"
#include "client/json_members.h"
#include "client/line_writer.h"
#include "client/message.h"
#include "client/number_text.h"
#include "client/outgoing.h"
#include "json/scan.h"
#include "nodebeat/client.h"

namespace nb::client {
namespace {

std::string number(double value) {
  char text[kNumberBytes];
  return std::string(text, write_number(text, value));
}

TEST(NumberText, IsWhatPythonWrites) {
  // python3: json.dumps([...])
  const std::pair<double, const char*> cases[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {-1.5, "-1.5"},
      {0.1, "0.1"},
      {0.1 + 0.2, "0.30000000000000004"},
      {100.0, "100.0"},
      {123456.789, "123456.789"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {123456789012345678.0, "1.2345678901234568e+17"},
      {9007199254740993.0, "9007199254740992.0"},
      {0.0001, "0.0001"},
      {0.00001, "1e-05"},
      {0.000123, "0.000123"},
      {1.5e-7, "1.5e-07"},
      {1e22, "1e+22"},
      {1e23, "1e+23"},
      {5e-324, "5e-324"},
      {-2.2250738585072014e-308, "-2.2250738585072014e-308"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {2e100, "2e+100"},
      {std::nan(""), "null"},
      {INFINITY, "null"},
      {-INFINITY, "null"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(number(value), text);
}

// Digits without leading and trailing zeros, as many as are significant.
size_t significant(const std::string& text) {
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9') digits += c;
  }
  digits.erase(0, digits.find_first_not_of('0'));
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  return digits.size();
}

TEST(NumberText, ReadsBackAsTheSameDoubleInTheFewestDigits) {
  std::mt19937_64 random(20261120);
  const auto check = [](double value) {
    if (!std::isfinite(value)) return;
    const std::string text = number(value);
    ASSERT_EQ(std::bit_cast<uint64_t>(std::strtod(text.c_str(), nullptr)),
              std::bit_cast<uint64_t>(value))
        << text;
    char shortest[32];
    const auto end =
        std::to_chars(shortest, shortest + 32, value, std::chars_format::scientific).ptr;
    ASSERT_EQ(significant(text), significant(std::string(shortest, end))) << text;
  };
  for (int i = 0; i < 200000; ++i) {
    check(std::bit_cast<double>(random()));
    check(static_cast<double>(static_cast<int64_t>(random())) * 1e-18);  // as joints are
    check(static_cast<double>(random() % 2000000) / 1000);
  }
  for (int exponent = 0; exponent < 2047; ++exponent) {  // the uneven steps: powers of two
    const double value = std::bit_cast<double>(uint64_t(exponent) << 52);
    check(value);
    check(std::nextafter(value, 0));
    check(std::nextafter(value, 1e308));
  }
}

TEST(NumberText, Integers) {
  for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{10}, INT64_MAX, INT64_MIN}) {
    char text[20];
    EXPECT_EQ(std::string(text, write_integer(text, value)), std::to_string(value));
  }
}

TEST(LineWriter, CountsWhatDoesNotFit) {
  char memory[8];
  LineWriter out(memory, sizeof memory);
  out.raw("123456");
  EXPECT_TRUE(out.fits());
  out.number(0.25);
  out.string("\"\x01");
  EXPECT_FALSE(out.fits());
  EXPECT_EQ(out.size(), 6u + 4 + 2 + 2 + 6);
  EXPECT_EQ(escaped_size("\"\x01z"), 9u);
  EXPECT_EQ(std::string(memory, 6), "123456");
}

TEST(JsonMembers, NumbersBeyondADouble) {
  for (const char* json :
       {"1", "-1e308", "1.7976931348623157e308", "17976931348623157e292",
        "0.00017976931348623157e312", "0e99999", "-0.0e-99999", "1e-99999", "[\"1e999\"]", "[]"}) {
    EXPECT_TRUE(numbers_in_range(json)) << json;
  }
  for (const char* json : {"1e309", "-1.8e308", "1.7976931348623159e308", "{\"a\":[1,1e400]}",
                           "1e99999999999999999999", "0.001e312"}) {
    EXPECT_FALSE(numbers_in_range(json)) << json;
  }
  EXPECT_FALSE(numbers_in_range("1" + std::string(309, '0')));
}

TEST(JsonMembers, OneNameTwice) {
  for (const char* json :
       {R"({"a":1,"a":2})", R"([{"b":{"a":1,"c":[],"a":2}}])", R"({"a":1,"\u0061":2})",
        R"({"\n":1,"\u000A":2})", R"({"\/":1,"/":2})", "{\"\xc3\xa9\":1,\"\\u00e9\":2}",
        "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}", R"({"":1,"":2})"}) {
    EXPECT_TRUE(has_twin_names(json)) << json;
  }
  for (const char* json : {R"({"a":1,"A":2})", R"({"a":{"a":1},"b":["a",{"a":"a"},{"a":1}]})",
                           R"({"\\u0061":1,"a":2})", R"({"a":1,"aa":2,"":3})", "[]", "\"a\""}) {
    EXPECT_FALSE(has_twin_names(json)) << json;
  }
  // Also in an object of many members, wherever the two stand.
  for (const int twin : {0, 1, 126, 127, 128, 129, 255, 256, 299}) {
    std::string json = "{";
    for (int i = 0; i < 300; ++i) json += "\"k" + std::to_string(i) + "\":{\"k1\":1},";
    EXPECT_FALSE(has_twin_names(json + "\"z\":1}"));
    EXPECT_TRUE(has_twin_names(json + "\"k" + std::to_string(twin) + "\":1}")) << twin;
  }
}

// --- what goes out ------------------------------------------------------------------------------

struct Buffers {
  static constexpr size_t kSlot = 1024;
  static constexpr size_t kRing = 1024;
  std::vector<char> memory = std::vector<char>(kRing + 8192 + 2 * kSlot);

  Outgoing::Memory parts() {
    char* at = memory.data();
    Outgoing::Memory m{};
    m.events = at, m.event_bytes = kRing;
    m.robot_line = at += kRing;
    m.stroke_line = at += kSlot;
    m.slot_bytes = kSlot;
    m.greeting = at += kSlot, m.greeting_bytes = 4096;
    m.rest = at + 4096;
    return m;
  }
};

nb_robot_state pose(const char* text) {
  nb_robot_state state{};
  state.size = sizeof state;
  state.has = NB_ROBOT_CURRENT_POSE;
  state.current_pose = text;
  return state;
}

nb_stroke at_pose(int64_t index) {
  nb_stroke stroke{};
  stroke.size = sizeof stroke;
  stroke.has = NB_STROKE_POSE_IDX | NB_STROKE_TOTAL_STROKES;
  stroke.pose_idx = index;
  return stroke;
}

void fill(Outgoing& out) {
  ASSERT_TRUE(out.set_hello([](LineWriter& line) { line.raw("hello\n"); }, [](LineWriter&) {}));
  ASSERT_TRUE(out.add_subscription("c", false));
  const auto event = [](LineWriter& line) { line.raw("an event of some length\n"); };
  ASSERT_EQ(out.put_event(event), NB_OK);
  ASSERT_EQ(out.put_robot(pose("ready")), NB_OK);
  ASSERT_EQ(out.put_event(event), NB_OK);
  ASSERT_EQ(out.put_progress(at_pose(1)), NB_OK);
  ASSERT_EQ(out.put_end(), NB_OK);
  ASSERT_EQ(out.put_progress(at_pose(2)), NB_OK);
}

// Takes at most `size` bytes.
size_t take(Outgoing& out, size_t size, std::string& text) {
  iovec pieces[Outgoing::kMaxPieces];
  const size_t count = out.gather(pieces);
  size_t taken = 0;
  for (size_t i = 0; i < count && taken < size; ++i) {
    const size_t part = std::min(pieces[i].iov_len, size - taken);
    text.append(static_cast<const char*>(pieces[i].iov_base), part);
    taken += part;
  }
  out.taken(taken);
  return taken;
}

std::string all_at_once() {
  Buffers buffers;
  Outgoing out(buffers.parts());
  fill(out);
  std::string text;
  take(out, SIZE_MAX, text);
  EXPECT_TRUE(out.empty());
  return text;
}

TEST(Outgoing, IsTheSameCutAnywhere) {
  const std::string whole = all_at_once();
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 8);
  for (size_t first = 0; first <= whole.size(); ++first) {
    Buffers buffers;
    Outgoing out(buffers.parts());
    fill(out);
    std::string text;
    take(out, first, text);
    EXPECT_EQ(out.empty(), first == whole.size());
    while (take(out, 1 + first % 7, text) > 0) {
    }
    ASSERT_EQ(text, whole) << first;
  }
}

TEST(Outgoing, NewValuesDoNotEndUpInsideALineOnItsWay) {
  const size_t size = all_at_once().size();
  for (size_t first = 0; first <= size; ++first) {
    Buffers buffers;
    Outgoing out(buffers.parts());
    fill(out);
    std::string text;
    take(out, first, text);
    ASSERT_EQ(out.put_robot(pose("executing")), NB_OK);
    ASSERT_EQ(out.put_progress(at_pose(3)), NB_OK);
    take(out, SIZE_MAX, text);
    ASSERT_TRUE(out.empty());
    size_t lines = 0;
    for (size_t at = 0; at < text.size(); ++lines) {
      const size_t end = text.find('\n', at);
      ASSERT_NE(end, text.npos) << first;
      const std::string line = text.substr(at, end - at);
      EXPECT_TRUE(line == "hello" || line == "an event of some length" ||
                  (line[0] == '{' && json::scan(line).reason == nullptr))
          << line;
      at = end + 1;
    }
    EXPECT_GE(lines, 8u);
    EXPECT_NE(text.find("executing"), text.npos);
    EXPECT_EQ(text.rfind("\"pose_idx\":3"), text.rfind("\"pose_idx\""));
  }
}

TEST(Outgoing, AfterADisconnectAnywhereEventsComeOnceAndSlotsAgain) {
  const std::string whole = all_at_once();
  for (size_t first = 0; first <= whole.size(); ++first) {
    Buffers buffers;
    Outgoing out(buffers.parts());
    fill(out);
    std::string before;
    take(out, first, before);
    before.resize(before.rfind('\n') + 1);  // what the agent had whole
    out.rewind();
    std::string after;
    take(out, SIZE_MAX, after);
    ASSERT_TRUE(out.empty());
    EXPECT_EQ(after.find("hello\n"), 0u);
    const auto count = [](const std::string& text, const char* part) {
      size_t n = 0;
      for (size_t at = 0; (at = text.find(part, at)) != text.npos; ++at) ++n;
      return n;
    };
    for (const char* event : {"an event of some length", "stroke.end", "\"pose_idx\":1"}) {
      const size_t n = event[0] == 'a' ? 2 : 1;
      EXPECT_EQ(count(before, event) + count(after, event), n) << event << first;
    }
    EXPECT_EQ(count(after, "robot.update"), 1u);
    EXPECT_EQ(count(after, "\"pose_idx\":2"), 1u);
  }
}

TEST(Outgoing, ProgressThatWasTornBeforeItsSessionsEndGoesAgain) {
  Buffers buffers;
  Outgoing out(buffers.parts());
  std::string text;
  ASSERT_EQ(out.put_progress(at_pose(1)), NB_OK);
  take(out, 20, text);
  ASSERT_EQ(out.put_end(), NB_OK);
  out.rewind();
  text.clear();
  take(out, SIZE_MAX, text);
  EXPECT_LT(text.find("\"pose_idx\":1"), text.find("stroke.end")) << text;
  out.rewind();  // once more it does not come
  EXPECT_TRUE(out.empty());
}

TEST(Outgoing, ACallThatIsGivenUpIsTakenBack) {
  Buffers buffers;
  Outgoing out(buffers.parts());
  const auto line = [](const char* text) {
    return [text](LineWriter& writer) { writer.raw(text); };
  };
  std::string text;
  ASSERT_EQ(out.put_event(line("first\n")), NB_OK);
  ASSERT_EQ(out.put_call(line("call\n")), NB_OK);
  ASSERT_EQ(out.put_event(line("second\n")), NB_OK);
  ASSERT_EQ(out.put_robot(pose("p")), NB_OK);
  take(out, 3, text);
  out.drop_call();
  take(out, SIZE_MAX, text);
  EXPECT_EQ(text.find("first\nsecond\n{"), 0u) << text;

  // A part of it has gone: the rest has to follow, unless the connection goes first.
  text.clear();
  ASSERT_EQ(out.put_call(line("call\n")), NB_OK);
  take(out, 2, text);
  out.drop_call();
  take(out, SIZE_MAX, text);
  EXPECT_EQ(text, "call\n");
  text.clear();
  ASSERT_EQ(out.put_call(line("call\n")), NB_OK);
  ASSERT_EQ(out.put_event(line("third\n")), NB_OK);
  take(out, 2, text);
  out.drop_call();
  EXPECT_EQ(out.put_call(line("another\n")), NB_ERR_FULL);
  out.rewind();
  text.clear();
  take(out, SIZE_MAX, text);
  EXPECT_EQ(text.find("call"), text.npos);
  EXPECT_NE(text.find("third\n"), text.npos);
}

TEST(Outgoing, ASubscriptionMayEndWhileTheGreetingIsOnItsWay) {
  for (size_t first = 0; first < 300; ++first) {
    Buffers buffers;
    Outgoing out(buffers.parts());
    ASSERT_TRUE(out.set_hello([](LineWriter& line) { line.raw("hello\n"); }, [](LineWriter&) {}));
    for (const char* channel : {"a", "b", "c"}) ASSERT_TRUE(out.add_subscription(channel, false));
    std::string text;
    take(out, first, text);
    out.remove_subscription("b", false);
    while (take(out, 5, text) > 0) {
    }
    EXPECT_EQ(std::count(text.begin(), text.end(), '{') % 2, 0) << text;
    EXPECT_EQ(text.back(), '\n');
    EXPECT_NE(text.find("[\"a\"]}}\n"), text.npos) << first;
    EXPECT_NE(text.find("[\"c\"]}}\n"), text.npos) << first;
    out.rewind();
    text.clear();
    take(out, SIZE_MAX, text);
    EXPECT_EQ(text.find("\"b\""), text.npos);
  }
}

// --- what comes in ------------------------------------------------------------------------------

// No agent of today sends one; whatever does, the robot's process lives on.
TEST(Message, AChannelWithoutAName) {
  std::string line =
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"","pattern":"*","text":"hello"}})";
  const Message message = read_message(line.data(), line.size());
  ASSERT_EQ(message.kind, Message::Kind::event);
  EXPECT_STREQ(message.channel, "");
  EXPECT_STREQ(message.json, "\"hello\"");
}

// The lines that an Incoming of 24 bytes makes of pieces of `step` bytes, each followed by "|";
// what is longer is skipped, and its beginnings come in `overlong`.
std::string lines_of(std::string_view input, size_t step, std::vector<std::string>& overlong) {
  char buffer[24];
  Incoming incoming(buffer, sizeof buffer);
  std::string lines;
  for (size_t at = 0; at < input.size();) {
    size_t room = 0;
    char* const out = incoming.room(room);
    if (room == 0) return "no room";
    const size_t n = std::min({room, step, input.size() - at});
    std::memcpy(out, input.data() + at, n);
    incoming.added(n);
    at += n;
    size_t size = 0;
    while (const char* line = incoming.line(size)) {
      EXPECT_EQ(std::strlen(line), size);
      lines += std::string(line) + "|";
      incoming.drop_line();
    }
    if (!incoming.overlong()) continue;
    overlong.emplace_back(incoming.held());
    incoming.skip_line();
  }
  return lines;
}

TEST(Incoming, LinesInPiecesOfEverySize) {
  const std::string input = "one\n\ntwo and more\nthree\nfour of fourteen\nhal";
  for (size_t step = 1; step <= input.size(); ++step) {
    std::vector<std::string> overlong;
    EXPECT_EQ(lines_of(input, step, overlong), "one||two and more|three|four of fourteen|");
    EXPECT_TRUE(overlong.empty());
  }
}

TEST(Incoming, SkipsALineThatIsTooLong) {
  const std::string x(24, 'x');
  const std::string y(24, 'y');
  const std::string input = "one\n" + x + "\ntwo\n" + std::string(70, 'y') + "\n\nthree\n";
  for (size_t step = 1; step <= input.size(); ++step) {
    std::vector<std::string> overlong;
    EXPECT_EQ(lines_of(input, step, overlong), "one|two||three|") << step;
    EXPECT_EQ(overlong, (std::vector<std::string>{x, y})) << step;
  }
}

TEST(Message, ItsHeadTellsWhoseItIsHoweverItIsCut) {
  const auto told = [](std::string_view line) {
    const LineHead head = read_head(line);
    return std::to_string(head.id) + (head.event ? " event" : "");
  };
  EXPECT_EQ(told(R"({"jsonrpc":"2.0","id":17,"result":{"method":"event)"), "17");
  EXPECT_EQ(told(R"({"jsonrpc":"2.0","method":"event","params":{"channel":"xxx)"), "0 event");
  EXPECT_EQ(told(R"({"jsonrpc":"2.0","method":"event.gap","params":{}})"), "0 event");
  EXPECT_EQ(told(R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"event"}})"), "0");
  for (const char* line : {"", " ", "{", "{\"", "{\"id", "{\"id\"", "{\"id\":", "{\"method\":\"",
                           "{\"method\":\"\\", "[[[", "{\"id\":{\"", "{,,", "\"id\":1"}) {
    EXPECT_EQ(told(line), "0") << line;
  }
}

}  // namespace
}  // namespace nb::client
