// Whether a Raspberry Pi's firmware holds the processor back: weak supply, heat.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/node_health.h"

namespace nb::health {

// The firmware's word, bit by bit (Raspberry Pi documentation, vcgencmd get_throttled).
wire::Throttling decode_throttling(uint32_t bits);

// The word as the kernel's get_throttled file has it, hexadecimal without "0x".
std::optional<uint32_t> parse_throttled(std::string_view text);

// Asks the firmware through /dev/vcio, as vcgencmd does (property tag GET_THROTTLED, without
// clearing what has occurred). Nothing if `device` is no such thing or may not be opened. Takes up
// to milliseconds, a second if the firmware hangs: not for the loop's thread.
std::optional<uint32_t> ask_firmware(const char* device);

}  // namespace nb::health
