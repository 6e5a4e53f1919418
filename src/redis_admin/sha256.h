// SHA-256 (FIPS 180-4): a users.acl holds the hashes of passwords.
#pragma once

#include <string>
#include <string_view>

namespace nb::redis_admin {

// 64 hexadecimal digits, lower case.
std::string sha256_hex(std::string_view text);

}  // namespace nb::redis_admin
