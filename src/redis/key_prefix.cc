#include "redis/key_prefix.h"

namespace nb::redis {
namespace {

// It is in the memory of the reader, which nobody else has seen yet.
void strip(const Reply& name, std::string_view prefix) {
  const auto rest = without_prefix(name.string(), prefix);
  const_cast<Reply&>(name) = rest ? Reply(Reply::Kind::string, *rest) : Reply();
}

}  // namespace

std::optional<std::string_view> without_prefix(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  return name.substr(prefix.size());
}

void strip_prefix(Reply reply, wire::KeysInReply where, std::string_view prefix) {
  if (prefix.empty() || where == wire::KeysInReply::none) return;
  if (where == wire::KeysInReply::page) {
    for (const Reply& key : reply[1].elements()) strip(key, prefix);
    return;
  }
  for (const Reply& stream : reply.elements()) {
    if (stream.size() > 0) strip(stream.elements().front(), prefix);
  }
}

}  // namespace nb::redis
