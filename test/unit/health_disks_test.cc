// Unit tests of health/disks: file systems that answer, and file systems that hang.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "base/text.h"
#include "health/disks.h"
#include "health/sampler.h"
#include "support/captured_log.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::health {
namespace {

using namespace std::chrono_literals;
using test::CapturedLog;
using test::TempTree;
using test::TestLoop;

// File systems that answer 60 % full, and those named in `hanging` not at all until let go.
class Kernel {
 public:
  ~Kernel() { release(); }

  AskFileSystem asker() {
    return [state = state_](const char* path, struct statvfs& answer) {
      std::unique_lock lock(state->mutex);
      state->asked.insert(path);
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->hanging.count(path) == 0; });
      if (state->broken.count(path) != 0) return ESTALE;
      answer.f_blocks = 1000;
      answer.f_bfree = 1000 - state->used;
      answer.f_bavail = answer.f_bfree;
      return 0;
    };
  }

  void hang(const std::string& path) {
    change([&] { state_->hanging.insert(path); });
  }
  void release() {
    change([&] { state_->hanging.clear(); });
  }
  void break_down(const std::string& path) {
    change([&] { state_->broken.insert(path); });
  }
  void repair() {
    change([&] { state_->broken.clear(); });
  }
  void fill(unsigned used) {
    change([&] { state_->used = used; });
  }

  size_t times_asked(const std::string& path) const {
    const std::lock_guard lock(state_->mutex);
    return state_->asked.count(path);
  }

 private:
  // Shared with threads that may outlive the test's objects.
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::multiset<std::string> asked;
    std::set<std::string> hanging, broken;
    unsigned used = 600;
  };

  template <class Change>
  void change(Change&& change) {
    const std::lock_guard lock(state_->mutex);
    change();
    state_->changed.notify_all();
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

std::vector<Mount> table(const char* nas_type) {
  return {{"/", "/", "ext4", ""}, {"/", "/data", "xfs", ""}, {"/", "/mnt/nas", nas_type, ""}};
}

class HangingDisks : public testing::Test {
 protected:
  // The fullest; -1 if nothing is known.
  double read(Duration later) { return reader_->read(start_ + later, out_).value_or(-1); }

  void make(const std::vector<std::string>& paths, const std::vector<Mount>& mounts) {
    reader_.emplace(loop_.loop(), log_, Root("/"), paths, kernel_.asker());
    reader_->mounts_are(mounts);
  }

  double percent_of(const std::string& path) const {
    for (const wire::DiskUse& disk : out_) {
      if (disk.path == path) return disk.percent.value_or(-1);
    }
    return -2;
  }
  std::string problem_of(const std::string& path) const {
    for (const wire::DiskUse& disk : out_) {
      if (disk.path == path) return disk.problem;
    }
    return "not there";
  }

  CapturedLog log_;
  Kernel kernel_;
  TestLoop loop_;
  const MonoTime start_{1h};
  std::optional<DiskReader> reader_;
  std::vector<wire::DiskUse> out_;
};

TEST_F(HangingDisks, LocalOnesAnswerAtOnceAndTheFullestCounts) {
  make({"/", "/data"}, table("nfs4"));
  EXPECT_DOUBLE_EQ(read(0s), 60);
  ASSERT_EQ(out_.size(), 2u);
  EXPECT_EQ(out_[0].path, "/");
  EXPECT_EQ(out_[1].path, "/data");
  kernel_.fill(750);
  EXPECT_DOUBLE_EQ(read(1s), 75);
  EXPECT_TRUE(log_.lines().empty()) << log_.text();
}

TEST_F(HangingDisks, OneThatFailsIsLeftOutAndSaidOnce) {
  make({"/", "/data"}, table("nfs4"));
  kernel_.break_down("/data");
  for (int i = 0; i < 5; ++i) EXPECT_DOUBLE_EQ(read(i * 1s), 60);
  EXPECT_EQ(percent_of("/data"), -1);
  EXPECT_EQ(problem_of("/data"), "Stale file handle");
  EXPECT_EQ(log_.count(LogLevel::warning, "/data: Stale"), 1) << log_.text();
  kernel_.repair();
  read(6s);
  EXPECT_EQ(percent_of("/data"), 60);
  EXPECT_EQ(problem_of("/data"), "");
  EXPECT_EQ(log_.lines().size(), 2u) << log_.text();
}

TEST_F(HangingDisks, OneThatIsNotMountedHasNoFigure) {
  make({"/", "/mnt/backup", "/data"}, table("nfs4"));
  for (int i = 0; i < 5; ++i) EXPECT_DOUBLE_EQ(read(i * 1s), 60);
  EXPECT_EQ(percent_of("/mnt/backup"), -1);
  EXPECT_EQ(problem_of("/mnt/backup"), "not mounted");
  EXPECT_EQ(kernel_.times_asked("/mnt/backup"), 0u);
  EXPECT_EQ(log_.count(LogLevel::warning, "/mnt/backup: not mounted"), 1) << log_.text();
  auto mounts = table("nfs4");
  mounts.push_back({"/", "/mnt/backup", "ext4", ""});
  reader_->mounts_are(mounts);
  read(6s);
  EXPECT_EQ(percent_of("/mnt/backup"), 60);
  // And away again: its parent's figures are not its own.
  reader_->mounts_are(table("nfs4"));
  read(7s);
  EXPECT_EQ(percent_of("/mnt/backup"), -1);
  EXPECT_EQ(log_.lines().size(), 3u) << log_.text();
}

TEST_F(HangingDisks, RemoteOnesAnswerALittleLaterAndNotTooOften) {
  make({"/", "/mnt/nas"}, table("cifs"));
  EXPECT_DOUBLE_EQ(read(0s), 60);
  EXPECT_EQ(percent_of("/mnt/nas"), -1);
  EXPECT_EQ(problem_of("/mnt/nas"), "no answer");
  ASSERT_TRUE(loop_.run_until([&] { return read(0s), percent_of("/mnt/nas") == 60; }));
  kernel_.fill(900);
  int turns = 0;
  ASSERT_TRUE(loop_.run_until([&] { return read(0s), ++turns == 50; }));
  EXPECT_EQ(kernel_.times_asked("/mnt/nas"), 1u) << "once a sample";
  read(5s);
  ASSERT_TRUE(loop_.run_until([&] { return read(5s), percent_of("/mnt/nas") == 90; }));
  EXPECT_EQ(kernel_.times_asked("/mnt/nas"), 2u);
  EXPECT_TRUE(log_.lines().empty()) << log_.text();
}

TEST_F(HangingDisks, AHungOneHasNoFigureAndStallsNobody) {
  make({"/", "/mnt/nas"}, table("nfs4"));
  ASSERT_TRUE(loop_.run_until([&] { return read(0s), percent_of("/mnt/nas") == 60; }));

  kernel_.hang("/mnt/nas");
  kernel_.fill(800);
  ASSERT_TRUE(loop_.run_until([&] { return read(5s), kernel_.times_asked("/mnt/nas") == 2; }));
  for (int second = 6; second < 60; ++second) {
    EXPECT_DOUBLE_EQ(read(second * 1s), 80) << "the local disk goes on";
    EXPECT_EQ(percent_of("/mnt/nas"), -1) << "what it was is not what it is";
    EXPECT_EQ(problem_of("/mnt/nas"), "no answer");
    loop_.loop().run_once(false);
  }
  EXPECT_EQ(kernel_.times_asked("/mnt/nas"), 2u) << "one question at a time";
  EXPECT_EQ(log_.count(LogLevel::warning, "/mnt/nas has not answered for 10 s"), 1) << log_.text();

  kernel_.release();
  ASSERT_TRUE(loop_.run_until([&] { return read(60s), percent_of("/mnt/nas") == 80; }));
  EXPECT_EQ(log_.count(LogLevel::info, "/mnt/nas answers again"), 1) << log_.text();
  EXPECT_EQ(log_.lines().size(), 2u) << log_.text();
}

TEST_F(HangingDisks, TheReaderMayGoWhileOneHangs) {
  kernel_.hang("/mnt/nas");
  make({"/mnt/nas"}, table("nfs4"));
  ASSERT_TRUE(loop_.run_until([&] { return read(0s), kernel_.times_asked("/mnt/nas") == 1; }));
  reader_.reset();
  EXPECT_EQ(loop_.loop().close(), 0);
}

TEST_F(HangingDisks, WithoutAMountTableNothingIsAskedOnTheLoop) {
  kernel_.hang("/");
  make({"/"}, {});
  EXPECT_EQ(read(0s), -1);
  EXPECT_EQ(problem_of("/"), "no answer");
  kernel_.release();
  ASSERT_TRUE(loop_.run_until([&] { return read(1s) == 60; }));
}

TEST_F(HangingDisks, AMountThatComesChangesTheWayOfAsking) {
  const std::vector<Mount> local = {{"/", "/", "ext4", ""}, {"/", "/mnt/nas", "ext4", ""}};
  make({"/mnt/nas"}, local);
  EXPECT_DOUBLE_EQ(read(0s), 60);
  kernel_.hang("/mnt/nas");
  reader_->mounts_are(table("fuse.sshfs"));
  EXPECT_DOUBLE_EQ(read(1s), -1) << "asked aside: does not stall";
  kernel_.release();
  reader_->mounts_are(local);
  kernel_.fill(700);
  EXPECT_DOUBLE_EQ(read(2s), 70);
}

TEST(ManyMounts, WithATableThatWasCutNothingIsAskedOnTheLoop) {
  TempTree tree;
  std::string table = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n";
  for (int i = 0; table.size() < Scratch::kLimit; ++i) {
    table += format("%d 22 0:%d / /var/lib/containers/%d rw - overlay overlay rw\n", i, i, i);
  }
  tree.write("/proc/self/mountinfo", table + "99999 22 0:99 / /mnt/nas rw - nfs4 nas:/x rw\n");
  TestLoop loop;
  CapturedLog log;
  std::atomic<int> asked_aside = 0;
  SamplerOptions options;
  options.root = tree.path();
  options.disks = {"/mnt/nas"};
  options.ask_file_system = [&, here = ::pthread_self()](const char*, struct statvfs&) {
    EXPECT_FALSE(::pthread_equal(::pthread_self(), here));
    ++asked_aside;
    return 0;
  };
  Sampler sampler(loop, log, std::move(options));
  EXPECT_TRUE(loop.run_until([&] { return asked_aside == 1; }));
}

// A FUSE file system whose server never answers: any statfs on it hangs for as long as this lives.
class HungFileSystem {
 public:
  // A mount namespace of this process alone, so that nothing else on the machine meets it. An open
  // mountinfo stays with the namespace it was opened in: make this before what is tested.
  HungFileSystem() {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    device_.reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  }
  ~HungFileSystem() {
    device_.reset();  // aborts the connection: callers that wait get ENOTCONN
    if (!point_.empty()) ::umount2(point_.c_str(), MNT_DETACH);
  }

  bool mount_at(const std::string& point) {
    if (!device_) return false;
    const std::string options = format("fd=%d,rootmode=40000,user_id=0,group_id=0", device_.get());
    if (::mount("hung", point.c_str(), "fuse.hung", 0, options.c_str()) != 0) return false;
    point_ = point;
    return true;
  }

 private:
  std::string point_;
  UniqueFd device_;
};

TEST(RealDisks, AHungFuseMountStallsNeitherSampleNorLoop) {
  CapturedLog log;
  TempTree tree;
  ASSERT_EQ(::mkdir(tree("/point").c_str(), 0755), 0);
  HungFileSystem hung;
  TestLoop loop;
  SamplerOptions options;
  options.disks = {"/", tree("/point")};
  options.gpu = GpuKind::none;
  Sampler sampler(loop, log, options);
  wire::NodeHealth health;
  const MonoTime start = loop.loop().now();
  ASSERT_TRUE(loop.run_until([&] {
    return sampler.sample(start, health), health.disks.at(0).percent.has_value();
  })) << "nothing hangs so far";
  EXPECT_EQ(health.disks.at(1).problem, "not mounted");

  if (!hung.mount_at(tree("/point"))) GTEST_SKIP() << "may not mount FUSE here";
  // The mount table says that it changed; nothing asks the new mount on this thread.
  for (int second = 0; second < 30; ++second) {
    const MonoTime before = loop.loop().now();
    sampler.sample(start + second * 1s, health);
    EXPECT_LT(loop.loop().now() - before, 1s);
    loop.loop().run_once(false);
  }
  EXPECT_EQ(log.count(LogLevel::warning, "has not answered"), 1) << log.text();
  EXPECT_EQ(health.disks.at(1).percent, std::nullopt);
  EXPECT_EQ(health.disks.at(1).problem, "no answer");
}

}  // namespace
}  // namespace nb::health
