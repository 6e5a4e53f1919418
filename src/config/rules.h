// The rules for names, paths and the like. Pure; each answers with the allowed form.
#pragma once

#include <string_view>

#include "base/result.h"
#include "config/keys.h"

namespace nb::config {

// A node's name: 1 to 64 of letters, digits, '-', '_', '.', the first a letter or digit. It becomes
// part of Redis keys, channels and patterns, so ':', spaces and glob characters have no place.
Status check_name(std::string_view name);

// The beginning of a cell's keys and channels in Redis: a name and ':', or the name in braces and
// ':'.
Status check_prefix(std::string_view prefix);

// The check for `rule`; an optional path or group may be empty.
Status check_text(Rule rule, std::string_view text);

}  // namespace nb::config
