// A strict JSON scanner: decides whether a text is exactly one JSON value by RFC 8259. Much that
// other parsers let through is not (leading zeros, raw control characters, invalid UTF-8, a NUL
// that cuts a string short). Pure, no recursion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nb::json {

struct Limits {
  size_t max_bytes = UINT32_MAX;  // at most that: places in a text are kept in 32 bits
  size_t max_depth = 64;          // of arrays and objects; at most 64
};

// Why a text was refused; `reason` is a static sentence fragment, `offset` a byte position.
struct Fault {
  const char* reason = nullptr;  // null: the text is acceptable
  size_t offset = 0;
};

// Beyond the grammar it refuses `\u0000`, unpaired surrogate escapes and invalid UTF-8. Allocates
// nothing.
Fault scan(std::string_view text, const Limits& limits = {});

}  // namespace nb::json
