// Unit tests of base/: the log, its budget, and where its lines go.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/line_output.h"
#include "base/log.h"
#include "base/log_budget.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace nb {
namespace {

using namespace std::chrono_literals;

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

TEST(Log, WritesUpToItsThresholdAndCutsLongLines) {
  std::string last;
  Log log([](void* user, LogLevel,
             std::string_view line) { static_cast<std::string*>(user)->assign(line); },
          &last, LogLevel::notice);
  log.notice("shown");
  EXPECT_EQ(last, "shown");
  log.info("not shown");
  EXPECT_EQ(last, "shown");
  log.error("%s", std::string(2000, 'x').c_str());
  EXPECT_EQ(last, std::string(1023, 'x'));
  log.error("%s", std::string(1023, 'y').c_str());
  EXPECT_EQ(last, std::string(1023, 'y'));
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

// --- the budget ---

using Taken = std::pair<LogBudget::Share*, bool>;

Taken ask(LogBudget& budget, const char* kind, LogAbout about, MonoTime now) {
  bool taken = false;
  LogBudget::Share* share = budget.ask(kind, about, now, taken);
  return {share, taken};
}

TEST(LogLimit, FillsUpWithTimeToOneMinutesLines) {
  LogLimit limit;
  const MonoTime start{100s};
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(limit.take(start, 8));
  EXPECT_FALSE(limit.has_room(start, 8));
  EXPECT_FALSE(limit.take(start + 3750ms, 8)) << "half a line";
  EXPECT_TRUE(limit.has_room(start + 7500ms, 8));
  EXPECT_TRUE(limit.take(start + 7500ms, 8)) << "has_room() takes nothing";
  EXPECT_FALSE(limit.take(start + 7500ms, 8));
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(limit.take(start + 1h, 8));
  EXPECT_FALSE(limit.take(start + 1h, 8)) << "no more than of one minute";
  EXPECT_EQ(limit.last_asked(), start + 1h);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limit.take(start + 1h, 0));
}

TEST(LogAbout, ANumberOrANameIsNeverNobody) {
  EXPECT_NE(LogAbout(uint64_t{0}).id, 0u);
  EXPECT_NE(LogAbout(uint64_t{1}).id, LogAbout(uint64_t{2}).id);
  EXPECT_NE(LogAbout(std::string_view("a")).id, LogAbout(std::string_view("b")).id);
  EXPECT_NE(LogAbout(std::string_view("ab")).id, LogAbout(std::string_view("ba")).id);
  EXPECT_EQ(LogAbout(std::string_view("ab")).id, LogAbout(std::string_view("ab")).id);
  EXPECT_EQ(LogAbout().id, 0u);
  EXPECT_NE(LogAbout(uint64_t{1}).id, 0u);
}

TEST(LogBudget, OneOfTooManySharesHandsItsCountToItsKind) {
  LogBudget budget;
  budget.set_per_minute(1);
  const char* const kind = "kind";
  MonoTime now{100s};
  const auto about = [&](uint64_t id) { return ask(budget, kind, LogAbout(id), now); };
  // The kind's own share, and as many more as there may be. The first one has lost two lines.
  EXPECT_TRUE(about(0).second);
  for (int i = 0; i < 2; ++i) {
    const Taken left_out = about(0);
    EXPECT_FALSE(left_out.second);
    left_out.first->level = 4;
    left_out.first->sample_size = 5;
    std::copy_n("first", 5, left_out.first->sample);
  }
  for (uint64_t id = 1; id < LogBudget::kMaxShares - 1; ++id) {
    now += 1min;
    EXPECT_TRUE(about(id).second) << id;
  }
  // One more: the share that was asked longest ago goes, which is the first.
  now += 1min;
  (void)about(1000);
  LogBudget::Share* told = budget.next_told(now, true);
  ASSERT_NE(told, nullptr);
  uint64_t of_kind = 0;
  for (; told != nullptr; told = budget.next_told(now, true)) {
    if (told->about == 0) {
      of_kind += told->left_out;
      EXPECT_EQ(told->beginning(), "first");
      EXPECT_EQ(told->level, 4);
    } else {
      EXPECT_NE(told->about, LogAbout(uint64_t{0}).id) << "its share has gone";
    }
    told->left_out = 0;
  }
  EXPECT_GE(of_kind, 2u);
  EXPECT_TRUE(about(0).second) << "it comes back with a new share";
}

TEST(LogBudget, IsAskedAboutNothingWithoutALimit) {
  LogBudget budget;
  budget.set_per_minute(0);
  const Taken taken = ask(budget, "kind", LogAbout(uint64_t{1}), MonoTime(1s));
  EXPECT_EQ(taken.first, nullptr);
  EXPECT_TRUE(taken.second);
  EXPECT_EQ(budget.next_told(MonoTime(1s), true), nullptr);
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

  // What can be read, of which the first bytes may come within `wait_ms`.
  std::string text(int wait_ms = 0) const {
    std::string all;
    char chunk[65536];
    pollfd ready{read.get(), POLLIN, 0};
    while (::poll(&ready, 1, all.empty() ? wait_ms : 0) > 0 && (ready.revents & POLLIN) != 0) {
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
  // The kernel passes on what was written to a terminal by a thread of its own, so there may be no
  // room yet, and the end of the text may come later.
  std::string all;
  uint64_t tries = 0;
  do {
    all += pair.text(tries == 0 ? 0 : 100);
    output.write(LogLevel::info, "taken again");
  } while (++tries < 100 && output.lost() > 0);
  EXPECT_EQ(output.lost(), 0u);
  for (int i = 0; i < 100 && all.find("taken again") == all.npos; ++i) all += pair.text(100);
  all += pair.text(0);
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
  EXPECT_EQ(taken + told, written + tries - 1);
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
  // The thread that hangs keeps its descriptor, so no later test may get that number.
  static const Pair pair = Pair::pipe();
  const std::string filler(900, 'x');
  {
    LineOutput output(pair.write.get(), "test", LineOutput::Way::thread);
    // More than the pipe and the buffer take together. The thread may still be taking a full buffer
    // over when the last of 300 lines comes, which sets the count back.
    for (int i = 0; i < 300 || (output.lost() <= 50 && i < 3000); ++i) {
      output.write(LogLevel::info, filler);
    }
    EXPECT_GT(output.lost(), 50u);
  }
  EXPECT_GE(pair.text(10'000).size(), 3000u) << "of the others, what the pipe took";
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
  // On a busy computer the thread may take longer than the output waits for it.
  const std::string all = "test: one\ntest: two\n";
  for (int i = 0; i < 1000 && *read_small_file(path) != all; ++i) ::poll(nullptr, 0, 10);
  EXPECT_EQ(*read_small_file(path), all);
  ::unlink(path);
}

TEST(LineOutput, AFullDiskCostsTheLines) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (!full) GTEST_SKIP() << "there is no /dev/full here";
  LineOutput output(full.get(), "test");
  output.write(LogLevel::info, "one");
  EXPECT_EQ(output.lost(), 1u);
}

TEST(LineOutput, LinesThatTheThreadCouldNotWriteAreCounted) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (!full) GTEST_SKIP() << "there is no /dev/full here";
  LineOutput output(full.get(), "test", LineOutput::Way::thread);
  for (int line = 0; line < 2; ++line) {
    output.write(LogLevel::info, "a line");
    for (int i = 0; i < 1000 && output.lost() == 0; ++i) ::poll(nullptr, 0, 10);
    // The second time it is the line, and the one that says that the first was lost. The thread may
    // write them one by one.
    EXPECT_GE(output.lost(), 1u);
    EXPECT_LE(output.lost(), 2u);
  }
}

TEST(LineOutput, EachKindOfDescriptorHasItsWay) {
  EXPECT_EQ(LineOutput::way_for(Pair::pipe().write.get()), LineOutput::Way::own_description);
  EXPECT_EQ(LineOutput::way_for(Pair::terminal().write.get()), LineOutput::Way::own_description);
  EXPECT_EQ(LineOutput::way_for(Pair::socket().write.get()), LineOutput::Way::socket);
  EXPECT_EQ(LineOutput::way_for(-1), LineOutput::Way::socket) << "each line is lost, none waits";
  LineOutput closed(-1, "test");
  closed.write(LogLevel::info, "one");
  closed.write(LogLevel::info, "two");
  EXPECT_EQ(closed.lost(), 2u);
}

TEST(LineOutput, SaysOneLineAsOne) {
  const Pair pair = Pair::socket();
  LineOutput output(pair.write.get(), "test");
  while (output.lost() < 1) output.write(LogLevel::info, std::string(1000, 'x'));
  (void)pair.text();
  output.write(LogLevel::info, "again");
  const std::string text = pair.text();
  EXPECT_NE(text.find("test: 1 line of the log was lost: the log took no more\n"), text.npos);
  EXPECT_TRUE(text.ends_with("\ntest: again\n")) << text;
}

TEST(LineOutput, ALineOfTheLongestSizeIsWhole) {
  const Pair pair = Pair::socket();
  LineOutput output(pair.write.get(), "t");
  const std::string longest(LineOutput::kMaxLine - std::string("t: \n").size(), 'x');
  output.write(LogLevel::info, longest);
  EXPECT_EQ(pair.text(), "t: " + longest + "\n");
  output.write(LogLevel::info, longest + "y");
  EXPECT_EQ(pair.text(), "t: " + longest + "\n");
}

}  // namespace
}  // namespace nb
