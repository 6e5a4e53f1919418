// Temperatures and throttling, without ever waiting for a slow sensor.
//
// Most sensors are a register and answer in microseconds; some are a command to an NVMe drive, an
// I2C transfer or a piece of ACPI code and take milliseconds, or hang with the device. So a sensor
// is first read aside, on another thread, and timed there. One that was quick is read on the
// loop's thread at each sample from then on, until it is caught being slow; a slow one is read
// aside every few seconds, and its last value stands in between, with its age. A sensor that calls
// itself faulty (temp*_fault) is not believed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "health/aside.h"
#include "health/kernel_file.h"
#include "health/root.h"
#include "health/temperatures.h"
#include "wire/node_health.h"

namespace nb::health {

class SensorReader {
 public:
  static constexpr Duration kSlowInterval = std::chrono::seconds(10);
  static constexpr Duration kQuick = std::chrono::microseconds(500);
  static constexpr Duration kTooSlow = std::chrono::milliseconds(3);

  SensorReader(uv::Loop& loop, const Log& log, const Root& root);

  // Searches for sensors: drivers may load after the agent. Call it at intervals.
  void look();

  // Fills temperature_c, temperatures and throttling. The first values come with the call after
  // the loop has turned.
  void read(MonoTime now, Scratch& scratch, wire::NodeHealth& out);

 private:
  struct Sensor {
    Sensor(const Log& log, TemperatureFile found);

    std::string name;
    KernelFile file;
    std::optional<KernelFile> fault;
    bool faulty = false;  // already in the log
    bool quick = false;
    MonoTime asked{};  // when the value was asked for
    std::optional<double> celsius;
  };
  // The input of one call aside, and its results.
  struct Batch {
    struct Item {
      size_t sensor;
      std::string path;
      std::string fault;  // empty: there is none
      bool faulty = false;
      bool read = false;  // there was text
      bool understood = false;
      double celsius = 0;
      Duration took{};
    };
    std::vector<Item> items;
    MonoTime asked{};
    std::string firmware;  // empty: not to be asked
    std::optional<uint32_t> throttled;
    unsigned generation = 0;
  };

  static void run(Batch& batch);
  void ask(MonoTime now);
  void take(const Batch& batch);
  void read_quick(Sensor& sensor, MonoTime now, Scratch& scratch);
  void judge_fault(Sensor& sensor, bool faulty);

  const Log& log_;
  const Root root_;
  std::vector<TemperatureFile> found_;
  std::vector<Sensor> sensors_;
  unsigned generation_ = 0;  // of sensors_: an older batch is of other sensors
  bool new_sensors_ = false;
  std::string firmware_;                 // "/dev/vcio"
  std::optional<KernelFile> throttled_;  // else get_throttled in /sys
  std::optional<uint32_t> throttled_bits_;
  MonoTime asked_{};  // the slow sensors
  MonoTime sample_{}, sample_before_{};
  std::shared_ptr<Batch> batch_;
  Aside aside_;
};

}  // namespace nb::health
