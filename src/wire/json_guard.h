// JsonGuard: what is asked of a text from outside before anything looks into it.
#pragma once

#include "wire/json_names.h"
#include "wire/json_scan.h"

namespace nb::wire {

// The scan, and beyond it: no name twice in one object, at any level, and no number beyond a
// double. One for many texts: what it allocates it uses again.
class JsonGuard {
 public:
  JsonFault check(std::string_view text, const JsonLimits& limits = {});

 private:
  NameStack names_;
};

}  // namespace nb::wire
