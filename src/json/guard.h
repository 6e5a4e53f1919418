// A Guard checks a text from outside before anything looks into it.
#pragma once

#include "json/index.h"
#include "json/names.h"
#include "json/scan.h"
#include "json/view.h"

namespace nb::json {

// The scan, and beyond it: no name twice in one object, at any level, and no number beyond a
// double. One for many texts: what it allocates it uses again.
class Guard {
 public:
  Fault check(std::string_view text, const Limits& limits = {});
  // The text that was just accepted. This and every view reached through it are void with the next
  // check, as with the text; they are quicker than View::of(text), and say the same.
  View view() const;

 private:
  NameStack names_;
  Index index_;
  std::string_view text_;
};

}  // namespace nb::json
