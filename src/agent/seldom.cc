#include "agent/seldom.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

// Set by seldom.ld.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern char nb_seldom_begin[];
[[gnu::weak, gnu::visibility("hidden")]] extern char nb_seldom_end[];
}

namespace nb::agent {

void give_back_seldom_code() {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(nb_seldom_begin) + page - 1) & ~(page - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(nb_seldom_end) & ~(page - 1);
  if (begin >= end) return;
  (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace nb::agent
