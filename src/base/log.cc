#include "base/log.h"

#include <cstdio>

namespace nb {

void Log::vlog(LogLevel level, const char* format, va_list args) const {
  if (!enabled(level)) return;
  char line[1024];
  const int n = std::vsnprintf(line, sizeof line, format, args);
  if (n < 0) return;
  const size_t size =
      static_cast<size_t>(n) < sizeof line ? static_cast<size_t>(n) : sizeof line - 1;
  // A newline or an escape sequence that came in with foreign text must not forge a second line.
  for (size_t i = 0; i < size; ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (c < 0x20 || c == 0x7f) line[i] = '?';
  }
  sink_(user_, level, std::string_view(line, size));
}

#define NB_LOG_METHOD(name)                       \
  void Log::name(const char* format, ...) const { \
    va_list args;                                 \
    va_start(args, format);                       \
    vlog(LogLevel::name, format, args);           \
    va_end(args);                                 \
  }

NB_LOG_METHOD(error)
NB_LOG_METHOD(warning)
NB_LOG_METHOD(notice)
NB_LOG_METHOD(info)
NB_LOG_METHOD(debug)
#undef NB_LOG_METHOD

}  // namespace nb
