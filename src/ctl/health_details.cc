#include "ctl/health_details.h"

#include <algorithm>

#include "terminal/text.h"

namespace nb::ctl {

using namespace terminal;
namespace {

// The page shows these in other places.
constexpr std::string_view kSaidElsewhere[] = {"timestamp",    "node_id", "last_heartbeat",
                                               "is_reachable", "reason",  "name_conflict"};

// The end of a member's name that is its unit: of the endings that fit, the first.
struct Unit {
  std::string_view ending, words;
};
constexpr Unit kUnits[] = {
    {"_percent", " %"}, {"_ms", " ms"},   {"_c", " C"}, {"_bytes_per_s", "/s"},
    {"_bytes", {}},     {"_per_s", "/s"}, {"_s", {}}};

// A disk's member is called "percent": its name is nothing but the unit.
bool is_of(const Unit& unit, std::string_view name) {
  return name.ends_with(unit.ending) || name == unit.ending.substr(1);
}

const Unit* unit_of(std::string_view name) {
  const auto* at = std::find_if(std::begin(kUnits), std::end(kUnits),
                                [&](const Unit& unit) { return is_of(unit, name); });
  return at == std::end(kUnits) ? nullptr : at;
}

std::string label_of(std::string_view name) {
  if (const Unit* unit = unit_of(name)) {
    name.remove_suffix(std::min(unit->ending.size(), name.size()));
  }
  std::string label = printable(name);
  std::replace(label.begin(), label.end(), '_', ' ');
  return label;
}

std::string number_words(std::string_view name, double value) {
  const Unit* unit = unit_of(name);
  if (unit != nullptr && unit->ending.starts_with("_bytes")) {
    return size_text(value) + std::string(unit->words);
  }
  if (unit != nullptr && unit->ending == "_s" && value >= 0 && value < 1e12) {
    return human_duration(static_cast<int64_t>(value) * 1000);
  }
  return format("%.10g", value) + std::string(unit != nullptr ? unit->words : "");
}

// One line; empty if there is no value.
std::string words_of(Json value) {
  if (const auto number = value.number()) return number_words(value.name(), *number);
  if (const auto flag = value.boolean()) return *flag ? "yes" : "no";
  if (!value.text().empty()) return printable(value.text());
  std::string out;
  for (const Json member : value) {
    const std::string words = words_of(member);
    if (words.empty()) continue;
    const std::string label = label_of(member.name());
    out += (out.empty() ? "" : ", ") + label + (label.empty() ? "" : " ") + words;
  }
  return out;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> health_details(Json health) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Json member : health) {
    const auto* const end = std::end(kSaidElsewhere);
    if (std::find(std::begin(kSaidElsewhere), end, member.name()) != end) continue;
    const bool lists_objects = member.begin() != member.end() && (*member.begin()).is_object() &&
                               (*member.begin()).name().empty();
    std::string label = label_of(member.name());
    if (!lists_objects) {
      if (std::string words = words_of(member); !words.empty()) {
        out.emplace_back(std::move(label), std::move(words));
      }
      continue;
    }
    for (const Json item : member) {
      out.emplace_back(std::exchange(label, std::string()), words_of(item));
    }
  }
  return out;
}

}  // namespace nb::ctl
