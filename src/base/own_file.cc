#include "base/own_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/file.h"

namespace nb {
namespace {

Error system_error(const std::string& path, int error) {
  return make_error("%s: %s", path.c_str(), std::strerror(error)).as(fault_of(error));
}

Error not_ours(const std::string& path, const char* what) {
  return make_error(
             "%s is %s, and is left alone: remove it, or configure another path for the socket",
             path.c_str(), what)
      .as(Fault::no_place);
}

}  // namespace

Result<UniqueFd> open_own_file(const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode));
  if (!fd && errno == ELOOP) return not_ours(path, "a symbolic link");
  if (!fd) return system_error(path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return system_error(path, errno);
  if (!S_ISREG(status.st_mode)) return not_ours(path, "no file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) return not_ours(path, "another user's");
  if (status.st_nlink > 1) return not_ours(path, "a file that has another name, too");
  return fd;
}

Result<std::string> read_own_file(const std::string& path, size_t limit) {
  const Result<UniqueFd> fd = open_own_file(path, O_RDONLY);
  if (!fd) return fd.error();
  return read_descriptor(fd->get(), path, limit);
}

Status replace_own_file(const std::string& path, std::string_view text) {
  const std::string draft = path + "~";
  // A run that was killed may have left a draft. The file of another user cannot be removed in a
  // folder for everybody.
  ::unlink(draft.c_str());
  {
    const Result<UniqueFd> fd = open_own_file(draft, O_WRONLY | O_CREAT | O_EXCL);
    if (!fd) return fd.error();
    const ssize_t n = ::write(fd->get(), text.data(), text.size());
    if (n != static_cast<ssize_t>(text.size())) return system_error(draft, n < 0 ? errno : ENOSPC);
  }
  if (::rename(draft.c_str(), path.c_str()) != 0) return system_error(path, errno);
  return {};
}

}  // namespace nb
