// Checks a caller's texts before a lock is taken: text has to be UTF-8, and JSON has to be JSON
// that the agent does not refuse as malformed (PROTOCOL.md, 1.4). No allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nb::client {

// How deep JSON may be nested: the agent's limit less the levels around it in a line.
constexpr size_t kParamsDepth = 63;
constexpr size_t kMemberDepth = 62;

// The checks' answers are the C ABI's: NB_OK, NB_ERR_ARGUMENT (NULL, not UTF-8),
// NB_ERR_TOO_LARGE (more than `limit` bytes). `out` is set only on success.
int take_text(const char* text, size_t limit, std::string_view& out);

// Whether a bit of `has` names a member that is beyond the `size` of the caller's struct. `offsets`
// are those of the members, in the order of their bits.
template <size_t N>
bool lacks_a_member(uint32_t has, size_t size, const uint16_t (&offsets)[N]) {
  for (size_t i = 0; i < N; ++i) {
    if ((has >> i & 1) != 0 && offsets[i] >= size) return true;
  }
  return false;
}

// A JSON object ('{'), array ('[') or any value ('\0'), nested at most `depth` deep, so that a line
// may contain it.
int take_json(const char* text, char opening, size_t depth, std::string_view& out);

}  // namespace nb::client
