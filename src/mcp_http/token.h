// A secret that a client shows with each request, as `Authorization: Bearer SECRET`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace nb::mcp_http {

// The secret in a file: one word in one line, 16 to 512 characters. The file has to belong to this
// user or to root, and everybody must neither read nor write it.
Result<std::string> read_token(const std::string& path);

// Takes the same time for any token of the client.
bool shows_token(const http::Request& request, std::string_view token);

}  // namespace nb::mcp_http
