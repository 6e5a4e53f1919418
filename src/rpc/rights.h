// The rights of a caller. Each method names the right that it needs (method.h), and a socket gives
// its clients some of them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace nb::rpc {

enum class Right : uint8_t {
  none,   // everybody has it
  read,   // state.get, health.get, event.subscribe and others that change nothing
  robot,  // the robot's state, its strokes, its errors
  state,
  event,
  session,
};

// In the order of the enum, as the configuration and client.hello name them. `none` has no name.
inline constexpr std::string_view kRightNames[] = {"",      "read",  "robot",
                                                   "state", "event", "session"};

constexpr std::string_view name_of(Right right) {
  return kRightNames[static_cast<size_t>(right)];
}

class Rights {
 public:
  constexpr Rights() = default;
  static constexpr Rights all() { return Rights(0xff); }
  constexpr Rights with(Right right) const { return Rights(bits_ | 1u << static_cast<int>(right)); }
  // With the right of that name; an unknown name changes nothing.
  constexpr Rights with(std::string_view name) const {
    for (size_t i = 1; i < std::size(kRightNames); ++i) {
      if (kRightNames[i] == name) return with(static_cast<Right>(i));
    }
    return *this;
  }
  constexpr bool has(Right right) const {
    return right == Right::none || (bits_ >> static_cast<int>(right) & 1) != 0;
  }

 private:
  explicit constexpr Rights(unsigned bits) : bits_(static_cast<uint8_t>(bits)) {}
  uint8_t bits_ = 0;
};

}  // namespace nb::rpc
