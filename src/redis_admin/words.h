// Lines and words of a server's files and answers. Pure.
#pragma once

#include <string_view>
#include <vector>

namespace nb::redis_admin {

// The words of a line, between spaces.
std::vector<std::string_view> words_of(std::string_view line);

// Takes the first line off `rest`, and returns it without its "\n" or "\r\n".
std::string_view next_line(std::string_view& rest);

}  // namespace nb::redis_admin
