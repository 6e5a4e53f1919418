#include "base/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "base/result.h"

namespace nb {

std::string vformat(const char* format, va_list args) {
  va_list again;
  va_copy(again, args);
  char small[256];
  // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): a caller's va_list looks so to clang 14.
  const int n = std::vsnprintf(small, sizeof small, format, args);
  std::string text;
  if (n >= 0 && static_cast<size_t>(n) < sizeof small) {
    text.assign(small, static_cast<size_t>(n));
  } else if (n >= 0) {
    text.resize(static_cast<size_t>(n) + 1);  // vsnprintf writes a NUL too
    std::vsnprintf(text.data(), text.size(), format, again);
    text.resize(static_cast<size_t>(n));
  }
  va_end(again);
  return text;
}

std::string format(const char* format, ...) {
  va_list args;
  va_start(args, format);
  std::string text = vformat(format, args);
  va_end(args);
  return text;
}

bool is_own_trouble(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return true;
    default:
      return false;
  }
}

Fault fault_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return Fault::no_place;
    case EROFS:
      return Fault::read_only;
    case ENOSPC:
    case EDQUOT:
      return Fault::no_space;
    case EACCES:
    case EPERM:
      return Fault::denied;
    default:
      return Fault::other;
  }
}

Error make_error(const char* format, ...) {
  va_list args;
  va_start(args, format);
  Error error{vformat(format, args)};
  va_end(args);
  return error;
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string human_duration(long long ms) {
  if (ms < 1000) return format("%lld ms", std::max(ms, 0LL));
  const long long s = ms / 1000;
  if (const long long tenths = ms % 1000 / 100; s < 10 && tenths != 0) {
    return format("%lld.%lld s", s, tenths);
  }
  if (s < 60) return format("%lld s", s);
  const auto two = [](long long a, const char* unit_a, long long b, const char* unit_b) {
    return b == 0 ? format("%lld %s", a, unit_a) : format("%lld %s %lld %s", a, unit_a, b, unit_b);
  };
  if (s < 3600) return two(s / 60, "min", s % 60, "s");
  if (s < 86400) return two(s / 3600, "h", s % 3600 / 60, "min");
  return two(s / 86400, "d", s % 86400 / 3600, "h");
}

}  // namespace nb
