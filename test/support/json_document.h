// What JSON says, told by a parser that is not ours: cJSON behind the scanner, since alone it lets
// much through. What nodebeat writes is read with it, and what json::View and json::Guard say of a
// text is compared with it. It accepts one value by RFC 8259, UTF-8, of bounded size and depth,
// without duplicate names, `\u0000` or numbers beyond a double.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "json/scan.h"

struct cJSON;

namespace nb::test {

// A value inside a JsonDocument, valid as long as the document is. A missing value is a Json too:
// every question to it answers "no", so look-ups chain without checks between them.
class Json {
 public:
  Json() = default;
  explicit Json(const cJSON* item) : item_(item) {}

  bool exists() const { return item_ != nullptr; }
  bool is_object() const;
  bool is_array() const;
  bool is_null() const;

  // The member `name` (case-sensitive) of an object; else a missing value.
  Json operator[](const char* name) const;
  // First element of an array or member of an object, and the one after this.
  Json first_child() const;
  Json next_sibling() const;
  // This member's name within its object; empty elsewhere.
  std::string_view name() const;

  std::optional<std::string_view> string() const;
  std::optional<bool> boolean() const;
  std::optional<double> number() const;
  // Only where a double holds it exactly: whole and |n| <= 2^53 - 1.
  std::optional<int64_t> integer() const;

 private:
  const cJSON* item_ = nullptr;
};

// Owns a parsed document.
class JsonDocument {
 public:
  // The error says what is wrong and at which byte.
  static Result<JsonDocument> parse(std::string_view text, const json::Limits& limits = {});

  Json root() const { return Json(root_.get()); }

 private:
  struct Deleter {
    void operator()(cJSON* item) const;
  };
  explicit JsonDocument(cJSON* root) : root_(root) {}

  std::unique_ptr<cJSON, Deleter> root_;
};

}  // namespace nb::test
