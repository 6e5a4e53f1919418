#include "ipc/socket_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/own_file.h"
#include "base/text.h"
#include "ipc/activation.h"
#include "ipc/peer.h"

namespace nb::ipc {
namespace {

// Connections that wait to be taken. A newcomer waits for all that came before, and a client that
// connects and closes without a pause keeps the queue full: with 4096 of them (SOMAXCONN) that was
// half a second. systemd/nodebeat.socket has the same number.
constexpr int kBacklog = 128;

constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kTemporaryNames = 100;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, kMaxPath);
  return address;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Short, and next to the socket, so that it can be renamed to it.
std::string temporary_name(const std::string& path, int number) {
  return path.substr(0, path.rfind('/') + 1) + ".nb" + std::to_string(number);
}

// In the sandbox of its unit, the agent can give a file to no other group: it may not call chown,
// and other groups have no number there. In a folder with the set-group-ID bit each new file has
// the group of the folder, and keeps it when it is renamed. So where an administrator has made such
// a folder for the socket (systemd/nodebeat.tmpfiles), the socket is made in there.
constexpr const char* kGroupFolder = ".group";
constexpr gid_t kNoNumber = 65534;  // what a group without a number here looks like

// chown(), where it can work: only a group that the process is in, and a sandbox may end a process
// for the call.
bool give_to(const std::string& path, gid_t group) {
  gid_t groups[NGROUPS_MAX];
  gid_t* const end = groups + std::max(::getgroups(NGROUPS_MAX, groups), 0);
  const bool may = ::geteuid() == 0 || ::getegid() == group || std::find(groups, end, group) != end;
  if (!may) errno = EPERM;
  return may && ::chown(path.c_str(), static_cast<uid_t>(-1), group) == 0;
}

std::string place_to_make(const std::string& path, std::optional<uint32_t> group) {
  const std::string folder = path + kGroupFolder;
  struct stat status {};
  const bool has_group = group && ::lstat(folder.c_str(), &status) == 0 &&
                         S_ISDIR(status.st_mode) && (status.st_mode & S_ISGID) != 0 &&
                         (status.st_gid == *group || status.st_gid == kNoNumber);
  const std::string inside = folder + '/';
  const bool fits = temporary_name(inside, kTemporaryNames - 1).size() <= kMaxPath;
  return has_group && fits ? inside : path;
}

Status check_path(const std::string& path) {
  if (path.empty() || path.back() == '/') {
    return make_error("the socket's path '%s' names no file", path.c_str());
  }
  if (path.find('\0') != path.npos) return make_error("the socket's path holds a zero byte");
  const size_t length = std::max(path.size(), temporary_name(path, kTemporaryNames - 1).size());
  if (length > kMaxPath) {
    return make_error("the socket's path is too long: %zu bytes, the system takes %zu: %s", length,
                      kMaxPath, path.c_str());
  }
  return {};
}

Status ensure_folder(const std::string& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return make_error("%s, where the socket was to be, is no folder", folder.c_str())
        .as(Fault::no_place);
  }
  if (errno == ENOENT && ::mkdir(folder.c_str(), 0755) == 0) {
    // The agent's umask is for its files; clients have to get through here.
    (void)::chmod(folder.c_str(), 0755);
    return {};
  }
  if (errno == EEXIST) return {};
  const int error = errno;
  return make_error(
             "cannot make the folder %s for the socket: %s. Make it beforehand, owned by the "
             "agent's user (RuntimeDirectory= in a systemd unit), or configure another path",
             folder.c_str(), std::strerror(error))
      .as(fault_of(error));
}

// In words, with what would be right if that is known.
Error cannot_make(const std::string& path, int error) {
  const Fault fault = fault_of(error);
  const char* hint = fault == Fault::read_only
                         ? ": configure a path that can be written to, such as one in /run"
                     : fault == Fault::no_space ? ": make room there, and start the agent again"
                     : fault == Fault::denied
                         ? ": the folder has to belong to the agent's user (RuntimeDirectory= in a "
                           "systemd unit)"
                         : "";
  return make_error("cannot make %s: %s%s", path.c_str(), std::strerror(error), hint).as(fault);
}

// nodebeat.socket leaves a link to its socket, which is elsewhere, and no agent listens there when
// that unit is no longer used. rename() replaces the link, not its target.
bool is_link_to_dead_socket(const std::string& path, uid_t owner) {
  struct stat target {};
  if ((owner != 0 && owner != ::geteuid()) || ::stat(path.c_str(), &target) != 0 ||
      !S_ISSOCK(target.st_mode)) {
    return false;
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_of(path);
  return probe &&
         ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

// The path must be free, or a socket without a listener.
Status check_replaceable(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return make_error("cannot look at %s: %s", path.c_str(), std::strerror(errno));
  }
  if (!S_ISSOCK(status.st_mode)) {
    if (S_ISLNK(status.st_mode) && is_link_to_dead_socket(path, status.st_uid)) return {};
    const char* kind = S_ISDIR(status.st_mode)   ? "a folder"
                       : S_ISLNK(status.st_mode) ? "a symbolic link"
                       : S_ISREG(status.st_mode) ? "a file"
                                                 : "no socket";
    return make_error(
               "%s is %s, and is left alone: remove it, or configure another path for the socket",
               path.c_str(), kind)
        .as(Fault::no_place);
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return make_error("cannot make a socket: %s", std::strerror(errno));
  const sockaddr_un address = address_of(path);
  const bool connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!connected && (errno == ECONNREFUSED || errno == ENOENT)) return {};
  if (!connected && errno != EAGAIN) {
    return make_error("%s is a socket that cannot be asked whether it is in use: %s", path.c_str(),
                      std::strerror(errno));
  }
  const std::optional<Peer> holder = connected ? peer_of(probe.get()) : std::nullopt;
  if (holder && holder->pid > 0) {
    return make_error("%s is in use: process %d (user %u) listens on it", path.c_str(), holder->pid,
                      holder->uid)
        .as(Fault::in_use);
  }
  return make_error("%s is in use: another process listens on it", path.c_str()).as(Fault::in_use);
}

}  // namespace

Status SocketFile::open(const std::string& path, uint32_t mode, std::optional<uint32_t> group) {
  close();
  Status status = check_path(path);
  if (status) status = ensure_folder(folder_of(path));
  if (status) status = lock(path);
  if (status) status = check_replaceable(path);
  if (status) status = make(path, mode, group);
  if (!status && lock_) {
    ::unlink((path + ".lock").c_str());
    lock_.reset();
  }
  return status;
}

Status SocketFile::adopt(int fd) {
  close();
  if (Status status = check_listening(fd); !status) return status;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return make_error("cannot use descriptor %d: %s", fd, std::strerror(errno));
  }
  (void)::fcntl(fd, F_SETFD, FD_CLOEXEC);
  socket_.reset(fd);
  return {};
}

Status SocketFile::lock(const std::string& path) {
  const std::string name = path + ".lock";
  // A process that removes a lock file holds the lock: so the file that was opened and then locked
  // may no longer be the one at the path. Then try again.
  for (int attempt = 0; attempt < 100; ++attempt) {
    Result<UniqueFd> opened = open_own_file(name, O_RDWR | O_CREAT, 0600);
    if (!opened && opened.error().fault == Fault::no_place) return opened.error();
    if (!opened) return cannot_make(name, errno);
    UniqueFd fd = std::move(*opened);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      char text[16] = {};
      const ssize_t n = ::pread(fd.get(), text, sizeof text - 1, 0);
      const auto pid = parse_number<int>(trim(std::string_view(text, n > 0 ? n : 0)));
      const std::string holder = pid ? format("process %d", *pid) : std::string("another process");
      return make_error("%s is in use: %s holds %s", path.c_str(), holder.c_str(), name.c_str())
          .as(Fault::in_use);
    }
    struct stat ours {
    }, there{};
    if (::fstat(fd.get(), &ours) == 0 && ::stat(name.c_str(), &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev) {
      const std::string pid = std::to_string(::getpid()) + "\n";
      // Only for the words above, so nothing is lost if it fails.
      (void)!::ftruncate(fd.get(), 0);
      (void)!::pwrite(fd.get(), pid.data(), pid.size(), 0);
      lock_ = std::move(fd);
      return {};
    }
  }
  return make_error("cannot lock %s: it keeps being replaced", name.c_str());
}

Status SocketFile::make(const std::string& path, uint32_t mode, std::optional<uint32_t> group) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return make_error("cannot make a socket: %s", std::strerror(errno));
  const std::string place = place_to_make(path, group);
  std::string temporary;
  int rc = -1;
  errno = EADDRINUSE;
  for (int i = 0; i < kTemporaryNames && rc != 0 && errno == EADDRINUSE; ++i) {
    temporary = temporary_name(place, i);
    const sockaddr_un address = address_of(temporary);
    rc = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (rc != 0) return cannot_make(path, errno);
  const auto refuse = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  // No client can connect before listen(), so none sees the socket with another mode. The mode
  // comes last: changing the owner may clear bits of it. Calls are made only for differences: a
  // sandbox may refuse the call.
  struct stat status {};
  if (::lstat(temporary.c_str(), &status) != 0) {
    return refuse(make_error("cannot look at %s: %s", temporary.c_str(), std::strerror(errno)));
  }
  const bool has_group = !group || *group == status.st_gid ||
                         (status.st_gid == kNoNumber && place.size() > path.size());
  if (!has_group && !give_to(temporary, *group)) {
    return refuse(
        make_error("cannot give %s to group %u: %s. The agent's user has to be in it, or [socket] "
                   "group names another; in a service of systemd, it has to be the unit's Group=",
                   path.c_str(), *group, std::strerror(errno))
            .as(Fault::denied));
  }
  if (::chmod(temporary.c_str(), mode) != 0 || ::listen(fd.get(), kBacklog) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    return refuse(cannot_make(path, errno));
  }
  socket_ = std::move(fd);
  path_ = path;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  return {};
}

void SocketFile::close() {
  const std::string path = std::exchange(path_, {});
  struct stat status {};
  if (!path.empty() && ::lstat(path.c_str(), &status) == 0 && status.st_dev == device_ &&
      status.st_ino == inode_) {
    ::unlink(path.c_str());
  }
  socket_.reset();
  if (lock_) ::unlink((path + ".lock").c_str());
  lock_.reset();
}

}  // namespace nb::ipc
