#include "redis_admin/reply.h"

#include "base/foreign_text.h"
#include "base/text.h"

namespace nb::redis_admin {
namespace {

// The status lines, errors and numbers of Redis are far shorter.
constexpr size_t kMostLine = 64 * 1024;

// A first pass, with null as its target, only tests whether the reply is whole. So a reply that
// comes in many pieces is copied only once.
struct Reader {
  std::string_view bytes;
  const ReplyLimits& limits;
  size_t at = 0;
  size_t items = 0;

  // The bytes before the next "\r\n".
  ReplyState line(std::string_view& out) {
    const size_t end = bytes.find("\r\n", at);
    if (end == std::string_view::npos) {
      return bytes.size() - at > kMostLine ? ReplyState::too_large : ReplyState::more;
    }
    out = bytes.substr(at, end - at);
    at = end + 2;
    return ReplyState::whole;
  }

  ReplyState text(long long size, Reply* reply) {
    const auto wanted = static_cast<size_t>(size);
    if (wanted > limits.bytes) return ReplyState::too_large;
    if (bytes.size() - at < wanted + 2) return ReplyState::more;
    if (bytes.substr(at + wanted, 2) != "\r\n") return ReplyState::malformed;
    set(reply, Reply::Kind::text, bytes.substr(at, wanted));
    at += wanted + 2;
    return ReplyState::whole;
  }

  static void set(Reply* reply, Reply::Kind kind, std::string_view text) {
    if (reply == nullptr) return;
    reply->kind = kind;
    // The text of an error is shown to people.
    reply->text = kind == Reply::Kind::error ? foreign_text(text) : std::string(text);
  }

  ReplyState list(long long size, Reply* reply, size_t depth) {
    const auto count = static_cast<size_t>(size);
    if (count > limits.items - items || depth == kMostReplyDepth) return ReplyState::too_large;
    items += count;
    set(reply, Reply::Kind::list, {});
    for (size_t i = 0; i < count; ++i) {
      Reply* const item = reply != nullptr ? &reply->items.emplace_back() : nullptr;
      const ReplyState state = value(item, depth + 1);
      if (state != ReplyState::whole) return state;
    }
    return ReplyState::whole;
  }

  ReplyState value(Reply* reply, size_t depth) {
    std::string_view words;
    // Another program need not end its lines as Redis does, so the first byte decides.
    if (at < bytes.size() && std::string_view("+-:$*").find(bytes[at]) == std::string_view::npos) {
      return ReplyState::malformed;
    }
    if (const ReplyState state = line(words); state != ReplyState::whole) return state;
    if (words.empty()) return ReplyState::malformed;
    const char type = words.front();
    words.remove_prefix(1);
    if (type == '+' || type == '-') {
      set(reply, type == '-' ? Reply::Kind::error : Reply::Kind::status, words);
      return ReplyState::whole;
    }
    const auto number = parse_number<long long>(words);
    if (!number) return ReplyState::malformed;
    if (type == ':') {
      set(reply, Reply::Kind::integer, words);
      return ReplyState::whole;
    }
    if ((type != '$' && type != '*') || *number < -1) return ReplyState::malformed;
    if (*number == -1) {
      set(reply, Reply::Kind::nil, {});
      return ReplyState::whole;
    }
    return type == '$' ? text(*number, reply) : list(*number, reply, depth);
  }
};

}  // namespace

ReplyState read_reply(std::string_view bytes, Reply& reply, size_t& used,
                      const ReplyLimits& limits) {
  if (bytes.empty()) return ReplyState::more;
  Reader look{bytes, limits};
  const ReplyState state = look.value(nullptr, 0);
  if (state == ReplyState::more && bytes.size() > limits.bytes) return ReplyState::too_large;
  if (state != ReplyState::whole) return state;
  reply = {};
  Reader reader{bytes, limits};
  (void)reader.value(&reply, 0);
  used = reader.at;
  return state;
}

}  // namespace nb::redis_admin
