#include "json/scan.h"

#include "json/scanner.h"

namespace nb::json {

Fault scan(std::string_view text, const Limits& limits) {
  scanner::NoNotes notes;
  return scanner::scan(text, limits, notes);
}

}  // namespace nb::json
