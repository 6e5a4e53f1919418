#include "ctl/editor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "terminal/say.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr size_t kMostBytes = 2 * 1024 * 1024;
// The command of the shell if no variable names an editor.
constexpr char kAnyEditor[] =
    "for e in editor nano vi; do command -v \"$e\" >/dev/null && exec \"$e\" "
    "\"$1\"; "
    "done; exit 127";

std::string reason(int error) {
  return std::strerror(error);
}

// As the shell reads it: a variable may hold arguments.
std::string command() {
  for (const char* name : {"VISUAL", "EDITOR"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return std::string(value) + " \"$1\"";
  }
  return kAnyEditor;
}

// While it exists, Ctrl-C is the editor's.
class LeaveSignals {
 public:
  LeaveSignals() {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &interrupt_);
    ::sigaction(SIGQUIT, &ignore, &quit_);
  }
  ~LeaveSignals() { restore(); }
  LeaveSignals(const LeaveSignals&) = delete;
  LeaveSignals& operator=(const LeaveSignals&) = delete;
  void restore() const {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGQUIT, &quit_, nullptr);
  }

 private:
  struct sigaction interrupt_ {};
  struct sigaction quit_ {};
};

}  // namespace

std::optional<std::string> EditedText::open(std::string_view text) {
  const char* const folder = std::getenv("TMPDIR");
  std::string path = folder != nullptr && *folder != '\0' ? folder : "/tmp";
  path += "/nodebeat-session-XXXXXX.json";
  const UniqueFd fd(::mkostemps(path.data(), 5, O_CLOEXEC));
  if (!fd)
    return "cannot make a file for the editor in " + terminal::printable(path) + ": " +
           reason(errno);
  path_ = path;
  return write(text);
}

std::optional<std::string> EditedText::write(std::string_view text) {
  const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW));
  if (!fd || !terminal::write_all(fd.get(), text)) {
    return "cannot write " + terminal::printable(path_) + ": " + reason(errno);
  }
  return std::nullopt;
}

std::optional<std::string> EditedText::edit(std::string& text) {
  const std::string run = command();
  int status = 0;
  {
    const LeaveSignals leave;
    const pid_t child = ::fork();
    if (child == 0) {
      leave.restore();
      ::execl("/bin/sh", "sh", "-c", run.c_str(), "editor", path_.c_str(), nullptr);
      ::_exit(127);
    }
    if (child < 0) return "cannot start the editor: " + reason(errno);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return std::string("there is no editor: set VISUAL or EDITOR to a program");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
    return format("the editor has failed (exit code %d)", WEXITSTATUS(status));
  }
  if (!WIFEXITED(status)) return format("the editor was ended by signal %d", WTERMSIG(status));
  auto read = read_plain_file(path_, kMostBytes);
  if (!read) return read.error().message;
  text = std::move(*read);
  return std::nullopt;
}

void EditedText::drop() {
  if (!path_.empty()) ::unlink(path_.c_str());
  path_.clear();
}

}  // namespace nb::ctl
