#include "uv/path_connector.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/unique_fd.h"

namespace nb::uv {

// Shared with the thread. Closes a descriptor that was not taken.
struct PathConnector::Attempt {
  explicit Attempt(const std::string& to) : path(to) {}

  std::string path;
  UniqueFd fd;
  int error = 0;
};

int connect_path(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return -ENAMETOOLONG;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return -errno;
  int rc = 0;
  do {
    rc = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (rc != 0 && errno == EINTR);
  return rc == 0 ? fd.release() : -errno;
}

PathConnector::PathConnector(Loop& loop, Delegate<void(int)> on_connected, ConnectPath connect_path)
    : on_connected_(on_connected),
      connect_path_(connect_path),
      call_(loop, Delegate<void()>::to<&PathConnector::on_done>(this)) {}

Status PathConnector::start(const std::string& path) {
  wanted_ = true;
  if (call_.running()) {
    if (attempt_->path == path) return {};
    call_.abandon();
  }
  attempt_ = std::make_shared<Attempt>(path);
  Status started = call_.start([attempt = attempt_, connect_path = connect_path_] {
    const int fd = connect_path(attempt->path);
    attempt->fd.reset(fd >= 0 ? fd : -1);
    attempt->error = fd < 0 ? fd : 0;
  });
  wanted_ = started.ok();
  return started;
}

void PathConnector::on_done() {
  const std::shared_ptr<Attempt> attempt = std::move(attempt_);
  if (!std::exchange(wanted_, false)) return;
  on_connected_(attempt->error != 0 ? attempt->error : attempt->fd.release());
}

}  // namespace nb::uv
