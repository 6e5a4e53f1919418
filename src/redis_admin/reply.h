// Reads the replies of a server that is not trusted, within limits. Pure.
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
  std::string text;  // an integer's digits; an error's text is made harmless and cut
  std::vector<Reply> items;

  bool is_error() const { return kind == Kind::error; }
  bool denied() const { return is_error() && text.starts_with("NOPERM"); }
};

// INFO, CONFIG GET and the ACL of the largest cell need far less.
constexpr size_t kMostReplyBytes = 4 * 1024 * 1024;
constexpr size_t kMostReplyItems = 16 * 1024;
constexpr size_t kMostReplyDepth = 8;

struct ReplyLimits {
  size_t bytes = kMostReplyBytes;
  size_t items = kMostReplyItems;
};

enum class ReplyState : uint8_t {
  whole,      // `reply` and `used` are set
  more,       // the end of the reply has not come yet
  too_large,  // the reply is beyond the limits, or announces to be
  malformed,  // this is not Redis' protocol
};

// Reads the reply that `bytes` begins with.
ReplyState read_reply(std::string_view bytes, Reply& reply, size_t& used,
                      const ReplyLimits& limits = {});

}  // namespace nb::redis_admin
