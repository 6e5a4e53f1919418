#include "config/draft.h"

#include "base/text.h"
#include "config/assign.h"

namespace nb::config {
namespace {
constexpr size_t kMaxErrors = 20;
}

Draft::Draft(const Sources& from) : sources(from) {
  loaded.config = raw_defaults();
  loaded.origins.resize(all_keys().size());
}

void Draft::error(const Place& where, const std::string& message) {
  errors.emplace_back(where.line, where.text.empty() ? message : where.text + ": " + message);
}

void Draft::key_error(const Place& where, const std::string& path, const std::string& message) {
  error(where, "key '" + path + "': " + message);
}

void Draft::error_at(const Key& key, const std::string& message) {
  const Origin& place = origin(key);
  key_error(place.level == Level::fallback ? "" : place.from, key.path(), message);
}

void Draft::warning(const std::string& where, const std::string& message) {
  loaded.warnings.push_back(where.empty() ? message : where + ": " + message);
}

void Draft::set(const Key& key, const Value& value, Level level, const Place& from) {
  const Status status = assign(key, value, field_of(key, loaded.config));
  if (!status) {
    key_error(from, key.path(), status.error().message);
    return;
  }
  origin(key) = {level, from.text};
}

Place Draft::at_line(int line) const {
  return {line, loaded.file + ":" + std::to_string(line)};
}

Error Draft::all_errors() const {
  Error all{{}, fault};
  size_t count = 0;
  // A table comes sorted by name, so the errors don't come by line; there are few.
  for (int line = -1; count < kMaxErrors && count < errors.size();) {
    int next = INT_MAX;
    for (const Place& one : errors) {
      if (one.line > line && one.line < next) next = one.line;
    }
    for (const Place& one : errors) {
      if (one.line != next || count == kMaxErrors) continue;
      if (count++ > 0) all.message += '\n';
      all.message += one.text;
    }
    line = next;
  }
  if (errors.size() > count) all.message += format("\n... and %zu more", errors.size() - count);
  return all;
}

}  // namespace nb::config
