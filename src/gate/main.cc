// nodebeat-gate: shows people and other machines what the agent of this computer knows. Only the
// command line and the log are here.
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/line_output.h"
#include "base/program.h"
#include "gate/ending.h"
#include "gate/mcp_stdio.h"
#include "gate/options.h"
#include "gate/serve.h"

namespace {

constexpr uint64_t kLinesPerMinute = 20;

int print(const std::string& text) {
  return nb::print_all("nodebeat-gate", text);
}

void write_line(void* output, nb::LogLevel level, std::string_view line) {
  static_cast<nb::LineOutput*>(output)->write(level, line);
}

}  // namespace

int main(int argc, char** argv) {
  using nb::gate::Command;
  nb::open_standard_streams();
  nb::gate::hold_ending_signals();
  signal(SIGPIPE, SIG_IGN);
  const int parent = ::getppid();
  auto options = nb::gate::parse_options(argc, argv, nb::environment("NODEBEAT_SOCKET"));
  if (!options) {
    std::fprintf(stderr, "nodebeat-gate: %s\n", options.error().message.c_str());
    return EX_USAGE;
  }
  if (options->command == Command::version) return print("nodebeat-gate " NODEBEAT_VERSION "\n");
  if (options->command == Command::help) return print(nb::gate::help_text());
  // journald reads priorities only from a stream of its own (systemd.exec(5), JOURNAL_STREAM).
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  nb::LineOutput output(STDERR_FILENO, journal ? "" : "nodebeat-gate");
  nb::Log log(&write_line, &output, options->log_level);
  log.set_lines_per_minute(kLinesPerMinute);
  options->version = NODEBEAT_VERSION;
  return options->command == Command::mcp ? nb::gate::serve_stdio(*options, parent, log)
                                          : nb::gate::serve(*options, log);
}
