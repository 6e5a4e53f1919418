// Unit tests of redis/forms: what of a stranger's replies is taken, and what is not.
#include <gtest/gtest.h>

#include <string>

#include "redis/forms.h"
#include "redis/reply_reader.h"

namespace nb::redis {
namespace {

// One reply, read as it comes from a server.
class Read {
 public:
  explicit Read(std::string_view text) {
    EXPECT_TRUE(reader_.feed(text));
    reply_ = reader_.next();
    EXPECT_TRUE(reply_) << text;
  }
  Reply operator*() const { return reply_; }

 private:
  ReplyReader reader_{1024 * 1024};
  Reply reply_;
};

TEST(RedisForms, APageOfAScan) {
  const Read good("*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n");
  const auto page = read_scan_page(*good);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->cursor, 18446744073709551615u);
  ASSERT_EQ(page->elements.size(), 2u);
  EXPECT_EQ(page->text(0), "a");
  EXPECT_EQ(page->text(1), "");
  for (const char* bad : {
           "*0\r\n",
           "*-1\r\n",
           ":1\r\n",
           "+0\r\n",
           "-ERR no\r\n",
           "*1\r\n$1\r\n0\r\n",
           "*2\r\n$1\r\n0\r\n$1\r\na\r\n",
           "*2\r\n:0\r\n*0\r\n",
           "*2\r\n$2\r\n-1\r\n*0\r\n",
           "*2\r\n$20\r\n18446744073709551616\r\n*0\r\n",
           "*2\r\n$4\r\n0\",\"\r\n*0\r\n",
           "*2\r\n*0\r\n*0\r\n",
           "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n",
           "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n",
           "*2\r\n$1\r\n0\r\n*1\r\n*-1\r\n",
           "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n+b\r\n",
       }) {
    const Read reply(bad);
    EXPECT_FALSE(read_scan_page(*reply)) << bad;
  }
}

TEST(RedisForms, ACount) {
  EXPECT_EQ(read_count(*Read(":7\r\n")), 7u);
  for (const char* bad : {":-1\r\n", "$1\r\n7\r\n", "*0\r\n", "$-1\r\n", "-NOPERM\r\n"}) {
    EXPECT_FALSE(read_count(*Read(bad))) << bad;
  }
}

TEST(RedisForms, AValueAndAType) {
  EXPECT_EQ(read_value(*Read("$1\r\n7\r\n")), "7");
  EXPECT_EQ(read_value(*Read("$-1\r\n")), "");
  for (const char* bad : {":7\r\n", "+7\r\n", "*0\r\n", "-NOPERM\r\n"}) {
    EXPECT_FALSE(read_value(*Read(bad))) << bad;
  }
  EXPECT_EQ(read_type(*Read("+hash\r\n")), "hash");
  for (const char* bad : {":7\r\n", "$4\r\nhash\r\n", "*0\r\n", "-NOPERM\r\n", "$-1\r\n"}) {
    EXPECT_FALSE(read_type(*Read(bad))) << bad;
  }
}

TEST(RedisForms, AListOfEntries) {
  for (const char* good : {"*0\r\n", "*1\r\n*2\r\n$3\r\n1-1\r\n*0\r\n"}) {
    EXPECT_TRUE(is_entries(*Read(good))) << good;
  }
  for (const char* bad : {"$-1\r\n", ":0\r\n", "+OK\r\n", "*1\r\n$1\r\na\r\n", "*1\r\n*0\r\n",
                          "*1\r\n*2\r\n:1\r\n*0\r\n", "*1\r\n*2\r\n$3\r\n1-1\r\n:1\r\n"}) {
    EXPECT_FALSE(is_entries(*Read(bad))) << bad;
  }
}

std::string entry(std::string_view id) {
  return "*1\r\n*2\r\n$" + std::to_string(id.size()) + "\r\n" + std::string(id) +
         "\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
}

TEST(RedisForms, TheNewestEntryOfAStream) {
  EXPECT_EQ(read_newest_entry(*Read(entry("1700000000123-4"))),
            WallTime(std::chrono::milliseconds(1700000000123)));
  EXPECT_EQ(read_newest_entry(*Read(entry("0-1"))), WallTime{});
  for (const char* bad : {"-1-1", "", "-", "x-1", "253402300800000-0", "9223372036854775807-1",
                          "18446744073709551615-1", " 1-1"}) {
    EXPECT_FALSE(read_newest_entry(*Read(entry(bad)))) << bad;
  }
  for (const char* bad : {"*0\r\n", "$1\r\n1\r\n", "*1\r\n*0\r\n", "*1\r\n$3\r\n1-1\r\n",
                          "*1\r\n*1\r\n:1\r\n", "*-1\r\n", "-ERR\r\n"}) {
    EXPECT_FALSE(read_newest_entry(*Read(bad))) << bad;
  }
}

std::string time_of(std::string_view seconds, std::string_view micros) {
  return "*2\r\n$" + std::to_string(seconds.size()) + "\r\n" + std::string(seconds) + "\r\n$" +
         std::to_string(micros.size()) + "\r\n" + std::string(micros) + "\r\n";
}

TEST(RedisForms, TheTime) {
  EXPECT_EQ(read_time(*Read(time_of("1700000000", "999999"))),
            WallTime(std::chrono::microseconds(1700000000999999)));
  for (const auto& [seconds, micros] :
       {std::pair("9223372036854775807", "0"), std::pair("-9223372036854775808", "0"),
        std::pair("253402300800", "0"), std::pair("-1", "0"), std::pair("0", "-1"),
        std::pair("0", "1000000"), std::pair("0", "9223372036854775807"), std::pair("", ""),
        std::pair("1.5", "0")}) {
    EXPECT_FALSE(read_time(*Read(time_of(seconds, micros)))) << seconds << " " << micros;
  }
  for (const char* bad : {"*0\r\n", "*1\r\n$1\r\n0\r\n", ":5\r\n", "*2\r\n:1\r\n:2\r\n"}) {
    EXPECT_FALSE(read_time(*Read(bad))) << bad;
  }
}

TEST(RedisForms, ALineOfInfo) {
  const std::string_view info =
      "# Server\r\nredis_version:7.0.15\r\n\r\nrole:master\nempty:\r\nlast";
  EXPECT_EQ(find_in_info(info, "redis_version"), "7.0.15");
  EXPECT_EQ(find_in_info(info, "role"), "master");
  EXPECT_EQ(find_in_info(info, "empty"), "");
  EXPECT_FALSE(find_in_info(info, "redis"));
  EXPECT_FALSE(find_in_info(info, "last"));
  EXPECT_FALSE(find_in_info("", "x"));
}

TEST(RedisForms, TheValueOfAField) {
  const Read entry("*5\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\na\r\n$4\r\nlast\r\n");
  EXPECT_EQ(field_of(*entry, "a"), "1");
  EXPECT_EQ(field_of(*entry, "b"), "a");
  for (const char* none : {"1", "last", ""}) EXPECT_EQ(field_of(*entry, none), "") << none;
}

TEST(RedisForms, WhatStandsBehindAPrefix) {
  EXPECT_EQ(behind("node:health:", "node:health:a"), "a");
  for (const char* bad :
       {"", "n", "node:health", "node:health:", "node:healthy:a", "xode:health:a"}) {
    EXPECT_FALSE(behind("node:health:", bad)) << bad;
  }
}

TEST(RedisForms, TheNameOfASession) {
  const auto ours = read_session_name("stroke_hog_1700000000_000042");
  ASSERT_TRUE(ours);
  EXPECT_EQ(ours->node, "hog");
  EXPECT_EQ(ours->seconds, 1700000000u);
  EXPECT_EQ(ours->microseconds, 42u);
  const auto others = read_session_name("stroke_arm_2_1700000000");
  ASSERT_TRUE(others);
  EXPECT_EQ(others->node, "arm_2");
  EXPECT_EQ(others->seconds, 1700000000u);
  EXPECT_EQ(others->microseconds, 0u);
  EXPECT_EQ(read_session_name("stroke_arm_123456")->node, "arm");
  for (const char* bad :
       {"", "stroke_", "stroke_hog", "stroke_hog_", "stroke_hog_x", "hog_17", "stroke__17",
        "stroke_17", "stroke_a b_17", "stroke_hog_99999999999999999999"}) {
    EXPECT_FALSE(read_session_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace nb::redis
