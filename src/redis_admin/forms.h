// The form of a Redis server's answer to each question. The answers of another program must not be
// read as if Redis had given them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "redis_admin/reply.h"

namespace nb::redis_admin {

enum class Form : uint8_t {
  ok,          // AUTH, MULTI: +OK
  pong,        // PING: +PONG
  queued,      // the reply to a command after MULTI: +QUEUED
  name,        // ACL WHOAMI: a text
  info,        // INFO: a text of lines "name:value", the version among them
  setting,     // CONFIG GET: the name that was asked for and its value, or an empty list
  time,        // TIME: seconds and microseconds
  page,        // SCAN: the next cursor and a list of keys
  stream,      // XINFO STREAM: names and values in turn, the last id among them
  users,       // ACL LIST: lines of users
  permission,  // ACL DRYRUN: +OK, or a text with the reason
  any,         // the caller checks the answer itself
};

// Whether `reply` may be a server's answer to `command`. An error always may.
bool has_form(Form form, const std::vector<std::string>& command, const Reply& reply);

// A description of `reply` for a sentence: "'+PONG'", "a text of 12 bytes".
std::string description(const Reply& reply);

// The id of a stream's entry: "1700000000000-0".
bool is_stream_id(std::string_view text);

}  // namespace nb::redis_admin
