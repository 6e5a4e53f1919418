// UserShares: how many bytes wait for the clients of each user, so that one user's clients together
// are bounded, whatever number of connections they have. Pure; there are as many entries as users
// have had something waiting at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nb::ipc {

class UserShares {
 public:
  // `more` may be negative.
  void add(uint32_t user, std::ptrdiff_t more);
  size_t bytes(uint32_t user) const;

 private:
  struct Entry {
    uint32_t user;
    size_t bytes;  // 0: the entry is free
  };

  std::vector<Entry> entries_;
};

}  // namespace nb::ipc
