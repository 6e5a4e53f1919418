// Style: the abilities of standard output, which may be a terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nb::terminal {

enum class Colour : uint8_t { none, bold, dim, red, green, yellow, blue };

struct Style {
  bool terminal = false;
  bool colour = false;  // a terminal, and no NO_COLOR
  bool utf8 = false;    // by the locale
  size_t columns = 100;

  // `text` in that colour, or unchanged.
  std::string paint(Colour how, std::string_view text) const;
};

// The style of `fd`. Reads the environment: NO_COLOR, TERM, and the locale's variables.
Style style_of(int fd);

// Whether the locale's variables (LC_ALL, LC_CTYPE, LANG, in that order) say UTF-8.
bool is_utf8_locale(const char* lc_all, const char* lc_ctype, const char* lang);

// A level from 0 to 100 as a colour: green, yellow from 75, red from 90.
Colour level_colour(double percent);

// Writes all of `text` to `fd`, and waits while the descriptor takes nothing. False, with errno
// set, if that fails.
bool write_all(int fd, std::string_view text);

}  // namespace nb::terminal
