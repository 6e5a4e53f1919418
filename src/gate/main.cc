// nodebeat-gate: what the agent of this computer knows, for people and other machines. Only the
// command line and the log are here.
#include <fcntl.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/line_output.h"
#include "gate/ending.h"
#include "gate/mcp_stdio.h"
#include "gate/options.h"
#include "gate/serve.h"

namespace {

constexpr uint64_t kLinesPerMinute = 20;

// A standard stream that is closed is the number of the next descriptor: log lines would go to the
// agent, and libuv aborts when it is to close one of the three.
void open_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1) (void)::open("/dev/null", O_RDWR);
  }
}

int say(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return EX_OK;
  std::fprintf(stderr, "nodebeat-gate: standard output: %s\n", std::strerror(errno));
  return EX_IOERR;
}

void write_line(void* output, nb::LogLevel level, std::string_view line) {
  static_cast<nb::LineOutput*>(output)->write(level, line);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

int main(int argc, char** argv) {
  using nb::gate::Command;
  open_standard_streams();
  nb::gate::hold_ending_signals();
  signal(SIGPIPE, SIG_IGN);
  const int parent = ::getppid();
  auto options = nb::gate::parse_options(argc, argv, environment("NODEBEAT_SOCKET"));
  if (!options) {
    std::fprintf(stderr, "nodebeat-gate: %s\n", options.error().message.c_str());
    return EX_USAGE;
  }
  if (options->command == Command::version) return say("nodebeat-gate " NODEBEAT_VERSION "\n");
  if (options->command == Command::help) return say(nb::gate::help_text());
  // journald reads priorities only from a stream of its own (systemd.exec(5), JOURNAL_STREAM).
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  nb::LineOutput output(STDERR_FILENO, journal ? "" : "nodebeat-gate");
  nb::Log log(&write_line, &output, options->log_level);
  log.set_lines_per_minute(kLinesPerMinute);
  options->version = NODEBEAT_VERSION;
  return options->command == Command::mcp ? nb::gate::serve_stdio(*options, parent, log)
                                          : nb::gate::serve(*options, log);
}
