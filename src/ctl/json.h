// Reads answers: cJSON behind a lenient view. A value that is missing or has another type counts as
// absent, since an agent of another version may report more or less.
#pragma once

#include <cjson/cJSON.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/timestamp.h"

namespace nb::ctl {

// A view; the document must outlive it. All answers of an absent member are empty.
class Json {
 public:
  Json() = default;
  explicit Json(const cJSON* node) : node_(node) {}

  Json operator[](const char* name) const {
    return Json(cJSON_GetObjectItemCaseSensitive(node_, name));
  }
  bool exists() const { return node_ != nullptr; }
  bool is_null() const { return node_ == nullptr || cJSON_IsNull(node_); }
  bool is_object() const { return cJSON_IsObject(node_); }
  std::string_view name() const { return node_ && node_->string ? node_->string : ""; }

  std::string_view text(std::string_view otherwise = "") const {
    return cJSON_IsString(node_) ? node_->valuestring : otherwise;
  }
  std::optional<double> number() const {
    return cJSON_IsNumber(node_) ? std::optional(node_->valuedouble) : std::nullopt;
  }
  double number_or(double otherwise) const { return number().value_or(otherwise); }
  int64_t integer_or(int64_t otherwise) const {
    const auto value = number();
    return value && *value > -9e15 && *value < 9e15 ? static_cast<int64_t>(*value) : otherwise;
  }
  // A timestamp of the schema, in microseconds since 1970.
  std::optional<int64_t> timestamp_us() const {
    const auto time = parse_timestamp(text());
    return time ? std::optional<int64_t>(time->time_since_epoch().count()) : std::nullopt;
  }
  std::optional<bool> boolean() const {
    return cJSON_IsBool(node_) ? std::optional(cJSON_IsTrue(node_) != 0) : std::nullopt;
  }

  // for (Json member : json): the members of an object, the items of an array.
  class Iterator {
   public:
    explicit Iterator(const cJSON* at) : at_(at) {}
    Json operator*() const { return Json(at_); }
    Iterator& operator++() {
      at_ = at_->next;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    const cJSON* at_;
  };
  Iterator begin() const { return Iterator(node_ ? node_->child : nullptr); }
  Iterator end() const { return Iterator(nullptr); }

 private:
  const cJSON* node_ = nullptr;
};

// Owns the parsed tree. If the text is no JSON, the root does not exist.
class JsonDocument {
 public:
  explicit JsonDocument(std::string_view text)
      : root_(cJSON_ParseWithLength(text.data(), text.size())) {}
  Json root() const { return Json(root_.get()); }
  Json operator[](const char* name) const { return root()[name]; }

 private:
  struct Delete {
    void operator()(cJSON* node) const { cJSON_Delete(node); }
  };
  std::unique_ptr<cJSON, Delete> root_;
};

}  // namespace nb::ctl
