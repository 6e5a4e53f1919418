// Files of a folder with secrets in it: written whole or not at all, for their owner only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::redis_admin {

// 192 random bits from the kernel, in 32 letters, digits, '-' and '_': nothing that a URL, a shell
// or TOML would take for something else. Empty if the kernel gives none.
std::string new_password();

// What is wrong, in words; empty: it went well.

// Makes the folder (mode 0700), unless it is there. One of another user, or into which everybody
// may put files, is a fault, unless `adopt`.
std::string make_folder(const std::string& path, bool adopt);
// Keeps others who take it out of the folder until it is destroyed.
class FolderLock {
 public:
  FolderLock() = default;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

  // Waits at most that long for one who has it.
  std::string take(const std::string& path, int64_t most_ms);

 private:
  int fd_ = -1;
};
// Nothing in `out` if there is no such file.
std::string read_file(const std::string& path, std::optional<std::string>& out);
// The same of a file whose content is to be trusted. A symbolic link, and what is no regular file,
// is a fault; and unless `adopt` so is a file of another user (but root), or that others may
// change.
std::string read_own_file(const std::string& path, bool adopt, std::optional<std::string>& out);
// Mode 0600, in one step; on the disk when it returns. Replaces what is there only if `replace`.
std::string write_file(const std::string& path, std::string_view text, bool replace);

// Whether nobody but its owner may do anything with the file.
bool is_private(const std::string& path);

}  // namespace nb::redis_admin
