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
  for (const char* text :
       {"", "now", "2026-11-20", "2026-11-20T14:03", "2026-11-20 14:03:07", "2026-13-20T14:03:07",
        "2026-02-29T14:03:07", "2026-11-20T24:00:00", "2026-11-20T14:03:07.",
        "2026-11-20T14:03:07.1234567890", "2026-11-20T14:03:07.12z", "2026-11-20T14:03:07+01:00",
        "0000-01-01T00:00:00", "2026-11-20T14:03:07.123456ZZ", "2026-11-20T14:03:07 ",
        "-026-11-20T14:03:07"}) {
    EXPECT_FALSE(parse_timestamp(text)) << text;
  }
}

}  // namespace
}  // namespace nb
