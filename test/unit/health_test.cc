// Unit tests of health/: the sampler on recorded trees, on damaged ones, and on this machine.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <functional>

#include "base/text.h"
#include "health/sampler.h"
#include "support/captured_log.h"
#include "support/count_allocations.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::health {
namespace {

using namespace std::chrono_literals;
using test::CapturedLog;
using test::TempTree;
using test::TestLoop;

std::string data(const char* tree) {
  return std::string(NODEBEAT_SOURCE_ROOT "/test/data/health/") + tree;
}

int half_full(const char*, struct statvfs& answer) {
  answer.f_blocks = 100;
  answer.f_bfree = answer.f_bavail = 50;
  return 0;
}

// Nothing was said, but that a recording's /proc/stat stands still.
bool is_clean(const CapturedLog& log) {
  return log.count(LogLevel::warning, "cpu_percent cannot be measured") ==
         static_cast<long>(log.lines().size());
}

class Tree : public testing::Test {
 protected:
  void start(const std::string& root) {
    SamplerOptions options;
    options.root = root;
    options.ask_file_system = half_full;
    sampler_.emplace(loop_.loop(), log_, std::move(options));
    start_ = loop_.loop().now();
  }
  const wire::NodeHealth& sample(Duration later) {
    sampler_->sample(start_ + later, out_);
    return out_;
  }
  // Samples at one moment until what is asked aside has answered.
  bool sample_until(Duration later, const std::function<bool()>& condition) {
    return loop_.run_until([&] { return sample(later), condition(); });
  }
  std::string temperature_names() const {
    std::string names;
    for (const wire::Temperature& t : out_.temperatures) names += t.name + ", ";
    return names;
  }

  CapturedLog log_;
  TestLoop loop_;
  std::optional<Sampler> sampler_;
  MonoTime start_;
  wire::NodeHealth out_;
};

TEST_F(Tree, Pc) {
  TempTree tree(data("pc"));
  start(tree.path());
  tree.write("/proc/stat", "cpu  1018444 2214 302187 29934762 41927 0 18021 100 0 0\n");
  tree.write("/proc/net/dev",
             "    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n"
             "docker0:  130331 988 0 0 0 0 0 0 412331 1201 0 0 0 0 0 0\n"
             "enp5s0: 1964386740 1463811 0 12 0 0 0 40211 21173773 247111 0 0 0 0 0 0\n"
             "wlp4s0: 5 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n");
  ASSERT_TRUE(sample_until(500ms, [&] { return out_.gpu_available && out_.temperature_c; }));
  EXPECT_DOUBLE_EQ(out_.cpu_percent, 40) << "100 user and 100 stolen of 500 ticks";
  EXPECT_NEAR(out_.memory_percent, 20.0, 0.01);
  EXPECT_EQ(out_.memory_total_bytes, 32694572ll * 1024);
  EXPECT_EQ(out_.memory_available_bytes, 26155660ll * 1024);
  EXPECT_DOUBLE_EQ(out_.disk_percent, 50);
  EXPECT_EQ(out_.gpu_percent, 37);
  EXPECT_EQ(out_.load_1, 0.52);
  EXPECT_EQ(out_.load_5, 0.58);
  EXPECT_EQ(out_.load_15, 0.59);
  EXPECT_EQ(out_.uptime_s, 78342);
  EXPECT_EQ(out_.boot_id, "2a1e1dbb-4fbb-4e4a-9fc2-e2fc3d435490");
  EXPECT_EQ(temperature_names(), "acpitz, x86_pkg_temp, nvme Composite, amdgpu edge, ");
  EXPECT_EQ(out_.temperature_c, 54);
  EXPECT_FALSE(out_.throttling);
  EXPECT_EQ(out_.pressure.cpu_some, 1.25);
  EXPECT_EQ(out_.pressure.memory_some, 0.10);
  EXPECT_EQ(out_.pressure.memory_full, 0.05);
  EXPECT_EQ(out_.pressure.io_some, 3.50);
  EXPECT_EQ(out_.pressure.io_full, 2.75);
  ASSERT_EQ(out_.network.size(), 2u) << "wlp4s0's counters went back: left out once";
  EXPECT_EQ(out_.network[0].interface, "enp5s0") << "hardware first";
  EXPECT_EQ(out_.network[1].interface, "docker0");
  EXPECT_GT(out_.network[0].rx_bytes_per_s, 100000 / 0.6);
  EXPECT_LE(out_.network[0].rx_bytes_per_s, 100000 / 0.5 + 1);
  EXPECT_DOUBLE_EQ(out_.network[0].rx_bytes_per_s, 2 * out_.network[0].tx_bytes_per_s);
  sample(1500ms);
  EXPECT_EQ(out_.network.size(), 3u);
  EXPECT_TRUE(is_clean(log_)) << log_.text();
}

TEST_F(Tree, RaspberryPi5) {
  start(data("raspberry-pi-5"));
  ASSERT_TRUE(sample_until(200ms, [&] { return out_.temperature_c.has_value(); }));
  EXPECT_NEAR(out_.memory_percent, 20.0, 0.01);
  EXPECT_EQ(temperature_names(), "cpu-thermal, rp1_adc, ");
  EXPECT_EQ(out_.temperature_c, 61.7);
  ASSERT_TRUE(out_.throttling);
  EXPECT_EQ(out_.throttling->bits, 0x50005u);
  EXPECT_TRUE(out_.throttling->under_voltage);
  EXPECT_TRUE(out_.throttling->throttled);
  EXPECT_TRUE(out_.throttling->under_voltage_occurred);
  EXPECT_FALSE(out_.throttling->soft_temperature_limit);
  EXPECT_FALSE(out_.pressure.cpu_some);
  EXPECT_FALSE(out_.gpu_available);
  EXPECT_EQ(out_.uptime_s, 9912);
  EXPECT_TRUE(is_clean(log_)) << "what is missing is normal: " << log_.text();
}

TEST_F(Tree, JetsonOrin) {
  start(data("jetson-orin"));
  ASSERT_TRUE(sample_until(200ms, [&] { return out_.temperature_c.has_value(); }));
  EXPECT_TRUE(out_.gpu_available);
  EXPECT_EQ(out_.gpu_percent, 32.7);
  EXPECT_NEAR(out_.memory_percent, 25.0, 0.01);
  EXPECT_EQ(temperature_names(),
            "cpu-thermal, gpu-thermal, soc0-thermal, soc1-thermal, soc2-thermal, tj-thermal, "
            "tmp451 temp1, tmp451 temp2, ")
      << "what is switched off is not there";
  EXPECT_EQ(out_.temperature_c, 48.312);
  EXPECT_TRUE(is_clean(log_)) << log_.text();
}

TEST_F(Tree, AnEmptyOneLeavesEverythingAtItsDefault) {
  TempTree tree;
  start(tree.path());
  out_.node_id = "hog";
  sample(200ms);
  EXPECT_EQ(out_.cpu_percent, 0);
  EXPECT_EQ(out_.memory_percent, 0);
  EXPECT_FALSE(out_.memory_total_bytes || out_.load_1 || out_.uptime_s || out_.temperature_c);
  EXPECT_FALSE(out_.gpu_available);
  EXPECT_TRUE(out_.temperatures.empty() && out_.network.empty() && out_.boot_id.empty());
  EXPECT_EQ(out_.node_id, "hog") << "not its field";
  sample(1s);
  EXPECT_EQ(log_.count(LogLevel::warning, "cpu_percent cannot be measured: 0 stands in"), 1);
  EXPECT_EQ(log_.count(LogLevel::warning, "memory_percent cannot be measured"), 1);
  EXPECT_EQ(log_.lines().size(), 3u) << "once, and of what is never null only: " << log_.text();
  tree.write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n");
  EXPECT_EQ(sample(2s).memory_percent, 50);
  EXPECT_EQ(log_.count(LogLevel::info, "memory_percent is measured again"), 1) << log_.text();
}

TEST_F(Tree, DevicesThatComeLaterAreFound) {
  TempTree tree;
  start(tree.path());
  sample(1s);
  tree.write("/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  tree.write("/sys/class/thermal/thermal_zone0/temp", "40000\n");
  tree.write("/sys/class/devfreq/17000000.ga10b/device/load", "5\n");
  sample(30s);
  EXPECT_FALSE(out_.gpu_available);
  ASSERT_TRUE(sample_until(61s, [&] { return out_.temperature_c == 40; }));
  EXPECT_EQ(out_.gpu_percent, 0.5);
}

TEST_F(Tree, AQuickSensorIsReadAtEachSample) {
  TempTree tree(data("raspberry-pi-5"));
  // On a busy machine a file may seem slow, and is left alone for ten seconds then: try again.
  bool followed = false;
  for (int attempt = 0; attempt < 50 && !followed; ++attempt) {
    tree.write("/sys/class/thermal/thermal_zone0/temp", "61700\n");
    start(tree.path());
    ASSERT_TRUE(sample_until(200ms, [&] { return out_.temperature_c.has_value(); }));
    tree.write("/sys/class/thermal/thermal_zone0/temp", "70000\n");
    followed = sample(1s).temperature_c == 70;
  }
  EXPECT_TRUE(followed);
}

TEST_F(Tree, ASensorThatCallsItselfFaultyIsNotBelieved) {
  TempTree tree;
  tree.write("/sys/class/hwmon/hwmon0/name", "nct6798\n");
  tree.write("/sys/class/hwmon/hwmon0/temp1_input", "41000\n");
  tree.write("/sys/class/hwmon/hwmon0/temp2_input", "127000\n");
  tree.write("/sys/class/hwmon/hwmon0/temp1_fault", "0\n");
  tree.write("/sys/class/hwmon/hwmon0/temp2_fault", "1\n");
  start(tree.path());
  ASSERT_TRUE(sample_until(200ms, [&] { return out_.temperature_c.has_value(); }));
  for (int second = 1; second < 30; ++second) {
    sample(second * 1s);
    EXPECT_EQ(out_.temperature_c, 41);
    EXPECT_EQ(temperature_names(), "nct6798 temp1, ");
    loop_.loop().run_once(false);
  }
  EXPECT_EQ(log_.count(LogLevel::warning, "sensor nct6798 temp2 calls itself faulty"), 1)
      << log_.text();
  tree.write("/sys/class/hwmon/hwmon0/temp2_fault", "0\n");
  tree.write("/sys/class/hwmon/hwmon0/temp2_input", "55000\n");
  ASSERT_TRUE(loop_.run_until(
      [&, second = 30]() mutable { return sample(++second * 1s).temperature_c == 55; }));
  EXPECT_EQ(log_.count(LogLevel::info, "nct6798 temp2 is well again"), 1) << log_.text();
}

TEST_F(Tree, ASlowSensorTellsHowOldItsValueIs) {
  TempTree tree(data("raspberry-pi-5"));
  SensorReader reader(loop_, log_, Root(tree.path()));
  Scratch scratch;
  reader.look();
  const MonoTime begin(1h);
  ASSERT_TRUE(loop_.run_until([&] {
    reader.read(begin, scratch, out_);
    return !out_.temperatures.empty();
  }));
  EXPECT_FALSE(out_.temperatures.at(0).age_s) << "of this sample";
  // Nothing turns the loop from here on: a device that does not answer any more. What is quick is
  // read at each sample.
  for (int second = 1; second < 60; ++second) {
    reader.read(begin + second * 1s, scratch, out_);
    for (const wire::Temperature& t : out_.temperatures) {
      EXPECT_EQ(t.age_s.value_or(second), second) << t.name;
      EXPECT_LE(t.age_s.value_or(0), 21) << t.name;
    }
  }
}

TEST_F(Tree, ThrottlingGoesWithTheDeviceThatTells) {
  const char* kFile = "/sys/devices/platform/soc/soc:firmware/get_throttled";
  TempTree tree;
  tree.write(kFile, "50005\n");
  SensorReader reader(loop_, log_, Root(tree.path()));
  Scratch scratch;
  reader.look();
  reader.read(MonoTime(1h), scratch, out_);
  ASSERT_TRUE(out_.throttling);
  // A device in the file's place, which goes before it is asked.
  tree.write("/dev/vcio", "");
  tree.remove(kFile);
  reader.look();
  tree.remove("/dev/vcio");
  reader.look();
  reader.read(MonoTime(1h) + 1s, scratch, out_);
  EXPECT_FALSE(out_.throttling);
}

TEST_F(Tree, ManyInterfacesAreCutHardwareFirst) {
  TempTree tree;
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += format("veth%d: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", i);
  }
  tree.write("/proc/net/dev", text);
  start(tree.path());
  EXPECT_EQ(sample(1s).network.size(), 16u);
  tree.write("/proc/net/dev", text + "wlan0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  tree.write("/sys/class/net/wlan0/device/uevent", "");
  sample(2s);
  sample(61s);
  EXPECT_EQ(sample(62s).network.size(), 16u);
  EXPECT_EQ(out_.network[0].interface, "wlan0");
  tree.write("/proc/net/dev", "wlan0: 2001 2 3 4 5 6 7 8 1009 10 11 12 13 14 15 16\n");
  EXPECT_EQ(sample(63s).network.size(), 1u);
  EXPECT_DOUBLE_EQ(out_.network[0].rx_bytes_per_s, 2000);
  EXPECT_DOUBLE_EQ(out_.network[0].tx_bytes_per_s, 1000);
}

TEST_F(Tree, OnlyTheWantedInterfaces) {
  SamplerOptions options;
  options.root = data("pc");
  options.interfaces = {"lo", "wlp4s0", "none0"};
  sampler_.emplace(loop_.loop(), log_, std::move(options));
  start_ = loop_.loop().now();
  EXPECT_EQ(sample(1s).network.size(), 2u);
}

struct Damage {
  const char* file;
  std::function<bool(const wire::NodeHealth&)> is_default;
};

class DamagedTree : public Tree {
 protected:
  const std::vector<Damage> files = {
      {"/proc/stat", [](const auto& h) { return h.cpu_percent == 0; }},
      {"/proc/meminfo",
       [](const auto& h) { return h.memory_percent == 0 && !h.memory_total_bytes; }},
      {"/proc/loadavg", [](const auto& h) { return !h.load_1 && !h.load_5 && !h.load_15; }},
      {"/proc/uptime", [](const auto& h) { return !h.uptime_s; }},
      {"/proc/pressure/io", [](const auto& h) { return !h.pressure.io_some; }},
      {"/proc/net/dev", [](const auto& h) { return h.network.empty(); }},
      {"/sys/class/devfreq/17000000.gpu/device/load", [](const auto& h) { return !h.gpu_percent; }},
      {"/sys/class/thermal/thermal_zone1/temp",
       [](const auto& h) { return h.temperatures.size() == 7; }},
  };

  // Waits until all sensors have been seen and found quick, so that damage shows at once.
  void settle(const TempTree& tree) {
    ASSERT_TRUE(loop_.run_until([&, second = 0]() mutable {
      ++second;
      tree.write("/proc/stat", format("cpu %d 0 0 %d\n", second * 30, second * 70));
      sample(second * 100ms);
      return out_.temperatures.size() == 8;
    }));
  }
};

TEST_F(DamagedTree, GarbageLeavesTheDefaultAndIsSaidOnceUntilItReadsWell) {
  for (const Damage& damage : files) {
    SCOPED_TRACE(damage.file);
    TempTree tree(data("jetson-orin"));
    const std::string good = [&] {
      char text[4096];
      const int n = read_once(tree(damage.file).c_str(), text, sizeof text);
      return std::string(text, n > 0 ? static_cast<size_t>(n) : 0);
    }();
    start(tree.path());
    settle(tree);
    EXPECT_FALSE(damage.is_default(out_));
    log_.clear();
    Duration at = 10s;
    for (const std::string& garbage :
         {std::string("\x00\xff\x7f garbage\n\x80", 12), std::string(300000, 'x'), std::string()}) {
      tree.write(damage.file, garbage);
      for (int i = 0; i < 3; ++i) {
        at += 11s;  // so that a sensor that seemed slow is read too
        ASSERT_TRUE(sample_until(at, [&] { return damage.is_default(out_); }));
      }
    }
    EXPECT_EQ(log_.count(LogLevel::warning, damage.file), 1) << log_.text();
    tree.write(damage.file, good);
    at += 11s;
    ASSERT_TRUE(sample_until(at, [&] { return log_.count(LogLevel::info, "reads well") == 1; }));
    sample(at + 1s);
    EXPECT_EQ(log_.count(LogLevel::warning, damage.file), 1) << log_.text();
    EXPECT_EQ(log_.count(LogLevel::info, damage.file), 1) << log_.text();
    sampler_.reset();
  }
}

TEST_F(DamagedTree, FoldersAndFifosInAFilesPlaceDoNoHarm) {
  for (const bool fifo : {false, true}) {
    TempTree tree(data("jetson-orin"));
    for (const Damage& damage : files) {
      tree.remove(damage.file);
      const std::string path = tree(damage.file);
      ASSERT_EQ(fifo ? ::mkfifo(path.c_str(), 0600) : ::mkdir(path.c_str(), 0700), 0);
    }
    log_.clear();
    start(tree.path());
    const MonoTime before = loop_.loop().now();
    ASSERT_TRUE(sample_until(1s, [&] { return out_.temperatures.size() == 7; }));
    sample(2s);
    EXPECT_LT(loop_.loop().now() - before, 5s);
    for (const Damage& damage : files) {
      EXPECT_TRUE(damage.is_default(out_)) << damage.file;
      EXPECT_LE(log_.count(LogLevel::warning, damage.file), 1) << log_.text();
    }
    EXPECT_GE(log_.lines().size(), files.size() - 1) << log_.text();
    sampler_.reset();
  }
}

class Cgroup : public Tree {
 protected:
  static constexpr long long kMiB = 1024 * 1024;

  void group(const std::string& directory, const std::string& limit, long long current,
             long long inactive) {
    tree_.write(directory + "/memory.max", limit);
    tree_.write(directory + "/memory.current", format("%lld\n", current));
    tree_.write(directory + "/memory.stat", format("anon 1\ninactive_file %lld\n", inactive));
  }

  TempTree tree_{data("pc")};
};

TEST_F(Cgroup, AContainersLimitIsTheMemory) {
  tree_.write("/proc/self/cgroup", "0::/\n");
  group("/sys/fs/cgroup", "1073741824\n", 700 * kMiB, 188 * kMiB);
  start(tree_.path());
  EXPECT_DOUBLE_EQ(sample(1s).memory_percent, 50);
  EXPECT_EQ(out_.memory_total_bytes, 1024 * kMiB);
  EXPECT_EQ(out_.memory_available_bytes, 512 * kMiB);
  group("/sys/fs/cgroup", "1073741824\n", 1024 * kMiB, 0);
  EXPECT_DOUBLE_EQ(sample(2s).memory_percent, 100);
  group("/sys/fs/cgroup", "max\n", 1024 * kMiB, 0);
  EXPECT_NEAR(sample(3s).memory_percent, 20, 0.01) << "lifted: the machine's again";
  group("/sys/fs/cgroup", "2147483648\n", 1024 * kMiB, 0);
  EXPECT_DOUBLE_EQ(sample(4s).memory_percent, 50) << "set anew: counts at once";
  EXPECT_TRUE(is_clean(log_)) << log_.text();
}

TEST_F(Cgroup, AContainersLimitBelowAManagerThatIsAService) {
  tree_.write("/proc/self/cgroup", "0::/system.slice/docker.service/1f2e\n");
  group("/sys/fs/cgroup/system.slice/docker.service/1f2e", "1073741824\n", 512 * kMiB, 0);
  start(tree_.path());
  EXPECT_DOUBLE_EQ(sample(1s).memory_percent, 50);
  EXPECT_EQ(out_.memory_total_bytes, 1024 * kMiB);
}

TEST_F(Cgroup, ALimitWhoseUseCannotBeReadIsNotTheMachinesMemory) {
  tree_.write("/proc/self/cgroup", "0::/\n");
  tree_.write("/sys/fs/cgroup/memory.max", "1073741824\n");
  start(tree_.path());
  EXPECT_EQ(sample(1s).memory_percent, 0);
  EXPECT_FALSE(out_.memory_total_bytes);
  EXPECT_EQ(log_.count(LogLevel::warning, "memory_percent cannot be measured"), 1) << log_.text();
}

TEST_F(Cgroup, TheAgentsOwnLimitIsNot) {
  group("/sys/fs/cgroup/system.slice/nodebeat.service", "16777216\n", 2 * kMiB, 0);
  start(tree_.path());
  EXPECT_NEAR(sample(1s).memory_percent, 20, 0.01);
}

TEST_F(Cgroup, OfSeveralTheOneWithTheLeastLeft) {
  tree_.write("/proc/self/cgroup", "0::/robot.slice/robot-arm.slice/run.scope\n");
  group("/sys/fs/cgroup/robot.slice", "2147483648\n", 2000 * kMiB, 0);
  group("/sys/fs/cgroup/robot.slice/robot-arm.slice", "1073741824\n", 100 * kMiB, 0);
  group("/sys/fs/cgroup/robot.slice/robot-arm.slice/run.scope", "max\n", 100 * kMiB, 0);
  start(tree_.path());
  EXPECT_EQ(sample(1s).memory_total_bytes, 2048 * kMiB);
  EXPECT_EQ(out_.memory_available_bytes, 48 * kMiB);
}

TEST_F(Cgroup, VersionOneInsideAContainer) {
  tree_.write("/proc/self/cgroup", "9:name=systemd:/docker/1f2e\n4:memory:/docker/1f2e\n");
  tree_.write("/proc/self/mountinfo",
              "28 1 259:2 / / rw - overlay overlay rw\n"
              "35 31 0:32 /docker/1f2e /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  tree_.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
  tree_.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "268435456\n");
  tree_.write("/sys/fs/cgroup/memory/memory.stat",
              "inactive_file 1\ntotal_inactive_file 134217728\n");
  start(tree_.path());
  EXPECT_DOUBLE_EQ(sample(1s).memory_percent, 25);
}

TEST_F(Cgroup, VersionOneWithoutALimit) {
  tree_.write("/proc/self/cgroup", "4:memory:/\n0::/\n");
  tree_.write("/proc/self/mountinfo",
              "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup c rw,memory\n");
  tree_.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  start(tree_.path());
  EXPECT_NEAR(sample(1s).memory_percent, 20, 0.01);
}

// What the system itself says, beside what the sampler reads.
TEST(ThisMachine, AgreesWithTheSystemsOwnFigures) {
  CapturedLog log;
  TestLoop loop;
  Sampler sampler(loop, log, {});
  wire::NodeHealth health;
  sampler.sample(loop.loop().now(), health);

  struct sysinfo info {};
  ASSERT_EQ(::sysinfo(&info), 0);
  EXPECT_NEAR(static_cast<double>(health.uptime_s.value_or(0)), static_cast<double>(info.uptime),
              2);
  double loads[3] = {};
  ASSERT_EQ(::getloadavg(loads, 3), 3);
  EXPECT_NEAR(health.load_1.value_or(-1), loads[0], 0.5);
  EXPECT_NEAR(health.load_15.value_or(-1), loads[2], 0.1);
  struct statvfs space {};
  ASSERT_EQ(ask_kernel("/", space), 0);
  ASSERT_TRUE(loop.run_until([&] {
    sampler.sample(loop.loop().now(), health);
    return !health.disks.empty();
  }));
  EXPECT_NEAR(health.disk_percent, percent_used(space), 1);
  const auto memory = static_cast<int64_t>(info.totalram) * info.mem_unit;
  ASSERT_TRUE(health.memory_total_bytes);
  // What an emulated 32-bit process is told of a larger host is that without its upper half.
  if (std::getenv("NODEBEAT_TEST_EMULATED") == nullptr) {
    EXPECT_LE(*health.memory_total_bytes, memory) << "less only under a limit";
  }
  EXPECT_GT(health.memory_percent, 0);
  EXPECT_LT(health.memory_percent, 100);
  EXPECT_EQ(health.boot_id.size(), 36u);
  EXPECT_TRUE(is_clean(log)) << log.text();
}

TEST(ThisMachine, WorkShowsAsCpuPercent) {
  CapturedLog log;
  TestLoop loop;
  Sampler sampler(loop, log, {});
  const MonoTime start = loop.loop().now();
  while (loop.loop().now() - start < 300ms) {
  }
  wire::NodeHealth health;
  sampler.sample(loop.loop().now(), health);
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  // This loop alone kept one processor busy, less what others took from it; then they were busy.
  EXPECT_GE(health.cpu_percent, 100.0 / static_cast<double>(processors) * 0.7);
  EXPECT_LE(health.cpu_percent, 100);
}

TEST(ThisMachine, ASteadySampleAllocatesNothing) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "not counted under a sanitizer";
  const Log log;  // what is said is made of strings
  TestLoop loop;
  for (const std::string& root : {std::string("/"), data("raspberry-pi-5")}) {
    SamplerOptions options;
    options.root = root;
    options.gpu = GpuKind::none;
    Sampler sampler(loop, log, options);
    wire::NodeHealth health;
    const MonoTime start = loop.loop().now();
    ASSERT_TRUE(loop.run_until([&] {
      sampler.sample(start + 1ms, health);
      return root == "/" || health.temperatures.size() == 2;
    }));
    for (int i = 1; i < 3; ++i) sampler.sample(start + i * 10ms, health);
    const long before = test::allocations;
    for (int i = 1; i <= 30; ++i) sampler.sample(start + 100ms * i, health);
    EXPECT_EQ(test::allocations - before, 0) << root;
  }
}

}  // namespace
}  // namespace nb::health
