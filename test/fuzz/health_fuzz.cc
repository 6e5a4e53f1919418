// Any bytes in any file of /proc and /sys: no parser crashes, and what it makes of them keeps to
// its range.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "health/cpu.h"
#include "health/fields.h"
#include "health/gpu.h"
#include "health/memory.h"
#include "health/mounts.h"
#include "health/network.h"
#include "health/pressure.h"
#include "health/system.h"
#include "health/temperatures.h"
#include "health/throttling.h"
#include "require.h"

namespace {

using namespace nb::health;
using nb::fuzz::require;

void cpu(std::string_view text) {
  const auto times = parse_cpu_times(text);
  // The two halves as two samples.
  CpuMeter meter;
  auto feed = [&, second = 0](const std::optional<CpuTimes>& sample) mutable {
    meter.feed(nb::MonoTime(std::chrono::seconds(++second)), sample);
    const auto percent = meter.percent();
    require(!percent || (*percent >= 0 && *percent <= 100));
  };
  feed(parse_cpu_times(text.substr(0, text.size() / 2)));
  feed(parse_cpu_times(text.substr(text.size() / 2)));
  feed(times);
}

void memory(std::string_view text) {
  if (const auto memory = parse_meminfo(text)) {
    require(memory->percent() >= 0 && memory->percent() <= 100);
  }
  for (const bool v1 : {false, true}) {
    if (const auto path = parse_cgroup(text, v1)) {
      require(path->starts_with('/'));
      require(bounding_groups(*path, "/").front().empty());
    }
  }
  bounding_groups(text, "/");
  bounding_groups(text, text.substr(0, text.size() / 2));
  parse_memory_limit(text);
  parse_memory_stat(text, "inactive_file");
}

void mounts(std::string_view text) {
  const auto table = parse_mounts(text);
  if (!table) return;
  for (const Mount& mount : *table) {
    require(mount.point.starts_with('/'));
    require(mount_of(*table, mount.point) != nullptr);
    // Links everywhere, to wherever the input says: it must come to an end.
    mount_behind(*table, mount.point, [&](const std::string& path) -> std::optional<std::string> {
      if (path.size() % 3 == 0) return std::nullopt;
      return mount.super_options.substr(0, 64);
    });
  }
}

void numbers(std::string_view text) {
  if (const auto value = parse_decimal(text)) require(std::isfinite(*value) && *value >= 0);
  if (const auto load = parse_load(text)) require(load->one >= 0);
  if (const auto uptime = parse_uptime(text)) require(*uptime >= 0);
  if (const auto id = parse_boot_id(text)) require(id->size() == 36);
  if (const auto stall = parse_pressure(text)) require(stall->some >= 0);
  if (const auto celsius = parse_temperature(text)) require(std::isfinite(*celsius));
  if (const auto load = parse_jetson_load(text)) require(*load >= 0 && *load <= 100);
  if (const auto busy = parse_gpu_busy(text)) require(*busy >= 0 && *busy <= 100);
  parse_throttled(text);
  for (const char c : clean_name(text)) require(c >= 0x20 && c <= 0x7e);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  cpu(text);
  memory(text);
  mounts(text);
  numbers(text);
  for (std::string_view rest = text; !rest.empty();) {
    if (const auto counters = parse_interface(next_line(rest))) require(!counters->name.empty());
  }
  return 0;
}
