#include "redis_admin/secret_files.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/unique_fd.h"
#include "terminal/style.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr size_t kMostBytes = 1 << 20;
constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string fault_of(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

std::string user_of(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

// The fault of the owner and the mode. Empty: only this user and root may change it.
std::string stranger_fault(const std::string& path, const struct stat& info, mode_t others) {
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return path + " belongs to user " + user_of(info.st_uid) +
           ": remove it, make it yours with chown, or say --adopt";
  }
  if ((info.st_mode & others) != 0) {
    return path + " may be changed by others than its owner: chmod go-w, or say --adopt";
  }
  return {};
}

std::string read_all(int fd, const std::string& path, std::optional<std::string>& out) {
  std::string text;
  char buffer[16384];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 && text.size() <= kMostBytes) {
    text.append(buffer, static_cast<size_t>(n));
  }
  if (n < 0) return fault_of(path);
  if (text.size() > kMostBytes)
    return path + " is longer than " + size_text(static_cast<double>(kMostBytes));
  out = std::move(text);
  return {};
}

}  // namespace

std::string new_password() {
  std::array<unsigned char, 32> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) return {};
  std::string out;
  for (const unsigned char byte : bytes) out += kLetters[byte % 64];
  return out;
}

std::string make_folder(const std::string& path, bool adopt) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fault_of(path);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fault_of(path);
  if (!S_ISDIR(info.st_mode)) return path + " is no folder";
  return adopt ? std::string() : stranger_fault(path, info, S_IWOTH);
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::string FolderLock::take(const std::string& path, int64_t most_ms) {
  constexpr int64_t kPauseMs = 20;
  fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) return fault_of(path);
  for (int64_t waited = 0; ::flock(fd_, LOCK_EX | LOCK_NB) != 0; waited += kPauseMs) {
    // Some network file systems have no locks; then setup works without one.
    if (errno != EWOULDBLOCK && errno != EINTR) return {};
    if (waited >= most_ms) return path + ": another setup is still at work there: try again later";
    const timespec pause{0, kPauseMs * 1000000};
    ::nanosleep(&pause, nullptr);
  }
  return {};
}

std::string read_file(const std::string& path, std::optional<std::string>& out) {
  out.reset();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return errno == ENOENT ? std::string() : fault_of(path);
  return read_all(fd.get(), path, out);
}

std::string read_own_file(const std::string& path, bool adopt, std::optional<std::string>& out) {
  out.reset();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd && errno == ELOOP) {
    return path + " is a symbolic link: put the file itself there, or remove the link";
  }
  if (!fd) return errno == ENOENT ? std::string() : fault_of(path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fault_of(path);
  if (!S_ISREG(info.st_mode)) return path + " is no regular file";
  if (!adopt) {
    std::string fault = stranger_fault(path, info, S_IWGRP | S_IWOTH);
    if (!fault.empty()) return fault;
  }
  return read_all(fd.get(), path, out);
}

std::string write_file(const std::string& path, std::string_view text, bool replace) {
  const std::string draft = path + "~";
  ::unlink(draft.c_str());
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fault_of(draft);
  std::string fault;
  if (!write_all(fd, text) || ::fchmod(fd, 0600) != 0 || ::fsync(fd) != 0) fault = fault_of(draft);
  ::close(fd);
  if (fault.empty()) {
    const int rc =
        replace ? ::rename(draft.c_str(), path.c_str()) : ::link(draft.c_str(), path.c_str());
    if (rc != 0) fault = fault_of(path);
  }
  if (!replace || !fault.empty()) ::unlink(draft.c_str());
  return fault;
}

bool is_private(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) != 0 || (info.st_mode & 077) == 0;
}

}  // namespace nb::redis_admin
