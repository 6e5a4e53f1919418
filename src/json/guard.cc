#include "json/guard.h"

#include "json/number.h"
#include "json/scanner.h"

namespace nb::json {
namespace {

struct StrictNotes {
  NameStack& names;
  Index& index;

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

Fault Guard::check(std::string_view text, const Limits& limits) {
  text_ = text;
  names_.begin(text);
  index_.begin();
  StrictNotes notes{names_, index_};
  return scanner::scan(text, limits, notes);
}

View Guard::view() const {
  const Token* root = index_.root();
  return root != nullptr ? View::of(text_, *root) : View::of(text_);
}

}  // namespace nb::json
