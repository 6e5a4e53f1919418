// Users and groups by name, from /etc/passwd and /etc/group. Not through the C library's name
// service: it loads libraries, may ask a network, and the accounts of a service are local.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nb::agent {

// The number that `name` has in `table`, a text as /etc/passwd or /etc/group; a name of digits is
// that number.
std::optional<uint32_t> find_account(std::string_view table, std::string_view name);

}  // namespace nb::agent
