#include "probe/process_look.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "probe/words.h"

namespace nb::probe {
namespace {

struct ProcessStat {
  char state = 0;
  uint64_t start_ticks = 0;
  bool dead() const { return state == 'Z' || state == 'X'; }
};

std::string path_of(const std::string& proc_root, pid_t pid, const char* file) {
  return format("%s/%d/%s", proc_root.c_str(), pid, file);
}

// proc(5): "pid (name) state ...", where the name may hold spaces and parentheses; the start is
// field 22.
std::optional<ProcessStat> read_stat(const std::string& proc_root, pid_t pid) {
  const auto text = read_small_file(path_of(proc_root, pid, "stat"), 4096);
  if (!text) return std::nullopt;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::string_view rest = trim(std::string_view(*text).substr(name_end + 1));
  ProcessStat stat;
  for (int field = 3; !rest.empty(); ++field) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    if (field == 3) stat.state = word.front();
    if (field == 22) {
      stat.start_ticks = parse_number<uint64_t>(word).value_or(0);
      return stat;
    }
    rest = trim(rest.substr(end));
  }
  return std::nullopt;
}

// Longer command lines are cut: what tells a program stands at the beginning.
constexpr size_t kMaxCommandLine = 32 * 1024;

// The kernel's highest (PID_MAX_LIMIT): a longer number in a file is something else.
constexpr pid_t kMaxPid = 4 * 1024 * 1024;

// EPERM: it runs and belongs to another user.
bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

// `line` is a buffer to use again. `error`: why the command line could not be seen, left as it is
// if it could, or the process has gone.
bool command_contains(const std::string& path, const std::string& text, std::string& line,
                      int& error) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (is_own_trouble(errno)) error = errno;
    return false;
  }
  size_t size = 0;
  line.resize(kMaxCommandLine);
  while (size < line.size()) {
    const ssize_t n = ::read(fd.get(), line.data() + size, line.size() - size);
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  line.resize(size);
  std::replace(line.begin(), line.end(), '\0', ' ');
  return line.find(text) != std::string::npos;
}

}  // namespace

Result<ProcessId> find_by_pidfile(const std::string& proc_root, const std::string& pidfile) {
  const auto text = read_plain_file(pidfile, 4096);
  if (!text) return text.error();
  const std::string_view line = trim(std::string_view(*text).substr(0, text->find('\n')));
  const auto pid = parse_number<pid_t>(line);
  if (!pid || *pid <= 0 || *pid > kMaxPid) {
    return make_error("%s holds no process id in its first line", pidfile.c_str());
  }
  // The error does not contain the number: while no process has it, it is only a piece of the file.
  if (!exists(*pid)) return make_error("the process of %s is gone", pidfile.c_str());
  const auto stat = read_stat(proc_root, *pid);
  if (stat && stat->dead()) {
    return make_error("process %d of %s has ended and its parent has not noticed (zombie)", *pid,
                      pidfile.c_str());
  }
  return ProcessId{*pid, stat ? stat->start_ticks : 0};
}

Result<ProcessId> find_by_command(const std::string& proc_root, const std::string& text,
                                  const ProcessId& known) {
  std::string line;
  int error = 0;
  if (same_process(proc_root, known) &&
      command_contains(path_of(proc_root, known.pid, "cmdline"), text, line, error)) {
    return known;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(proc_root.c_str()), &::closedir);
  if (!directory) {
    return make_error("%s cannot be read: %s", proc_root.c_str(), std::strerror(errno))
        .as(Fault::blind);
  }
  pid_t found = 0;
  bool shows_the_first = false;
  while (const dirent* entry = ::readdir(directory.get())) {
    const auto pid = parse_number<pid_t>(entry->d_name);
    shows_the_first |= pid == 1;
    if (!pid || *pid <= 0 || *pid == ::getpid() || (found != 0 && *pid > found)) continue;
    if (command_contains(path_of(proc_root, *pid, "cmdline"), text, line, error)) {
      found = *pid;
    }
  }
  if (found == 0 && error != 0) {
    return make_error("not all processes can be seen in %s: %s", proc_root.c_str(),
                      std::strerror(error))
        .as(Fault::blind);
  }
  if (found == 0 && !shows_the_first && exists(1)) {
    return make_error("%s shows the agent's own processes only (hidepid, ProtectProc=)",
                      proc_root.c_str())
        .as(Fault::blind);
  }
  if (found == 0) {
    return make_error("no process has \"%s\" in its command line", one_line(text).c_str());
  }
  const auto stat = read_stat(proc_root, found);
  return ProcessId{found, stat ? stat->start_ticks : 0};
}

bool same_process(const std::string& proc_root, const ProcessId& process) {
  const auto stat = read_stat(proc_root, process.pid);
  return stat && !stat->dead() && stat->start_ticks == process.start_ticks;
}

}  // namespace nb::probe
