// Counts what the calling thread takes from the heap, in C too: it stands before libc's functions.
// Include it in one source of a test program. Under a sanitizer, which brings its own, nothing is
// counted.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NB_MALLOC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NB_MALLOC_SANITIZED 1
#endif
#endif

namespace nb::test {

#ifdef NB_MALLOC_SANITIZED
constexpr bool kCountsMallocs = false;
#else
constexpr bool kCountsMallocs = true;
#endif

inline thread_local long mallocs = 0;

}  // namespace nb::test

#ifndef NB_MALLOC_SANITIZED
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  ++nb::test::mallocs;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
  ++nb::test::mallocs;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
  ++nb::test::mallocs;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  ++nb::test::mallocs;
  return __libc_memalign(alignment, size);
}
}
#endif
