// What the programs do with their standard streams and their environment.
#pragma once

#include <string>
#include <string_view>

namespace nb {

// A standard stream that is closed is the number of the next descriptor: log lines would go to a
// server, and libuv aborts when it is to close one of the three. So each is opened, to /dev/null.
// Before anything else is opened.
void open_standard_streams();

// On standard output. Returns an exit code: EX_OK, or EX_IOERR, for which it has told the reason on
// standard error in the name of `program`.
int print_all(const char* program, std::string_view text);

// Empty if it is not set.
std::string environment(const char* name);

}  // namespace nb
