#include "config/draft.h"

#include <cstdarg>

#include "base/text.h"
#include "config/assign.h"
#include "config/files.h"

namespace nb::config {
namespace {

constexpr size_t kMaxErrors = 20;
constexpr int kMaxLines = kMaxFile + 1;

std::string at(const std::string& where, const std::string& message) {
  return where.empty() ? message : where + ": " + message;
}

}  // namespace

Draft::Draft(const Sources& from) : sources(from) {
  set_raw_defaults(loaded.config);
  loaded.origins.resize(all_keys().size());
}

void Draft::begin_file(const std::string& name) {
  file_ = name;
  ++file_number_;
}

void Draft::add(Place where, const std::string& message) {
  const int place = where.line == INT_MAX ? INT_MAX : file_number_ * kMaxLines + where.line;
  errors.push_back({place, at(text_of(where), message)});
}

void Draft::add(Place where, const std::string& path, const std::string& message) {
  add(where, nb::format("key '%s': %s", path.c_str(), message.c_str()));
}

void Draft::error(Place where, const char* format, ...) {
  va_list args;
  va_start(args, format);
  add(where, vformat(format, args));
  va_end(args);
}

void Draft::key_error(Place where, const std::string& path, const char* format, ...) {
  va_list args;
  va_start(args, format);
  add(where, path, vformat(format, args));
  va_end(args);
}

void Draft::error_at(const Key& key, const char* format, ...) {
  const Origin& place = origin(key);
  va_list args;
  va_start(args, format);
  add(place.level == Level::fallback ? Place("") : Place(place.from), key.path(),
      vformat(format, args));
  va_end(args);
}

void Draft::warning(const std::string& where, const char* format, ...) {
  va_list args;
  va_start(args, format);
  loaded.warnings.push_back(at(where, vformat(format, args)));
  va_end(args);
}

void Draft::set(const Key& key, const Value& value, Level level, Place from) {
  const Status status = assign(key, value, field_of(key, loaded.config));
  if (!status) {
    add(from, key.path(), status.error().message);
    return;
  }
  origin(key) = {level, text_of(from)};
}

std::string Draft::text_of(Place place) const {
  if (place.line == INT_MAX) return std::string(place.name);
  return nb::format("%s:%d", file_.c_str(), place.line);
}

Error Draft::all_errors() const {
  Error all{{}, fault};
  size_t count = 0;
  // Some errors are found later than others that are behind them in the file; there are few.
  for (int place = -1; count < kMaxErrors && count < errors.size();) {
    int next = INT_MAX;
    for (const Finding& one : errors) {
      if (one.place > place && one.place < next) next = one.place;
    }
    for (const Finding& one : errors) {
      if (one.place != next || count == kMaxErrors) continue;
      if (count++ > 0) all.message += '\n';
      all.message += one.text;
    }
    place = next;
  }
  if (errors.size() > count) all.message += format("\n... and %zu more", errors.size() - count);
  return all;
}

}  // namespace nb::config
