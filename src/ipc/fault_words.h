// Why a line is no JSON, in words; and what would be right, where a program's language writes what
// JSON does not have.
#pragma once

#include <string>
#include <string_view>

#include "json/guard.h"

namespace nb::ipc {

std::string words_for(const json::Fault& fault, std::string_view line);

}  // namespace nb::ipc
