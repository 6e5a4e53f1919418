#include "base/log.h"

#include <algorithm>
#include <cstdio>

#include "base/foreign_text.h"
#include "base/text.h"

namespace nb {
namespace {

constexpr size_t kMaxLine = 1024;

// A newline or an escape sequence in foreign text must not forge a second line.
std::string format_line(const char* format, va_list args) {
  char line[kMaxLine];
  const int n = std::vsnprintf(line, sizeof line, format, args);
  if (n < 0) return {};
  return foreign_text({line, std::min(static_cast<size_t>(n), sizeof line - 1)}, kMaxLine);
}

}  // namespace

MonoTime Log::now() const {
  return clock_ != nullptr ? clock_->now() : SystemClock().now();
}

void Log::write(LogLevel level, const char* format, va_list args) const {
  sink_(user_, level, format_line(format, args));
}

void Log::vlog(LogLevel level, LogAbout about, const char* format, va_list args) const {
  if (!enabled(level)) return;
  bool taken = false;
  LogBudget::Share* share = budget_.ask(format, about, now(), taken);
  if (taken) {
    if (share != nullptr && share->left_out > 0) say_left_out(*share);
    return write(level, format, args);
  }
  if (share->left_out > 1) return;
  const std::string text = format_line(format, args);
  const std::string_view beginning = clip_utf8(text, sizeof share->sample);
  beginning.copy(share->sample, beginning.size());
  share->sample_size = static_cast<uint8_t>(beginning.size());
  share->level = static_cast<int>(level);
}

void Log::every(LogLevel level, const char* format, ...) const {
  if (!enabled(level)) return;
  va_list args;
  va_start(args, format);
  write(level, format, args);
  va_end(args);
}

void Log::say_left_out(LogBudget::Share& share) const {
  const uint64_t count = share.left_out;
  share.left_out = 0;
  const std::string_view beginning = share.beginning();
  every(static_cast<LogLevel>(share.level), "%.*s... and %llu more like this were left out",
        static_cast<int>(beginning.size()), beginning.data(),
        static_cast<unsigned long long>(count));
}

void Log::say_left_out(bool all) const {
  if (sink_ == nullptr) return;
  const MonoTime at = now();
  while (LogBudget::Share* share = budget_.next_told(at, all)) say_left_out(*share);
}

#define NB_LOG_METHOD(name)                                       \
  void Log::name(const char* format, ...) const {                 \
    va_list args;                                                 \
    va_start(args, format);                                       \
    vlog(LogLevel::name, {}, format, args);                       \
    va_end(args);                                                 \
  }                                                               \
  void Log::name(LogAbout about, const char* format, ...) const { \
    va_list args;                                                 \
    va_start(args, format);                                       \
    vlog(LogLevel::name, about, format, args);                    \
    va_end(args);                                                 \
  }

NB_LOG_METHOD(error)
NB_LOG_METHOD(warning)
NB_LOG_METHOD(notice)
NB_LOG_METHOD(info)
NB_LOG_METHOD(debug)
#undef NB_LOG_METHOD

}  // namespace nb
