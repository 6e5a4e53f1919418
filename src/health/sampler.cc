#include "health/sampler.h"

#include "health/pressure.h"
#include "health/system.h"

namespace nb::health {

using Part = KernelFile::Part;

Sampler::Sampler(uv::Loop& loop, const Log& log, SamplerOptions options)
    : log_(log),
      root_(options.root),
      stat_(log, root_("/proc/stat")),
      load_(log, root_("/proc/loadavg")),
      uptime_(log, root_("/proc/uptime")),
      boot_id_(log, root_("/proc/sys/kernel/random/boot_id")),
      mountinfo_(log, root_("/proc/self/mountinfo")),
      pressure_cpu_(log, root_("/proc/pressure/cpu")),
      pressure_memory_(log, root_("/proc/pressure/memory")),
      pressure_io_(log, root_("/proc/pressure/io")),
      memory_(log, root_),
      disks_(loop, log, root_, options.disks, std::move(options.ask_file_system)),
      gpu_(loop, log, root_, options.gpu, std::move(options.nvml)),
      sensors_(loop, log, root_),
      network_(log, root_, std::move(options.interfaces)) {
  wire::NodeHealth first;
  sample(loop.now(), first);
}

double Sampler::value_of(Figure& figure, const std::optional<double>& value) {
  if (early_ || figure.missing == !value) return value.value_or(0);
  figure.missing = !value;
  if (value) {
    log_.info(LogAbout(figure.name), "%s is measured again", figure.name);
  } else {
    log_.warning(LogAbout(figure.name), "%s cannot be measured: 0 stands in its place",
                 figure.name);
  }
  return value.value_or(0);
}

void Sampler::look(MonoTime now) {
  const bool due = now >= next_look_;
  if (!due && !mountinfo_.changed()) return;
  bool cut = false;
  auto mounts = mountinfo_.read(scratch_, Part::whole, [&](std::string_view text) {
    cut = text.size() >= Scratch::kLimit;
    return parse_mounts(text);
  });
  if (!mounts) mounts.emplace();
  if (due) memory_.find_limits(*mounts, scratch_);
  // A new mount may cover a known path, so no path counts as local.
  if (cut) mounts->clear();
  disks_.mounts_are(*mounts);
  if (!due) return;
  next_look_ = now + kLookInterval;
  network_.look_for_hardware();
  sensors_.look();
  gpu_.look();
}

void Sampler::read_system(wire::NodeHealth& out) {
  const auto load = load_.read(scratch_, Part::start, parse_load);
  out.load_1.reset();
  out.load_5.reset();
  out.load_15.reset();
  if (load) {
    out.load_1 = load->one;
    out.load_5 = load->five;
    out.load_15 = load->fifteen;
  }
  out.uptime_s = uptime_.read(scratch_, Part::start, parse_uptime);
  const auto memory = memory_.read(scratch_);
  out.memory_percent =
      value_of(memory_percent_, memory ? std::optional(memory->percent()) : std::nullopt);
  out.memory_total_bytes.reset();
  out.memory_available_bytes.reset();
  if (memory) {
    out.memory_total_bytes = memory->total_bytes;
    out.memory_available_bytes = memory->available_bytes;
  }
  if (out.boot_id.empty()) {  // it cannot change while the agent lives
    const auto id = boot_id_.read(scratch_, Part::start, parse_boot_id);
    if (id) out.boot_id = *id;
  }
}

void Sampler::read_pressure(wire::Pressure& out) {
  out = {};
  if (const auto cpu = pressure_cpu_.read(scratch_, Part::start, parse_pressure)) {
    out.cpu_some = cpu->some;
  }
  if (const auto memory = pressure_memory_.read(scratch_, Part::start, parse_pressure)) {
    out.memory_some = memory->some;
    out.memory_full = memory->full;
  }
  if (const auto io = pressure_io_.read(scratch_, Part::start, parse_pressure)) {
    out.io_some = io->some;
    out.io_full = io->full;
  }
}

void Sampler::sample(MonoTime now, wire::NodeHealth& out) {
  if (!begun_) begun_ = now;
  early_ = now - *begun_ < kEarly;
  look(now);
  cpu_.feed(now, stat_.read(scratch_, Part::start, parse_cpu_times));
  out.cpu_percent = value_of(cpu_percent_, cpu_.percent());
  read_system(out);
  read_pressure(out.pressure);
  out.disk_percent = value_of(disk_percent_, disks_.read(now, out.disks));
  gpu_.read(now, scratch_, out);
  sensors_.read(now, scratch_, out);
  network_.read(now, scratch_, out.network);
}

}  // namespace nb::health
