#include "terminal/text.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/foreign_text.h"

namespace nb::terminal {
namespace {

struct Range {
  char32_t first, last;
};

// Unicode 15: combining marks and format characters that occur in practice.
constexpr std::array kZeroWidth = {
    Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD}, Range{0x0610, 0x061A},
    Range{0x064B, 0x065F}, Range{0x0E31, 0x0E31}, Range{0x0E34, 0x0E3A}, Range{0x0E47, 0x0E4E},
    Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200F}, Range{0x202A, 0x202E},
    Range{0x2060, 0x2064}, Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F},
    Range{0xFEFF, 0xFEFF},
};
constexpr std::array kWide = {
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0x33FF},
    Range{0x3400, 0x4DBF},   Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},
    Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},
    Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},   Range{0x1F300, 0x1F64F},
    Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF}, Range{0x20000, 0x3FFFD},
};

template <size_t N>
bool within(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& r) { return c >= r.first && c <= r.last; });
}

// In place of a byte that is no UTF-8. The real character of this code has three bytes.
constexpr Character kReplacement{0xFFFD, 1};

Character next(std::string_view text) {
  const Character found = first_character(text);
  return found.bytes > 0 ? found : kReplacement;
}

bool is_replacement(const Character& c) {
  return c.code == kReplacement.code && c.bytes == kReplacement.bytes;
}

size_t columns_of(char32_t code) {
  if (code < 0x300) return 1;
  if (within(kZeroWidth, code)) return 0;
  return within(kWide, code) ? 2 : 1;
}

}  // namespace

size_t width(std::string_view text) {
  size_t columns = 0;
  while (!text.empty()) {
    const Character c = next(text);
    columns += columns_of(c.code);
    text.remove_prefix(c.bytes);
  }
  return columns;
}

std::string clip(std::string_view text, size_t columns, bool utf8) {
  if (width(text) <= columns) return std::string(text);
  const std::string_view mark = utf8 ? "…" : "...";
  const size_t mark_width = utf8 ? 1 : 3;
  if (columns < mark_width) return std::string(columns, '.');
  size_t used = 0;
  size_t bytes = 0;
  while (bytes < text.size()) {
    const Character c = next(text.substr(bytes));
    if (used + columns_of(c.code) > columns - mark_width) break;
    used += columns_of(c.code);
    bytes += c.bytes;
  }
  return std::string(text.substr(0, bytes)) += mark;
}

std::vector<std::string> wrap(std::string_view text, size_t columns) {
  std::vector<std::string> lines;
  while (width(text) > columns) {
    size_t used = 0;
    size_t bytes = 0;
    size_t after_space = 0;  // where the line may be broken
    while (bytes < text.size()) {
      const Character c = next(text.substr(bytes));
      // A space that has no room any more is left out.
      if (used + columns_of(c.code) > columns && (bytes > 0 || c.code == ' ')) {
        if (c.code == ' ') after_space = bytes + 1;
        break;
      }
      used += columns_of(c.code);
      bytes += c.bytes;
      if (c.code == ' ') after_space = bytes;
    }
    const size_t end = after_space > 0 ? after_space : bytes;
    std::string_view line = text.substr(0, end);
    while (line.ends_with(' ')) line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(end);
  }
  if (lines.empty() || !text.empty()) lines.emplace_back(text);
  return lines;
}

std::string pad(std::string_view text, size_t columns, Align align) {
  const size_t has = width(text);
  const std::string space(columns > has ? columns - has : 0, ' ');
  return align == Align::left ? std::string(text) + space : space + std::string(text);
}

namespace {

std::string printable(std::string_view text, bool lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = next(text);
    const bool unsafe = is_replacement(c) || is_unsafe_character(c.code);
    if (unsafe && !(lines && c.code == '\n')) {
      out += '?';
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return printable(text, false);
}
std::string printable_lines(std::string_view text) {
  return printable(text, true);
}

std::string json_printable(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  while (!json.empty()) {
    const Character c = next(json);
    const bool space = c.code == '\n' || c.code == '\r' || c.code == '\t';
    if (is_replacement(c) || (is_unsafe_character(c.code) && !space)) {
      out += format("\\u%04x", static_cast<unsigned>(c.code));
    } else {
      out += json.substr(0, c.bytes);
    }
    json.remove_prefix(c.bytes);
  }
  return out;
}

std::string shell_word(const std::string& text) {
  constexpr char kPlain[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+,=";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return text;
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + '\'';
}

std::string ago(int64_t milliseconds) {
  const int64_t whole = milliseconds / 1000 * 1000;
  if (whole < 0) return "in " + human_duration(-whole);
  return whole == 0 ? "now" : human_duration(whole) + " ago";
}

std::string size_text(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1023.95 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  const bool whole = bytes >= 99.95 || std::abs(bytes - std::round(bytes)) < 0.05;
  return format(whole ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
}

std::string latency(double microseconds) {
  if (microseconds < 1000) return format("%.0f us", microseconds);
  if (microseconds < 1e6)
    return format(microseconds < 1e4 ? "%.1f ms" : "%.0f ms", microseconds / 1e3);
  return format("%.1f s", microseconds / 1e6);
}

std::string percent(double value) {
  return pad(format("%.0f %%", std::isfinite(value) ? value : 0.0), 5, Align::right);
}

std::string bar(double fraction, size_t cells, bool utf8) {
  fraction = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
  std::string out;
  if (!utf8) {
    const auto full = static_cast<size_t>(std::lround(fraction * static_cast<double>(cells)));
    return out.append(full, '#').append(cells - full, '-');
  }
  static constexpr const char* kParts[] = {"░", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<size_t>(std::lround(fraction * static_cast<double>(cells) * 8));
  for (size_t i = 0; i < cells; ++i) {
    if (eighths >= (i + 1) * 8) {
      out += "█";
    } else {
      out += eighths > i * 8 ? kParts[eighths - i * 8] : kParts[0];
    }
  }
  return out;
}

}  // namespace nb::terminal
