#include "wire/json_guard.h"

#include "wire/json_number.h"
#include "wire/json_scanner.h"

namespace nb::wire {
namespace {

struct StrictNotes {
  NameStack& names;
  JsonIndex& index;

  void space() { index.space(); }
  void open(size_t at, size_t level, bool object) {
    if (object) names.open();
    index.open(at, level);
  }
  void name(size_t from, size_t to, bool escaped, size_t level) {
    names.add(from, to, escaped);
    index.name(from, to, escaped, level);
  }
  size_t repeated_name() { return names.close(); }
  void close(size_t to, size_t level) { index.close(to, level); }
  void scalar(size_t from, size_t to, bool escaped, size_t level) {
    index.scalar(from, to, escaped, level);
  }
  bool fits(std::string_view number) const { return fits_double(number); }
};

}  // namespace

JsonFault JsonGuard::check(std::string_view text, const JsonLimits& limits) {
  text_ = text;
  names_.begin(text);
  index_.begin();
  StrictNotes notes{names_, index_};
  return json_scanner::scan(text, limits, notes);
}

JsonView JsonGuard::view() const {
  const JsonToken* root = index_.root();
  return root != nullptr ? JsonView::of(text_, *root) : JsonView::of(text_);
}

}  // namespace nb::wire
