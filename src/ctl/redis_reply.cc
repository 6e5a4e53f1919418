#include "ctl/redis_reply.h"

#include "base/foreign_text.h"
#include "base/text.h"

namespace nb::ctl {
namespace {

// Redis' own simple strings, errors and numbers are far shorter.
constexpr size_t kMostLine = 64 * 1024;

struct Reader {
  std::string_view bytes;
  size_t at = 0;
  size_t items = 0;

  // What stands before the next "\r\n".
  ReplyState line(std::string_view& out) {
    const size_t end = bytes.find("\r\n", at);
    if (end == std::string_view::npos) {
      return bytes.size() - at > kMostLine ? ReplyState::too_large : ReplyState::more;
    }
    out = bytes.substr(at, end - at);
    at = end + 2;
    return ReplyState::whole;
  }

  ReplyState text(long long size, RedisReply& reply) {
    const auto wanted = static_cast<size_t>(size);
    if (wanted > kMostReplyBytes) return ReplyState::too_large;
    if (bytes.size() - at < wanted + 2) return ReplyState::more;
    if (bytes.substr(at + wanted, 2) != "\r\n") return ReplyState::malformed;
    reply.kind = RedisReply::Kind::text;
    reply.text = bytes.substr(at, wanted);
    at += wanted + 2;
    return ReplyState::whole;
  }

  ReplyState list(long long size, RedisReply& reply, size_t depth) {
    const auto count = static_cast<size_t>(size);
    if (count > kMostReplyItems - items || depth == kMostReplyDepth) return ReplyState::too_large;
    items += count;
    reply.kind = RedisReply::Kind::list;
    for (size_t i = 0; i < count; ++i) {
      // An item after the other: what is only announced takes no memory.
      const ReplyState state = value(reply.items.emplace_back(), depth + 1);
      if (state != ReplyState::whole) return state;
    }
    return ReplyState::whole;
  }

  ReplyState value(RedisReply& reply, size_t depth) {
    std::string_view words;
    // Whoever else answers need not end a line as Redis does.
    if (at < bytes.size() && std::string_view("+-:$*").find(bytes[at]) == std::string_view::npos) {
      return ReplyState::malformed;
    }
    if (const ReplyState state = line(words); state != ReplyState::whole) return state;
    if (words.empty()) return ReplyState::malformed;
    const char type = words.front();
    words.remove_prefix(1);
    if (type == '+' || type == '-') {
      reply.kind = type == '-' ? RedisReply::Kind::error : RedisReply::Kind::text;
      reply.text = type == '-' ? foreign_text(words) : std::string(words);
      return ReplyState::whole;
    }
    const auto number = parse_number<long long>(words);
    if (!number) return ReplyState::malformed;
    if (type == ':') {
      reply.kind = RedisReply::Kind::integer;
      reply.text = words;
      return ReplyState::whole;
    }
    if ((type != '$' && type != '*') || *number < -1) return ReplyState::malformed;
    if (*number == -1) return ReplyState::whole;  // nil
    return type == '$' ? text(*number, reply) : list(*number, reply, depth);
  }
};

}  // namespace

ReplyState read_reply(std::string_view bytes, RedisReply& reply, size_t& used) {
  if (bytes.empty()) return ReplyState::more;
  Reader reader{bytes};
  RedisReply read;
  const ReplyState state = reader.value(read, 0);
  if (state == ReplyState::more && bytes.size() > kMostReplyBytes) return ReplyState::too_large;
  if (state != ReplyState::whole) return state;
  reply = std::move(read);
  used = reader.at;
  return state;
}

}  // namespace nb::ctl
