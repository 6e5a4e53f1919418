// The arguments of a tool, written once: the JSON Schema in tools/list and the check of each call
// come from the same table. Pure.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "json/view.h"

namespace nb::mcp {

// `name`: one of base/name.h.
enum class Type : uint8_t { text, texts, name, integer, boolean, object, any };

struct Argument {
  std::string_view name;
  Type type = Type::text;
  std::string_view words;  // for the model: the meaning and the unit
  bool required = false;
  // Of an integer its value, of a text its characters, of texts their number.
  int64_t least = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
  std::span<const std::string_view> choices{};  // of a text; none: any
  std::string_view fallback{};                  // as JSON: the value without it
};

using Arguments = std::span<const Argument>;

// The JSON Schema (2020-12) of an object with these members and no others.
std::string input_schema(Arguments arguments);

// The mistake in `given`, which is an object or missing, in words that a model can act on: the
// argument, the expected and the found value, the alternatives. Nothing if all is right. null means
// that an argument is left out, unless the argument accepts any JSON.
std::optional<std::string> fault_in(Arguments arguments, json::View given);

// The arguments of a call that fault_in() has accepted.
class Given {
 public:
  explicit Given(json::View object) : object_(object) {}

  bool has(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise = {}) const;
  int64_t integer(std::string_view name, int64_t otherwise) const;
  bool boolean(std::string_view name, bool otherwise) const;
  // Its bytes, as they came; empty if it is left out.
  std::string_view raw(std::string_view name) const { return object_[name].raw(); }
  json::View operator[](std::string_view name) const { return object_[name]; }

 private:
  json::View object_;
};

}  // namespace nb::mcp
