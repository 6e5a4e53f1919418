// The programs' standard streams and environment.
#pragma once

#include <string>
#include <string_view>

namespace nb {

// If a standard stream is closed, the next descriptor gets its number: log lines would go to a
// server, and libuv aborts when it has to close one of the three. So this opens each closed one to
// /dev/null. Call it before anything else is opened.
void open_standard_streams();

// Prints on standard output. Returns an exit code: EX_OK, or EX_IOERR after it has printed the
// reason on standard error in the name of `program`.
int print_all(const char* program, std::string_view text);

// Empty if it is not set.
std::string environment(const char* name);

}  // namespace nb
