// UserShares: how many bytes wait for the clients of each user, so that the clients of one user are
// bounded together, however many connections they have. Pure. There are as many entries as users
// have had bytes waiting at the same time.
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
