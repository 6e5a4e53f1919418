// What std::terminate() calls in nodebeatd. libstdc++'s own prints the name of the exception, for
// which it brings a demangler and stdio: 50 KB of a daemon that throws nothing. The name is the
// library's; a definition of the program's own takes its place when libstdc++ is linked in.
#include <cstdlib>

namespace __gnu_cxx {

// NOLINTBEGIN(bugprone-reserved-identifier): the name is the point
void __verbose_terminate_handler();
void __verbose_terminate_handler() {
  std::abort();
}
// NOLINTEND(bugprone-reserved-identifier)

}  // namespace __gnu_cxx
