#include "ctl/secret_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "ctl/style.h"

namespace nb::ctl {
namespace {

constexpr size_t kMostBytes = 1 << 20;
constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string fault_of(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

}  // namespace

std::string new_password() {
  std::array<unsigned char, 32> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) return {};
  std::string out;
  for (const unsigned char byte : bytes) out += kLetters[byte % 64];
  return out;
}

std::string make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fault_of(path);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fault_of(path);
  if (!S_ISDIR(info.st_mode)) return path + " is no folder";
  return {};
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

std::string FolderLock::take(const std::string& path, int64_t most_ms) {
  constexpr int64_t kPauseMs = 20;
  fd_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0) return fault_of(path);
  for (int64_t waited = 0; ::flock(fd_, LOCK_EX | LOCK_NB) != 0; waited += kPauseMs) {
    // Some network file systems have no such locks.
    if (errno != EWOULDBLOCK && errno != EINTR) return {};
    if (waited >= most_ms) return path + ": another setup is still at work there: try again later";
    const timespec pause{0, kPauseMs * 1000000};
    ::nanosleep(&pause, nullptr);
  }
  return {};
}

std::string read_file(const std::string& path, std::optional<std::string>& out) {
  out.reset();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? std::string() : fault_of(path);
  std::string text;
  char buffer[16384];
  ssize_t n = 0;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0 && text.size() <= kMostBytes) {
    text.append(buffer, static_cast<size_t>(n));
  }
  const std::string fault = n < 0 ? fault_of(path) : std::string();
  ::close(fd);
  if (!fault.empty()) return fault;
  if (text.size() > kMostBytes) return path + " is longer than 1 MiB";
  out = std::move(text);
  return {};
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
  return ::stat(path.c_str(), &info) != 0 || (info.st_mode & 077) == 0;
}

}  // namespace nb::ctl
