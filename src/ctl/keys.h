// Keys of a terminal, read from the bytes that it sends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

struct Key {
  enum class Kind : uint8_t {
    text,  // a character, in `text`
    enter,
    escape,
    backspace,
    interrupt,  // Ctrl-C
    up,
    down,
    page_up,
    page_down,
    home,
    end,
  };
  Kind kind = Kind::text;
  std::string text;
};

// The keys in what one read() has returned. A sequence that is not known is left out. Pure.
std::vector<Key> read_keys(std::string_view bytes);

}  // namespace nb::ctl
