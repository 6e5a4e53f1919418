#include "health/sensors.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "health/directory.h"
#include "health/fields.h"
#include "health/throttling.h"

namespace nb::health {

SensorReader::Sensor::Sensor(const Log& log, TemperatureFile found)
    : name(std::move(found.name)), file(log, std::move(found.path), KernelFile::Kind::sensor) {
  if (!found.fault.empty()) fault.emplace(log, std::move(found.fault), KernelFile::Kind::sensor);
}

SensorReader::SensorReader(uv::Loop& loop, const Log& log, const Root& root)
    : log_(log), root_(root), aside_(loop, log, "a temperature sensor") {}

void SensorReader::look() {
  std::vector<TemperatureFile> found = find_temperatures(root_);
  if (found != found_) {
    sensors_.clear();
    sensors_.reserve(found.size());
    for (const TemperatureFile& file : found) sensors_.emplace_back(log_, file);
    found_ = std::move(found);
    ++generation_;
    new_sensors_ = true;
  }
  // The device first: reading get_throttled makes kernels since 4.19 write a warning with a stack
  // trace to their log ("deprecated"), newer ones on a Raspberry Pi 5 do not have the file at all.
  const std::string vcio = root_("/dev/vcio");
  firmware_ = ::access(vcio.c_str(), R_OK | W_OK) == 0 ? vcio : "";
  if (!firmware_.empty()) {
    throttled_.reset();
    return;
  }
  if (throttled_) return;
  throttled_bits_.reset();  // from a device that has gone
  for (const char* path :
       {"/sys/devices/platform/soc/soc:firmware/get_throttled",
        "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled",
        "/sys/devices/platform/soc@107c000000:firmware/get_throttled"}) {
    if (exists(root_(path))) {
      throttled_.emplace(log_, root_(path));
      return;
    }
  }
}

// "1" or "0" (kernel: hwmon/sysfs-interface.rst).
static std::optional<bool> parse_fault(std::string_view text) {
  const auto number = parse_number<int>(trim(text));
  if (!number) return std::nullopt;
  return *number != 0;
}

void SensorReader::run(Batch& batch) {
  // measures the duration of the call by the real clock, whatever clock the agent uses
  const SystemClock clock;
  for (Batch::Item& item : batch.items) {
    char text[64];
    const MonoTime before = clock.now();
    int n = 0;
    if (!item.fault.empty()) n = read_once(item.fault.c_str(), text, sizeof text);
    item.faulty = n > 0 && parse_fault({text, static_cast<size_t>(n)}).value_or(false);
    n = read_once(item.path.c_str(), text, sizeof text);
    item.took = clock.now() - before;
    item.read = n >= 0;
    if (!item.read) continue;
    const auto celsius = parse_temperature({text, static_cast<size_t>(n)});
    item.understood = celsius.has_value();
    item.celsius = celsius.value_or(0);
  }
  if (!batch.firmware.empty()) batch.throttled = ask_firmware(batch.firmware.c_str());
}

void SensorReader::take(const Batch& batch) {
  if (batch.generation != generation_) return;
  for (const Batch::Item& item : batch.items) {
    Sensor& sensor = sensors_[item.sensor];
    sensor.celsius.reset();
    sensor.asked = batch.asked;
    if (item.understood && is_plausible(item.celsius)) sensor.celsius = item.celsius;
    judge_fault(sensor, item.faulty);
    if (item.read) sensor.file.judge(item.understood);
    sensor.quick = item.took <= kQuick;
  }
  if (!batch.firmware.empty()) throttled_bits_ = batch.throttled;
}

void SensorReader::judge_fault(Sensor& sensor, bool faulty) {
  if (faulty) sensor.celsius.reset();
  if (std::exchange(sensor.faulty, faulty) == faulty) return;
  if (faulty) {
    log_.warning(LogAbout(sensor.name), "the sensor %s calls itself faulty: it is left out",
                 sensor.name.c_str());
  } else {
    log_.info(LogAbout(sensor.name), "the sensor %s is well again", sensor.name.c_str());
  }
}

// The firmware at each sample, slow sensors now and then.
void SensorReader::ask(MonoTime now) {
  const bool slow_ones = new_sensors_ || now - asked_ >= kSlowInterval;
  if (!aside_.idle() || (!slow_ones && (firmware_.empty() || !aside_.may_ask(now)))) return;
  auto batch = std::make_shared<Batch>();
  batch->generation = generation_;
  batch->firmware = firmware_;
  batch->asked = now;
  if (slow_ones) {
    for (size_t i = 0; i < sensors_.size(); ++i) {
      const Sensor& sensor = sensors_[i];
      if (sensor.quick) continue;
      batch->items.push_back(
          {i, sensor.file.path(), sensor.fault ? sensor.fault->path() : std::string()});
    }
    new_sensors_ = false;
    asked_ = now;
  }
  if (batch->items.empty() && batch->firmware.empty()) return;
  batch_ = batch;
  aside_.ask(now, [batch] { run(*batch); });
}

void SensorReader::read_quick(Sensor& sensor, MonoTime now, Scratch& scratch) {
  const SystemClock clock;
  const MonoTime before = clock.now();
  sensor.celsius = sensor.file.read(scratch, KernelFile::Part::start, parse_temperature);
  if (sensor.celsius && !is_plausible(*sensor.celsius)) sensor.celsius.reset();
  sensor.asked = now;
  if (sensor.fault) {
    const auto fault = sensor.fault->read(scratch, KernelFile::Part::start, parse_fault);
    judge_fault(sensor, fault.value_or(false));
  }
  if (clock.now() - before > kTooSlow) sensor.quick = false;
}

void SensorReader::read(MonoTime now, Scratch& scratch, wire::NodeHealth& out) {
  if (now > sample_) sample_before_ = std::exchange(sample_, now);
  if (aside_.answered(now)) take(*batch_);
  if (!firmware_.empty() && !aside_.fresh()) throttled_bits_.reset();
  size_t count = 0;
  out.temperature_c.reset();
  for (Sensor& sensor : sensors_) {
    if (sensor.quick) read_quick(sensor, now, scratch);
    if (!sensor.celsius) continue;
    // A slow sensor that has missed two answers: its last value is too old.
    const Duration age = now - sensor.asked;
    if (age > 2 * kSlowInterval + (sample_ - sample_before_)) continue;
    if (count == out.temperatures.size()) out.temperatures.resize(count + 1);
    out.temperatures[count].name = sensor.name;
    out.temperatures[count].celsius = *sensor.celsius;
    out.temperatures[count].age_s.reset();
    if (sensor.asked < sample_before_) {
      out.temperatures[count].age_s = std::chrono::round<std::chrono::seconds>(age).count();
    }
    ++count;
    out.temperature_c = std::max(out.temperature_c.value_or(*sensor.celsius), *sensor.celsius);
  }
  out.temperatures.resize(count);
  if (throttled_) {
    throttled_bits_ = throttled_->read(scratch, KernelFile::Part::start, parse_throttled);
  }
  out.throttling.reset();
  if (throttled_bits_) out.throttling = decode_throttling(*throttled_bits_);
  ask(now);
}

}  // namespace nb::health
