#include "base/decimal.h"

#include <locale.h>
#include <stdlib.h>

#include <cstring>
#include <string>

namespace nb {

// This uses the C library, since std::from_chars() of a double is 25 KB when linked in.
double nearest_double(std::string_view number) {
  char brief[64];  // nearly all numbers are shorter
  std::string whole;
  const char* text = brief;
  if (number.size() < sizeof brief) {
    std::memcpy(brief, number.data(), number.size());
    brief[number.size()] = '\0';
  } else {
    whole = number;
    text = whole.c_str();
  }
  // The "C" locale is a constant of the C library: this neither allocates nor reads a file.
  const locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
  const double value = ::strtod_l(text, nullptr, plain);
  ::freelocale(plain);
  return value;
}

}  // namespace nb
