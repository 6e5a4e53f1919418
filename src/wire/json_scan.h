// A strict JSON scanner: decides whether a text is exactly one JSON value by RFC 8259. Much that
// other parsers let through is not (leading zeros, raw control characters, invalid UTF-8, a NUL
// that cuts a string short). Pure, no recursion.
#pragma once

#include <cstddef>
#include <string_view>

#include "wire/line_limits.h"

namespace nb::wire {

struct JsonLimits {
  size_t max_bytes = kLineBytes;
  size_t max_depth = 64;  // of arrays and objects; at most 64
};

// Why a text was refused; `reason` is a static sentence fragment, `offset` a byte position.
struct JsonFault {
  const char* reason = nullptr;  // null: the text is acceptable
  size_t offset = 0;
};

// Beyond the grammar it refuses `\u0000`, unpaired surrogate escapes and invalid UTF-8. Allocates
// nothing.
JsonFault scan_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace nb::wire
