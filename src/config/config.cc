#include "config/config.h"

#include "base/text.h"
#include "config/suggest.h"

namespace nb::config {

Result<int> RedisConfig::db_for(std::string_view name) const {
  std::string known;
  std::vector<std::string_view> names;
  for (const Database& database : db) {
    if (database.name == name) return database.number;
    known += (known.empty() ? "" : ", ") + database.name;
    names.push_back(std::string_view(database.name));
  }
  const std::string_view near = nearest(name, names);
  const std::string wanted(name);
  return make_error("no database is named '%s' (defined are: %s)%s%.*s%s; add %s = N to [redis.db]",
                    wanted.c_str(), known.empty() ? "none" : known.c_str(),
                    near.empty() ? "" : "; is '", static_cast<int>(near.size()), near.data(),
                    near.empty() ? "" : "' meant", wanted.c_str());
}

}  // namespace nb::config
