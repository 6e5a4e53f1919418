// NVIDIA's management library, loaded when it is there; nothing of it is needed to build.
//
// The prototypes in nvml.cc are written by hand after NVIDIA's "NVML API Reference Guide". Calls
// may take milliseconds, the first one seconds, and hang with a wedged driver: use it aside.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "health/gpu_reading.h"

namespace nb::health {

class Nvml {
 public:
  // `library` as for dlopen(3): "libnvidia-ml.so.1".
  explicit Nvml(std::string library);
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml();

  // Appends one reading for each GPU. Loads and initialises the library when that has not yet
  // succeeded, and again after the driver was lost. Empty on success, else what went wrong.
  std::string read(std::vector<GpuReading>& out);

 private:
  struct Api;

  std::string start();
  void stop();

  const std::string library_;
  std::unique_ptr<Api> api_;
  bool initialised_ = false;
};

}  // namespace nb::health
