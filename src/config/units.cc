#include "config/units.h"

#include <limits>

#include "base/text.h"

namespace nb::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
  bool printed;
};

// Largest first, for printing.
constexpr Unit kDurationUnits[] = {
    {"d", 86'400'000'000'000, true},
    {"h", 3'600'000'000'000, true},
    {"min", 60'000'000'000, true},
    {"s", 1'000'000'000, true},
    {"ms", 1'000'000, true},
    {"us", 1'000, true},
    {"ns", 1, true},
};
constexpr Unit kSizeUnits[] = {
    {"GiB", 1ull << 30, true}, {"GB", 1'000'000'000, false},
    {"MiB", 1ull << 20, true}, {"MB", 1'000'000, false},
    {"KiB", 1ull << 10, true}, {"KB", 1'000, false},
    {"kB", 1'000, false},      {"B", 1, true},
};

struct Kind {
  const char* what;
  const char* example;
  const char* units;
  const char* guess;  // the unit that a bare number probably meant
  uint64_t limit;
};

template <size_t N>
Result<uint64_t> parse(std::string_view text, const Unit (&units)[N], const Kind& kind) {
  const std::string_view digits = text.substr(0, text.find_first_not_of("0123456789"));
  const std::string_view name = text.substr(digits.size());
  if (digits.empty() || digits.size() > 20) {
    return make_error("expected %s such as \"%s\"", kind.what, kind.example);
  }
  if (name.empty()) {
    return make_error("expected %s with its unit: write \"%.*s%s\" (units: %s)", kind.what,
                      static_cast<int>(digits.size()), digits.data(), kind.guess, kind.units);
  }
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    const auto number = parse_number<uint64_t>(digits);
    if (!number || *number > kind.limit / unit.factor) return make_error("the number is too large");
    return *number * unit.factor;
  }
  return make_error("expected %s such as \"%s\": a whole number and directly after it one of %s",
                    kind.what, kind.example, kind.units);
}

template <size_t N>
std::string print(uint64_t value, const Unit (&units)[N], const char* zero) {
  for (const Unit& unit : units) {
    if (value == 0 || !unit.printed || value % unit.factor != 0) continue;
    return std::to_string(value / unit.factor).append(unit.name);
  }
  return zero;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  constexpr Kind kKind = {"a duration", "5s", "ns, us, ms, s, min, h, d", "s",
                          std::numeric_limits<int64_t>::max()};
  const auto count = parse(text, kDurationUnits, kKind);
  if (!count) return count.error();
  return Duration(static_cast<int64_t>(*count));
}

Result<uint64_t> parse_size(std::string_view text) {
  constexpr Kind kKind = {"a size", "64KiB", "B, KiB, MiB, GiB, kB, MB, GB", "B",
                          std::numeric_limits<uint64_t>::max()};
  return parse(text, kSizeUnits, kKind);
}

std::string format_duration(Duration duration) {
  return print(static_cast<uint64_t>(duration.count()), kDurationUnits, "0s");
}

std::string format_size(uint64_t bytes) {
  return print(bytes, kSizeUnits, "0B");
}

}  // namespace nb::config
