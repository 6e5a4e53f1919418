// Why this computer was started: what the machine offers, and what nodebeat-boot.service has noted.
// Only what is known is said.
//
//   reason     known from
//   panic      the kernel has left the record of a panic (pstore)
//   clean      the system was shut down, or restarted, on somebody's order
//   watchdog   a watchdog has reset the computer
//   thermal    a sensor has reset it, or switched it off
//   power      the power was too low, or gone
//   unclean    it was not shut down, and nothing tells why
//   unknown    nobody has noted how the boot before ended
#pragma once

#include <cstdint>
#include <string_view>

#include "health/root.h"
#include "wire/node_health.h"

namespace nb::node {

// Reads files that the kernel computes on the spot, and a note in /run.
wire::BootReason find_boot_reason(const health::Root& root);

// What one source tells; "" if that is nothing. Pure.
//
// The status of a watchdog: WDIOF_* of linux/watchdog.h.
std::string_view reason_of_watchdog(uint32_t bootstatus);
// A Jetson's: the word of its power management controller, as "LCCPLEXWDT".
std::string_view reason_of_tegra(std::string_view word, bool was_unclean);
// A Raspberry Pi's: why the power management of a Pi 5 was reset, and the register PM_RSTS.
std::string_view reason_of_raspberry_pi(uint32_t power_reset, uint32_t pm_rsts, bool was_unclean);

}  // namespace nb::node
