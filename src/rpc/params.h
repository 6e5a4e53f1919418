// Checks the params of a call against a table, before any of it is carried out. The error names the
// member, and says what would be right.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "json/view.h"
#include "rpc/error.h"

namespace nb::rpc {

enum class ParamKind : uint8_t {
  boolean,
  integer,          // from `min` to `max`, however it is written: 1, 1.0, 1e0
  integer_or_null,  // likewise
  number,           // from `min` to infinity
  numbers_or_null,  // null as a whole, or an array of at most `max`, each a number
  text,             // of `min` to `max` bytes, decoded
  text_or_null,     // likewise
  word,             // a text of 1 to `max` letters, digits, '-', '_', '.'
  plain,            // a text of 1 to `max` bytes without control characters
  timestamp,        // base/timestamp.h
  object,
  array,  // of at most `max`
  array_or_null,
  texts,  // an array of at most `max`, each a plain text of at most 256 bytes
  any,
};

struct Param {
  std::string_view name;
  ParamKind kind;
  bool required = false;
  int64_t min = 0;
  int64_t max = 0;
};

// Sets values[i] to the member specs[i]->name of `params`, which is an object or missing. An absent
// member is a missing value. Members that `specs` does not have are refused.
std::optional<Error> check_params(json::View params, std::span<const Param* const> specs,
                                  std::span<json::View> values);

// One value against one line; `field` is its name in the error.
std::optional<Error> check_param(json::View value, const Param& spec, std::string_view field);

}  // namespace nb::rpc
