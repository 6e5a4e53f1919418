// Replies of a Redis server that nobody vouches for: read from bytes, within bounds. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nb::redis_admin {

struct Reply {
  // `none`: there was no answer at all. `status` is the short line of "+OK", `text` is a string
  // with a length.
  enum class Kind : uint8_t { none, nil, status, text, error, integer, list };
  Kind kind = Kind::none;
  std::string text;  // of an integer, its digits; of an error, cleaned and cut
  std::vector<Reply> items;

  bool is_error() const { return kind == Kind::error; }
  bool denied() const { return is_error() && text.starts_with("NOPERM"); }
};

// What INFO, CONFIG GET and the ACL of the largest cell take is far below.
constexpr size_t kMostReplyBytes = 4 * 1024 * 1024;
constexpr size_t kMostReplyItems = 16 * 1024;
constexpr size_t kMostReplyDepth = 8;

enum class ReplyState : uint8_t {
  whole,      // `reply` and `used` are set
  more,       // its end has not come yet
  too_large,  // beyond the bounds, or announced to be
  malformed,  // no reply of Redis
};

// The reply that `bytes` begins with.
ReplyState read_reply(std::string_view bytes, Reply& reply, size_t& used);

}  // namespace nb::redis_admin
