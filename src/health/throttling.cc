#include "health/throttling.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "health/fields.h"

namespace nb::health {

wire::Throttling decode_throttling(uint32_t bits) {
  const auto bit = [bits](int n) { return (bits >> n & 1) != 0; };
  wire::Throttling t;
  t.under_voltage = bit(0);
  t.frequency_capped = bit(1);
  t.throttled = bit(2);
  t.soft_temperature_limit = bit(3);
  t.under_voltage_occurred = bit(16);
  t.frequency_capped_occurred = bit(17);
  t.throttled_occurred = bit(18);
  t.soft_temperature_limit_occurred = bit(19);
  t.bits = bits;
  return t;
}

std::optional<uint32_t> parse_throttled(std::string_view text) {
  return parse_hex(trim(text));
}

std::optional<uint32_t> ask_firmware(const char* device) {
  const UniqueFd fd(::open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISCHR(info.st_mode)) return std::nullopt;
  // Mailbox property interface (raspberrypi/firmware wiki): size, code, tag, size of the value,
  // size of the request, the value, end. A value of 0 leaves the "has occurred" bits alone.
  constexpr uint32_t kGetThrottled = 0x00030046;
  constexpr uint32_t kSuccess = 0x80000000;
  alignas(16) uint32_t message[8] = {sizeof message, 0, kGetThrottled, 4, 4, 0, 0, 0};
  const unsigned long property = _IOWR(100, 0, char*);
  if (::ioctl(fd.get(), property, message) < 0 || message[1] != kSuccess ||
      (message[4] & kSuccess) == 0) {
    return std::nullopt;
  }
  return message[5];
}

}  // namespace nb::health
