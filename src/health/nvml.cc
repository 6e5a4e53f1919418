#include "health/nvml.h"

#include <dlfcn.h>

#include "base/text.h"
#include "health/fields.h"

namespace nb::health {
namespace {

// nvmlReturn_t
constexpr int kSuccess = 0;

// nvmlDevice_t: opaque
struct Device;

// nvmlUtilization_t: percent of the last sample period (1/6 to 1 s)
struct Utilization {
  unsigned int gpu;
  unsigned int memory;  // of the time in which memory was accessed, not how full it is
};

// nvmlMemory_t (version 1, which every driver has), bytes
struct MemoryInfo {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

template <class Function>
bool find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(handle, name));
  return function != nullptr;
}

}  // namespace

struct Nvml::Api {
  int (*init)();
  int (*shutdown)();
  int (*get_count)(unsigned int* count);
  int (*get_handle)(unsigned int index, Device** device);
  int (*get_utilization)(Device* device, Utilization* utilization);
  int (*get_memory)(Device* device, MemoryInfo* memory);
  int (*get_name)(Device* device, char* name, unsigned int length);
};

Nvml::Nvml(std::string library) : library_(std::move(library)) {}

Nvml::~Nvml() {
  stop();
}

void Nvml::stop() {
  if (initialised_) api_->shutdown();
  initialised_ = false;
}

std::string Nvml::start() {
  if (!api_) {
    // Never unloaded: the library may have registered things with libc that outlive dlclose.
    void* handle = ::dlopen(library_.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* why = ::dlerror();
      return why != nullptr ? why : "cannot load " + library_;
    }
    auto api = std::make_unique<Api>();
    if (!find(handle, "nvmlInit_v2", api->init) || !find(handle, "nvmlShutdown", api->shutdown) ||
        !find(handle, "nvmlDeviceGetCount_v2", api->get_count) ||
        !find(handle, "nvmlDeviceGetHandleByIndex_v2", api->get_handle) ||
        !find(handle, "nvmlDeviceGetUtilizationRates", api->get_utilization) ||
        !find(handle, "nvmlDeviceGetMemoryInfo", api->get_memory) ||
        !find(handle, "nvmlDeviceGetName", api->get_name)) {
      return library_ + " lacks a function of NVML";
    }
    api_ = std::move(api);
  }
  if (const int rc = api_->init(); rc != kSuccess) return format("nvmlInit_v2: error %d", rc);
  initialised_ = true;
  return {};
}

std::string Nvml::read(std::vector<GpuReading>& out) {
  if (!initialised_) {
    if (std::string why = start(); !why.empty()) return why;
  }
  unsigned int count = 0;
  if (const int rc = api_->get_count(&count); rc != kSuccess) {
    stop();
    return format("nvmlDeviceGetCount_v2: error %d", rc);
  }
  for (unsigned int i = 0; i < count; ++i) {
    Device* device = nullptr;
    if (const int rc = api_->get_handle(i, &device); rc != kSuccess) {
      stop();  // a GPU that fell off the bus is back after a new start at best
      return format("nvmlDeviceGetHandleByIndex_v2(%u): error %d", i, rc);
    }
    out.push_back({});
    GpuReading& gpu = out.back();
    char name[96] = "";  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
    if (api_->get_name(device, name, sizeof name - 1) == kSuccess) gpu.name = clean_name(name);
    Utilization use{};
    if (api_->get_utilization(device, &use) == kSuccess && use.gpu <= 100) gpu.percent = use.gpu;
    MemoryInfo memory{};
    if (api_->get_memory(device, &memory) == kSuccess && memory.total > 0 &&
        memory.used <= memory.total) {
      gpu.memory_percent =
          100 * static_cast<double>(memory.used) / static_cast<double>(memory.total);
    }
  }
  return {};
}

}  // namespace nb::health
