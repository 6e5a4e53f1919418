#include "support/json_document.h"

#include <cjson/cJSON.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace nb::test {
namespace {

// cJSON keeps both of two equal names and finds the first, while most parsers keep the last: what
// one program checks would not be what another uses. Depth is bounded by the scan before.
const char* find_fault(const cJSON* item, std::vector<std::string_view>& names) {
  if (cJSON_IsNumber(item) && !std::isfinite(item->valuedouble)) return "a number is out of range";
  const bool is_object = cJSON_IsObject(item);
  const size_t mark = names.size();
  for (const cJSON* child = item->child; child != nullptr; child = child->next) {
    if (is_object) names.emplace_back(child->string);
  }
  std::sort(names.begin() + static_cast<std::ptrdiff_t>(mark), names.end());
  if (std::adjacent_find(names.begin() + static_cast<std::ptrdiff_t>(mark), names.end()) !=
      names.end()) {
    return "a name stands twice in one object";
  }
  names.resize(mark);
  for (const cJSON* child = item->child; child != nullptr; child = child->next) {
    if (const char* fault = find_fault(child, names)) return fault;
  }
  return nullptr;
}

}  // namespace

void JsonDocument::Deleter::operator()(cJSON* item) const {
  cJSON_Delete(item);
}

Result<JsonDocument> JsonDocument::parse(std::string_view text, const json::Limits& limits) {
  if (const json::Fault fault = json::scan(text, limits); fault.reason != nullptr) {
    return make_error("not valid JSON: %s (at byte %zu)", fault.reason, fault.offset);
  }
  // The scan saw exactly one value to the end, so no terminator need be asked for.
  JsonDocument document(cJSON_ParseWithLength(text.data(), text.size()));
  if (!document.root_) return make_error("not valid JSON");
  std::vector<std::string_view> names;
  if (const char* fault = find_fault(document.root_.get(), names)) {
    return make_error("JSON not accepted: %s", fault);
  }
  return document;
}

bool Json::is_object() const {
  return cJSON_IsObject(item_);
}
bool Json::is_array() const {
  return cJSON_IsArray(item_);
}
bool Json::is_null() const {
  return cJSON_IsNull(item_);
}

Json Json::operator[](const char* name) const {
  return is_object() ? Json(cJSON_GetObjectItemCaseSensitive(item_, name)) : Json();
}

Json Json::first_child() const {
  return Json(item_ != nullptr ? item_->child : nullptr);
}
Json Json::next_sibling() const {
  return Json(item_ != nullptr ? item_->next : nullptr);
}

std::string_view Json::name() const {
  return item_ != nullptr && item_->string != nullptr ? item_->string : std::string_view();
}

std::optional<std::string_view> Json::string() const {
  if (!cJSON_IsString(item_)) return std::nullopt;
  return item_->valuestring;
}

std::optional<bool> Json::boolean() const {
  if (!cJSON_IsBool(item_)) return std::nullopt;
  return static_cast<bool>(cJSON_IsTrue(item_));
}

std::optional<double> Json::number() const {
  if (!cJSON_IsNumber(item_)) return std::nullopt;
  return item_->valuedouble;
}

std::optional<int64_t> Json::integer() const {
  const auto value = number();
  constexpr double kMaxExact = 9007199254740991.0;  // 2^53 - 1
  if (!value || std::floor(*value) != *value || std::fabs(*value) > kMaxExact) return std::nullopt;
  return static_cast<int64_t>(*value);
}

}  // namespace nb::test
