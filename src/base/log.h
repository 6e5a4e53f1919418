// Log: one line a decision, in words, with a journald priority. The agent has no other output;
// where lines go is the embedder's business.
#pragma once

#include <cstdarg>
#include <string_view>

namespace nb {

// Values are syslog(3) priorities, which journald reads from a "<N>" line prefix (sd-daemon(3)).
enum class LogLevel : int { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

class Log {
 public:
  // Receives one line without newline and without priority prefix. Called on the thread that logs.
  using Sink = void (*)(void* user, LogLevel level, std::string_view line);

  Log() = default;  // silent
  Log(Sink sink, void* user, LogLevel threshold)
      : sink_(sink), user_(user), threshold_(threshold) {}

  [[gnu::format(printf, 2, 3)]] void error(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void warning(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void notice(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void info(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void debug(const char* format, ...) const;

  void set_threshold(LogLevel threshold) { threshold_ = threshold; }
  bool enabled(LogLevel level) const { return sink_ != nullptr && level <= threshold_; }

 private:
  void vlog(LogLevel level, const char* format, va_list args) const;

  Sink sink_ = nullptr;
  void* user_ = nullptr;
  LogLevel threshold_ = LogLevel::info;
};

}  // namespace nb
