#include "ctl/screen.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ctl/top_view.h"
#include "terminal/style.h"

namespace nb::ctl {

using namespace terminal;
namespace {

// To the alternate screen, without cursor and without wrapping at the right edge; and back.
constexpr char kEnter[] = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J";
// A terminal that knows this shows the picture when it is complete; others ignore it.
constexpr char kBeginPicture[] = "\033[?2026h";
constexpr char kEndPicture[] = "\033[?2026l";
constexpr char kLeave[] = "\033[?7h\033[?25h\033[?1049l";

sigset_t signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGWINCH, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Screen::Screen() {
  const sigset_t set = signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals_ < 0) return;
  // Keys are read from a terminal only. If stdin is something else, a signal ends the program.
  if (::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~static_cast<tcflag_t>(IXON | ICRNL);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  measure();
  ready_ = write_all(STDOUT_FILENO, kEnter);
}

Screen::~Screen() {
  if (ready_) write_all(STDOUT_FILENO, kLeave);
  if (raw_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  if (signals_ >= 0) ::close(signals_);
}

int Screen::next_signal() {
  signalfd_siginfo info{};
  return ::read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)
             ? static_cast<int>(info.ssi_signo)
             : 0;
}

bool Screen::measure() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    return false;
  }
  if (rows_ == size.ws_row && columns_ == size.ws_col) return false;
  rows_ = size.ws_row;
  columns_ = size.ws_col;
  drawn_.clear();
  return true;
}

bool Screen::draw(const std::vector<std::string>& lines) {
  // Every line clears the rest of its row, and the last line the rest of the screen, so that
  // nothing is blank between two pictures. After a full row the cursor is still on its last
  // character, which clearing would erase: so there is no rest.
  std::string frame = std::string(kBeginPicture) + "\033[H";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) frame += "\r\n";
    frame += lines[i];
    if (painted_width(lines[i]) < columns_) frame += "\033[K";
  }
  if (lines.size() < rows_) frame += "\r\n\033[J";
  frame += kEndPicture;
  if (frame == drawn_) return true;
  drawn_ = std::move(frame);
  return write_all(STDOUT_FILENO, drawn_);
}

}  // namespace nb::ctl
