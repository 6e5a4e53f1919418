// Files with secrets, in one folder. They are written whole or not at all, for their owner only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::redis_admin {

// 192 random bits from the kernel, as 32 letters, digits, '-' and '_', which mean nothing else in a
// URL, a shell or TOML. Empty if the kernel gives no random bits.
std::string new_password();

// The functions below return the fault, in words; empty: they succeeded.

// Makes the folder (mode 0700), unless it is there. It is a fault if the folder belongs to another
// user, or if everybody may put files into it, unless `adopt`.
std::string make_folder(const std::string& path, bool adopt);
// Locks the folder against other setups until the lock is destroyed.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  // Waits at most `most_ms` for another setup.
  std::string take(const std::string& path, int64_t most_ms);

 private:
  int fd_ = -1;
};
// Nothing in `out` if there is no such file.
std::string read_file(const std::string& path, std::optional<std::string>& out);
// The same for a file whose content is trusted. It is a fault if the file is a symbolic link or no
// regular file. Unless `adopt`, it is also a fault if the file belongs to another user than root
// and this one, or if others may change it.
std::string read_own_file(const std::string& path, bool adopt, std::optional<std::string>& out);
// Writes the file in one step, with mode 0600; it is on the disk when this returns. An existing
// file is replaced only if `replace`.
std::string write_file(const std::string& path, std::string_view text, bool replace);

// Whether only the owner may do anything with the file.
bool is_private(const std::string& path);

}  // namespace nb::redis_admin
