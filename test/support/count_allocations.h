// Counts what C++ code allocates on the calling thread. Include it in one source of a test program:
// it replaces operator new. Under a sanitizer, which brings its own, nothing is counted.
#pragma once

#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NB_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define NB_SANITIZED 1
#endif
#endif

namespace nb::test {

#ifdef NB_SANITIZED
constexpr bool kCountsAllocations = false;
#else
constexpr bool kCountsAllocations = true;
#endif

inline thread_local long allocations = 0;

}  // namespace nb::test

#ifndef NB_SANITIZED
// Not inlined: gcc would take new and delete for mismatched.
[[gnu::noinline]] void* operator new(size_t size) {
  ++nb::test::allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new[](size_t size) {
  return operator new(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  operator delete(memory);
}
#endif
