#include "wire/json_scan.h"

#include "wire/json_scanner.h"

namespace nb::wire {

JsonFault scan_json(std::string_view text, const JsonLimits& limits) {
  json_scanner::NoNotes notes;
  return json_scanner::scan(text, limits, notes);
}

}  // namespace nb::wire
