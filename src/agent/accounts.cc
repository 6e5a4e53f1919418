#include "agent/accounts.h"

#include <algorithm>

#include "base/text.h"

namespace nb::agent {

// Both files have "name:password:number:..." lines (passwd(5), group(5)).
std::optional<uint32_t> find_account(std::string_view table, std::string_view name) {
  if (const auto number = parse_number<uint32_t>(name)) return number;
  while (!table.empty()) {
    const size_t end = std::min(table.find('\n'), table.size());
    std::string_view line = table.substr(0, end);
    table.remove_prefix(std::min(end + 1, table.size()));
    if (!line.starts_with(name) || line.substr(name.size(), 1) != ":") continue;
    line.remove_prefix(name.size() + 1);
    const size_t password = line.find(':');
    if (password == std::string_view::npos) continue;
    line.remove_prefix(password + 1);
    return parse_number<uint32_t>(line.substr(0, line.find(':')));
  }
  return std::nullopt;
}

}  // namespace nb::agent
