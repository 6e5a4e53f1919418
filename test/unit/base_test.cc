// Unit tests of base/: everything here is pure or touches only a file it made.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <sstream>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/delegate.h"
#include "base/file.h"
#include "base/foreign_text.h"
#include "base/glob.h"
#include "base/histogram.h"
#include "base/line_output.h"
#include "base/log.h"
#include "base/own_file.h"
#include "base/random.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/text.h"
#include "base/ticket_table.h"
#include "base/unique_fd.h"

namespace nb {
namespace {

using namespace std::chrono_literals;

TEST(ForeignText, PlainTextPassesUnchanged) {
  EXPECT_EQ(foreign_text(""), "");
  EXPECT_EQ(foreign_text("WRONGTYPE Operation against a key"), "WRONGTYPE Operation against a key");
  EXPECT_EQ(foreign_text("Gr\u00fc\u00dfe, \u4f60\u597d, \U0001f600 \\x1b"),
            "Gr\u00fc\u00dfe, \u4f60\u597d, \U0001f600 \\x1b");
}

TEST(ForeignText, WhatIsUnsafeIsShownAndNotSent) {
  EXPECT_EQ(foreign_text("a\nWATCHDOG=trigger\r\t\x1b[31m\x7f"),
            "a\\x0aWATCHDOG=trigger\\x0d\\x09\\x1b[31m\\x7f");
  EXPECT_EQ(foreign_text(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(foreign_text("\u009b31m \u0085"), "\\u009b31m \\u0085");
  EXPECT_EQ(foreign_text("\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"),
            "\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a\\u202e\\u2066\\u2069");
  // A lone continuation, an overlong form, a surrogate, half a character at the end.
  EXPECT_EQ(foreign_text("\x9b|\xc0\xaf|\xed\xa0\x80|\xff|\xe2\x82"),
            "\\x9b|\\xc0\\xaf|\\xed\\xa0\\x80|\\xff|\\xe2\\x82");
}

TEST(ForeignText, IsCutAtTheEndOfACharacter) {
  EXPECT_EQ(foreign_text("abcdefgh", 8), "abcdefgh");
  EXPECT_EQ(foreign_text("abcdefghi", 8), "abcde...");
  EXPECT_EQ(foreign_text("abcd\u00fcfghi", 8), "abcd...");
  EXPECT_EQ(foreign_text("abc\n\n", 8), "abc...");  // not within "\x0a" either
  EXPECT_EQ(foreign_text("abcdef", 2), "ab");
  EXPECT_EQ(foreign_text("abc", 0), "");
  EXPECT_EQ(foreign_text(std::string(2 * 1024 * 1024, 'x')).size(), kMaxForeignText);
}

TEST(ForeignText, IsAlwaysSafeAndASecondPassChangesNothing) {
  uint64_t seed = 7;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (int i = 0; i < 24; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      // Leads and continuations more often than chance would bring them.
      const auto c = static_cast<unsigned char>(seed >> 40);
      bytes += static_cast<char>(i % 3 == 0 ? (c | 0xc0) : i % 3 == 1 ? (0x80 | (c & 0x3f)) : c);
    }
    const size_t limit = static_cast<size_t>(round) % 80;
    const std::string text = foreign_text(bytes, limit);
    ASSERT_LE(text.size(), limit);
    ASSERT_TRUE(is_valid_utf8(text));
    ASSERT_EQ(foreign_text(text, limit), text);
  }
}

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

TEST(Text, Utf8) {
  EXPECT_TRUE(is_valid_utf8("plain"));
  EXPECT_TRUE(is_valid_utf8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\xa4\x96"));
  for (const char* bad : {"\xff", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\x80", "\xe2\x82", "\xf0\x9f\xa4"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << bad;
  }
  EXPECT_TRUE(is_valid_utf8(std::string_view("a\0b", 3)));
}

TEST(Text, Numbers) {
  EXPECT_EQ(parse_number<int>("42"), 42);
  EXPECT_EQ(parse_number<int>("-1"), -1);
  EXPECT_FALSE(parse_number<int>(""));
  EXPECT_FALSE(parse_number<int>("4 "));
  EXPECT_FALSE(parse_number<int>("99999999999"));
  EXPECT_FALSE(parse_number<unsigned>("-1"));
}

TEST(Decimal, IsReadToTheNearestDouble) {
  EXPECT_EQ(nearest_double("-12.50e-1"), -1.25);
  EXPECT_EQ(nearest_double("0.1"), 0.1);
  EXPECT_EQ(nearest_double("9007199254740993"), 9007199254740992.0);
  EXPECT_EQ(nearest_double("9007199254740993." + std::string(800, '0') + "1"), 9007199254740994.0);
  EXPECT_EQ(nearest_double("1.7976931348623157e308"), std::numeric_limits<double>::max());
  EXPECT_EQ(nearest_double("4.9e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(nearest_double("1e400"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(nearest_double("-1e400"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(nearest_double("1e-400"), 0.0);
  EXPECT_TRUE(std::signbit(nearest_double("-1e-400")));
  // It ends where the text does, whatever follows in memory, and however long it is.
  for (const size_t length : {1u, 62u, 63u, 64u, 65u, 1000u}) {
    const std::string ones = std::string(length, '1');
    EXPECT_EQ(nearest_double(std::string_view(ones + "e9").substr(0, length)),
              std::strtod(ones.c_str(), nullptr))
        << length;
  }
}

TEST(Decimal, HasItsPointWhateverTheLocaleOfTheHost) {
  locale_t comma = nullptr;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"}) {
    if (comma == nullptr) comma = ::newlocale(LC_ALL_MASK, name, nullptr);
  }
  if (comma == nullptr) GTEST_SKIP() << "no locale with a decimal comma is installed here";
  const locale_t before = ::uselocale(comma);
  EXPECT_EQ(std::strtod("1,5", nullptr), 1.5);
  EXPECT_EQ(nearest_double("1.5"), 1.5);
  ::uselocale(before);
  ::freelocale(comma);
}

TEST(Text, TrimAndFormat) {
  EXPECT_EQ(trim("  a b\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(format("%s", std::string(5000, 'x').c_str()).size(), 5000u);
  EXPECT_EQ(human_duration(250), "250 ms");
  EXPECT_EQ(human_duration(1500), "1.5 s");
  EXPECT_EQ(human_duration(90'000), "90 s");
  EXPECT_EQ(human_duration(600'000), "10 min");
  EXPECT_EQ(human_duration(3'900'000 * 2), "2 h 10 min");
}

TEST(Log, FiltersByLevelAndCannotBeForgedByForeignText) {
  std::vector<std::string> lines;
  const auto sink = [](void* user, LogLevel level, std::string_view line) {
    static_cast<std::vector<std::string>*>(user)->push_back(
        format("<%d>%.*s", static_cast<int>(level), static_cast<int>(line.size()), line.data()));
  };
  Log log(sink, &lines, LogLevel::info);
  log.warning("server said '%s'", "x\n<3>forged\x1b[2J");
  log.debug("not shown");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], "<4>server said 'x\\x0a<3>forged\\x1b[2J'");
  Log().error("silent by default");
}

class SetClock final : public Clock {
 public:
  MonoTime now() const override { return MonoTime(at); }
  WallTime wall_now() const override { return {}; }
  Duration at = 100s;
};

struct LimitedLog {
  std::vector<std::string> lines;
  SetClock clock;
  Log log{[](void* user, LogLevel, std::string_view line) {
            static_cast<LimitedLog*>(user)->lines.push_back(std::string(line));
          },
          this, LogLevel::info, &clock};

  long count(std::string_view part) const {
    return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(part) != std::string::npos;
    });
  }
  void say(int times) {
    for (int i = 0; i < times; ++i) log.warning("key %d is refused", i);
  }
};

TEST(Log, TakesALimitedNumberOfLinesOfOneKind) {
  LimitedLog limited;
  limited.say(1000);
  EXPECT_EQ(limited.lines.size(), 20u);
  limited.log.notice("another kind");
  EXPECT_EQ(limited.lines.back(), "another kind");
  limited.clock.at += 3s;  // a twentieth of a minute: one line
  limited.lines.clear();
  limited.say(5);
  EXPECT_EQ(limited.lines,
            (std::vector<std::string>{"key 20 is refused... and 980 more like this were left out",
                                      "key 0 is refused"}));
}

TEST(Log, SaysWhatWasLeftOutAlsoWhenNoMoreComes) {
  LimitedLog limited;
  limited.say(21);
  limited.lines.clear();
  limited.log.say_left_out();
  EXPECT_TRUE(limited.lines.empty()) << "there is no room yet: " << limited.lines.front();
  limited.clock.at += 3s;
  limited.log.say_left_out();
  EXPECT_EQ(limited.lines,
            (std::vector<std::string>{"key 20 is refused... and 1 more like this were left out"}));
  limited.log.say_left_out();
  EXPECT_EQ(limited.lines.size(), 1u);
  limited.say(20);
  limited.lines.clear();
  limited.log.say_left_out(true);
  EXPECT_EQ(limited.lines.size(), 1u) << "at the end, all of it";
}

TEST(Log, OneClientsLinesDoNotHideAnothers) {
  LimitedLog limited;
  const auto say = [&](uint64_t pid) {
    limited.log.warning(LogAbout(pid), "client %d is cut off", static_cast<int>(pid));
  };
  for (int i = 0; i < 1000; ++i) say(1);
  say(2);
  EXPECT_EQ(limited.count("client 1 "), 20);
  EXPECT_EQ(limited.count("client 2 "), 1);
}

TEST(Log, ManyClientsTogetherAreBoundedToo) {
  LimitedLog limited;
  for (uint64_t pid = 1; pid <= 10'000; ++pid) {
    limited.log.warning(LogAbout(pid), "client %d is cut off", static_cast<int>(pid));
  }
  EXPECT_EQ(limited.lines.size(), 80u);
  limited.log.say_left_out(true);
  EXPECT_EQ(limited.count("9920 more like this"), 1);
  EXPECT_EQ(limited.lines.size(), 81u);
}

TEST(Log, WithoutALimitEveryLineIsWritten) {
  LimitedLog limited;
  for (int i = 0; i < 100; ++i) limited.log.every(LogLevel::error, "line %d is wrong", i);
  EXPECT_EQ(limited.lines.size(), 100u);
  limited.log.set_lines_per_minute(0);
  limited.say(100);
  EXPECT_EQ(limited.lines.size(), 200u);
  limited.log.every(LogLevel::debug, "not shown");
  EXPECT_EQ(limited.lines.size(), 200u);
}

// --- LineOutput ---------------------------------------------------------------------------------

struct Pair {
  UniqueFd read, write;

  static Pair pipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    EXPECT_GE(::fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
  static Pair socket() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
  // The slave is written to, as a program on a terminal does.
  static Pair terminal() {
    int master = -1;
    int slave = -1;
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    return {UniqueFd(master), UniqueFd(slave)};
  }

  std::string text() const {
    std::string all;
    char chunk[65536];
    pollfd ready{read.get(), POLLIN, 0};
    while (::poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN) != 0) {
      const ssize_t n = ::read(read.get(), chunk, sizeof chunk);
      if (n <= 0) break;
      all.append(chunk, static_cast<size_t>(n));
    }
    return all;
  }
};

class LineOutputWays : public testing::TestWithParam<Pair (*)()> {};
INSTANTIATE_TEST_SUITE_P(All, LineOutputWays,
                         testing::Values(&Pair::pipe, &Pair::socket, &Pair::terminal));

TEST_P(LineOutputWays, NeverWaitsForAReaderAndSaysHowManyLinesWereLost) {
  const Pair pair = GetParam()();
  const int flags = ::fcntl(pair.write.get(), F_GETFL);
  LineOutput output(pair.write.get(), "test");
  uint64_t written = 0;
  for (; output.lost() < 5 && written < 1'000'000; ++written) {
    output.write(LogLevel::info, "a line that is taken or lost");
  }
  ASSERT_EQ(output.lost(), 5u) << "it is full";
  EXPECT_EQ(::fcntl(pair.write.get(), F_GETFL), flags) << "it is shared with others";
  std::string all = pair.text();
  output.write(LogLevel::info, "taken again");
  EXPECT_EQ(output.lost(), 0u);
  all += pair.text();
  std::erase(all, '\r');  // of the terminal
  EXPECT_TRUE(all.ends_with("lost: the log took no more\ntest: taken again\n"));
  uint64_t told = 0;
  uint64_t taken = 0;
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    int lost = 0;
    if (std::sscanf(line.c_str(), "test: %d line", &lost) == 1) {
      told += static_cast<uint64_t>(lost);
    } else if (line == "test: a line that is taken or lost") {
      ++taken;
    } else {
      EXPECT_EQ(line, "test: taken again");
    }
  }
  EXPECT_EQ(taken + told, written);
}

TEST(LineOutput, MarksLinesForTheJournalAndCutsThem) {
  const Pair pair = Pair::socket();
  LineOutput output(pair.write.get(), "");
  output.write(LogLevel::error, "why");
  EXPECT_EQ(pair.text(), "<3>why\n");
  output.write(LogLevel::debug, std::string(5000, 'x'));
  const std::string cut = pair.text();
  EXPECT_EQ(cut.size(), LineOutput::kMaxLine);
  EXPECT_EQ(cut.substr(0, 4), "<7>x");
  EXPECT_EQ(cut.back(), '\n');
}

// A full pipe is to the thread what a file server is that does not answer.
TEST(LineOutput, AFileThatHangsHoldsNobodyUp) {
  const Pair pair = Pair::pipe();
  const std::string filler(900, 'x');
  {
    LineOutput output(pair.write.get(), "test", LineOutput::Way::thread);
    // More than the pipe and the buffer take together, however quick the thread is.
    for (int i = 0; i < 300; ++i) output.write(LogLevel::info, filler);
    EXPECT_GT(output.lost(), 50u);
  }
  EXPECT_GE(pair.text().size(), 3000u) << "of the others, what the pipe took";
}

TEST(LineOutput, AFileHasAllLinesInTheEnd) {
  char path[] = "/tmp/nodebeat-base-test-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  ASSERT_TRUE(fd);
  EXPECT_EQ(LineOutput::way_for(fd.get()), LineOutput::Way::thread);
  {
    LineOutput output(fd.get(), "test");
    output.write(LogLevel::info, "one");
    output.write(LogLevel::info, "two");
  }
  EXPECT_EQ(*read_small_file(path), "test: one\ntest: two\n");
  ::unlink(path);
}

TEST(LineOutput, AFullDiskCostsTheLines) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (!full) GTEST_SKIP() << "there is no /dev/full here";
  LineOutput output(full.get(), "test");
  output.write(LogLevel::info, "one");
  EXPECT_EQ(output.lost(), 1u);
}

TEST(File, ReadsWholeAndRefusesWhatIsTooLong) {
  char path[] = "/tmp/nodebeat-base-test-XXXXXX";
  UniqueFd fd(::mkstemp(path));
  ASSERT_TRUE(fd);
  const std::string text(10000, 'a');
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()), 10000);
  EXPECT_EQ(*read_small_file(path), text);
  const auto too_long = read_small_file(path, 9999);
  ASSERT_FALSE(too_long.ok());
  EXPECT_NE(too_long.error().message.find(path), std::string::npos);
  ::unlink(path);
  EXPECT_EQ(read_small_file(path).error().message,
            std::string(path) + ": No such file or directory");
}

struct OwnFolder {
  char path[32] = "/tmp/nodebeat-base-test-XXXXXX";
  OwnFolder() { EXPECT_NE(::mkdtemp(path), nullptr); }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;
  ~OwnFolder() { std::filesystem::remove_all(path); }
  std::string operator/(const char* name) const { return std::string(path) + "/" + name; }
};

TEST(OwnFile, ReplacesInOneStepAndReadsAgain) {
  const OwnFolder folder;
  EXPECT_TRUE(replace_own_file(folder / "note", "one").ok());
  EXPECT_TRUE(replace_own_file(folder / "note", "two").ok());
  EXPECT_EQ(*read_own_file(folder / "note"), "two");
  EXPECT_EQ(read_own_file(folder / "none").error().message,
            folder / "none" + ": No such file or directory");
  EXPECT_EQ(read_own_file(folder / "note", 2).error().message,
            folder / "note" + ": longer than the 2 bytes allowed here");
}

TEST(OwnFile, LeavesAloneWhatIsNotOurs) {
  const OwnFolder folder;
  ASSERT_TRUE(replace_own_file(folder / "precious", "precious").ok());
  ASSERT_EQ(::symlink((folder / "precious").c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(::symlink((folder / "precious").c_str(), (folder / "note~").c_str()), 0);
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  const auto why = [&](const char* name, int flags) {
    const auto fd = open_own_file(folder / name, flags);
    return fd.ok() ? std::string() : fd.error().message.substr(std::strlen(folder.path) + 1);
  };
  const std::string rest =
      ", and is left alone: remove it, or configure another path for the socket";
  EXPECT_EQ(why("link", O_RDONLY), "link is a symbolic link" + rest);
  EXPECT_EQ(why("link", O_RDWR | O_CREAT), "link is a symbolic link" + rest);
  EXPECT_EQ(why("fifo", O_RDONLY), "fifo is no file" + rest) << "and nobody waits for a writer";
  EXPECT_TRUE(replace_own_file(folder / "note", "ours").ok());
  EXPECT_EQ(*read_own_file(folder / "precious"), "precious") << "the draft was a link to it";
  ASSERT_EQ(::link((folder / "precious").c_str(), (folder / "second").c_str()), 0);
  EXPECT_EQ(why("precious", O_RDWR), "precious is a file that has another name, too" + rest);
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make another user's file";
  ASSERT_EQ(::chown((folder / "note").c_str(), 54321, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(why("note", O_RDONLY), "note is another user's" + rest);
  EXPECT_EQ(open_own_file(folder / "note", O_RDONLY).error().fault, Fault::no_place);
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

  // Whoever goes through it may remove what is shown, to the last.
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

bool matches(std::string_view pattern, std::string_view text) {
  static GlobText held;  // one for all, as it is used
  held.set(text);
  return held.matches(pattern);
}

TEST(Glob, MatchesAsRedisDoes) {
  for (const auto& [pattern, text] :
       std::vector<std::pair<const char*, const char*>>{{"*", "a"},
                                                        {"robot:*", "robot:events"},
                                                        {"robot:*", "robot:"},
                                                        {"h?llo", "hello"},
                                                        {"h[ae]llo", "hallo"},
                                                        {"h[^e]llo", "hbllo"},
                                                        {"h[a-b]llo", "hallo"},
                                                        {"h[b-a]llo", "hallo"},
                                                        {"[a", "a"},
                                                        {"a\\*", "a*"},
                                                        {"a\\", "a\\"},
                                                        {"[\\]]", "]"},
                                                        {"[^]", "x"},
                                                        {"*a*b**c*", "xxaxbxcx"},
                                                        {"*aab", "aaab"},
                                                        {"*ab?", "abxxabc"},
                                                        {"*a[b]c*", "abaabcd"},
                                                        {"", ""}}) {
    EXPECT_TRUE(matches(pattern, text)) << pattern << " " << text;
  }
  for (const auto& [pattern, text] :
       std::vector<std::pair<const char*, const char*>>{{"*", ""},
                                                        {"", "a"},
                                                        {"h?llo", "hllo"},
                                                        {"h[^e]llo", "hello"},
                                                        {"[]", "a"},
                                                        {"a\\*", "ab"},
                                                        {"abc", "abcd"},
                                                        {"abcd", "abc"},
                                                        {"*a", "ab"},
                                                        {"*ab?", "xab"},
                                                        {"*ab*c", "cab"},
                                                        {"[a-c", "d"}}) {
    EXPECT_FALSE(matches(pattern, text)) << pattern << " " << text;
  }
}

TEST(Glob, NoPatternTakesForEver) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(matches(pattern + "b", std::string(256, 'a')));
}

// Element by element, going back to wherever a star may take more: as plain as it can be.
bool matches_plainly(std::string_view pattern, std::string_view text) {
  if (pattern.empty() || text.empty()) {
    return text.empty() && pattern.find_first_not_of('*') == pattern.npos;
  }
  if (pattern[0] == '*') {
    return matches_plainly(pattern.substr(1), text) || matches_plainly(pattern, text.substr(1));
  }
  if (pattern.starts_with("[^a]")) {
    return text[0] != 'a' && matches_plainly(pattern.substr(4), text.substr(1));
  }
  return (pattern[0] == '?' || pattern[0] == text[0]) &&
         matches_plainly(pattern.substr(1), text.substr(1));
}

TEST(Glob, MatchesAlikeWhereverTheWordsOfItsTablesEnd) {
  Random random(1);
  const std::string_view elements[] = {"*", "*", "?", "a", "a", "b", "[^a]"};
  int found = 0;
  for (int i = 0; i < 3000; ++i) {
    // All of one letter but a few places, so that words go on over the ends of machine words.
    std::string text(1 + random.below(GlobText::kMaxBytes), 'a');
    for (uint64_t n = random.below(4); n > 0; --n) text[random.below(text.size())] = 'b';
    std::string pattern = i % 2 == 0 ? "*" : "";
    const size_t long_part = random.below(80);
    for (uint64_t n = random.below(7); n > 0; --n) pattern += elements[random.below(7)];
    if (i % 3 != 0) pattern.append(long_part, 'a');
    if (i % 5 == 0) pattern.append(long_part, '?') += '*';
    for (uint64_t n = random.below(4); n > 0; --n) pattern += elements[random.below(7)];
    if (std::count(pattern.begin(), pattern.end(), '*') > 2) continue;  // too long a way back
    const bool does = matches(pattern, text);
    found += does;
    ASSERT_EQ(does, matches_plainly(pattern, text)) << pattern << " " << text;
  }
  EXPECT_GT(found, 100);
}

TEST(Glob, KnowsWhatAPatternCosts) {
  const struct {
    std::string pattern;
    size_t all, from_star;
  } cases[] = {
      {"", 0, 0},
      {"robot:[ab]vents", 15 / 4 + 32, 0},
      {"robot:*", 1 + 1, 1},
      {"\\*:[a*]*ab?\\*", 7 / 4 + 32 + 6, 6},
      {"*[a-z]", 6 + 32, 6 + 32},
      {"*[a", 3 + 32, 3 + 32},
      // What is compared with one place only is not free: there may be thousands of such patterns.
      {std::string(256, 'x'), 64, 0},
      {"[" + std::string(254, 'x') + "]", 64 + 32, 0},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(glob_cost(c.pattern).all, c.all) << c.pattern;
    EXPECT_EQ(glob_cost(c.pattern).from_star, c.from_star) << c.pattern;
  }
}

}  // namespace
}  // namespace nb
