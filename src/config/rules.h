// What names, paths and the like may look like. Pure; each answers with what is allowed.
#pragma once

#include <string_view>

#include "base/result.h"
#include "config/keys.h"

namespace nb::config {

// A node's name: 1 to 64 of letters, digits, '-', '_', '.', the first a letter or digit. It becomes
// part of Redis keys, channels and patterns, so ':', spaces and glob characters have no place.
Status check_name(std::string_view name);

// What the keys and channels of a cell begin with in Redis: a name and ':', or the name in braces
// and ':'.
Status check_prefix(std::string_view prefix);

// The check that `rule` stands for; an optional path or group may be empty.
Status check_text(Rule rule, std::string_view text);

}  // namespace nb::config
