// Unit tests of base/timestamp.h.
#include <gtest/gtest.h>

#include "base/timestamp.h"

namespace nb {
namespace {

WallTime wall(int64_t microseconds) {
  return WallTime(std::chrono::microseconds(microseconds));
}

TEST(Timestamp, IsUtcWithMicrosecondsAndNoZone) {
  EXPECT_EQ(format_timestamp(wall(1'795'183'387'123'456)), "2026-11-20T14:03:07.123456");
  EXPECT_EQ(format_timestamp(wall(0)), "1970-01-01T00:00:00.000000");
  EXPECT_EQ(format_timestamp(wall(951'782'400'000'001)), "2000-02-29T00:00:00.000001");
  EXPECT_EQ(format_timestamp(wall(-1)), "1969-12-31T23:59:59.999999");
}

TEST(Timestamp, IsReadInTheFormsThatOthersWrite) {
  const WallTime second = wall(1'795'183'387'000'000);
  const auto at = [&](int64_t us) { return second + std::chrono::microseconds(us); };
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07.123456"), at(123'456));
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07"), second);
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07Z"), second);
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07.5+00:00"), at(500'000));
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07.123Z"), at(123'000));
  EXPECT_EQ(parse_timestamp("2026-11-20T14:03:07.123456789"), at(123'456));
  // What follows in memory does not count.
  EXPECT_EQ(parse_timestamp(std::string_view("2026-11-20T14:03:07.1234").substr(0, 23)),
            at(123'000));
  for (const char* text :
       {"", "now", "2026-11-20", "2026-11-20T14:03", "2026-11-20 14:03:07", "2026-13-20T14:03:07",
        "2026-02-29T14:03:07", "2026-11-20T24:00:00", "2026-11-20T14:03:07.",
        "2026-11-20T14:03:07.1234567890", "2026-11-20T14:03:07.12z", "2026-11-20T14:03:07+01:00",
        "0000-01-01T00:00:00", "2026-11-20T14:03:07.123456ZZ", "2026-11-20T14:03:07 ",
        "-026-11-20T14:03:07"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

TEST(Timestamp, EachOfItsPartsHasItsBounds) {
  for (const char* text : {"0001-01-01T00:00:00", "9999-12-31T23:59:59", "2024-02-29T00:00:00",
                           "2026-11-20T14:03:07.1", "2026-11-20T14:03:07.123456789Z"}) {
    EXPECT_TRUE(parse_timestamp(text)) << text;
  }
  for (const char* text : {"2026-00-10T00:00:00", "2026-10-00T00:00:00", "2026-11-31T00:00:00",
                           "2026-11-20T14:60:00", "2026-11-20T14:00:60", "2100-02-29T00:00:00",
                           "2026-11-20T14:03:07+00:0", "2026-11-20T14:03:07.1234567890Z"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
  // Each digit counts, and anything else in its place is none.
  const std::string form = "2026-11-20T14:03:07.123456";
  for (size_t i = 0; i < form.size(); ++i) {
    for (const char wrong : {'/', ':', ' ', 'x'}) {
      std::string text = form;
      if (text[i] == wrong) continue;
      text[i] = wrong;
      EXPECT_FALSE(parse_timestamp(text)) << text;
    }
  }
}

TEST(Timestamp, IsWrittenAsItIsRead) {
  // Every month's end, around the epoch and the leap days.
  for (int64_t day = -800'000; day < 2'900'000; day += 997) {
    const WallTime time = wall(day * 86'400'000'000 + day * 7919 % 86'400'000'000);
    if (format_timestamp(time) < "0001") continue;
    EXPECT_EQ(parse_timestamp(format_timestamp(time)), time) << format_timestamp(time);
  }
  EXPECT_EQ(format_timestamp(wall(-62'167'219'200'000'000 - 1)).substr(0, 4), "0000")
      << "before year 0 the year is 0";
  for (const auto& [text, microseconds] :
       {std::pair{".1", 100'000}, {".12", 120'000}, {".000001", 1}, {".0000019", 1}}) {
    EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00" + std::string(text)), wall(microseconds));
  }
}

}  // namespace
}  // namespace nb
