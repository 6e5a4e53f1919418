// Unit tests of base/: results, callbacks, numbers, tables. Everything here is pure.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/caller_struct.h"
#include "base/clock.h"
#include "base/delegate.h"
#include "base/histogram.h"
#include "base/random.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/ticket_table.h"
#include "base/unique_fd.h"

namespace nb {
namespace {

using namespace std::chrono_literals;

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = 7;
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  Result<int> bad = make_error("key '%s': want %d", "x", 3);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "key 'x': want 3");
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status(Error{"no"}).error().message, "no");
}

TEST(Result, TakesItsErrorAlong) {
  Status status = make_error("no").as(Fault::denied);
  Status later;
  later = std::move(status);
  EXPECT_EQ(later.error().message, "no");
  EXPECT_EQ(later.error().fault, Fault::denied);
  Result<std::string> copied = later.error();
  Result<std::string> moved = std::move(copied);
  ASSERT_FALSE(moved.ok());
  EXPECT_EQ(moved.error().message, later.error().message);
  moved = std::string("good again");
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(*moved, "good again");
  later = {};
  EXPECT_TRUE(later.ok());
}

struct Receiver {
  int sum = 0;
  void on_value(int v) { sum += v; }
};

TEST(Delegate, CallsItsObjectAndIsHarmlessWhenEmpty) {
  Receiver receiver;
  auto delegate = Delegate<void(int)>::to<&Receiver::on_value>(&receiver);
  delegate(2);
  delegate(3);
  EXPECT_EQ(receiver.sum, 5);
  Delegate<void(int)>{}(9);
  EXPECT_FALSE(Delegate<void(int)>{});
}

struct Doubler {
  int twice(int v) const { return 2 * v; }
};

TEST(Delegate, HandsBackWhatItsMethodReturns) {
  Doubler doubler;
  EXPECT_EQ((Delegate<int(int)>::to<&Doubler::twice>(&doubler)(21)), 42);
  EXPECT_EQ(Delegate<int(int)>{}(21), 0);
}

TEST(Backoff, StaysInsideItsWindowAndGrowsToTheCap) {
  Backoff backoff({100ms, 5s, 900ms}, Random(1));
  Duration window = 100ms;
  for (int i = 0; i < 6; ++i) {
    EXPECT_FALSE(backoff.at_cap()) << i;
    EXPECT_LT(backoff.next(), std::min<Duration>(window, 900ms)) << i;
    window *= 2;
  }
  EXPECT_TRUE(backoff.at_cap());
  Duration longest{};
  for (int i = 0; i < 1000; ++i) {
    const Duration delay = backoff.next();
    EXPECT_LT(delay, 5s);
    longest = std::max(longest, delay);
  }
  EXPECT_GT(longest, 4s) << "full jitter uses the whole window";
  backoff.reset();
  EXPECT_LT(backoff.next(), 100ms);
}

TEST(Backoff, DrawsFromWindowsThatDoubleUpToTheEarlyLimitAndThenFromTheCap) {
  Backoff backoff({100ms, 5s, 900ms}, Random(1));
  Random same(1);
  const auto draw = [&](Duration window) {
    return Duration(static_cast<int64_t>(same.below(static_cast<uint64_t>(window.count()))));
  };
  for (const Duration window : {100ms, 200ms, 400ms, 800ms, 900ms, 900ms}) {
    EXPECT_FALSE(backoff.at_cap());
    EXPECT_EQ(backoff.next(), draw(window));
  }
  EXPECT_TRUE(backoff.at_cap());
  EXPECT_EQ(backoff.next(), draw(5s));
  EXPECT_EQ(backoff.next(), draw(5s));
  // How often it has failed stays counted: 6.4 s is below the new cap.
  backoff.set_limits({100ms, 7s, 900ms});
  EXPECT_FALSE(backoff.at_cap());
  EXPECT_EQ(backoff.next(), draw(900ms));
  EXPECT_EQ(backoff.next(), draw(7s));
  backoff.reset();
  EXPECT_EQ(backoff.next_at_cap(), draw(7s));
  EXPECT_EQ(backoff.next(), draw(100ms)) << "a delay at the cap widens no window";
}

TEST(Backoff, AHundredAgentsDoNotComeBackTogether) {
  std::vector<int> per_100ms(50);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Backoff backoff({100ms, 5s, 900ms}, Random(seed * 0x9e3779b9));
    while (!backoff.at_cap()) (void)backoff.next();
    ++per_100ms[static_cast<size_t>(backoff.next() / 100ms)];
  }
  for (const int n : per_100ms) EXPECT_LE(n, 12);
}

TEST(Random, DiffersBySeedAndKeepsItsBound) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) seen.insert(Random(seed).next());
  EXPECT_EQ(seen.size(), 100u);
  Random random(5);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(7), 7u);
  EXPECT_EQ(random.below(0), 0u);
}

TEST(Random, IsSplitMix64) {
  Random random(0);
  EXPECT_EQ(random.next(), 0xe220a8397b1dcdafu);
  EXPECT_EQ(random.next(), 0x6e789e6aa1b965f4u);
  EXPECT_EQ(random.next(), 0x06c45d188009454fu);
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_NE(Random::from_system().next(), Random::from_system().next());
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd a(::dup(1));
  const int raw = a.get();
  UniqueFd b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_EQ(b.get(), raw);
  b.reset();
  EXPECT_EQ(::close(raw), -1) << "was already closed";
}

TEST(UniqueFd, IsReplacedButNotByItself) {
  UniqueFd a(::dup(1));
  const int raw = a.get();
  a.reset(raw);
  EXPECT_EQ(::close(::dup(raw)), 0) << "still open";
  a = UniqueFd(::dup(1));
  EXPECT_EQ(::close(raw), -1) << "closed when another took its place";
  EXPECT_FALSE(UniqueFd());
  EXPECT_TRUE(UniqueFd(::dup(1)));
  UniqueFd zero(0);
  EXPECT_TRUE(zero) << "0 is a descriptor, too";
  EXPECT_EQ(zero.release(), 0);
}

TEST(Clock, MonotonicAdvancesAndWallIsAfter2020) {
  const SystemClock clock;
  const MonoTime before = clock.now();
  EXPECT_GE(clock.now(), before);
  EXPECT_GT(clock.wall_now().time_since_epoch(), 1'577'836'800s);
}

TEST(Histogram, TellsQuantilesWithinAnEighthOfAnOctave) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0ns);
  for (int i = 1; i <= 10'000; ++i) histogram.record(std::chrono::microseconds(i));
  EXPECT_EQ(histogram.count(), 10'000u);
  EXPECT_EQ(histogram.max(), 10ms);
  for (const auto& [q, exact] : {std::pair{0.5, Duration(5ms)}, {0.9, Duration(9ms)}}) {
    EXPECT_GE(histogram.quantile(q), exact);
    EXPECT_LE(histogram.quantile(q), exact * 9 / 8);
  }
  EXPECT_EQ(histogram.quantile(1), 10ms);
  histogram.record(-1s);
  histogram.record(1h);
  EXPECT_EQ(histogram.quantile(1), 1h) << "beyond the last bucket";
  EXPECT_LE(histogram.quantile(0), 127ns);
}

// The end of the bucket that this duration is counted in.
Duration bucket_end(Duration duration) {
  Histogram histogram;
  histogram.record(duration);
  histogram.record(1h);  // or the longest would stand for the end
  return histogram.quantile(0.5);
}

TEST(Histogram, BucketsAreEighthsOfAnOctave) {
  for (const auto& [begin, end] : {std::pair{0, 127},  // below the first octave
                                   {128, 143},         // its first eighth
                                   {144, 159},
                                   {240, 255},  // and its last
                                   {256, 287},
                                   {288, 319},
                                   {1024, 1151},
                                   {1 << 20, (9 << 17) - 1}}) {
    EXPECT_EQ(bucket_end(Duration(begin)), Duration(end));
    EXPECT_EQ(bucket_end(Duration(end)), Duration(end));
    EXPECT_NE(bucket_end(Duration(end + 1)), Duration(end));
  }
  for (int64_t ns = 128; ns < (int64_t{1} << 36); ns += ns / 7) {
    EXPECT_GE(bucket_end(Duration(ns)), Duration(ns));
    EXPECT_LE(bucket_end(Duration(ns)), Duration(ns * 9 / 8));
  }
}

TEST(Histogram, OfOneDurationEachFractionIsThat) {
  Histogram histogram;
  histogram.record(5us);
  for (const double q : {0.0, 0.5, 1.0}) EXPECT_EQ(histogram.quantile(q), 5us);
}

TEST(Histogram, TheLastBucketHasNoEnd) {
  constexpr int64_t kEnd = int64_t{1} << 37;  // of 30 octaves from 128 ns on
  const Duration last(kEnd - (kEnd >> 4));
  EXPECT_EQ(bucket_end(last - 1ns), last - 1ns);
  EXPECT_EQ(bucket_end(last), 1h);
  EXPECT_EQ(bucket_end(Duration(kEnd)), 1h);
}

TEST(Histogram, TellsHowManyThereAreInEachOctave) {
  Histogram histogram;
  for (const int us : {1, 3, 3, 1000, 1010, 1030}) histogram.record(std::chrono::microseconds(us));
  histogram.record(10ns);
  histogram.record(1h);
  std::vector<std::pair<int64_t, uint64_t>> octaves;
  histogram.for_each_octave(
      [&](Duration up_to, uint64_t count) { octaves.emplace_back(up_to.count(), count); });
  EXPECT_EQ(octaves,
            (std::vector<std::pair<int64_t, uint64_t>>{
                {127, 1}, {1023, 1}, {4095, 2}, {(1 << 20) - 1, 3}, {(int64_t{1} << 37) - 1, 1}}));
}

TEST(Histogram, SumsUpWhatItWasTold) {
  Histogram histogram;
  EXPECT_EQ(histogram.sum(), 0ns);
  for (const Duration each : {Duration(3us), Duration(10ns), Duration(-5ms), Duration(1h)}) {
    histogram.record(each);
  }
  EXPECT_EQ(histogram.sum(), 1h + 3us + 10ns);
}

TEST(Histogram, AFractionIsCountedFromTheShortest) {
  Histogram histogram;
  for (const Duration each : {Duration(1us), Duration(10us), Duration(100us), Duration(1ms)}) {
    histogram.record(each);
  }
  EXPECT_EQ(histogram.quantile(0), histogram.quantile(0.25));
  EXPECT_EQ(histogram.quantile(-1), histogram.quantile(0));
  EXPECT_LT(histogram.quantile(0.25), 2us);
  EXPECT_GE(histogram.quantile(0.26), 10us);
  EXPECT_LT(histogram.quantile(0.5), 12us);
  EXPECT_GE(histogram.quantile(0.51), 100us);
  EXPECT_LT(histogram.quantile(0.75), 120us);
  EXPECT_EQ(histogram.quantile(0.76), 1ms) << "no more than the longest";
  EXPECT_EQ(histogram.quantile(2), 1ms);
  EXPECT_EQ(histogram.max(), 1ms);
  histogram.record(-1s);
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_EQ(histogram.quantile(0), 127ns);
}
TEST(Ring, IsAQueueThatGrows) {
  Ring<int> ring;
  int in = 0;
  int out = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < round; ++i) ring.push_back(in++);
    for (int i = 0; i < round / 2; ++i) {
      ASSERT_EQ(ring.front(), out++);
      ring.pop_front();
    }
    ASSERT_EQ(ring.size(), static_cast<size_t>(in - out));
    if (in > out) {
      ASSERT_EQ(ring[ring.size() - 1], in - 1);
    }
  }
}

TEST(TicketTable, FindsWhatIsThereAndNothingUnderAnOldTicket) {
  TicketTable<std::string> table;
  EXPECT_EQ(table.find(0), nullptr);
  std::vector<uint64_t> tickets;
  for (int i = 0; i < 300; ++i) {
    const auto [ticket, entry] = table.add();
    entry = std::to_string(i);
    tickets.push_back(ticket);
  }
  EXPECT_EQ(table.size(), 300u);
  ASSERT_NE(table.find(tickets[7]), nullptr);
  EXPECT_EQ(*table.find(tickets[7]), "7");

  // A place that is free is used again, its old ticket finds nothing.
  table.remove(tickets[7]);
  table.remove(tickets[7]);
  EXPECT_EQ(table.size(), 299u);
  const auto [again, entry] = table.add();
  entry = "again";
  EXPECT_EQ(table.find(tickets[7]), nullptr);
  EXPECT_EQ(*table.find(again), "again");

  // The caller that goes through it may remove what is shown, to the last.
  size_t seen = 0;
  table.for_each([&](uint64_t ticket, const std::string&) {
    ++seen;
    table.remove(ticket);
  });
  EXPECT_EQ(seen, 300u);
  EXPECT_TRUE(table.empty());
  // The memory of a burst has gone; tickets are new all the same.
  const uint64_t later = table.add().first;
  EXPECT_EQ(std::count(tickets.begin(), tickets.end(), later), 0);
  EXPECT_EQ(table.find(again), nullptr);
  EXPECT_EQ(table.find(later + (uint64_t{1} << 32)), nullptr);
}

TEST(TicketTable, GivesNoTicketTwiceAndNever0) {
  TicketTable<int> table;
  const uint64_t first = table.add().first;
  EXPECT_EQ(first, uint64_t{1} << 32);
  EXPECT_EQ(table.add().first, (uint64_t{2} << 32) + 1);
  TicketTable<int> old(UINT32_MAX);
  EXPECT_EQ(old.add().first, first) << "after four billion it begins anew, behind 0";
}

// What a caller hands over, as versions of a struct: the first, ours, and one with a member more.
struct alignas(uint64_t) Old {
  uint32_t size;
  uint32_t a;
};
struct Known {
  uint32_t size;
  uint32_t a;
  uint64_t b;
};
struct Newer {
  uint32_t size;
  uint32_t a;
  uint64_t b;
  uint64_t c;
};

// As it comes through the C ABI, where nobody knows what the pointer points to.
template <class T>
const Known& as_known(const T& given) {
  const void* volatile pointer = &given;
  return *static_cast<const Known*>(pointer);
}

TEST(CallerStruct, TakesOlderAndNewerOnes) {
  Known taken{1, 2, 3};
  const Old old{sizeof(Old), 7};
  ASSERT_EQ(take_caller_struct(as_known(old), taken), CallerStruct::ok);
  EXPECT_EQ(taken.a, 7u);
  EXPECT_EQ(taken.b, 0u) << "what an older one lacks";
  ASSERT_EQ(take_caller_struct(Known{sizeof(Known), 8, 9}, taken), CallerStruct::ok);
  EXPECT_EQ(taken.b, 9u);
  Newer newer{sizeof(Newer), 10, 11, 0};
  ASSERT_EQ(take_caller_struct(as_known(newer), taken), CallerStruct::ok);
  EXPECT_EQ(taken.b, 11u);
  newer.c = uint64_t{1} << 63;
  EXPECT_EQ(take_caller_struct(as_known(newer), taken), CallerStruct::unknown_member);
  newer.c = 1;
  EXPECT_EQ(take_caller_struct(as_known(newer), taken), CallerStruct::unknown_member);
  EXPECT_EQ(taken.b, 11u) << "set on success only";
}

TEST(CallerStruct, RefusesSizesThatNoVersionHas) {
  alignas(Known) std::array<char, 8192> room{};
  auto& given = reinterpret_cast<Known&>(room);
  Known taken{};
  for (const uint32_t size : {8u, 16u, 4088u, 4096u}) {
    given.size = size;
    EXPECT_EQ(take_caller_struct(given, taken), CallerStruct::ok) << size;
    EXPECT_TRUE(give_caller_struct(taken, given)) << size;
  }
  for (const uint32_t size : {0u, 4u, 7u, 9u, 12u, 20u, 4095u, 4097u, 4104u}) {
    given.size = size;
    EXPECT_EQ(take_caller_struct(given, taken), CallerStruct::wrong_size) << size;
    EXPECT_FALSE(give_caller_struct(taken, given)) << size;
  }
}

TEST(CallerStruct, GivesWhatTheCallersHolds) {
  const Known known{99, 5, 6};
  Newer newer{sizeof(Newer), 1, 2, 3};
  ASSERT_TRUE(give_caller_struct(known, reinterpret_cast<Known&>(newer)));
  EXPECT_EQ(newer.size, sizeof(Newer)) << "the caller's own";
  EXPECT_EQ(newer.a, 5u);
  EXPECT_EQ(newer.b, 6u);
  EXPECT_EQ(newer.c, 0u) << "what only a newer one holds";
  struct {
    Old old{sizeof(Old), 1};
    uint64_t behind = 77;
  } shorter;
  ASSERT_TRUE(give_caller_struct(known, reinterpret_cast<Known&>(shorter)));
  EXPECT_EQ(shorter.old.a, 5u);
  EXPECT_EQ(shorter.behind, 77u);
}
}  // namespace
}  // namespace nb
