// Patterns as Redis matches them (PSUBSCRIBE, KEYS, SCAN MATCH).
#pragma once

#include <string_view>

namespace nb {

// Byte by byte: `*` any run, `?` any one, `[abc]` `[a-c]` one of these, `[^a]` one that is not, `\`
// takes the next literally; the oddities too: a class without `]` ends with the pattern, `[c-a]` is
// `[a-c]`, a `\` at the end is itself. At most pattern times text steps, whatever the pattern; what
// stands behind a `*` up to the next that is not literal is found as a word, far quicker.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace nb
