#include "mcp/schema.h"

#include <algorithm>

#include "base/foreign_text.h"
#include "base/name.h"
#include "json/writer.h"

namespace nb::mcp {
namespace {

using View = json::View;

// A wrong value is repeated in part only.
constexpr size_t kMaxEcho = 80;

std::string in_digits(int64_t value) {
  return std::to_string(value);
}

bool has_most(const Argument& argument) {
  return argument.most != std::numeric_limits<int64_t>::max();
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<uint8_t>(byte) & 0xc0) != 0x80;
  }));
}

// "an integer from 1 to 60", "a text of 1 to 512 characters"
std::string expected(const Argument& argument) {
  const std::string least = in_digits(argument.least);
  const std::string range =
      has_most(argument) ? least + " to " + in_digits(argument.most) : "at least " + least;
  switch (argument.type) {
    case Type::text: {
      if (argument.choices.empty()) return "a text of " + range + " characters";
      std::string words = "one of";
      for (const std::string_view choice : argument.choices) {
        words += (choice == argument.choices.front() ? " \"" : ", \"") + std::string(choice) + '"';
      }
      return words;
    }
    case Type::texts:
      return "an array of " + range + " texts";
    case Type::name:
      return "a name of 1 to " + in_digits(kNameBytes) +
             " letters, digits, '-', '_' or '.', which begins with a letter or digit";
    case Type::integer:
      return has_most(argument) ? "an integer from " + range : "an integer of " + range;
    case Type::boolean:
      return "true or false";
    case Type::object:
      return "a JSON object";
    case Type::any:
      return "any JSON value";
  }
  return {};
}

bool is_within(const Argument& argument, int64_t value) {
  return value >= argument.least && value <= argument.most;
}

bool is_right_text(const Argument& argument, View value) {
  std::string scratch;
  const auto text = value.string(scratch);
  if (!text) return false;
  if (argument.choices.empty()) {
    return is_within(argument, static_cast<int64_t>(characters(*text)));
  }
  return std::find(argument.choices.begin(), argument.choices.end(), *text) !=
         argument.choices.end();
}

bool are_right_texts(const Argument& argument, View value) {
  if (!value.is(View::Type::array)) return false;
  int64_t count = 0;
  for (const View element : value.elements()) {
    if (!element.is(View::Type::string) || element.raw() == "\"\"") return false;
    ++count;
  }
  return is_within(argument, count);
}

bool is_right(const Argument& argument, View value) {
  switch (argument.type) {
    case Type::text:
      return is_right_text(argument, value);
    case Type::texts:
      return are_right_texts(argument, value);
    case Type::name: {
      std::string scratch;
      return is_name(value.string(scratch).value_or(""));
    }
    case Type::integer: {
      const auto integer = value.integer();
      return integer && is_within(argument, *integer);
    }
    case Type::boolean:
      return value.is(View::Type::boolean);
    case Type::object:
      return value.is(View::Type::object);
    case Type::any:
      return true;
  }
  return false;
}

bool is_left_out(const Argument& argument, View value) {
  return !value.exists() || (argument.type != Type::any && value.is(View::Type::null));
}

std::string all_of(Arguments arguments) {
  if (arguments.empty()) return "this tool takes no arguments";
  std::string words = "this tool takes";
  for (const Argument& argument : arguments) {
    if (&argument != &arguments.front()) words += ',';
    words += " `" + std::string(argument.name) + '`';
    if (argument.required) words += " (required)";
  }
  return words;
}

void append_property(json::Writer& writer, const Argument& argument) {
  writer.key(argument.name).begin_object();
  switch (argument.type) {
    case Type::text:
      writer.key("type").string("string");
      if (!argument.choices.empty()) {
        writer.key("enum").begin_array();
        for (const std::string_view choice : argument.choices) writer.string(choice);
        writer.end_array();
        break;
      }
      if (argument.least > 0) writer.key("minLength").integer(argument.least);
      if (has_most(argument)) writer.key("maxLength").integer(argument.most);
      break;
    case Type::texts:
      writer.key("type").string("array");
      writer.key("items").raw(R"({"type":"string","minLength":1})");
      writer.key("minItems").integer(argument.least);
      if (has_most(argument)) writer.key("maxItems").integer(argument.most);
      break;
    case Type::name:
      writer.key("type").string("string");
      writer.key("pattern").string("^[A-Za-z0-9][A-Za-z0-9._-]*$");
      writer.key("maxLength").integer(kNameBytes);
      break;
    case Type::integer:
      writer.key("type").string("integer");
      writer.key("minimum").integer(argument.least);
      if (has_most(argument)) writer.key("maximum").integer(argument.most);
      break;
    case Type::boolean:
      writer.key("type").string("boolean");
      break;
    case Type::object:
      writer.key("type").string("object");
      break;
    case Type::any:
      break;
  }
  writer.key("description").string(argument.words);
  if (!argument.fallback.empty()) writer.key("default").raw(argument.fallback);
  writer.end_object();
}

}  // namespace

std::string input_schema(Arguments arguments) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object().key("type").string("object").key("properties").begin_object();
  for (const Argument& argument : arguments) append_property(writer, argument);
  writer.end_object();
  if (std::any_of(arguments.begin(), arguments.end(),
                  [](const Argument& a) { return a.required; })) {
    writer.key("required").begin_array();
    for (const Argument& argument : arguments) {
      if (argument.required) writer.string(argument.name);
    }
    writer.end_array();
  }
  writer.key("additionalProperties").boolean(false).end_object();
  return out;
}

std::optional<std::string> fault_in(Arguments arguments, View given) {
  for (const json::Member& member : given.members()) {
    const bool known =
        std::any_of(arguments.begin(), arguments.end(),
                    [&](const Argument& argument) { return member.name_is(argument.name); });
    if (known) continue;
    std::string scratch;
    return "There is no argument `" + foreign_text(member.name(scratch), kMaxEcho) +
           "`: " + all_of(arguments) + '.';
  }
  for (const Argument& argument : arguments) {
    const View value = given[argument.name];
    if (is_left_out(argument, value)) {
      if (!argument.required) continue;
      return "The argument `" + std::string(argument.name) + "` is missing: expected " +
             expected(argument) + ". " + std::string(argument.words);
    }
    if (is_right(argument, value)) continue;
    return "The argument `" + std::string(argument.name) + "` is wrong: expected " +
           expected(argument) + ", found " + foreign_text(value.raw(), kMaxEcho) + '.';
  }
  return std::nullopt;
}

bool Given::has(std::string_view name) const {
  const View value = object_[name];
  return value.exists() && !value.is(View::Type::null);
}

std::string Given::text(std::string_view name, std::string_view otherwise) const {
  std::string scratch;
  return std::string(object_[name].string(scratch).value_or(otherwise));
}

int64_t Given::integer(std::string_view name, int64_t otherwise) const {
  return object_[name].integer().value_or(otherwise);
}

bool Given::boolean(std::string_view name, bool otherwise) const {
  return object_[name].boolean().value_or(otherwise);
}

}  // namespace nb::mcp
