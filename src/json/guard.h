// A Guard checks a text from outside before anything looks into it.
#pragma once

#include "json/index.h"
#include "json/names.h"
#include "json/scan.h"
#include "json/view.h"

namespace nb::json {

// The scan, and two checks more: no name twice in one object, at any level, and no number beyond a
// double. Use one guard for many texts: it reuses its memory.
class Guard {
 public:
  Fault check(std::string_view text, const Limits& limits = {});
  // The text that was just accepted. This view and every view reached through it are void with the
  // next check, and with the text. They are quicker than View::of(text), with the same answers.
  View view() const;

 private:
  NameStack names_;
  Index index_;
  std::string_view text_;
};

}  // namespace nb::json
