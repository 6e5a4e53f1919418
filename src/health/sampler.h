// Sampler: measures the node and fills the measured fields of its NodeHealth.
//
// It never waits: what could hang (network file systems, GPU drivers, slow sensors) is asked on
// threads of its own and answers at a later sample. A file that is missing is normal; one that
// makes no sense leaves its field at the default and is said once, and so is a figure that is never
// null in the schema (processors, memory, disks) and cannot be measured. In steady state a sample
// of a plain node allocates nothing and makes about a dozen system calls.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "health/cpu.h"
#include "health/disks.h"
#include "health/gpu.h"
#include "health/kernel_file.h"
#include "health/memory.h"
#include "health/network.h"
#include "health/root.h"
#include "health/sensors.h"
#include "uv/loop.h"
#include "wire/node_health.h"

namespace nb::health {

struct SamplerOptions {
  std::string root = "/";               // where proc, sys and dev are
  std::vector<std::string> disks{"/"};  // absolute paths; the fullest becomes disk_percent
  GpuKind gpu = GpuKind::automatic;
  std::vector<std::string> interfaces;  // to report; empty: all but lo, at most 16
  std::string nvml = "libnvidia-ml.so.1";
  AskFileSystem ask_file_system = ask_kernel;
};

class Sampler {
 public:
  // How often it searches for devices, limits and mounts that appeared or disappeared.
  static constexpr Duration kLookInterval = std::chrono::minutes(1);
  // Until so long after the start, a figure that is not known yet is not logged.
  static constexpr Duration kEarly = std::chrono::milliseconds(100);

  // Takes the first sample of everything that is measured by differences (processors, network) and
  // asks the first questions, so that a sample a fifth of a second later has real values. `loop`
  // and `log` must outlive it.
  Sampler(uv::Loop& loop, const Log& log, SamplerOptions options);

  // Sets the measured fields of `out` and no others; reuses its strings and vectors. `now` must
  // not go back.
  void sample(MonoTime now, wire::NodeHealth& out);

 private:
  void look(MonoTime now);
  void read_system(wire::NodeHealth& out);
  void read_pressure(wire::Pressure& out);
  // One of the figures that are never null: its default where it is not known.
  struct Figure {
    const char* name;
    bool missing = false;  // already in the log
  };
  double value_of(Figure& figure, const std::optional<double>& value);

  const Log& log_;
  const Root root_;
  Figure cpu_percent_{"cpu_percent"}, memory_percent_{"memory_percent"},
      disk_percent_{"disk_percent"};
  std::optional<MonoTime> begun_;
  bool early_ = true;  // two samples may be too close yet for a figure: that is not worth a line
  Scratch scratch_;
  MonoTime next_look_{};
  KernelFile stat_, load_, uptime_, boot_id_, mountinfo_;
  KernelFile pressure_cpu_, pressure_memory_, pressure_io_;
  CpuMeter cpu_;
  MemoryReader memory_;
  DiskReader disks_;
  GpuReader gpu_;
  SensorReader sensors_;
  NetworkReader network_;
};

}  // namespace nb::health
