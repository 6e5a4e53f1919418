#include "wire/key_places.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace nb::wire {

using namespace std::string_view_literals;  // built for size, only these know their length
namespace {

constexpr std::string_view kWithoutKeys[] = {"ACL"sv,    "CLIENT"sv,  "CONFIG"sv,
                                             "INFO"sv,   "PING"sv,    "SCRIPT"sv,
                                             "SELECT"sv, "SLOWLOG"sv, "TIME"sv};

}  // namespace

KeyPlaces key_places(std::span<const std::string_view> command) {
  const std::string_view name = command.front();
  if (std::ranges::find(kWithoutKeys, name) != std::end(kWithoutKeys)) return {};
  // SCAN cursor MATCH pattern
  if (name == "SCAN"sv) return {3, 1, KeysInReply::page};
  // XINFO STREAM key, XGROUP DESTROY key, MEMORY USAGE key
  if (name == "XINFO"sv || name == "XGROUP"sv || name == "MEMORY"sv) return {2, 1};
  // EVALSHA digest count key...
  if (name == "EVALSHA"sv || name == "EVAL"sv) {
    return {3, parse_number<size_t>(command[2]).value_or(0)};
  }
  if (name == "XREAD"sv) {
    const auto streams = std::ranges::find(command, "STREAMS"sv);
    const auto rest = static_cast<size_t>(std::distance(streams, command.end()));
    return {command.size() - rest + 1, rest / 2, KeysInReply::streams};
  }
  return {1, 1};
}

}  // namespace nb::wire
