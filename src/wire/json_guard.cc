#include "wire/json_guard.h"

#include "wire/json_number.h"
#include "wire/json_scanner.h"

namespace nb::wire {
namespace {

struct StrictNames {
  NameStack& names;

  void open() { names.open(); }
  void add(size_t from, size_t to, bool escaped) { names.add(from, to, escaped); }
  size_t close() { return names.close(); }
  bool fits(std::string_view number) const { return fits_double(number); }
};

}  // namespace

JsonFault JsonGuard::check(std::string_view text, const JsonLimits& limits) {
  names_.begin(text);
  StrictNames names{names_};
  return json_scanner::scan(text, limits, names);
}

}  // namespace nb::wire
