// NVIDIA's management library, loaded when it is there; the build needs nothing of it.
//
// The prototypes in nvml.cc are written by hand after NVIDIA's "NVML API Reference Guide". Calls
// may take milliseconds, the first one seconds, and hang with a driver that hangs: use it aside.
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

  // Appends one reading for each GPU that answers: one that is lost costs the others nothing. Empty
  // on success, else the error. `may_start`: the library may be loaded and initialised, if that has
  // not yet succeeded, and once more after a GPU was lost. Otherwise only GPUs that work are asked,
  // and nothing is loaded.
  std::string read(std::vector<GpuReading>& out, bool may_start);

 private:
  struct Api;

  std::string start();
  void stop();

  const std::string library_;
  std::unique_ptr<Api> api_;
  bool initialised_ = false;
  bool lost_ = false;    // a GPU that fell off the bus is back after a new start at best
  std::string trouble_;  // of the last start
};

}  // namespace nb::health
