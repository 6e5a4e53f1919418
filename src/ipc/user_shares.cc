#include "ipc/user_shares.h"

namespace nb::ipc {

void UserShares::add(uint32_t user, std::ptrdiff_t more) {
  if (more == 0) return;
  Entry* free = nullptr;
  for (Entry& entry : entries_) {
    if (entry.bytes == 0) {
      free = &entry;
    } else if (entry.user == user) {
      entry.bytes += static_cast<size_t>(more);
      return;
    }
  }
  if (free == nullptr) {
    entries_.push_back({user, static_cast<size_t>(more)});
  } else {
    *free = {user, static_cast<size_t>(more)};
  }
}

size_t UserShares::bytes(uint32_t user) const {
  for (const Entry& entry : entries_) {
    if (entry.bytes != 0 && entry.user == user) return entry.bytes;
  }
  return 0;
}

}  // namespace nb::ipc
