// A log whose lines a test can look at.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace nb::test {

class CapturedLog {
 public:
  struct Line {
    LogLevel level;
    std::string text;
  };

  operator const Log&() const { return log_; }

  const std::vector<Line>& lines() const { return lines_; }
  void clear() { lines_.clear(); }

  // How many lines of this level hold `part`.
  long count(LogLevel level, std::string_view part = "") const {
    return std::count_if(lines_.begin(), lines_.end(), [&](const Line& line) {
      return line.level == level && line.text.find(part) != std::string::npos;
    });
  }

  // All lines, for a failure message.
  std::string text() const {
    std::string all;
    for (const Line& line : lines_) all += line.text + "\n";
    return all;
  }

 private:
  static void keep(void* user, LogLevel level, std::string_view line) {
    static_cast<CapturedLog*>(user)->lines_.push_back({level, std::string(line)});
  }

  std::vector<Line> lines_;
  Log log_{&CapturedLog::keep, this, LogLevel::debug};
};

}  // namespace nb::test
