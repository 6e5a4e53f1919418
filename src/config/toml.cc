#include "config/toml.h"

#include <algorithm>

#include "base/text.h"

// Header-only: the distribution's shared library has only the throwing variant, and is a 219 KB
// mapping of its own where the parser takes 75 KB of ours. Its pkg-config file asks for that one.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#define TOML_ENABLE_SIMD 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

namespace nb::config {
namespace {

constexpr size_t kMaxDeepening = 8000;
constexpr int kMaxDepth = 16;

bool convert(const toml::node& node, int depth, Value& out);

bool convert_table(const toml::table& table, int depth, Value& out) {
  out.kind = Value::Kind::table;
  for (auto&& [key, node] : table) {
    Member member;
    member.key = key.str();
    member.line = static_cast<int>(key.source().begin.line);
    if (!convert(node, depth + 1, member.value)) return false;
    out.members.push_back(std::move(member));
  }
  // toml++ sorts by name; errors are to come in the order of the file.
  std::stable_sort(out.members.begin(), out.members.end(),
                   [](const Member& a, const Member& b) { return a.line < b.line; });
  return true;
}

bool convert(const toml::node& node, int depth, Value& out) {
  if (depth > kMaxDepth) return false;
  out.line = static_cast<int>(node.source().begin.line);
  if (const auto* table = node.as_table()) return convert_table(*table, depth, out);
  if (const auto* array = node.as_array()) {
    out.kind = Value::Kind::list;
    for (auto&& item : *array) {
      if (!convert(item, depth + 1, out.items.emplace_back())) return false;
    }
  } else if (const auto* text = node.as_string()) {
    out.kind = Value::Kind::text;
    out.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.kind = Value::Kind::integer;
    out.integer = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    out.kind = Value::Kind::number;
    out.number = number->get();
  } else if (const auto* flag = node.as_boolean()) {
    out.kind = Value::Kind::flag;
    out.flag = flag->get();
  } else {
    out.kind = Value::Kind::date;
  }
  return true;
}

}  // namespace

Result<Value> parse_toml(std::string_view text, const std::string& name) {
  // A dotted key nests a table per dot, without a limit of toml++'s own, and tables are freed by
  // recursion: "a.a.a.a..." would run out of stack. Each level costs one of these characters.
  const auto deepening =
      std::count_if(text.begin(), text.end(), [](char c) { return c == '.' || c == '['; });
  if (static_cast<size_t>(deepening) > kMaxDeepening) {
    return make_error("%s: more than %zu dots and brackets: this is not a configuration",
                      name.c_str(), kMaxDeepening);
  }
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return make_error("%s:%u:%u: %s", name.c_str(), error.source().begin.line,
                      error.source().begin.column, std::string(error.description()).c_str());
  }
  Value root;
  if (!convert_table(parsed.table(), 0, root)) {
    return make_error("%s: tables nested more than %d deep", name.c_str(), kMaxDepth);
  }
  return root;
}

}  // namespace nb::config
