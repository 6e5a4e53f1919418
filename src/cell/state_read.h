// The reads of state.get and state.list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cell/operation.h"

namespace nb::cell {

// The position of a walk: a page of SCAN, by its cursor, and how many of its keys have been
// returned. Redis gives the same page for the same cursor as long as nothing is added or removed
// around it; the digest shows whether it is the same. If not, the page begins again: a key may come
// twice, and none is left out. So the agent keeps nothing for a walk, and an invented cursor is
// only another place to begin.
struct ListCursor {
  uint64_t page = 0;
  uint64_t done = 0;
  uint64_t digest = 0;

  static std::optional<ListCursor> parse(std::string_view text);
  std::string text() const;
};

std::unique_ptr<Operation> make_get_operation(std::string_view key);
std::unique_ptr<Operation> make_list_operation(std::string_view prefix, const ListCursor& from,
                                               size_t limit);

// The answer of state.get. `source`: where the value was found.
std::string get_result(std::string_view key, std::string_view value_json, const char* source);
// The one field in which a HASH of the schema holds its object; empty for others.
std::string_view object_field(std::string_view key);
// The pattern of all keys that begin so.
std::string glob_of_prefix(std::string_view prefix);
// Appends a value from Redis: as JSON if it is JSON, else as a text.
void append_value(std::string_view stored, std::string& out);

}  // namespace nb::cell
