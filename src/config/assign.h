// From a value that was found to the member it sets, and back to text. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/keys.h"
#include "config/value.h"

namespace nb::config {

// Checks type, range and rule of `key`, then sets `field`. The error reads on after "key 'x': " and
// repeats the value only where it can't be a secret.
Status assign(const Key& key, const Value& value, Field field);

// The same value as a file would have it, from an environment variable, a flag or a default:
// numbers and booleans bare, lists with commas, databases as "health=0,sessions=2".
Value value_from_text(Field::Type type, std::string_view text);

// As TOML that gives the field its value again; secrets are not masked here.
std::string field_text(const Key& key, Field field);

// The texts of `key.allowed` between '|'.
std::vector<std::string_view> choices(const Key& key);

}  // namespace nb::config
