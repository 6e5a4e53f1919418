// Exposition: the text that Prometheus reads, in the format that the reader has asked for. Samples
// have no time: one with a time would stay for five minutes after its source is gone.
//
// A family whose samples are all unknown is not written. Whatever names the cell has, the text is
// well-formed: a value of a label is escaped, control characters in it are written as \x1b, and of
// two samples of one family with the same labels only the first is written.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "metrics/format.h"

namespace nb::metrics {

enum class Kind : uint8_t { gauge, counter, info, histogram };

struct Label {
  std::string_view name, value;
};
using Labels = std::initializer_list<Label>;

// Of a histogram: how many values were at most `up_to`, and above the bucket before.
struct Bucket {
  double up_to = 0;
  uint64_t count = 0;
};

class Exposition {
 public:
  explicit Exposition(Format format) : format_(format) {}

  // Begins a family, or goes on with the one of that name that was begun last. `name` has no
  // suffix:
  // "_total" and "_info" are added. `help` is a literal: one line without backslashes.
  void family(Kind kind, std::string_view name, std::string_view help);

  // Of the family that was begun last. Without a value there is no sample.
  void sample(std::optional<double> value, Labels labels = {});
  // One sample for each of `all`: 1 for `present`, 0 for the others. Nothing if `present` is empty.
  void states(std::string_view present, std::string_view label,
              std::span<const std::string_view> all, Labels labels = {});
  // `buckets` ascend; `sum` is of all values, `count` also counts those above the last bucket.
  void histogram(std::span<const Bucket> buckets, uint64_t count, std::optional<double> sum);

  // The whole text. Nothing may be added then.
  std::string finish();

 private:
  void head();
  void line(std::string_view suffix, std::string_view number, Labels labels, Label more = {});
  void put_label(const Label& label);

  Format format_;
  Kind kind_ = Kind::gauge;
  std::string name_;
  std::string_view help_;
  bool has_head_ = false;
  std::unordered_set<std::string> seen_;  // the samples of this family
  std::string labels_;
  std::string out_;
};

}  // namespace nb::metrics
