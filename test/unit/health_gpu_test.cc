// Unit tests of health/gpu: Jetson and AMD by recorded trees, NVIDIA by a library that stands in
// for NVML (test/support/fake_nvml.c).
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "health/gpu.h"
#include "support/captured_log.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::health {
namespace {

using namespace std::chrono_literals;
using test::CapturedLog;
using test::TempTree;
using test::TestLoop;

class FakeNvml {
 public:
  FakeNvml() : path_(std::getenv("NB_FAKE_NVML") != nullptr ? std::getenv("NB_FAKE_NVML") : "") {
    handle_ = ::dlopen(path_.c_str(), RTLD_NOW);
    if (handle_ == nullptr) return;
    set_ = reinterpret_cast<void (*)(int, int, int)>(::dlsym(handle_, "fake_nvml_set"));
    users_ = reinterpret_cast<int (*)()>(::dlsym(handle_, "fake_nvml_users"));
    starts_ = reinterpret_cast<int (*)()>(::dlsym(handle_, "fake_nvml_starts"));
    lose_second_ = reinterpret_cast<void (*)(int)>(::dlsym(handle_, "fake_nvml_lose_second"));
    set(false, false, false);
  }
  ~FakeNvml() {
    if (handle_ != nullptr) set(false, false, false);
  }
  const std::string& path() const { return path_; }
  bool loaded() const { return set_ != nullptr && users_ != nullptr; }
  void set(bool fail, bool hang, bool unsupported) { set_(fail, hang, unsupported); }
  void lose_second(bool now) { lose_second_(now); }
  int users() const { return users_(); }
  int starts() const { return starts_(); }

 private:
  std::string path_;
  void* handle_ = nullptr;
  void (*set_)(int, int, int) = nullptr;
  int (*users_)() = nullptr;
  int (*starts_)() = nullptr;
  void (*lose_second_)(int) = nullptr;
};

class GpuDrivers : public testing::Test {
 protected:
  void make(const std::string& root, GpuKind kind = GpuKind::automatic) {
    reader_.emplace(loop_.loop(), log_, Root(root), kind, nvml_.path());
    reader_->look();
  }
  const wire::NodeHealth& read(Duration later) {
    reader_->read(start_ + later, scratch_, out_);
    return out_;
  }
  // Reads at `later` until the driver has been asked and has answered.
  bool answered(Duration later) {
    return loop_.run_until([&] { return read(later).gpu_available; });
  }
  std::string data(const char* tree) const {
    return std::string(NODEBEAT_SOURCE_ROOT "/test/data/health/") + tree;
  }

  FakeNvml nvml_;
  CapturedLog log_;
  TestLoop loop_;
  const MonoTime start_{1h};
  Scratch scratch_;
  std::optional<GpuReader> reader_;
  wire::NodeHealth out_;
};

TEST_F(GpuDrivers, AJetsonTellsItsLoadAtOnce) {
  TempTree tree(data("jetson-orin"));
  tree.write("/dev/nvidiactl", "");  // JetPack 7 has one: NVML is not asked all the same
  make(tree.path());
  read(0s);
  EXPECT_TRUE(out_.gpu_available);
  EXPECT_EQ(out_.gpu_percent, 32.7);
  EXPECT_FALSE(out_.gpu_memory_percent) << "it shares the machine's memory";
  EXPECT_EQ(out_.gpu_name, "NVIDIA Jetson AGX Orin Developer Kit");
  tree.write("/sys/class/devfreq/17000000.gpu/device/load", "1000\n");
  EXPECT_EQ(read(1s).gpu_percent, 100);
  tree.write("/sys/class/devfreq/17000000.gpu/device/load", "lots\n");
  EXPECT_FALSE(read(2s).gpu_percent);
  EXPECT_TRUE(out_.gpu_available);
  EXPECT_EQ(log_.count(LogLevel::warning), 1) << log_.text();
}

TEST_F(GpuDrivers, OlderJetsonsKeepTheLoadElsewhere) {
  TempTree tree(data("jetson-orin"));
  tree.remove("/sys/class/devfreq");
  make(tree.path());
  EXPECT_EQ(read(0s).gpu_percent, 32.7) << "bus@0";
  TempTree nano;
  nano.write("/sys/devices/gpu.0/load", "250\n");
  make(nano.path());
  EXPECT_EQ(read(0s).gpu_percent, 25);
  EXPECT_EQ(out_.gpu_name, "Jetson");
}

TEST_F(GpuDrivers, AnAmdCardIsAskedAside) {
  make(data("pc"));
  EXPECT_FALSE(read(0s).gpu_available) << "no answer yet";
  ASSERT_TRUE(answered(0s));
  EXPECT_EQ(out_.gpu_percent, 37);
  EXPECT_NEAR(out_.gpu_memory_percent.value_or(0), 25, 0.01);
  EXPECT_EQ(out_.gpu_name, "AMD GPU 0x744c");
  EXPECT_TRUE(log_.lines().empty()) << log_.text();
}

TEST_F(GpuDrivers, ASleepingAmdCardIsNotWoken) {
  TempTree tree(data("pc"));
  tree.write("/sys/class/drm/card1/device/power/runtime_status", "suspended\n");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  EXPECT_EQ(out_.gpu_percent, 0);
  EXPECT_FALSE(out_.gpu_memory_percent);
}

TEST_F(GpuDrivers, WithoutADriverNothingIsLoaded) {
  ASSERT_TRUE(nvml_.loaded()) << "NB_FAKE_NVML does not name the stand-in library";
  make(data("raspberry-pi-5"), GpuKind::nvidia);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(read(i * 1s).gpu_available);
    reader_->look();
    loop_.loop().run_once(false);
  }
  EXPECT_EQ(nvml_.users(), 0);
  EXPECT_EQ(log_.count(LogLevel::warning, "no GPU of the configured kind"), 1) << log_.text();
}

TEST_F(GpuDrivers, NoneMeansNone) {
  make(data("jetson-orin"), GpuKind::none);
  EXPECT_FALSE(read(0s).gpu_available);
  make(data("pc"), GpuKind::nvidia);
  EXPECT_FALSE(read(0s).gpu_available);
}

TEST_F(GpuDrivers, NvmlTellsOfTheBusiest) {
  ASSERT_TRUE(nvml_.loaded());
  TempTree tree;
  tree.write("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module\n");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  EXPECT_EQ(out_.gpu_name, "NVIDIA GeForce RTX 4090");
  EXPECT_EQ(out_.gpu_percent, 87);
  EXPECT_EQ(out_.gpu_memory_percent, 75);
  EXPECT_EQ(nvml_.users(), 1);
  reader_.reset();
  // The thread that lets go of the library last shuts it down: that may be the thread that has just
  // answered.
  EXPECT_TRUE(loop_.run_until([&] { return nvml_.users() == 0; })) << "shut down with the reader";
}

TEST_F(GpuDrivers, OneThatCannotTellItsLoadIsThereAllTheSame) {
  ASSERT_TRUE(nvml_.loaded());
  nvml_.set(false, false, true);
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  EXPECT_FALSE(out_.gpu_percent);
  EXPECT_EQ(out_.gpu_name, "NVIDIA RTX A2000") << "of equals the first";
}

TEST_F(GpuDrivers, AHungDriverTellsNothingOfWhatItWasBeforeAndIsSaidOnce) {
  ASSERT_TRUE(nvml_.loaded());
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  nvml_.set(false, true, false);
  for (int second = 1; second < 40; ++second) {
    read(second * 1s);
    // The first still has the answer to the question before.
    EXPECT_EQ(out_.gpu_percent, second == 1 ? std::optional(87.0) : std::nullopt);
    EXPECT_EQ(out_.gpu_memory_percent.has_value(), second == 1);
    EXPECT_EQ(out_.gpu_available, second < 11) << second;
    loop_.loop().run_once(false);
  }
  EXPECT_EQ(log_.count(LogLevel::warning, "driver has not answered"), 1) << log_.text();
  EXPECT_EQ(log_.lines().size(), 1u) << log_.text();
  nvml_.set(false, false, false);
  // At one time: a thread that is slow to answer must not look like one that hangs again.
  EXPECT_TRUE(loop_.run_until([&] { return read(41s).gpu_percent == 87; }));
  EXPECT_EQ(log_.count(LogLevel::info, "answers again"), 1) << log_.text();
}

TEST_F(GpuDrivers, ADriverThatFailsIsSaidOnceAndTriedAgainLater) {
  ASSERT_TRUE(nvml_.loaded());
  nvml_.set(true, false, false);
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  make(tree.path());
  ASSERT_TRUE(loop_.run_until([&] {
    read(0s);
    return log_.count(LogLevel::warning, "error 9") == 1;
  })) << log_.text();
  nvml_.set(false, false, false);
  for (int second = 1; second < 60; ++second) {
    EXPECT_FALSE(read(second * 1s).gpu_available);
    loop_.loop().run_once(false);
  }
  EXPECT_TRUE(answered(61s));
  EXPECT_EQ(log_.count(LogLevel::warning, "left out: nvmlInit_v2"), 1) << log_.text();
}

// Answers of the driver come between two samples a second apart.
TEST_F(GpuDrivers, OneThatIsLostBesideAGoodOneIsTriedAgainLater) {
  ASSERT_TRUE(nvml_.loaded());
  nvml_.lose_second(true);
  const int before = nvml_.starts();
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  for (int second = 1; second < 60; ++second) {
    ASSERT_TRUE(loop_.run_until([&] { return read(second * 1s).gpu_percent.has_value(); }));
    EXPECT_EQ(out_.gpu_percent, 12);
  }
  EXPECT_EQ(nvml_.starts(), before + 1);
  nvml_.lose_second(false);
  EXPECT_TRUE(
      loop_.run_until([&, at = 61s]() mutable { return read(at += 1s).gpu_percent == 87; }));
  EXPECT_EQ(nvml_.starts(), before + 2);
  EXPECT_EQ(log_.count(LogLevel::warning), 1) << log_.text();
}

TEST_F(GpuDrivers, OneThatIsLostWhileItWorksIsNotRepeated) {
  ASSERT_TRUE(nvml_.loaded());
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  EXPECT_EQ(out_.gpu_percent, 87);
  nvml_.lose_second(true);
  // The busiest is lost: the other one is told, with its own figures.
  EXPECT_TRUE(loop_.run_until([&, at = 0s]() mutable { return read(at += 1s).gpu_percent == 12; }));
  EXPECT_EQ(out_.gpu_name, "NVIDIA RTX A2000");
  EXPECT_EQ(out_.gpu_memory_percent, 25);
  EXPECT_EQ(log_.count(LogLevel::warning, "GPU 1: error 15"), 1) << log_.text();
}

TEST_F(GpuDrivers, AnAmdCardThatVanishesIsGone) {
  TempTree tree(data("pc"));
  make(tree.path());
  ASSERT_TRUE(answered(0s));
  EXPECT_EQ(out_.gpu_percent, 37);
  tree.remove("/sys/class/drm/card1");
  EXPECT_TRUE(loop_.run_until([&, at = 0s]() mutable { return !read(at += 1s).gpu_available; }));
  EXPECT_FALSE(out_.gpu_percent);
  EXPECT_TRUE(out_.gpu_name.empty());
}

TEST_F(GpuDrivers, ALibraryThatIsNotThereIsSaidOnce) {
  TempTree tree;
  tree.write("/dev/nvidiactl", "");
  reader_.emplace(loop_.loop(), log_, Root(tree.path()), GpuKind::automatic,
                  tree("/no/libnvidia-ml.so.1"));
  reader_->look();
  ASSERT_TRUE(loop_.run_until([&] {
    read(0s);
    return log_.count(LogLevel::warning, "cannot open") == 1;
  })) << log_.text();
  EXPECT_FALSE(out_.gpu_available);
}

}  // namespace
}  // namespace nb::health
