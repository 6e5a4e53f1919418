// Text for people: its width on a terminal, text cut and padded to columns, ages, sizes, bars.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace nb::terminal {

// Columns that UTF-8 text takes on a terminal: combining marks none, East Asian wide and emoji
// two. A byte that is no UTF-8 counts as one column.
size_t width(std::string_view text);

// At most `columns` wide; "…" marks a cut, or "..." without `utf8`.
std::string clip(std::string_view text, size_t columns, bool utf8);

// The text in lines of at most `columns`, broken at spaces where that is possible. A character that
// is wider than that has a line of its own. At least one line.
std::vector<std::string> wrap(std::string_view text, size_t columns);

enum class Align : uint8_t { left, right };
// With spaces up to `columns`; longer text stays unchanged.
std::string pad(std::string_view text, size_t columns, Align align = Align::left);

// Makes foreign text harmless for a terminal: characters that base/foreign_text.h calls unsafe
// (control characters, C1 ones included, and marks that turn the direction of writing), and bytes
// that are not UTF-8, become '?'. Every text from outside is printed through this.
std::string printable(std::string_view text);
// The same, but newlines stay.
std::string printable_lines(std::string_view text);
// The same for JSON, whose meaning stays: characters that could steer a terminal can only be inside
// strings, and become escapes there, \u009b.
std::string json_printable(std::string_view json);

// `text` as one word for a shell, in quotes where it needs them.
std::string shell_word(const std::string& text);

// An age for people, in the units of human_duration(): "12 s ago", or "now" within the first
// second. A future time has a negative age: "in 3 s". Parts of a second are left out, since an age
// is shown once and is not followed.
std::string ago(int64_t milliseconds);
// "512 B", "1.5 KiB", "1 MiB"
std::string size_text(double bytes);
// "350 us", "1.2 ms", "2.5 s"
std::string latency(double microseconds);
// "7 %", right-aligned in five columns.
std::string percent(double value);

// `cells` wide, filled to `fraction` (0 to 1): blocks in eighths of a cell, or "####----".
std::string bar(double fraction, size_t cells, bool utf8);

}  // namespace nb::terminal
