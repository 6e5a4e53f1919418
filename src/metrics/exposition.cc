#include "metrics/exposition.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/foreign_text.h"

namespace nb::metrics {
namespace {

// Names of nodes have 64 bytes at most; any program that writes to Redis may choose others.
constexpr size_t kMaxLabel = 256;
constexpr double kMostExact = 1LL << 53;

std::string_view type_name(Kind kind, Format format) {
  switch (kind) {
    case Kind::gauge:
      return "gauge";
    case Kind::counter:
      return "counter";
    case Kind::info:
      return format == Format::openmetrics ? "info" : "gauge";
    case Kind::histogram:
      return "histogram";
  }
  return "";
}

std::string_view suffix(Kind kind) {
  return kind == Kind::counter ? "_total" : kind == Kind::info ? "_info" : "";
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value == std::trunc(value) && std::abs(value) < kMostExact) {
    return std::to_string(static_cast<int64_t>(value));
  }
  char text[32];
  // A double has 15 digits for certain: further ones are noise of the division
  // (0.0021000000000000003).
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::general, 15).ptr;
  return {text, end};
}

}  // namespace

void Exposition::family(Kind kind, std::string_view name, std::string_view help) {
  if (name == name_) return;
  kind_ = kind;
  name_ = name;
  help_ = help;
  has_head_ = false;
  seen_.clear();
}

// OpenMetrics names the family, Prometheus' text the samples.
void Exposition::head() {
  if (has_head_) return;
  has_head_ = true;
  const std::string_view end = format_ == Format::text ? suffix(kind_) : "";
  for (const auto& [key, text] :
       {std::pair{"HELP", help_}, std::pair{"TYPE", type_name(kind_, format_)}}) {
    out_.append("# ").append(key).append(" ").append(name_).append(end).append(" ");
    out_.append(text).append("\n");
  }
}

void Exposition::put_label(const Label& label) {
  labels_ += labels_.empty() ? '{' : ',';
  labels_.append(label.name).append("=\"");
  for (const char c : foreign_text(label.value, kMaxLabel)) {
    if (c == '\\' || c == '"') labels_ += '\\';
    labels_ += c;
  }
  labels_ += '"';
}

void Exposition::line(std::string_view suffix, std::string_view number, Labels labels, Label more) {
  labels_.clear();
  for (const Label& label : labels) put_label(label);
  if (!more.name.empty()) put_label(more);
  if (!labels_.empty()) labels_ += '}';
  if (!seen_.insert(std::string(suffix) + labels_).second) return;
  head();
  out_.append(name_).append(suffix).append(labels_).append(" ").append(number).append("\n");
}

void Exposition::sample(std::optional<double> value, Labels labels) {
  if (value) line(suffix(kind_), number_text(*value), labels);
}

void Exposition::states(std::string_view present, std::string_view label,
                        std::span<const std::string_view> all, Labels labels) {
  if (present.empty()) return;
  for (const std::string_view state : all) {
    line({}, state == present ? "1" : "0", labels, {label, state});
  }
}

void Exposition::histogram(std::span<const Bucket> buckets, uint64_t count,
                           std::optional<double> sum) {
  uint64_t at_most = 0;
  for (const Bucket& bucket : buckets) {
    at_most += bucket.count;
    line("_bucket", std::to_string(at_most), {}, {"le", number_text(bucket.up_to)});
  }
  line("_bucket", std::to_string(count), {}, {"le", "+Inf"});
  if (sum) line("_sum", number_text(*sum), {});
  line("_count", std::to_string(count), {});
}

std::string Exposition::finish() {
  if (format_ == Format::openmetrics) out_ += "# EOF\n";
  return std::move(out_);
}

}  // namespace nb::metrics
