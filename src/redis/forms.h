// The forms of Redis' replies to reads. The server at its address is not trusted: each function
// refuses a reply that has not the form which the command's documentation gives. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "redis/reply.h"

namespace nb::redis {

// A page of SCAN or HSCAN, with nothing but texts in it. The cursor is 0 at the end of a walk.
struct ScanPage {
  uint64_t cursor = 0;
  std::span<const Reply> elements;

  std::string_view text(size_t i) const { return elements[i].text(); }
};
std::optional<ScanPage> read_scan_page(Reply reply);

// An integer that counts something: HLEN, STRLEN, HDEL.
std::optional<uint64_t> read_count(Reply reply);

// The text of GET and HGET; empty for nil, too.
std::optional<std::string_view> read_value(Reply reply);

// The name of the type (TYPE); "none" for a key that is not there.
std::optional<std::string_view> read_type(Reply reply);

// Whether the reply is a list of entries (XREVRANGE), which may be empty.
bool is_entries(Reply reply);

// The value behind a name in a list of names and values (an entry, XINFO); empty if there is none.
std::string_view field_of(Reply fields, std::string_view name);

// When Redis took the newest entry of a stream (XREVRANGE ... COUNT 1).
std::optional<WallTime> read_newest_entry(Reply reply);

// TIME.
std::optional<WallTime> read_time(Reply reply);

// The value of a line of INFO, "name:value\r\n".
std::optional<std::string_view> find_in_info(std::string_view info, std::string_view name);

// What stands behind the prefix of a key; nothing if the key has another, or ends there.
std::optional<std::string_view> behind(std::string_view prefix, std::string_view key);

// The name of a stroke session that tells its node and when it began: stroke_{node}_{seconds}, of
// our agents with _{microseconds} behind it.
struct SessionName {
  std::string_view node;
  uint64_t seconds = 0;
  uint64_t microseconds = 0;
};
std::optional<SessionName> read_session_name(std::string_view name);

}  // namespace nb::redis
