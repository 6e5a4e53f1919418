#include "health/kernel_file.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace nb::health {
namespace {

int open_to_read(const char* path) {
  return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

// The errors of a kernel without the feature, or of a device that has just gone.
bool means_missing(int error) {
  return error == ENOENT || error == ENOTDIR || error == ENODEV || error == ENXIO ||
         error == EOPNOTSUPP;
}

}  // namespace

void Scratch::grow() {
  size_ *= 2;
  std::unique_ptr<char[]> larger(new char[size_]);
  std::memcpy(larger.get(), data_.get(), size_ / 2);
  data_ = std::move(larger);
}

KernelFile::KernelFile(const Log& log, std::string path, Kind kind)
    : log_(&log), path_(std::move(path)), kind_(kind) {}

std::optional<std::string_view> KernelFile::load(Scratch& scratch, Part part) {
  if (!fd_) {
    fd_.reset(open_to_read(path_.c_str()));
    if (!fd_) {
      fail(errno);
      return std::nullopt;
    }
  }
  size_t length = 0;
  for (;;) {
    if (length == scratch.size()) {
      if (scratch.size() >= Scratch::kLimit) break;
      scratch.grow();
    }
    const ssize_t n = ::pread(fd_.get(), scratch.data() + length, scratch.size() - length,
                              static_cast<off_t>(length));
    if (n < 0) {
      if (errno == EINTR) continue;
      fail(errno);
      return std::nullopt;
    }
    length += static_cast<size_t>(n);
    if (n == 0 || part == Part::start) break;
  }
  return std::string_view(scratch.data(), length);
}

bool KernelFile::changed() const {
  if (!fd_) return true;
  pollfd watched{fd_.get(), POLLPRI, 0};
  return ::poll(&watched, 1, 0) > 0 && (watched.revents & (POLLPRI | POLLERR)) != 0;
}

void KernelFile::judge(bool understood) {
  if (understood == !complained_) return;
  complained_ = !understood;
  if (understood) {
    log_->info(LogAbout(path_), "%s reads well again", path_.c_str());
  } else {
    log_->warning(LogAbout(path_), "%s is not understood: what comes from it is left out",
                  path_.c_str());
  }
}

void KernelFile::fail(int error) {
  fd_.reset();
  if (complained_ || kind_ == Kind::sensor || means_missing(error)) return;
  complained_ = true;
  log_->warning(LogAbout(path_), "%s: %s: what comes from it is left out", path_.c_str(),
                std::strerror(error));
}

int read_once(const char* path, char* buffer, size_t size) {
  const UniqueFd fd(open_to_read(path));
  if (!fd) return -errno;
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, size);
    if (n >= 0) return static_cast<int>(n);
    if (errno != EINTR) return -errno;
  }
}

std::string read_word(const std::string& path) {
  char buffer[256];
  const int n = read_once(path.c_str(), buffer, sizeof buffer - 1);
  if (n <= 0) return {};
  return std::string(trim(std::string_view(buffer, static_cast<size_t>(n))));
}

}  // namespace nb::health
