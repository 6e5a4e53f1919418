#include "health/directory.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace nb::health {

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  DIR* open = ::opendir(directory.c_str());
  if (open == nullptr) return names;
  while (const dirent* entry = ::readdir(open)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::string(name));
  }
  ::closedir(open);
  return names;
}

std::vector<unsigned> numbered_entries(const std::string& directory, std::string_view prefix,
                                       std::string_view suffix) {
  std::vector<unsigned> numbers;
  for (std::string_view name : entries(directory)) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    if (name.size() < prefix.size() + suffix.size()) continue;
    name.remove_prefix(prefix.size());
    name.remove_suffix(suffix.size());
    if (const auto number = parse_number<unsigned>(name)) {
      numbers.insert(std::upper_bound(numbers.begin(), numbers.end(), *number), *number);
    }
  }
  return numbers;
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace nb::health
