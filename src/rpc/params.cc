#include "rpc/params.h"

#include <algorithm>
#include <string>

#include "base/name.h"
#include "base/text.h"
#include "base/timestamp.h"

namespace nb::rpc {
namespace {

using Type = json::View::Type;

bool is_word(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_name_character);
}

std::string_view type_words(Type type) {
  switch (type) {
    case Type::missing:
      return "nothing";
    case Type::null:
      return "null";
    case Type::boolean:
      return "a boolean";
    case Type::number:
      return "a number";
    case Type::string:
      return "a text";
    case Type::array:
      return "an array";
    case Type::object:
      return "an object";
  }
  return "something else";
}

Error wanted(std::string_view field, std::string_view what, json::View got) {
  std::string words = "expected ";
  words.append(what).append(", got ").append(type_words(got.type()));
  return invalid_params(field, words);
}

Error wrong(std::string_view field, const char* format_text, int64_t min, int64_t max) {
  return invalid_params(
      field, format(format_text, static_cast<long long>(min), static_cast<long long>(max)));
}

std::string element_name(std::string_view field, size_t index) {
  return format("%.*s[%zu]", static_cast<int>(field.size()), field.data(), index);
}

std::optional<Error> check_text(json::View value, const Param& spec, std::string_view field) {
  std::string scratch;
  const auto text = value.string(scratch);
  if (!text) return wanted(field, "a text", value);
  const int64_t size = static_cast<int64_t>(text->size());
  const int64_t least =
      spec.kind == ParamKind::word || spec.kind == ParamKind::plain ? 1 : spec.min;
  if (size < least || size > spec.max) {
    return wrong(field, "expected a text of %lld to %lld bytes", least, spec.max);
  }
  if (spec.kind == ParamKind::word && !is_word(*text)) {
    return invalid_params(field, "may hold letters, digits, '-', '_' and '.' only");
  }
  if (spec.kind == ParamKind::plain && has_control(*text)) {
    return invalid_params(field, "must not hold control characters");
  }
  return std::nullopt;
}

std::optional<Error> check_numbers(json::View value, const Param& spec, std::string_view field) {
  if (value.type() == Type::null) return std::nullopt;
  if (value.type() != Type::array) return wanted(field, "an array of numbers, or null", value);
  size_t index = 0;
  for (const json::View element : value.elements()) {
    if (element.type() != Type::number) {
      const bool null = element.type() == Type::null;
      return wanted(element_name(field, index),
                    null ? "a number (what is not known is null as a whole)" : "a number", element);
    }
    if (++index > static_cast<size_t>(spec.max)) {
      return wrong(field, "has more than the %lld numbers that are allowed", spec.max, 0);
    }
  }
  return std::nullopt;
}

std::optional<Error> check_array(json::View value, const Param& spec, std::string_view field) {
  if (value.type() != Type::array) return wanted(field, "an array", value);
  size_t index = 0;
  for (const json::View element : value.elements()) {
    if (spec.kind == ParamKind::texts) {
      const Param text{field, ParamKind::plain, true, 1, 256};
      if (auto error = check_text(element, text, element_name(field, index))) return error;
    }
    if (++index > static_cast<size_t>(spec.max)) {
      return wrong(field, "has more than the %lld elements that are allowed", spec.max, 0);
    }
  }
  return std::nullopt;
}

// "known are: a, b, c": a misspelt name is seen at once beside the right one.
std::string known_names(std::span<const Param* const> specs) {
  std::string words = "there is no such parameter; known are: ";
  if (specs.empty()) return "there is no such parameter; this method takes none";
  for (size_t i = 0; i < specs.size(); ++i) {
    if (i > 0) words += ", ";
    words += specs[i]->name;
  }
  return words;
}

}  // namespace

std::optional<Error> check_param(json::View value, const Param& spec, std::string_view field) {
  const Type type = value.type();
  switch (spec.kind) {
    case ParamKind::boolean:
      if (type != Type::boolean) return wanted(field, "true or false", value);
      break;
    case ParamKind::integer_or_null:
      if (type == Type::null) break;
      [[fallthrough]];
    case ParamKind::integer: {
      if (type != Type::number) return wanted(field, "an integer", value);
      const auto number = value.integer();
      if (!number) {
        return invalid_params(field, "expected an integer of at most 2^53-1 (1.0 is one)");
      }
      if (*number < spec.min || *number > spec.max) {
        return wrong(field, "out of range: allowed is %lld to %lld", spec.min, spec.max);
      }
      break;
    }
    case ParamKind::number: {
      if (type != Type::number) return wanted(field, "a number", value);
      if (value.number().value_or(0) < static_cast<double>(spec.min)) {
        return wrong(field, "out of range: expected %lld or more", spec.min, 0);
      }
      break;
    }
    case ParamKind::numbers_or_null:
      return check_numbers(value, spec, field);
    case ParamKind::text_or_null:
      if (type == Type::null) break;
      return check_text(value, spec, field);
    case ParamKind::text:
    case ParamKind::word:
    case ParamKind::plain:
      return check_text(value, spec, field);
    case ParamKind::timestamp: {
      std::string scratch;
      const auto text = value.string(scratch);
      if (!text || !parse_timestamp(*text)) {
        return invalid_params(field,
                              "expected a timestamp in UTC as 2026-11-20T14:03:07.123456 (also "
                              "without fraction, with 1 to 9 digits of it, with Z or +00:00)");
      }
      break;
    }
    case ParamKind::object:
      if (type != Type::object) return wanted(field, "an object", value);
      break;
    case ParamKind::array_or_null:
      if (type == Type::null) break;
      return check_array(value, spec, field);
    case ParamKind::array:
    case ParamKind::texts:
      return check_array(value, spec, field);
    case ParamKind::any:
      break;
  }
  return std::nullopt;
}

std::optional<Error> check_params(json::View params, std::span<const Param* const> specs,
                                  std::span<json::View> values) {
  std::fill(values.begin(), values.end(), json::View());
  // Members usually come in the table's order: where the last was found the search goes on.
  const Param* const* const first = specs.data();
  const Param* const* const end = first + specs.size();
  const Param* const* next = first;
  for (const json::Member& member : params.members()) {
    const Param* const* found = nullptr;
    for (size_t left = specs.size(); left > 0; --left, ++next) {
      if (next == end) next = first;
      if (!member.name_is((*next)->name)) continue;
      found = next++;
      break;
    }
    if (found == nullptr) {
      std::string scratch;
      return invalid_params(member.name(scratch), known_names(specs));
    }
    const Param& spec = **found;
    if (auto error = check_param(member.value, spec, spec.name)) return error;
    values[static_cast<size_t>(found - first)] = member.value;
  }
  const json::View* value = values.data();
  for (const Param* spec : specs) {
    if (spec->required && !value->exists()) {
      return invalid_params(spec->name, "is required and missing");
    }
    ++value;
  }
  return std::nullopt;
}

}  // namespace nb::rpc
