// Screen: puts the terminal into the state of a full-screen program: alternate screen, no echo, no
// cursor. Its destructor restores the former state, whichever way the program is left.
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
  // SIGWINCH, SIGINT, SIGTERM and SIGHUP arrive at this descriptor: poll it, then call
  // next_signal().
  int signal_fd() const { return signals_; }
  // The next signal that has come; 0: there is none.
  int next_signal();

  // Asks the terminal for its size. False if the size has not changed.
  bool measure();
  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }

  // Draws with one write, and only if the picture has changed. False: the terminal is gone.
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
