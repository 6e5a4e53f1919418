// Unit tests of the pure parsers of health/.
#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "health/cpu.h"
#include "health/disks.h"
#include "health/fields.h"
#include "health/gpu.h"
#include "health/memory.h"
#include "health/mounts.h"
#include "health/network.h"
#include "health/pressure.h"
#include "health/system.h"
#include "health/temperatures.h"
#include "health/throttling.h"

namespace nb::health {
namespace {

using namespace std::chrono_literals;

TEST(Fields, LinesWordsAndNumbers) {
  std::string_view text = "a  b\tc\n\nlast";
  std::string_view line = next_line(text);
  EXPECT_EQ(next_word(line), "a");
  EXPECT_EQ(next_word(line), "b");
  EXPECT_EQ(next_word(line), "c");
  EXPECT_EQ(next_word(line), "");
  EXPECT_EQ(next_line(text), "");
  EXPECT_EQ(next_line(text), "last");
  EXPECT_EQ(next_line(text), "");
  EXPECT_EQ(parse_decimal("12.34"), 12.34);
  EXPECT_EQ(parse_decimal("7"), 7);
  EXPECT_EQ(parse_decimal("0.05"), 0.05);
  for (const char* bad : {"", ".", "1.", ".5", "-1", "1.2.3", "1e3", "nan", "1.99999999999"}) {
    EXPECT_FALSE(parse_decimal(bad)) << bad;
  }
  EXPECT_EQ(clean_name("  Package\tid\xff 0\n"), "Package?id? 0");
  EXPECT_EQ(clean_name(std::string(200, 'x')).size(), 64u);
}

TEST(CpuTimes, TheFirstLineOfStat) {
  const auto times = parse_cpu_times("cpu  10 20 30 400 50 6 7 8 1000 1000\ncpu0 1 1 1 1\n");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->ticks, (std::array<uint64_t, 8>{10, 20, 30, 400, 50, 6, 7, 8}))
      << "guest time is inside user time already";
  EXPECT_TRUE(parse_cpu_times("cpu 1 2 3 4\n")) << "kernels without iowait";
  for (const char* bad : {"", "cpu", "cpu 1 2 3", "cpu0 1 2 3 4 5", "cpu 1 2 x 4", "cpu -1 2 3 4",
                          "cpu 18446744073709551616 1 1 1", "\xff\xfe"}) {
    EXPECT_FALSE(parse_cpu_times(bad)) << bad;
  }
}

// Samples a second apart, each given by its eight columns.
class Cpu : public testing::Test {
 protected:
  std::optional<double> feed(const std::array<uint64_t, 8>& ticks) {
    meter_.feed(MonoTime(++second_ * 1s), CpuTimes{ticks});
    return meter_.percent();
  }
  CpuMeter meter_;
  int second_ = 0;
};

TEST_F(Cpu, PercentIsBusyBetweenTwoSamples) {
  EXPECT_EQ(feed({1000, 0, 0, 1000}), std::nullopt) << "there is one only";
  EXPECT_EQ(feed({1020, 1, 4, 1050, 25}), 25);
  meter_.feed(MonoTime(second_ * 1s) + 10ms, CpuTimes{{1020, 1, 4, 1050, 25}});
  EXPECT_EQ(meter_.percent(), 25) << "asked twice within a tick";
  EXPECT_EQ(feed({1120, 1, 4, 1050, 25}), 100);
  EXPECT_EQ(feed({1120, 1, 4, 1250, 25}), 0);
  EXPECT_EQ(feed({1120, 1, 4, 1250, 25, 10, 10, 80}), 100) << "interrupts and stolen time";
}

TEST_F(Cpu, AColumnThatRunsBackwardsFreezesNothing) {
  feed({1000, 0, 0, 1000, 50, 0, 0, 90000});
  // Moved to another machine, whose steal time is less; then it goes on, up or down, for ever.
  EXPECT_EQ(feed({1050, 0, 0, 1050, 50, 0, 0, 300}), 50);
  EXPECT_EQ(feed({1060, 0, 0, 1140, 50, 0, 0, 290}), 10);
  EXPECT_EQ(feed({1060, 0, 0, 1220, 50, 0, 0, 310}), 20) << "from where it is now";
  EXPECT_EQ(feed({1150, 0, 0, 1230, 40, 0, 0, 310}), 90) << "iowait (proc(5))";
  for (uint64_t i = 1; i < 20; ++i) {
    EXPECT_EQ(feed({1150 + i * 30, 0, 0, 1230 + i * 70, 40, 0, 0, 310 - i}), 30);
  }
}

TEST_F(Cpu, WhatCannotBeKnownIsNot) {
  feed({1000, 0, 0, 1000});
  ASSERT_EQ(feed({1050, 0, 0, 1050}), 50);
  EXPECT_EQ(feed({500, 0, 0, 500}), std::nullopt) << "a processor unplugged";
  EXPECT_EQ(feed({510, 0, 0, 590}), 10) << "counted from the new start";
  EXPECT_EQ(feed({510, 0, 0, 590}), std::nullopt) << "a second in which nothing passed";
  EXPECT_EQ(feed({520, 0, 0, 680}), 10);
}

TEST_F(Cpu, GarbageStartsAnew) {
  feed({0, 0, 0, 0});
  ASSERT_EQ(feed({50, 0, 0, 50}), 50);
  meter_.feed(MonoTime(++second_ * 1s), std::nullopt);
  EXPECT_EQ(meter_.percent(), std::nullopt);
  EXPECT_EQ(feed({100, 0, 0, 1000}), std::nullopt);
  EXPECT_EQ(feed({150, 0, 0, 1050}), 50);
}

TEST(Memory, Meminfo) {
  const auto memory =
      parse_meminfo("MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable: 600 kB\nCached: 1 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total_bytes, 1000 * 1024);
  EXPECT_EQ(memory->available_bytes, 600 * 1024);
  EXPECT_DOUBLE_EQ(memory->percent(), 40);
}

TEST(Memory, WithoutMemAvailable) {
  const auto memory = parse_meminfo(
      "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 200 kB\nSwapCached: 900 kB\n"
      "Shmem: 30 kB\nSReclaimable: 80 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->available_bytes, 400 * 1024);
}

TEST(Memory, BadMeminfo) {
  for (const char* bad :
       {"", "MemTotal: 0 kB\n", "MemTotal: -5 kB\n", "MemTotal: x\n", "MemFree: 5 kB\n",
        "MemTotal: 99999999999999999999 kB\n", "MemTotal: 9223372036854775807 kB\n"}) {
    EXPECT_FALSE(parse_meminfo(bad)) << bad;
  }
  const auto odd = parse_meminfo("MemTotal: 10 kB\nMemAvailable: 20 kB\n");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->percent(), 0) << "never negative";
}

TEST(Memory, CgroupFiles) {
  constexpr std::string_view kHybrid = "9:name=systemd:/x\n4:cpu,memory:/docker/1f2e\n0::/slice\n";
  EXPECT_EQ(parse_cgroup(kHybrid, true), "/docker/1f2e");
  EXPECT_EQ(parse_cgroup(kHybrid, false), "/slice");
  EXPECT_FALSE(parse_cgroup("0::/slice\n", true));
  EXPECT_FALSE(parse_cgroup("4:memoryx:/a\n4:memory\n::\n", true));
  EXPECT_EQ(parse_memory_limit("max\n"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse_memory_limit("536870912\n"), 536870912);
  EXPECT_FALSE(parse_memory_limit("lots"));
  constexpr std::string_view kStat = "anon 1\ninactive_file 4096\ntotal_inactive_file 8192\n";
  EXPECT_EQ(parse_memory_stat(kStat, "inactive_file"), 4096);
  EXPECT_EQ(parse_memory_stat(kStat, "total_inactive_file"), 8192);
  EXPECT_FALSE(parse_memory_stat(kStat, "file"));
}

TEST(Memory, TheAgentsOwnServiceDoesNotBoundTheNode) {
  using Groups = std::vector<std::string>;
  EXPECT_EQ(bounding_groups("/system.slice/nodebeat.service", "/"), (Groups{"", "/system.slice"}));
  EXPECT_EQ(bounding_groups("/system.slice/nodebeat.service/child", "/"),
            (Groups{"", "/system.slice"}));
  EXPECT_EQ(bounding_groups("/user.slice/user@1000.service/app.slice/nodebeat.service", "/"),
            (Groups{"", "/user.slice", "/user.slice/user@1000.service",
                    "/user.slice/user@1000.service/app.slice"}));
  EXPECT_EQ(bounding_groups("/system.slice/docker-1f2e.scope", "/"),
            (Groups{"", "/system.slice", "/system.slice/docker-1f2e.scope"}));
  EXPECT_EQ(bounding_groups("/system.slice/robot.service", "/"), (Groups{"", "/system.slice"}))
      << "a program that embeds the agent";
  EXPECT_EQ(bounding_groups("/", "/"), Groups{""}) << "a container with a namespace of its own";
  EXPECT_EQ(bounding_groups("/docker/1f2e", "/docker/1f2e"), Groups{""});
  EXPECT_EQ(bounding_groups("/docker/1f2e/robot", "/docker/1f2e"), (Groups{"", "/robot"}));
  EXPECT_EQ(bounding_groups("/docker/1f2e", "/docker/other"), Groups{""});
  EXPECT_EQ(bounding_groups("/docker/1f2e", "/docker/1f"), Groups{""});
  EXPECT_EQ(bounding_groups("/../outside", "/"), Groups{""});
}

// What bounds a container counts, whatever its manager is called.
TEST(Memory, AContainersManagerMayBeAService) {
  using Groups = std::vector<std::string>;
  EXPECT_EQ(bounding_groups("/system.slice/docker.service/1f2e", "/"),
            (Groups{"", "/system.slice", "/system.slice/docker.service",
                    "/system.slice/docker.service/1f2e"}));
  EXPECT_EQ(bounding_groups("/k3s.service/kubepods/pod7/1f2e", "/"),
            (Groups{"", "/k3s.service", "/k3s.service/kubepods", "/k3s.service/kubepods/pod7",
                    "/k3s.service/kubepods/pod7/1f2e"}));
  EXPECT_EQ(
      bounding_groups("/docker.service/1f2e/system.slice/nodebeat.service", "/"),
      (Groups{"", "/docker.service", "/docker.service/1f2e", "/docker.service/1f2e/system.slice"}))
      << "an agent that is a service inside of it";
  EXPECT_EQ(bounding_groups("/docker.service/1f2e/robot.service", "/docker.service/1f2e"),
            (Groups{""}));
}

TEST(Mounts, ParsesALineWithEscapesAndOptionalFields) {
  const auto mount = parse_mount(
      "36 35 98:0 /sub /mnt/my\\040disk rw,noatime shared:1 master:2 - ext3 /dev/root rw,data=x");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->root, "/sub");
  EXPECT_EQ(mount->point, "/mnt/my disk");
  EXPECT_EQ(mount->type, "ext3");
  EXPECT_EQ(mount->super_options, "rw,data=x");
  for (const char* bad : {"", "1 2 3", "36 35 98:0 / /mnt rw - ", "36 35 98:0 / mnt rw - ext3 a b",
                          "36 35 98:0 / /mnt rw ext3"}) {
    EXPECT_FALSE(parse_mount(bad)) << bad;
  }
  EXPECT_FALSE(parse_mounts("garbage\n\n"));
}

std::vector<Mount> mounts(std::initializer_list<std::pair<const char*, const char*>> list) {
  std::vector<Mount> out;
  for (const auto& [point, type] : list) out.push_back({"/", point, type, ""});
  return out;
}

TEST(Mounts, TheLongestPointAbovePathWinsAndTheLastOfEquals) {
  const auto table =
      mounts({{"/", "ext4"}, {"/mnt", "tmpfs"}, {"/mnt/nas", "autofs"}, {"/mnt/nas", "nfs4"}});
  EXPECT_EQ(mount_of(table, "/")->type, "ext4");
  EXPECT_EQ(mount_of(table, "/mntx")->type, "ext4");
  EXPECT_EQ(mount_of(table, "/mnt/a")->type, "tmpfs");
  EXPECT_EQ(mount_of(table, "/mnt/nas/a/b")->type, "nfs4");
  EXPECT_EQ(mount_of({}, "/"), nullptr);
}

TEST(Mounts, AFolderThatIsLaidOverItselfIsNoMount) {
  const auto table = parse_mounts(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:1 /home /home ro - ext4 /dev/sda1 rw\n"              // ProtectHome=read-only
      "3 1 8:1 /tmp/systemd-private-7/tmp /tmp rw - ext4 a rw\n"  // PrivateTmp=
      "4 1 8:2 / /data rw - xfs /dev/sdb1 rw\n"
      "5 4 8:2 /robot /data/robot ro - xfs /dev/sdb1 rw\n"  // ReadOnlyPaths=
      "6 1 8:1 /srv/real /mnt rw - ext4 /dev/sda1 rw\n"     // bound from elsewhere
      "7 1 0:26 /@ /btrfs rw - btrfs /dev/sdc1 rw\n"
      "8 7 0:26 /@home /btrfs/home rw - btrfs /dev/sdc1 rw\n");
  ASSERT_TRUE(table);
  const auto is_point = [&](const char* path) {
    return mount_behind(*table, path, [](const std::string&) { return std::nullopt; }).is_point;
  };
  for (const char* path : {"/", "/data", "/mnt", "/btrfs", "/btrfs/home"}) {
    EXPECT_TRUE(is_point(path)) << path;
  }
  for (const char* path : {"/home", "/tmp", "/data/robot"}) EXPECT_FALSE(is_point(path)) << path;
}

TEST(Mounts, OnlyKnownFileSystemsAreLocal) {
  for (const char* type : {"ext4", "xfs", "btrfs", "tmpfs", "overlay", "f2fs"}) {
    EXPECT_TRUE(is_local(type)) << type;
  }
  for (const char* type : {"nfs", "nfs4", "cifs", "fuse.sshfs", "fuse", "9p", "autofs", "ceph",
                           "vfat", "", "something-new"}) {
    EXPECT_FALSE(is_local(type)) << type;
  }
}

TEST(Mounts, LinksAreFollowedUpToTheEdgeOfWhatMayHang) {
  const auto table = mounts({{"/", "ext4"}, {"/mnt/nas", "nfs4"}, {"/data", "xfs"}});
  std::vector<std::string> looked_at;
  const ReadLink read_link = [&](const std::string& path) -> std::optional<std::string> {
    looked_at.push_back(path);
    if (path == "/shared") return "/mnt/nas/shared";
    if (path == "/home") return "data/home";
    if (path == "/data/up") return "../mnt";
    if (path == "/loop") return "/loop";
    return std::nullopt;
  };
  EXPECT_EQ(mount_behind(table, "/", read_link).mount->type, "ext4");
  EXPECT_EQ(mount_behind(table, "/home/robot", read_link).mount->type, "xfs");
  EXPECT_EQ(mount_behind(table, "/data/up/nas/x", read_link).mount->type, "nfs4");
  EXPECT_EQ(mount_behind(table, "/data/./../home/..", read_link).mount->type, "xfs");
  EXPECT_EQ(mount_behind(table, "/loop", read_link).mount, nullptr);
  looked_at.clear();
  EXPECT_EQ(mount_behind(table, "/shared/logs", read_link).mount->type, "nfs4");
  EXPECT_EQ(looked_at, (std::vector<std::string>{"/shared", "/mnt"}))
      << "nothing at or beyond the NFS mount point";
  EXPECT_EQ(mount_behind({}, "/", read_link).mount, nullptr);

  const auto is_point = [&](const char* path) {
    return mount_behind(table, path, read_link).is_point;
  };
  for (const char* path :
       {"/", "/data", "/data/", "/home/..", "/data/up/nas", "/mnt/nas/", "//data"}) {
    EXPECT_TRUE(is_point(path)) << path;
  }
  for (const char* path :
       {"/mnt", "/home", "/data/up", "/shared", "/mnt/nas/x", "/other", "/loop"}) {
    EXPECT_FALSE(is_point(path)) << path;
  }
}

TEST(Disks, PercentIsWhatDfShows) {
  struct statvfs space {};
  space.f_blocks = 1000;
  space.f_bfree = 400;
  space.f_bavail = 350;  // 50 kept for root
  EXPECT_DOUBLE_EQ(percent_used(space), 100.0 * 600 / 950);
  EXPECT_EQ(percent_used({}), 0) << "a pseudo file system has no blocks";
  space.f_bfree = 2000;
  EXPECT_EQ(percent_used(space), 0);
}

TEST(Network, ParsesALine) {
  const auto counters =
      parse_interface("  eth0: 196428674    4638 0 0 0 0 0 0   211237    2471 0 0 0 0 0 0");
  ASSERT_TRUE(counters);
  EXPECT_EQ(counters->name, "eth0");
  EXPECT_EQ(counters->rx_bytes, 196428674u);
  EXPECT_EQ(counters->tx_bytes, 211237u);
  EXPECT_TRUE(parse_interface("eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"));
  for (const char* bad : {"", ":", "Inter-|   Receive", " face |bytes    packets", "eth0: 1 2 3",
                          "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x", " : 1 2 3 4 5 6 7 8 9"}) {
    EXPECT_FALSE(parse_interface(bad)) << bad;
  }
}

TEST(System, LoadUptimeBootId) {
  const auto load = parse_load("0.11 1.26 22.17 1/84 15857\n");
  ASSERT_TRUE(load);
  EXPECT_EQ(load->one, 0.11);
  EXPECT_EQ(load->five, 1.26);
  EXPECT_EQ(load->fifteen, 22.17);
  EXPECT_FALSE(parse_load("0.11 0.26"));
  EXPECT_EQ(parse_uptime("1016.81 1828.42\n"), 1016);
  EXPECT_FALSE(parse_uptime("-1.0 2.0"));
  EXPECT_FALSE(parse_uptime("18446744073709551615.0"));
  EXPECT_EQ(parse_boot_id("2a1e1dbb-4fbb-4e4a-9fc2-e2fc3d435490\n"),
            "2a1e1dbb-4fbb-4e4a-9fc2-e2fc3d435490");
  for (const char* bad : {"", "2a1e1dbb", "2a1e1dbb-4fbb-4e4a-9fc2-e2fc3d43549Z",
                          "2a1e1dbb04fbb04e4a09fc20e2fc3d435490"}) {
    EXPECT_FALSE(parse_boot_id(bad)) << bad;
  }
}

TEST(Pressure, ParsesSomeAndFull) {
  const auto both = parse_pressure("some avg10=1.50 avg60=0 avg300=0 total=1\nfull avg10=0.25 a\n");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->some, 1.5);
  EXPECT_EQ(both->full, 0.25);
  const auto old = parse_pressure("some avg10=2.00 avg60=0.00 avg300=0.00 total=1\n");
  ASSERT_TRUE(old);
  EXPECT_FALSE(old->full) << "cpu before Linux 5.13";
  for (const char* bad : {"", "full avg10=0.00", "some avg60=1", "some avg10=", "some avg10=x"}) {
    EXPECT_FALSE(parse_pressure(bad)) << bad;
  }
}

TEST(Temperatures, ParsesThousandths) {
  EXPECT_EQ(parse_temperature("61700\n"), 61.7);
  EXPECT_EQ(parse_temperature("-5000"), -5);
  EXPECT_FALSE(parse_temperature(""));
  EXPECT_FALSE(parse_temperature("61.7"));
  EXPECT_TRUE(is_plausible(-40));
  EXPECT_FALSE(is_plausible(-256));
  EXPECT_FALSE(is_plausible(100000));
}

TEST(Throttling, TheFirmwaresWord) {
  EXPECT_EQ(parse_throttled("50005\n"), 0x50005u);
  EXPECT_EQ(parse_throttled("0x0"), 0u);
  EXPECT_FALSE(parse_throttled(""));
  EXPECT_FALSE(parse_throttled("throttled=0x0"));
  EXPECT_FALSE(parse_throttled("123456789"));
  const wire::Throttling t = decode_throttling(0xe0008);
  EXPECT_EQ(t.bits, 0xe0008u);
  EXPECT_FALSE(t.under_voltage || t.frequency_capped || t.throttled || t.under_voltage_occurred);
  EXPECT_TRUE(t.soft_temperature_limit && t.frequency_capped_occurred && t.throttled_occurred &&
              t.soft_temperature_limit_occurred);
  EXPECT_TRUE(decode_throttling(1).under_voltage);
  EXPECT_TRUE(decode_throttling(2).frequency_capped);
  EXPECT_TRUE(decode_throttling(4).throttled);
  EXPECT_TRUE(decode_throttling(1 << 16).under_voltage_occurred);
}

TEST(Throttling, OnlyTheFirmwaresDeviceIsAsked) {
  EXPECT_FALSE(ask_firmware("/dev/null")) << "no such request there";
  EXPECT_FALSE(ask_firmware("/nonexistent/vcio"));
}

TEST(Gpu, LoadAndBusy) {
  EXPECT_EQ(parse_jetson_load("327\n"), 32.7);
  EXPECT_EQ(parse_jetson_load("1000"), 100);
  EXPECT_FALSE(parse_jetson_load("1001"));
  EXPECT_FALSE(parse_jetson_load("0@200000000Hz")) << "another maker's file of the same name";
  EXPECT_EQ(parse_gpu_busy("37\n"), 37);
  EXPECT_FALSE(parse_gpu_busy("101"));
  EXPECT_FALSE(parse_gpu_busy(""));
}

TEST(Gpu, TheBusiestCounts) {
  EXPECT_EQ(busiest({}), nullptr);
  const std::vector<GpuReading> gpus = {
      {"silent", std::nullopt, 5.0}, {"idle", 0.0, 5.0}, {"busy", 80.0, {}}, {"too", 80.0, {}}};
  EXPECT_EQ(busiest(gpus)->name, "busy");
}

}  // namespace
}  // namespace nb::health
