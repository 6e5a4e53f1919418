// JsonGuard: what is asked of a text from outside before anything looks into it.
#pragma once

#include "wire/json_index.h"
#include "wire/json_names.h"
#include "wire/json_scan.h"
#include "wire/json_view.h"

namespace nb::wire {

// The scan, and beyond it: no name twice in one object, at any level, and no number beyond a
// double. One for many texts: what it allocates it uses again.
class JsonGuard {
 public:
  JsonFault check(std::string_view text, const JsonLimits& limits = {});
  // The text that was just accepted. This and every view reached through it are void with the next
  // check, as with the text; they are quicker than JsonView::of(text), and say the same.
  JsonView view() const;

 private:
  NameStack names_;
  JsonIndex index_;
  std::string_view text_;
};

}  // namespace nb::wire
