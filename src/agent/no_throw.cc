// Where libstdc++ would throw, nodebeatd says why and aborts: nothing in it catches
// (-fno-exceptions), so a throw would end it as well, but silently. The code that only a throw
// needs has 85 KB (unwinder, exception classes, demangler); linked in statically, libstdc++ brings
// it along only for these functions. Our definitions come first in the search, so the archive's
// members stay out.
//
// operator new and delete may be replaced by any program. The __throw_ functions are libstdc++'s
// own: ours are weak, so that a function which another version adds costs its size again, and
// nothing else.
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <string>  // declares the __throw_ functions

namespace {

// Without an allocation, which may be the failure; and silently if standard error has no reader,
// since a write that waits would keep a service manager from starting the next run.
[[noreturn, gnu::noinline]] void fail(const char* why) {
  constexpr char kHead[] = "<2>nodebeatd: fatal: ";
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) != 1) ::abort();
  for (const char* text : {kHead, why, "\n"}) {
    if (::write(STDERR_FILENO, text, ::strlen(text)) < 0) break;
  }
  ::abort();
}

}  // namespace

void* operator new(size_t size) {
  void* memory = ::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) fail("out of memory");
  return memory;
}
void* operator new(size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  if (::posix_memalign(&memory, static_cast<size_t>(alignment), size) != 0) fail("out of memory");
  return memory;
}
void operator delete(void* memory) noexcept {
  ::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  ::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  ::free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  ::free(memory);
}

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl58-cpp): the names are the point
namespace std {

[[gnu::weak]] void __throw_bad_alloc() {
  fail("out of memory");
}
[[gnu::weak]] void __throw_bad_array_new_length() {
  fail("an array longer than memory");
}
[[gnu::weak]] void __throw_bad_function_call() {
  fail("an empty function was called");
}
[[gnu::weak]] void __throw_length_error(const char* where) {
  fail(where);
}
[[gnu::weak]] void __throw_logic_error(const char* where) {
  fail(where);
}
[[gnu::weak]] void __throw_out_of_range(const char* where) {
  fail(where);
}
[[gnu::weak]] void __throw_out_of_range_fmt(const char* format, ...) {
  char where[200];
  va_list values;
  va_start(values, format);
  ::vsnprintf(where, sizeof where, format, values);
  va_end(values);
  fail(where);
}
[[gnu::weak]] void __throw_system_error(int error) {
  fail(::strerror(error));
}

// std::make_shared() asks this without RTTI about a tag that is not the one it knows, such as one
// from another library. In one file there is one tag; libstdc++'s own code brings its mutexes
// along.
[[gnu::weak]] bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept {
  return false;
}

#if _GLIBCXX_RELEASE >= 13
// Overwriting a string with a part of itself: libstdc++ has it compiled, but in one file with
// strings read from streams, which catch. So it is compiled here.
template void string::_M_replace_cold(char*, size_type, const char*, const size_type,
                                      const size_type);
#endif

}  // namespace std
// NOLINTEND(bugprone-reserved-identifier,cert-dcl58-cpp)
