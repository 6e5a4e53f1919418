#include "health/gpu.h"

#include "health/directory.h"
#include "health/fields.h"
#include "health/nvml.h"

namespace nb::health {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

std::optional<double> parse_up_to(std::string_view text, unsigned most) {
  const auto value = parse_number<unsigned>(trim(text));
  if (!value || *value > most) return std::nullopt;
  return *value;
}

// Where the kernels of JetPack 4 to 7 keep the load, newest first; empty if nowhere.
std::string find_jetson_load(const Root& root) {
  const std::string devfreq = root("/sys/class/devfreq");
  for (const std::string& name : entries(devfreq)) {
    // "17000000.gpu", ".ga10b" (Orin), ".gv11b" (Xavier), ".gp10b" (TX2), "57000000.gpu" (Nano)
    if (!name.ends_with(".gpu") && !name.ends_with("10b") && !name.ends_with("11b")) continue;
    const std::string path = devfreq + "/" + name + "/device/load";
    if (exists(path)) return path;
  }
  for (const char* path :
       {"/sys/devices/platform/bus@0/17000000.gpu/load", "/sys/devices/platform/17000000.gpu/load",
        "/sys/devices/platform/17000000.ga10b/load", "/sys/devices/platform/gpu.0/load",
        "/sys/devices/17000000.gv11b/load", "/sys/devices/gpu.0/load"}) {
    if (exists(root(path))) return root(path);
  }
  return {};
}

std::vector<std::string> find_amd(const Root& root) {
  std::vector<std::string> devices;
  const std::string drm = root("/sys/class/drm");
  for (const unsigned n : numbered_entries(drm, "card")) {
    const std::string device = format("%s/card%u/device", drm.c_str(), n);
    if (exists(device + "/gpu_busy_percent")) devices.push_back(std::string(device));
  }
  return devices;
}

void read_amd(const std::string& device, std::vector<GpuReading>& out) {
  if (!exists(device + "/gpu_busy_percent")) return;  // it was removed since it was found
  GpuReading gpu;
  const std::string product = read_word(device + "/product_name");
  const std::string id = read_word(device + "/device");
  gpu.name = clean_name(!product.empty() ? product : "AMD GPU " + id);
  // The question would wake a sleeping GPU, which takes a second and costs power.
  if (read_word(device + "/power/runtime_status") == "suspended"sv) {
    gpu.percent = 0;
    out.push_back(std::move(gpu));
    return;
  }
  gpu.percent = parse_gpu_busy(read_word(device + "/gpu_busy_percent"));
  const auto total = parse_number<uint64_t>(read_word(device + "/mem_info_vram_total"));
  const auto used = parse_number<uint64_t>(read_word(device + "/mem_info_vram_used"));
  if (total && used && *total > 0 && *used <= *total) {
    gpu.memory_percent = 100 * static_cast<double>(*used) / static_cast<double>(*total);
  }
  out.push_back(std::move(gpu));
}

}  // namespace

std::optional<double> parse_jetson_load(std::string_view text) {
  const auto load = parse_up_to(text, 1000);
  if (!load) return std::nullopt;
  return *load / 10;
}

std::optional<double> parse_gpu_busy(std::string_view text) {
  return parse_up_to(text, 100);
}

const GpuReading* busiest(const std::vector<GpuReading>& gpus) {
  const GpuReading* best = nullptr;
  for (const GpuReading& gpu : gpus) {
    if (best == nullptr || gpu.percent.value_or(-1) > best->percent.value_or(-1)) best = &gpu;
  }
  return best;
}

struct GpuReader::Drivers {
  explicit Drivers(std::string library) : nvml(std::move(library)) {}

  void ask(bool may_start) {
    readings.clear();
    error.clear();
    if (ask_nvml) error = nvml.read(readings, may_start);
    for (const std::string& device : amd) read_amd(device, readings);
  }

  Nvml nvml;
  bool ask_nvml = false;
  std::vector<std::string> amd;
  std::vector<GpuReading> readings;
  std::string error;
};

GpuReader::GpuReader(uv::Loop& loop, const Log& log, const Root& root, GpuKind kind,
                     std::string nvml)
    : log_(log),
      root_(root),
      kind_(kind),
      drivers_(std::make_shared<Drivers>(std::move(nvml))),
      aside_(loop, log, "the GPU's driver") {}

GpuReader::~GpuReader() = default;

void GpuReader::look() {
  if (wants(GpuKind::jetson)) {
    const std::string path = find_jetson_load(root_);
    if (path.empty()) {
      jetson_load_.reset();
    } else if (!jetson_load_ || jetson_load_->path() != path) {
      jetson_load_.emplace(log_, path);
      std::string model = read_word(root_("/proc/device-tree/model"));
      while (!model.empty() && model.back() == '\0') model.pop_back();
      jetson_.name = model.empty() ? "Jetson" : clean_name(model);
    }
  }
  // On a Jetson NVML answers too, with nothing in it.
  if (jetson_load_ || !aside_.idle()) return;
  drivers_->amd.clear();
  if (wants(GpuKind::amd)) drivers_->amd = find_amd(root_);
  drivers_->ask_nvml = wants(GpuKind::nvidia) && (exists(root_("/proc/driver/nvidia/version")) ||
                                                  exists(root_("/dev/nvidiactl")));
  has_drivers_ = drivers_->ask_nvml || !drivers_->amd.empty();
  driver_answered_ = driver_answered_ && has_drivers_;
  const bool asked_for = kind_ != GpuKind::automatic && kind_ != GpuKind::none;
  if (!asked_for || has_drivers_ || missing_said_) return;
  missing_said_ = true;
  log_.warning("no GPU of the configured kind is found so far; it is looked for every minute");
}

void GpuReader::take(MonoTime now) {
  const GpuReading* best = busiest(drivers_->readings);
  driver_answered_ = best != nullptr;
  if (best != nullptr) driver_reading_ = *best;
  if (drivers_->error.empty()) {
    complained_ = false;
    return;
  }
  if (starting_) next_start_ = now + kRetry;
  if (complained_) return;
  complained_ = true;
  log_.warning("an NVIDIA GPU is left out: %s", drivers_->error.c_str());
}

void GpuReader::publish(const GpuReading* gpu, bool fresh, wire::NodeHealth& out) const {
  out.gpu_available = gpu != nullptr;
  if (gpu == nullptr) {
    out.gpu_percent.reset();
    out.gpu_memory_percent.reset();
    out.gpu_name.clear();
    return;
  }
  out.gpu_percent = fresh ? gpu->percent : std::nullopt;
  out.gpu_memory_percent = fresh ? gpu->memory_percent : std::nullopt;
  out.gpu_name = gpu->name;
}

void GpuReader::read(MonoTime now, Scratch& scratch, wire::NodeHealth& out) {
  if (jetson_load_) {
    jetson_.percent = jetson_load_->read(scratch, KernelFile::Part::start, parse_jetson_load);
    publish(&jetson_, true, out);
    return;
  }
  if (aside_.answered(now)) take(now);
  if (has_drivers_ && aside_.may_ask(now)) {
    starting_ = now >= next_start_;
    aside_.ask(now, [drivers = drivers_, may_start = starting_] { drivers->ask(may_start); });
  }
  const bool there = driver_answered_ && !aside_.silent();
  publish(there ? &driver_reading_ : nullptr, aside_.fresh(), out);
}

}  // namespace nb::health
