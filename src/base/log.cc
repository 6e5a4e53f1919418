#include "base/log.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"

namespace nb {
namespace {

constexpr size_t kMaxLine = 1024;

// The line's text in `line`, and how long it is.
size_t format_line(char (&line)[kMaxLine], const char* format, va_list args) {
  const int n = std::vsnprintf(line, sizeof line, format, args);
  if (n < 0) return 0;
  const size_t size = std::min(static_cast<size_t>(n), sizeof line - 1);
  // A newline or an escape sequence that came in with foreign text must not forge a second line.
  for (size_t i = 0; i < size; ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if (c < 0x20 || c == 0x7f) line[i] = '?';
  }
  return size;
}

}  // namespace

MonoTime Log::now() const {
  return clock_ != nullptr ? clock_->now() : SystemClock().now();
}

void Log::write(LogLevel level, const char* format, va_list args) const {
  char line[kMaxLine];
  const size_t size = format_line(line, format, args);
  sink_(user_, level, std::string_view(line, size));
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
  char line[kMaxLine];
  const std::string_view text(line, format_line(line, format, args));
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
