// Why a line is not JSON, in words, and what would be right, for the literals of programming
// languages that JSON does not have.
#pragma once

#include <string>
#include <string_view>

#include "json/guard.h"

namespace nb::ipc {

std::string words_for(const json::Fault& fault, std::string_view line);

}  // namespace nb::ipc
