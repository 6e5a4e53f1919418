// ForkMark: shows whether this process is a child that inherited the memory by fork(). The kernel
// wipes the mark's page in a child (MADV_WIPEONFORK), so a check costs one load, and the library
// needs neither a handler nor a global. A child of vfork() or posix_spawn() shares the memory until
// it executes another program, and counts as the process itself.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

namespace nb::client {

class ForkMark {
 public:
  ForkMark();
  ~ForkMark();
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;

  bool in_child() const { return page_ != nullptr ? *page_ == 0 : ::getpid() != pid_; }

 private:
  const volatile uint32_t* page_ = nullptr;  // null: this kernel cannot wipe (before Linux 4.14)
  pid_t pid_;
};

}  // namespace nb::client
