// What a caller hands over is looked at before a lock is taken: text has to be UTF-8, JSON has to
// be JSON that the agent will not hang up on (PROTOCOL.md, 1.4). No allocation.
#pragma once

#include <cstddef>
#include <string_view>

namespace nb::client {

// The checks' answers are the C ABI's: NB_OK, NB_ERR_ARGUMENT (NULL, not UTF-8),
// NB_ERR_TOO_LARGE (more than `limit` bytes). `out` is set only on success.
int take_text(const char* text, size_t limit, std::string_view& out);

// A JSON object ('{') or array ('['), nested at most `depth` deep; it may be in a line then.
int take_json(const char* text, char opening, size_t depth, std::string_view& out);

}  // namespace nb::client
