// Load, uptime and boot id.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nb::health {

struct Load {
  double one = 0, five = 0, fifteen = 0;
};

// /proc/loadavg: "0.11 0.26 0.17 1/84 15857".
std::optional<Load> parse_load(std::string_view text);

// /proc/uptime: "1016.81 1828.42"; whole seconds since boot.
std::optional<int64_t> parse_uptime(std::string_view text);

// /proc/sys/kernel/random/boot_id: a UUID in lower-case hexadecimal. The view is into `text`.
std::optional<std::string_view> parse_boot_id(std::string_view text);

}  // namespace nb::health
