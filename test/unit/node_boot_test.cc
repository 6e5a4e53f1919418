// Unit tests of node/boot_reason: what a machine tells of why it was started, and that nothing more
// is claimed.
#include <gtest/gtest.h>
#include <utime.h>

#include "node/boot_reason.h"
#include "support/temp_tree.h"

namespace nb::node {
namespace {

class BootReason : public testing::Test {
 protected:
  std::string reason() const {
    const wire::BootReason found = find_boot_reason(health::Root(tree.path()));
    return std::string(found.reason) + (found.detail.empty() ? "" : ": " + found.detail);
  }
  void note(std::string_view text) const { tree.write("/run/nodebeat.boot/before", text); }
  void watchdog(std::string_view bootstatus, int number = 0) const {
    tree.write("/sys/class/watchdog/watchdog" + std::to_string(number) + "/bootstatus", bootstatus);
  }
  void record(std::string_view name, std::string_view text, int64_t at) const {
    const std::string path = "/sys/fs/pstore/" + std::string(name);
    tree.write(path, text);
    const utimbuf times{at, at};
    EXPECT_EQ(::utime(tree(path).c_str(), &times), 0);
  }
  void booted(int64_t at) const {
    tree.write("/proc/stat", "cpu  1 2 3\nintr 5\nbtime " + std::to_string(at) + "\nprocesses 7\n");
  }
  void cell(std::string_view path, uint32_t value) const {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
    tree.write(path, bytes);
  }

  test::TempTree tree;
};

TEST_F(BootReason, IsUnknownWhereNothingTells) {
  EXPECT_EQ(reason(), "unknown");
  note("");
  EXPECT_EQ(reason(), "unknown");
  for (const char* odd : {"rubbish", "stopped", "\n\n", "running"}) {
    note(odd);
    EXPECT_NE(reason(), "");
  }
  note(std::string(100'000, 'x'));
  EXPECT_EQ(reason(), "unknown");
}

TEST_F(BootReason, AShutdownThatWasNotedWasClean) {
  note("stopped 1b4e28ba\n");
  EXPECT_EQ(reason(), "clean");
  watchdog("32\n");  // many computers restart by their watchdog
  cell("/proc/device-tree/chosen/bootloader/pm_rsts", 0x1000);
  EXPECT_EQ(reason(), "clean");
  note("stopped 1b4e28ba\npanic dmesg-efi-1\n");
  EXPECT_EQ(reason(), "panic: dmesg-efi-1") << "after the shutdown was noted";
}

TEST_F(BootReason, OneThatWasNotNotedIsUncleanAndNoMoreIsClaimed) {
  note("running 1b4e28ba\n");
  EXPECT_EQ(reason(), "unclean");
  watchdog("0\n");
  tree.write("/sys/bus/platform/devices/c360000.pmc/reset_reason", "MAINSWRST\n");
  cell("/proc/device-tree/chosen/bootloader/pm_rsts", 0x1020);
  EXPECT_EQ(reason(), "unclean");
}

TEST_F(BootReason, TheNoteNamesTheRecordOfAPanic) {
  note("running 1b4e28ba\npanic dmesg-ramoops-0\n");
  EXPECT_EQ(reason(), "panic: dmesg-ramoops-0");
  note("running 1b4e28ba\npanic \x1b[31m\xff\n");
  EXPECT_EQ(reason(), "panic: \\x1b[31m\\xff") << "as plain text";
}

TEST_F(BootReason, AWatchdogTells) {
  watchdog("32\n", 1);
  watchdog("0\n", 0);
  EXPECT_EQ(reason(), "watchdog: watchdog1: bootstatus 32");
  EXPECT_EQ(reason_of_watchdog(0x20 | 0x01), "watchdog");
  EXPECT_EQ(reason_of_watchdog(0x01), "thermal");
  EXPECT_EQ(reason_of_watchdog(0x02), "thermal");
  EXPECT_EQ(reason_of_watchdog(0x10), "power");
  EXPECT_EQ(reason_of_watchdog(0x8000), "");
  for (const char* odd : {"", "x", "-1", "99999999999999"}) {
    watchdog(odd, 1);
    EXPECT_EQ(reason(), "unknown") << odd;
  }
}

TEST_F(BootReason, AJetsonTells) {
  const auto tells = [&](const char* word) {
    tree.write("/sys/bus/platform/devices/c360000.pmc/reset_reason", word);
    return reason();
  };
  EXPECT_EQ(tells("LCCPLEXWDT\n"), "watchdog: c360000.pmc: LCCPLEXWDT");
  EXPECT_EQ(tells("TEGRA_WATCHDOG\n"), "watchdog: c360000.pmc: TEGRA_WATCHDOG");
  EXPECT_EQ(tells("SENSOR"), "thermal: c360000.pmc: SENSOR");
  EXPECT_EQ(tells("VREFRO_POWERBAD"), "power: c360000.pmc: VREFRO_POWERBAD");
  EXPECT_EQ(tells("SYS_RESET_N"), "unknown") << "the button, or the power";
  EXPECT_EQ(tells("MAINSWRST"), "unknown");
  EXPECT_EQ(tells("POWER_ON_RESET"), "unknown") << "perhaps it was switched off";
  note("running 1\n");
  EXPECT_EQ(tells("POWER_ON_RESET"), "power: c360000.pmc: POWER_ON_RESET");
}

TEST_F(BootReason, ARaspberryPiTells) {
  cell("/proc/device-tree/chosen/power/power_reset", 0x02);
  cell("/proc/device-tree/chosen/bootloader/pm_rsts", 0x1000);
  EXPECT_EQ(reason(), "power: power_reset 0x2, pm_rsts 0x1000");
  EXPECT_EQ(reason_of_raspberry_pi(0x01, 0, false), "power");
  EXPECT_EQ(reason_of_raspberry_pi(0x04, 0, false), "thermal");
  EXPECT_EQ(reason_of_raspberry_pi(0x10, 0, false), "watchdog");
  EXPECT_EQ(reason_of_raspberry_pi(0x08, 0, true), "") << "its button";
  EXPECT_EQ(reason_of_raspberry_pi(0, 0x1000, false), "");
  EXPECT_EQ(reason_of_raspberry_pi(0, 0x1000, true), "power");
  EXPECT_EQ(reason_of_raspberry_pi(0, 0x1020, true), "") << "it restarts by its watchdog";
  tree.write("/proc/device-tree/chosen/power/power_reset", "\x02");
  EXPECT_EQ(reason(), "unknown") << "no cell";
}

// The documentation calls the same register pm_rsts in one place and rsts in another, as boards do.
TEST_F(BootReason, ARaspberryPiHasTwoNamesForItsRegister) {
  note("running 1\n");
  cell("/proc/device-tree/chosen/bootloader/rsts", 0x1000);
  EXPECT_EQ(reason(), "power: power_reset 0x0, pm_rsts 0x1000");
  cell("/proc/device-tree/chosen/bootloader/pm_rsts", 0x1000);
  cell("/proc/device-tree/chosen/bootloader/rsts", 0x20);
  EXPECT_EQ(reason(), "unclean") << "a restart; and of two the board's own counts";
}

TEST_F(BootReason, ARaspberryPi5WhosePowerManagementHasCutThePower) {
  const health::Root board(NODEBEAT_SOURCE_ROOT "/test/data/health/raspberry-pi-5");
  const wire::BootReason found = find_boot_reason(board);
  EXPECT_EQ(found.reason, "power");
  EXPECT_EQ(found.detail, "power_reset 0x2, pm_rsts 0x1000");
}

// As root, in no need of the note.
TEST_F(BootReason, ARecordOfAPanicCountsIfItIsOfJustBeforeTheBoot) {
  constexpr int64_t kBoot = 1'700'000'000;
  record("dmesg-efi-1", "Panic#1 Part1\n<4>[ 12.3] ...", kBoot - 30);
  EXPECT_EQ(reason(), "unknown") << "when the boot was is not known";
  booted(kBoot);
  EXPECT_EQ(reason(), "panic: dmesg-efi-1");
  record("dmesg-efi-1", "Oops#1 Part1\n", kBoot - 30);
  EXPECT_EQ(reason(), "unknown") << "which the kernel has survived";
  record("dmesg-efi-1", "Panic#1 Part1\n", kBoot - 86'400);
  EXPECT_EQ(reason(), "unknown") << "an old one that nobody has removed";
  record("dmesg-efi-1", "Panic#1 Part1\n", kBoot + 30);
  EXPECT_EQ(reason(), "unknown") << "of a clock that was wrong";
  record("console-ramoops-0", "Panic#1 Part1\n", kBoot - 30);
  EXPECT_EQ(reason(), "unknown") << "the log of the console is always there";
  record("dmesg-efi-2", "Pan", kBoot - 30);
  EXPECT_EQ(reason(), "unknown");
  record("dmesg-efi-3", "Panic", kBoot - 30);
  note("running 1\n");
  EXPECT_EQ(reason(), "unclean") << "the note knows better which are new";
}

}  // namespace
}  // namespace nb::node
