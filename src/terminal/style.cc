#include "terminal/style.h"

#include <poll.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace nb::terminal {

std::string Style::paint(Colour how, std::string_view text) const {
  if (!colour || how == Colour::none || text.empty()) return std::string(text);
  static constexpr const char* kCodes[] = {"0", "1", "2", "31", "32", "33", "34"};
  std::string out = "\033[";
  out += kCodes[static_cast<size_t>(how)];
  out += 'm';
  out += text;
  return out += "\033[0m";
}

bool is_utf8_locale(const char* lc_all, const char* lc_ctype, const char* lang) {
  for (const char* value : {lc_all, lc_ctype, lang}) {
    if (value == nullptr || *value == '\0') continue;
    return ::strcasestr(value, "utf-8") != nullptr || ::strcasestr(value, "utf8") != nullptr;
  }
  return false;
}

Style style_of(int fd) {
  Style style;
  style.terminal = ::isatty(fd) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::strcmp(term, "dumb") == 0;
  // no-color.org: present and not empty.
  style.colour = style.terminal && !dumb && (no_colour == nullptr || *no_colour == '\0');
  style.utf8 = is_utf8_locale(std::getenv("LC_ALL"), std::getenv("LC_CTYPE"), std::getenv("LANG"));
  winsize size{};
  if (style.terminal && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = size.ws_col;
  }
  return style;
}

Colour level_colour(double percent) {
  return percent >= 90 ? Colour::red : percent >= 75 ? Colour::yellow : Colour::green;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EAGAIN) {  // another process has made the pipe non-blocking
      pollfd entry{fd, POLLOUT, 0};
      (void)::poll(&entry, 1, -1);
    } else if (n < 0 && errno != EINTR) {
      return false;
    }
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace nb::terminal
