// The prefix of a cell (redis.prefix): in Redis each key and channel of the cell begins with it, so
// that several cells have room in one database. Nothing outside of this room knows the prefix:
// RespWriter adds it, and what is here takes it away again. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "redis/reply.h"
#include "wire/key_places.h"

namespace nb::redis {

// A key or a channel as the cell knows it. Nothing if the name is none of this cell's.
std::optional<std::string_view> without_prefix(std::string_view name, std::string_view prefix);
// The same for all keys in a reply. One that is none of this cell's becomes a reply of the kind
// `none`, so that the reply has not the form of an answer. The elements must be the reader's own.
void strip_prefix(Reply reply, wire::KeysInReply where, std::string_view prefix);

}  // namespace nb::redis
