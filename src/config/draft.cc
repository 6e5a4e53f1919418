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

void Draft::error(const std::string& where, const std::string& message) {
  errors.push_back(where.empty() ? message : where + ": " + message);
}

void Draft::key_error(const std::string& where, const std::string& path,
                      const std::string& message) {
  error(where, "key '" + path + "': " + message);
}

void Draft::error_at(const Key& key, const std::string& message) {
  const Origin& place = origin(key);
  key_error(place.level == Level::fallback ? "" : place.from, key.path(), message);
}

void Draft::warning(const std::string& where, const std::string& message) {
  loaded.warnings.push_back(where.empty() ? message : where + ": " + message);
}

void Draft::set(const Key& key, const Value& value, Level level, const std::string& from) {
  const Status status = assign(key, value, field_of(key, loaded.config));
  if (!status) {
    key_error(from, key.path(), status.error().message);
    return;
  }
  origin(key) = {level, from};
}

Error Draft::all_errors() const {
  Error all;
  for (size_t i = 0; i < errors.size() && i < kMaxErrors; ++i) {
    if (i > 0) all.message += '\n';
    all.message += errors[i];
  }
  if (errors.size() > kMaxErrors) {
    all.message += format("\n... and %zu more", errors.size() - kMaxErrors);
  }
  return all;
}

}  // namespace nb::config
