// Foreign text (a server's error, a probed program's words, a file's content) made fit for the log,
// STATUS=, JSON and a terminal. Use this once, where the text enters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nb {

// The default limit of a foreign error text.
inline constexpr size_t kMaxForeignText = 512;

// `bytes` as well-formed UTF-8 on one line, at most `max_bytes` long. A byte that is no UTF-8 and a
// control character of ASCII are written as "\x1b". A control character of Latin-1 (U+0080 to
// U+009F), a mark that turns the direction of writing, and a line or paragraph separator are
// written as "\u202e". A text that is too long is cut at the end of a character and gets "..."
// (within `max_bytes`, if that is three or more). Other text passes unchanged, so a second pass
// changes nothing. The cost depends on `max_bytes`, not on the size of `bytes`.
std::string foreign_text(std::string_view bytes, size_t max_bytes = kMaxForeignText);

// True if foreign_text() would replace the character `code`, which is valid. Inline, since
// libnodebeat uses it too and takes nothing of std::string.
constexpr bool is_unsafe_character(char32_t code) {
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return true;
  // ARABIC LETTER MARK; LEFT-TO-RIGHT and RIGHT-TO-LEFT MARK; the separators of lines and
  // paragraphs, embeddings and overrides; isolates (Unicode, Bidirectional Algorithm, 2).
  return code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace nb
