// Screen: the terminal as a full-screen program has it: alternate screen, no echo, no cursor; as it
// was before once this is destroyed, by whichever way the program is left.
#pragma once

#include <termios.h>

#include <cstddef>
#include <string>
#include <vector>

namespace nb::ctl {

class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  bool ready() const { return ready_; }
  // SIGWINCH, SIGINT, SIGTERM and SIGHUP arrive here instead: poll it, then call next_signal().
  int signal_fd() const { return signals_; }
  // 0: none waits.
  int next_signal();

  // Asks the terminal how large it is. False if that is as before.
  bool measure();
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }

  // Draws in one write, and only if something is different. False: the terminal is gone.
  bool draw(const std::vector<std::string>& lines);

 private:
  bool ready_ = false;
  bool raw_ = false;
  termios before_{};
  int signals_ = -1;
  size_t rows_ = 24, columns_ = 80;
  std::string drawn_;
};

}  // namespace nb::ctl
