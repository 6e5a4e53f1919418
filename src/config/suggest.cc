#include "config/suggest.h"

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "config/keys.h"

namespace nb::config {
namespace {

std::string question(std::string_view meant) {
  if (meant.empty()) return {};
  return format("; did you mean '%.*s'?", static_cast<int>(meant.size()), meant.data());
}

}  // namespace

std::string suggest_key(std::string_view section, std::string_view name) {
  std::vector<std::string_view> here;
  for (const Key& key : all_keys()) {
    if (key.section == section) here.push_back(std::string_view(key.name));
  }
  const std::string_view found = nearest(name, here);
  if (!found.empty()) return question(found);
  // The right name in the wrong section.
  for (const Key& key : all_keys()) {
    if (key.section != section && key.name == name) return question(key.path());
  }
  return {};
}

std::string suggest_section(std::string_view name) {
  std::vector<std::string_view> sections;
  for (const Key& key : all_keys()) {
    if (sections.empty() || sections.back() != key.section) {
      sections.push_back(std::string_view(key.section));
    }
  }
  return question(nearest(name, sections));
}

}  // namespace nb::config
