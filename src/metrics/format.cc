#include "metrics/format.h"

#include <algorithm>

#include "base/decimal.h"
#include "base/text.h"

namespace nb::metrics {
namespace {

// Removes from `rest` the part before the next `separator`, without white space around it.
std::string_view take_part(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view part = trim(rest.substr(0, end));
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

bool same_word(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

// A weight of RFC 9110, 12.4.2: "0.75", at most three digits behind the point. 0 if it is none.
double weight(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 0;
  if (text.size() > 1 && text[1] != '.') return 0;
  if (text.find_first_not_of("0123456789", 2) != std::string_view::npos) return 0;
  const double value = nearest_double(text.size() == 2 ? text.substr(0, 1) : text);
  return value <= 1 ? value : 0;
}

// One element of an Accept header.
struct MediaRange {
  std::string_view type;
  std::string_view version;
  double q = 1;
};

MediaRange read_range(std::string_view text) {
  MediaRange range;
  range.type = take_part(text, ';');
  while (!text.empty()) {
    std::string_view parameter = take_part(text, ';');
    const std::string_view name = take_part(parameter, '=');
    if (same_word(name, "q")) range.q = weight(parameter);
    if (same_word(name, "version")) range.version = parameter;
  }
  return range;
}

}  // namespace

Format format_for(std::string_view accept) {
  double open = 0;
  double text = 0;
  while (!accept.empty()) {
    const MediaRange range = read_range(take_part(accept, ','));
    // The writer writes version 1.0.0; a reader that names no version accepts that.
    const bool is_ours = range.version.empty() || range.version == "1.0.0";
    if (same_word(range.type, "application/openmetrics-text") && is_ours) {
      open = std::max(open, range.q);
    }
    if (same_word(range.type, "text/plain")) text = std::max(text, range.q);
  }
  return open > 0 && open >= text ? Format::openmetrics : Format::text;
}

std::string_view content_type(Format format) {
  return format == Format::openmetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

}  // namespace nb::metrics
