// Log: one line for each decision, in words, with a journald priority. The agent has no other
// output. The embedder decides where lines go.
//
// Every call in the source is a kind of line with a share of the log (base/log_budget.h). Log a
// line that a client, a probe or a file causes with LogAbout, so that each has a share of its own:
//
//     log_.warning(LogAbout(peer.pid), "client %s has gone without saying good-bye", name);
//
// Log a line that an operator causes, such as an error of the configuration, by every().
#pragma once

#include <cstdarg>
#include <string_view>

#include "base/clock.h"
#include "base/log_budget.h"

namespace nb {

// Values are syslog(3) priorities, which journald reads from a "<N>" line prefix (sd-daemon(3)).
enum class LogLevel : int { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

class Log {
 public:
  // Receives one line without newline and without priority prefix. Called on the thread that logs.
  using Sink = void (*)(void* user, LogLevel level, std::string_view line);

  Log() = default;  // silent
  // `clock` must outlive the log; null: the system's.
  Log(Sink sink, void* user, LogLevel threshold, const Clock* clock = nullptr)
      : sink_(sink), user_(user), threshold_(threshold), clock_(clock) {}

  [[gnu::format(printf, 2, 3)]] void error(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void warning(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void notice(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void info(const char* format, ...) const;
  [[gnu::format(printf, 2, 3)]] void debug(const char* format, ...) const;

  [[gnu::format(printf, 3, 4)]] void error(LogAbout about, const char* format, ...) const;
  [[gnu::format(printf, 3, 4)]] void warning(LogAbout about, const char* format, ...) const;
  [[gnu::format(printf, 3, 4)]] void notice(LogAbout about, const char* format, ...) const;
  [[gnu::format(printf, 3, 4)]] void info(LogAbout about, const char* format, ...) const;
  [[gnu::format(printf, 3, 4)]] void debug(LogAbout about, const char* format, ...) const;

  // Without a limit: for lines whose number only an operator decides.
  [[gnu::format(printf, 3, 4)]] void every(LogLevel level, const char* format, ...) const;

  void set_threshold(LogLevel threshold) { threshold_ = threshold; }
  // How many lines of one kind about one subject are written a minute; 0: all.
  void set_lines_per_minute(uint64_t lines) { budget_.set_per_minute(lines); }
  bool enabled(LogLevel level) const { return sink_ != nullptr && level <= threshold_; }

  // Logs how many lines were left out, for each share that has room again. So the number is logged
  // even if no further line of that kind comes. Call this at intervals, and with `all` at the end.
  void say_left_out(bool all = false) const;

 private:
  void vlog(LogLevel level, LogAbout about, const char* format, va_list args) const;
  void write(LogLevel level, const char* format, va_list args) const;
  void say_left_out(LogBudget::Share& share) const;
  MonoTime now() const;

  Sink sink_ = nullptr;
  void* user_ = nullptr;
  LogLevel threshold_ = LogLevel::info;
  const Clock* clock_ = nullptr;
  mutable LogBudget budget_;
};

}  // namespace nb
