#include "client/fork_mark.h"

#include <sys/mman.h>

namespace nb::client {
namespace {

constexpr size_t kPageBytes = 4096;  // the kernel rounds it up where pages are larger

}  // namespace

ForkMark::ForkMark() : pid_(::getpid()) {
  void* const page =
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (::madvise(page, kPageBytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, kPageBytes);
    return;
  }
  *static_cast<uint32_t*>(page) = 1;
  page_ = static_cast<const uint32_t*>(page);
}

ForkMark::~ForkMark() {
  if (page_ != nullptr) ::munmap(const_cast<uint32_t*>(page_), kPageBytes);
}

}  // namespace nb::client
