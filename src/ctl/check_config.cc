#include "ctl/check_config.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "terminal/local_time.h"

namespace nb::ctl {
namespace {

constexpr char kUsualConfig[] = "/etc/nodebeat/nodebeat.toml";
constexpr int kPatience = 5000;  // ms
constexpr size_t kMostOutput = 1 << 16;

// The nodebeatd beside this program, where both are installed or were built, else that of PATH.
std::string find_nodebeatd() {
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  std::vector<std::string> folders;
  if (n > 0) {
    const std::string_view path(self, static_cast<size_t>(n));
    const std::string folder(path.substr(0, path.rfind('/')));
    for (const char* beside : {"", "/../sbin", "/../agent"}) folders.push_back(folder + beside);
  }
  const char* from_environment = std::getenv("PATH");
  std::string_view rest = from_environment != nullptr ? from_environment : "";
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    folders.emplace_back(rest.substr(0, colon));
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  for (const char* usual : {"/usr/sbin", "/usr/local/sbin"}) folders.emplace_back(usual);
  for (const std::string& folder : folders) {
    if (std::string path = folder + "/nodebeatd"; ::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

// Reads until the pipe is closed; false if kPatience was over first.
bool read_all(int fd, std::string& out) {
  char buffer[4096];
  const int64_t deadline = now_us() / 1000 + kPatience;
  while (out.size() < kMostOutput) {
    pollfd waiting{fd, POLLIN, 0};
    const int64_t left = deadline - now_us() / 1000;
    if (left <= 0 || ::poll(&waiting, 1, static_cast<int>(left)) <= 0) return false;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return true;
    out.append(buffer, static_cast<size_t>(n));
  }
  return false;
}

// The name of the calling user; the number if there is no name.
std::string user_name() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

}  // namespace

std::string usual_config(std::string_view socket) {
  // The unit nodebeat@NAME reads /etc/nodebeat/NAME.toml, and listens at /run/nodebeat-NAME.
  constexpr std::string_view kFolder = "/run/nodebeat-";
  if (socket.starts_with(kFolder)) {
    const std::string_view rest = socket.substr(kFolder.size());
    const size_t end = rest.find('/');
    if (end != rest.npos && end > 0) {
      return "/etc/nodebeat/" + std::string(rest.substr(0, end)) + ".toml";
    }
  }
  const char* named = std::getenv("NODEBEAT_CONFIG");
  if (named != nullptr && *named != '\0') return named;
  return ::access(kUsualConfig, F_OK) == 0 ? kUsualConfig : "";
}

ConfigCheck check_config(const std::string& file) {
  ConfigCheck check;
  const std::string program = find_nodebeatd();
  check.file = file;
  check.user = user_name();
  if (program.empty()) return check;
  check.found = true;
  if (!check.file.empty() && ::access(check.file.c_str(), F_OK) == 0 &&
      ::access(check.file.c_str(), R_OK) != 0) {
    check.readable = false;
    return check;
  }
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return check;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  std::string flag = "--check-config";
  std::string config = "--config";
  std::string path = check.file;
  std::string name = program;
  char* const with_file[] = {name.data(), flag.data(), config.data(), path.data(), nullptr};
  char* const without[] = {name.data(), flag.data(), nullptr};
  pid_t pid = 0;
  const int rc = ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                               check.file.empty() ? without : with_file, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (rc != 0) {
    ::close(pipe[0]);
    check.found = false;
    return check;
  }
  std::string output;
  // A program that has closed its standard error ends now. One that keeps it open hangs.
  if (!read_all(pipe[0], output)) ::kill(pid, SIGKILL);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  check.exit = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = std::min(output.find('\n', begin), output.size());
    if (end > begin) check.lines.push_back(output.substr(begin, end - begin));
    begin = end + 1;
  }
  return check;
}

}  // namespace nb::ctl
