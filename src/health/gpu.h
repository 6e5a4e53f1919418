// The graphics processor: how busy it is and how full its memory. Of several, the busiest.
//
// A Jetson's load is a number that the kernel keeps: it is read at each sample. Asking an AMD or
// NVIDIA driver may take milliseconds or hang, so these are asked aside; their value is the answer
// to the question of the sample before, and there is none without that answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "health/aside.h"
#include "health/gpu_reading.h"
#include "health/kernel_file.h"
#include "health/root.h"
#include "wire/node_health.h"

namespace nb::health {

enum class GpuKind { automatic, none, jetson, amd, nvidia };

// A Jetson's `load`, 0..1000, in percent.
std::optional<double> parse_jetson_load(std::string_view text);
// amdgpu's gpu_busy_percent.
std::optional<double> parse_gpu_busy(std::string_view text);

// The busiest; of equals the first. Null if there is none.
const GpuReading* busiest(const std::vector<GpuReading>& gpus);

class GpuReader {
 public:
  // A driver that failed is not started again for a while: starting it may load firmware.
  static constexpr Duration kRetry = std::chrono::minutes(1);

  // `automatic` takes a Jetson's GPU if there is one, else all AMD and NVIDIA ones.
  // `nvml` as for dlopen; it is not loaded where /proc and /dev show no NVIDIA driver.
  GpuReader(uv::Loop& loop, const Log& log, const Root& root, GpuKind kind, std::string nvml);
  ~GpuReader();

  // Searches for GPUs. Call it at intervals: a driver may load after the agent.
  void look();

  // Fills the gpu_ fields.
  void read(MonoTime now, Scratch& scratch, wire::NodeHealth& out);

 private:
  struct Drivers;  // the data of the thread aside

  bool wants(GpuKind kind) const { return kind_ == GpuKind::automatic || kind_ == kind; }
  void take(MonoTime now);
  void publish(const GpuReading* gpu, bool fresh, wire::NodeHealth& out) const;

  const Log& log_;
  const Root root_;
  const GpuKind kind_;
  std::optional<KernelFile> jetson_load_;
  GpuReading jetson_;
  std::shared_ptr<Drivers> drivers_;  // the aside thread's while a question is open
  bool has_drivers_ = false;
  GpuReading driver_reading_;
  bool driver_answered_ = false;
  bool complained_ = false;
  bool missing_said_ = false;
  MonoTime next_start_{};  // of NVML
  bool starting_ = false;  // the question under way may start it
  Aside aside_;
};

}  // namespace nb::health
