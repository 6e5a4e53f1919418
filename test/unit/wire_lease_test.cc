// Unit tests of wire/lease: the words of leases and of the watch.
#include <gtest/gtest.h>

#include "wire/lease.h"

namespace nb::wire {
namespace {

TEST(Lease, IsReadAsItIsWritten) {
  Lease lease{"0b5d1c2e-4c1f-4e57-9c0a-6f6f0f6f6f6f", "hog-0b5d1c2e-65f0c2a1b2c3-9f31", 17, 1000,
              3000};
  std::string text = "what was there";
  print_lease(lease, text);
  EXPECT_EQ(text,
            "0b5d1c2e-4c1f-4e57-9c0a-6f6f0f6f6f6f hog-0b5d1c2e-65f0c2a1b2c3-9f31 17 1000 3000");
  const auto read = parse_lease(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->boot_id, lease.boot_id);
  EXPECT_EQ(read->instance, lease.instance);
  EXPECT_EQ(read->seq, 17u);
  EXPECT_EQ(read->interval_ms, 1000u);
  EXPECT_EQ(read->patience_ms, 3000u);
}

TEST(Lease, WithoutABootIdHasADash) {
  std::string text;
  print_lease({"", "hog-1", 1, 250, 1000}, text);
  EXPECT_EQ(text, "- hog-1 1 250 1000");
  EXPECT_EQ(parse_lease(text)->boot_id, "");
}

TEST(Lease, OfAStoppedAgentHasNoPatience) {
  EXPECT_EQ(parse_lease("b i 1 1000 0")->patience_ms, 0u);
}

TEST(Lease, OfALaterVersionMayHaveMoreWords) {
  EXPECT_EQ(parse_lease("b i 1 1000 3000 more words")->patience_ms, 3000u);
}

TEST(Lease, IsForAnHourAtMostAndAQuarterOfASecondAtLeast) {
  EXPECT_EQ(parse_lease("b i 1 3600000 3600000")->patience_ms, 3'600'000u);
  EXPECT_EQ(parse_lease("b i 1 250 1000")->interval_ms, 250u);
}

TEST(Lease, ThatIsMalformedIsNone) {
  const std::string text = "b i 18446744073709551615 1000 3000";
  ASSERT_TRUE(parse_lease(text));
  for (size_t i = 0; i + 3 < text.size(); ++i) {
    EXPECT_FALSE(parse_lease(text.substr(0, i))) << i;  // a shorter number is another one
  }
  for (const char* bad : {"",
                          " ",
                          "b  i 1 1000 3000",
                          " b i 1 1000 3000",
                          "b i -1 1000 3000",
                          "b i +1 1000 3000",
                          "b i 18446744073709551616 1000 3000",
                          "b i 1 249 3000",
                          "b i 1 0 0",
                          "b i 1 1000 999",
                          "b i 1 250 999",
                          "b i 1 1000 1",
                          "b i 1 1000 3600001",
                          "b i 1 3600001 3600001",
                          "b i 1 1000 4294970296",
                          "b/ i 1 1000 3000",
                          "b \xff 1 1000 3000",
                          "b i 1 1000 3000\n",
                          "b i x 1000 3000",
                          "{\"seq\":1}"}) {
    EXPECT_FALSE(parse_lease(bad)) << bad;
  }
  EXPECT_FALSE(parse_lease("b " + std::string(129, 'i') + " 1 1000 3000"));
  EXPECT_FALSE(parse_lease(text + ' ' + std::string(kLeaseBytes, 'x')));
}

TEST(Watch, IsReadAsItIsWritten) {
  std::string text;
  print_watch({"hog", "hog-1", 4, 99, 1700000000123, 12}, text);
  EXPECT_EQ(text, "hog hog-1 4 99 1700000000123 12");
  const auto read = parse_watch(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->node, "hog");
  EXPECT_EQ(read->instance, "hog-1");
  EXPECT_EQ(read->term, 4u);
  EXPECT_EQ(read->seq, 99u);
  EXPECT_EQ(read->looked_at_ms, 1700000000123u);
  EXPECT_EQ(read->lag_ms, 12u);
  EXPECT_EQ(watch_term_of(text), "hog hog-1 4 ");
}

TEST(Watch, ThatIsMalformedIsNone) {
  for (const char* bad :
       {"", "hog", "hog hog-1 4 99 1", "hog hog-1 x 99 1 2", "-hog hog-1 4 99 1 2",
        "hog hog-1 4 99 1 4294967296", "h\n hog-1 4 99 1 2"}) {
    EXPECT_FALSE(parse_watch(bad)) << bad;
  }
  EXPECT_EQ(watch_term_of("hog hog-1"), "hog hog-1");
}

}  // namespace
}  // namespace nb::wire
