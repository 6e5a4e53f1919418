#include "base/text.h"
#include "config/assign.h"
#include "config/units.h"

namespace nb::config {
namespace {

using Type = Field::Type;

std::string list_text(const std::vector<std::string>& list) {
  std::string text = "[";
  for (const std::string& item : list) {
    if (text.size() > 1) text += ", ";
    text += in_quotes(item);
  }
  return text + "]";
}

std::string databases_text(const std::vector<Database>& databases) {
  std::string text = "{";
  for (const Database& database : databases) {
    text += text.size() > 1 ? ", " : " ";
    text += quoted_key(database.name);
    text += " = " + std::to_string(database.number);
  }
  return text + " }";
}

std::string statuses_text(const std::vector<StatusRange>& statuses) {
  std::string text = "[";
  for (const StatusRange& range : statuses) {
    if (text.size() > 1) text += ", ";
    text += range.first == range.last ? std::to_string(range.first)
                                      : format("\"%dxx\"", range.first / 100);
  }
  return text + "]";
}

}  // namespace

std::string field_text(const Key& key, Field field) {
  switch (field.type) {
    case Type::text:
      return in_quotes(field.as<std::string>());
    case Type::duration:
      return in_quotes(format_duration(field.as<Duration>()));
    case Type::size:
      return in_quotes(format_size(field.as<uint64_t>()));
    case Type::integer:
      return std::to_string(field.as<uint64_t>());
    case Type::flag:
      return field.as<bool>() ? "true" : "false";
    case Type::level:
      return in_quotes(choices(
          key)[static_cast<size_t>(field.as<LogLevel>()) - static_cast<size_t>(LogLevel::error)]);
    case Type::choice:
      return in_quotes(choices(key)[field.as<uint8_t>()]);
    case Type::mode:
      return format("\"%04o\"", field.as<uint32_t>());
    case Type::list:
      return list_text(field.as<std::vector<std::string>>());
    case Type::databases:
      return databases_text(field.as<std::vector<Database>>());
    case Type::statuses:
      return statuses_text(field.as<std::vector<StatusRange>>());
    case Type::http_url: {
      const auto& url = field.as<HttpUrl>();
      return in_quotes(
          url.endpoint.host.empty() ? "" : "http://" + format_endpoint(url.endpoint) + url.path);
    }
    case Type::endpoint:
      return in_quotes(format_endpoint(field.as<Endpoint>()));
  }
  return {};
}

}  // namespace nb::config
