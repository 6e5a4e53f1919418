#include "health/nvml.h"

#include <dlfcn.h>

#include "base/text.h"
#include "health/fields.h"

namespace nb::health {
namespace {

// nvmlReturn_t
constexpr int kSuccess = 0;

// The values of nvmlReturn_t which mean that the GPU or its driver does not work, unlike a refusal
// (not supported, no permission): uninitialised, driver not loaded, GPU lost, reset needed,
// unknown.
bool means_lost(int rc) {
  return rc == 1 || rc == 9 || rc == 15 || rc == 16 || rc == 999;
}

// nvmlDevice_t: opaque
struct Device;

// nvmlUtilization_t: percent of the last sample period (1/6 to 1 s)
struct Utilization {
  unsigned int gpu;
  unsigned int memory;  // the share of time in which memory was accessed, not how full it is
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

std::string Nvml::read(std::vector<GpuReading>& out, bool may_start) {
  if (lost_ && may_start) stop();
  if (!initialised_) {
    if (may_start) trouble_ = start();
    lost_ = false;
    if (!initialised_) return trouble_;
  }
  unsigned int count = 0;
  if (const int rc = api_->get_count(&count); rc != kSuccess) {
    stop();
    return trouble_ = format("nvmlDeviceGetCount_v2: error %d", rc);
  }
  std::string trouble;
  for (unsigned int i = 0; i < count; ++i) {
    GpuReading gpu;
    const char* call = "nvmlDeviceGetHandleByIndex_v2";
    Device* device = nullptr;
    int rc = api_->get_handle(i, &device);
    if (rc == kSuccess) {
      char name[96] = "";  // NVML_DEVICE_NAME_V2_BUFFER_SIZE
      if (api_->get_name(device, name, sizeof name - 1) == kSuccess) gpu.name = clean_name(name);
      Utilization use{};
      call = "nvmlDeviceGetUtilizationRates";
      rc = api_->get_utilization(device, &use);
      if (rc == kSuccess && use.gpu <= 100) gpu.percent = use.gpu;
      if (!means_lost(rc)) rc = kSuccess;  // this GPU does not report it
    }
    if (rc == kSuccess) {
      MemoryInfo memory{};
      call = "nvmlDeviceGetMemoryInfo";
      rc = api_->get_memory(device, &memory);
      if (rc == kSuccess && memory.total > 0 && memory.used <= memory.total) {
        gpu.memory_percent =
            100 * static_cast<double>(memory.used) / static_cast<double>(memory.total);
      }
      if (!means_lost(rc)) rc = kSuccess;
    }
    if (rc == kSuccess) {
      out.push_back(std::move(gpu));
    } else {
      lost_ = true;
      trouble = format("%s of GPU %u: error %d", call, i, rc);
    }
  }
  return trouble;
}

}  // namespace nb::health
