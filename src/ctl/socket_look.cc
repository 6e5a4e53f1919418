#include "ctl/socket_look.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "terminal/text.h"

namespace nb::ctl {

using namespace terminal;
namespace {

std::string user_name(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return entry != nullptr ? entry->pw_name : std::to_string(uid);
}

std::string group_name(gid_t gid) {
  const group* entry = ::getgrgid(gid);
  return entry != nullptr ? entry->gr_name : std::to_string(gid);
}

bool process_is_in(gid_t gid) {
  if (::getegid() == gid) return true;
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(std::max(count, 0)));
  if (::getgroups(count, groups.data()) < 0) return false;
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

bool user_is_in(gid_t gid) {
  const passwd* user = ::getpwuid(::getuid());
  if (user == nullptr) return false;
  std::vector<gid_t> groups(256);
  auto count = static_cast<int>(groups.size());
  if (::getgrouplist(user->pw_name, user->pw_gid, groups.data(), &count) < 0) return false;
  return std::find(groups.begin(), groups.begin() + count, gid) != groups.begin() + count;
}

SocketState connect_state(const std::string& path, int& error) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    error = errno;
    return SocketState::other;
  }
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  error = rc == 0 ? 0 : errno;
  ::close(fd);
  switch (error) {
    case 0:
      return SocketState::listening;
    case EACCES:
    case EPERM:
      return SocketState::not_permitted;
    case ECONNREFUSED:
      return SocketState::dead;
    case EAGAIN:
      return SocketState::overrun;
    case ENOENT:
      return SocketState::missing;
    default:
      return SocketState::other;
  }
}

}  // namespace

SocketLook look_at_socket(const std::string& path) {
  SocketLook look;
  look.path = path;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    look.state = SocketState::too_long;
    return look;
  }
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) {
    look.error = errno;
    look.state = errno == ENOENT || errno == ENOTDIR ? SocketState::missing
                 : errno == EACCES                   ? SocketState::not_permitted
                                                     : SocketState::other;
    return look;
  }
  look.owner = user_name(file.st_uid);
  look.group = group_name(file.st_gid);
  look.mode = file.st_mode & 07777;
  look.user_is_in_group = process_is_in(file.st_gid);
  look.user_will_be_in_group = !look.user_is_in_group && user_is_in(file.st_gid);
  look.state = S_ISSOCK(file.st_mode) ? connect_state(path, look.error) : SocketState::no_socket;
  return look;
}

std::string words(const SocketLook& look) {
  const std::string path = printable(look.path);
  const char* p = path.c_str();
  switch (look.state) {
    case SocketState::listening:
      return {};
    case SocketState::missing:
      return format("no agent listens at %s: is nodebeat running? systemctl status nodebeat", p);
    case SocketState::dead:
      return format("no process listens at %s: the agent has ended; systemctl restart nodebeat", p);
    case SocketState::no_socket:
      return format("%s is not a socket: name the agent's with --socket or NODEBEAT_SOCKET", p);
    case SocketState::overrun:
      return format(
          "the agent at %s takes no connection now: it is busy or stopped; try again, or "
          "systemctl restart nodebeat",
          p);
    case SocketState::too_long:
      return format("the socket's path is %zu bytes long, and 107 is the most: %s",
                    look.path.size(), p);
    case SocketState::not_permitted:
      if (look.owner.empty()) {
        return format(
            "permission denied: you may not look into the folder of %s; ask its owner, or "
            "use sudo",
            p);
      }
      if ((look.mode & 060) != 060) {
        return format(
            "permission denied: %s is for user %s only (mode %04o); use sudo, or set "
            "[socket] mode",
            p, look.owner.c_str(), look.mode);
      }
      if (look.user_will_be_in_group) {
        return format(
            "permission denied at %s: you are in the group %s, but this login began before; "
            "log in again",
            p, look.group.c_str());
      }
      if (!look.user_is_in_group) {
        return format(
            "permission denied at %s: you are not in the group %s; sudo usermod -aG %s "
            "\"$USER\", then log in again",
            p, look.group.c_str(), look.group.c_str());
      }
      return format("permission denied at %s, though you are in the group %s", p,
                    look.group.c_str());
    case SocketState::other:
      break;
  }
  return format("the agent at %s cannot be reached: %s", p, std::strerror(look.error));
}

}  // namespace nb::ctl
