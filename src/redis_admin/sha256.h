// SHA-256 (FIPS 180-4), for the passwords in a users.acl: Redis takes them hashed.
#pragma once

#include <string>
#include <string_view>

namespace nb::redis_admin {

// 64 hexadecimal digits, lower case.
std::string sha256_hex(std::string_view text);

}  // namespace nb::redis_admin
