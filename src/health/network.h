// Network rates: the difference of two samples of /proc/net/dev.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "health/kernel_file.h"
#include "health/root.h"
#include "wire/node_health.h"

namespace nb::health {

struct InterfaceCounters {
  std::string_view name;  // into the line
  uint64_t rx_bytes = 0;
  uint64_t tx_bytes = 0;
};

// One line of /proc/net/dev; nothing for its two head lines.
std::optional<InterfaceCounters> parse_interface(std::string_view line);

class NetworkReader {
 public:
  // At most so many interfaces are reported: a host of containers has hundreds.
  static constexpr size_t kMost = 16;

  // `wanted` by name; empty: all but lo, those with hardware behind them first.
  NetworkReader(const Log& log, const Root& root, std::vector<std::string> wanted);

  // Takes a sample. An interface is in `out` from its second sample on; when its counters went
  // back (driver reloaded, 32-bit overflow) it is left out once.
  void read(MonoTime now, Scratch& scratch, std::vector<wire::NetworkRate>& out);

  // At the next sample a full list gives up interfaces without hardware for new ones that have it.
  // Now and then: each candidate is looked up in /sys.
  void look_for_hardware() { looking_ = true; }

 private:
  struct Interface {
    std::string name;
    std::string shown;  // the kernel takes all but blanks, '/' and ':' as a name
    bool physical = false;
    bool seen = false;
    bool rated = false;  // the rates are real
    uint64_t rx_bytes = 0, tx_bytes = 0;
    double rx_rate = 0, tx_rate = 0;
  };

  void feed(const InterfaceCounters& counters, double seconds);
  void add(const InterfaceCounters& counters);
  Interface* known(std::string_view name);
  bool is_wanted(std::string_view name) const;

  const Root root_;
  KernelFile file_;
  const std::vector<std::string> wanted_;
  std::vector<Interface> interfaces_;  // physical ones first
  MonoTime last_{};
  bool looking_ = false;
};

}  // namespace nb::health
