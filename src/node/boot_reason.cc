#include "node/boot_reason.h"

#include <sys/stat.h>

#include <optional>

#include "base/file.h"
#include "base/foreign_text.h"
#include "base/text.h"
#include "health/directory.h"
#include "health/fields.h"
#include "health/kernel_file.h"

namespace nb::node {
namespace {

constexpr size_t kMostDetail = 80;
// Without a note, a record of a panic counts if it is from so short a time before the boot.
constexpr int64_t kRebootSeconds = 600;

// What nodebeat-boot.service has noted of the boot before: "stopped" or "running", and perhaps the
// name of a panic's record.
struct Note {
  bool there = false;
  bool was_stopped = false;
  std::string panic;
};

Note read_note(const health::Root& root) {
  Note note;
  const auto text = read_small_file(root("/run/nodebeat.boot/before"), 1024);
  if (!text) return note;
  std::string_view rest = *text;
  while (!rest.empty()) {
    std::string_view line = health::next_line(rest);
    const std::string_view word = health::next_word(line);
    if (word == "stopped" || word == "running") {
      note.there = true;
      note.was_stopped = word == "stopped";
    } else if (word == "panic") {
      note.panic = trim(line);
    }
  }
  return note;
}

// When this computer was booted, by its wall clock.
std::optional<int64_t> boot_time(const health::Root& root) {
  const auto stat = read_small_file(root("/proc/stat"), 1 << 20);
  std::string_view rest = stat ? std::string_view(*stat) : std::string_view();
  while (!rest.empty()) {
    std::string_view line = health::next_line(rest);
    if (health::next_word(line) == "btime") return health::next_number<int64_t>(line);
  }
  return std::nullopt;
}

// Only root may look there on most systems; the others have the note.
std::string find_panic(const health::Root& root) {
  const std::string folder = root("/sys/fs/pstore");
  const auto booted = boot_time(root);
  for (const std::string& name : health::entries(folder)) {
    if (!name.starts_with("dmesg-") || !booted) continue;
    const std::string path = folder + '/' + name;
    struct stat status {};
    char begin[5];
    if (::stat(path.c_str(), &status) != 0 || status.st_mtime > *booted ||
        status.st_mtime < *booted - kRebootSeconds) {
      continue;
    }
    // "Panic#1 Part1"; of a fault that the kernel has survived "Oops#1 Part1".
    const int size = health::read_once(path.c_str(), begin, sizeof begin);
    if (size == sizeof begin && std::string_view(begin, sizeof begin) == "Panic") return name;
  }
  return {};
}

// A cell of the device tree.
std::optional<uint32_t> read_cell(const std::string& path) {
  unsigned char bytes[4];
  const int size = health::read_once(path.c_str(), reinterpret_cast<char*>(bytes), sizeof bytes);
  if (size != sizeof bytes) return std::nullopt;
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

wire::BootReason found(std::string_view reason, std::string_view detail) {
  return {reason, foreign_text(detail, kMostDetail)};
}

}  // namespace

std::string_view reason_of_watchdog(uint32_t bootstatus) {
  if ((bootstatus & 0x20) != 0) return "watchdog";          // CARDRESET
  if ((bootstatus & (0x01 | 0x02)) != 0) return "thermal";  // OVERHEAT, FANFAULT
  return (bootstatus & (0x10 | 0x40)) != 0 ? "power" : "";  // POWERUNDER, POWEROVER
}

std::string_view reason_of_tegra(std::string_view word, bool was_unclean) {
  const auto has = [&](std::string_view part) { return word.find(part) != word.npos; };
  if (has("WDT") || has("WATCHDOG")) return "watchdog";
  if (has("VMON") || has("VFSENSOR") || has("POWERBAD")) return "power";
  if (has("SENSOR") || has("AOTAG") || has("THERM")) return "thermal";
  // It was off before; whether on purpose, the note tells.
  return has("POWER_ON") && was_unclean ? "power" : "";
}

std::string_view reason_of_raspberry_pi(uint32_t power_reset, uint32_t pm_rsts, bool was_unclean) {
  if ((power_reset & 0x03) != 0) return "power";  // over and under voltage
  if ((power_reset & 0x04) != 0) return "thermal";
  if ((power_reset & 0x10) != 0) return "watchdog";
  // HADPOR, a power-on. HADWRF, a reset by the watchdog, says nothing: a Pi restarts by it.
  return (pm_rsts & 0x1020) == 0x1000 && was_unclean ? "power" : "";
}

wire::BootReason find_boot_reason(const health::Root& root) {
  const Note note = read_note(root);
  const std::string panic = note.there ? note.panic : find_panic(root);
  if (!panic.empty()) return found("panic", panic);
  if (note.was_stopped) return found("clean", {});

  const std::string watchdogs = root("/sys/class/watchdog");
  for (const unsigned number : health::numbered_entries(watchdogs, "watchdog")) {
    const std::string name = format("watchdog%u", number);
    const std::string text = health::read_word(watchdogs + '/' + name + "/bootstatus");
    const auto reason = reason_of_watchdog(parse_number<uint32_t>(text).value_or(0));
    if (!reason.empty()) return found(reason, name + ": bootstatus " + text);
  }
  const std::string devices = root("/sys/bus/platform/devices");
  for (const std::string& name : health::entries(devices)) {
    if (name.find("pmc") == name.npos) continue;
    const std::string word = health::read_word(devices + '/' + name + "/reset_reason");
    const auto reason = reason_of_tegra(word, note.there);
    if (!reason.empty()) return found(reason, name + ": " + word);
  }
  const std::string chosen = root("/proc/device-tree/chosen");
  const uint32_t power_reset = read_cell(chosen + "/power/power_reset").value_or(0);
  // Raspberry Pi's documentation has both names for it; boards have the first one.
  auto rsts = read_cell(chosen + "/bootloader/rsts");
  if (!rsts) rsts = read_cell(chosen + "/bootloader/pm_rsts");
  const uint32_t pm_rsts = rsts.value_or(0);
  const auto reason = reason_of_raspberry_pi(power_reset, pm_rsts, note.there);
  if (!reason.empty()) {
    return found(reason, format("power_reset 0x%x, pm_rsts 0x%x", power_reset, pm_rsts));
  }
  return found(note.there ? "unclean" : "unknown", {});
}

}  // namespace nb::node
