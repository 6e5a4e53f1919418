// nodebeat-audit: moves the audit of the sessions from Redis into PostgreSQL. Flags, signals and
// standard error are here, the rest in mover.h and check.h.
#include <getopt.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "audit/check.h"
#include "audit/ending.h"
#include "audit/mover.h"
#include "audit/options.h"
#include "base/line_output.h"
#include "base/program.h"
#include "terminal/findings.h"

namespace {

constexpr char kDefaultConfig[] = "/etc/nodebeat-audit/audit.toml";
constexpr uint64_t kLinesPerMinute = 20;

constexpr char kHelp[] =
    "Usage: nodebeat-audit [options]\n"
    "\n"
    "Moves the audit of the sessions from the cell's Redis into PostgreSQL, for ever:\n"
    "each entry exactly once.\n"
    "\n"
    "  --config FILE    configuration file (default: /etc/nodebeat-audit/audit.toml);\n"
    "                   those of its folder (audit.d/*.toml) are read after it\n"
    "  --check          look at Redis and PostgreSQL, say what is wrong and what\n"
    "                   would be right, and exit: 0 all is well, 1 warnings, 2\n"
    "                   problems\n"
    "  --check-config   check the configuration, and exit\n"
    "  --version        print the version and exit\n"
    "  --help           print this and exit\n"
    "\n"
    "SIGTERM and SIGINT stop it at once; nothing is lost by that, nor by a crash.\n"
    "\n"
    "Exit codes: 0 stopped as asked, 64 wrong usage, 78 the configuration is wrong,\n"
    "71 the system refused something.\n";

int say(const std::string& text) {
  return nb::print_all("nodebeat-audit", text);
}

void write_line(void* output, nb::LogLevel level, std::string_view line) {
  static_cast<nb::LineOutput*>(output)->write(level, line);
}

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

int main(int argc, char** argv) {
  enum Flag { kConfig = 256, kCheck, kCheckConfig, kVersion, kHelpFlag };
  static const option kOptions[] = {
      {"config", required_argument, nullptr, kConfig},
      {"check", no_argument, nullptr, kCheck},
      {"check-config", no_argument, nullptr, kCheckConfig},
      {"version", no_argument, nullptr, kVersion},
      {"help", no_argument, nullptr, kHelpFlag},
      {nullptr, 0, nullptr, 0},
  };
  nb::open_standard_streams();
  signal(SIGPIPE, SIG_IGN);
  std::string file = kDefaultConfig;
  bool check = false;
  bool check_config = false;
  for (int flag = 0; (flag = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (flag) {
      case kConfig:
        file = optarg;
        break;
      case kCheck:
        check = true;
        break;
      case kCheckConfig:
        check_config = true;
        break;
      case kVersion:
        return say("nodebeat-audit " NODEBEAT_VERSION "\n");
      case kHelpFlag:
        return say(kHelp);
      default:  // getopt has printed the reason
        std::fputs("nodebeat-audit: try 'nodebeat-audit --help'\n", stderr);
        return EX_USAGE;
    }
  }
  if (optind < argc) {
    std::fprintf(stderr, "nodebeat-audit: '%s' is not an option; try 'nodebeat-audit --help'\n",
                 argv[optind]);
    return EX_USAGE;
  }
  // journald reads priorities only from a stream of its own (systemd.exec(5), JOURNAL_STREAM).
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  nb::LineOutput output(STDERR_FILENO, journal ? "" : "nodebeat-audit");
  const auto loaded =
      nb::audit::load_options(file, host_name(), nb::environment("CREDENTIALS_DIRECTORY"));
  if (!loaded) {
    // A line for each mistake.
    std::string lines = loaded.error().message;
    for (char* line = std::strtok(lines.data(), "\n"); line != nullptr;
         line = std::strtok(nullptr, "\n")) {
      output.write(nb::LogLevel::error, line);
    }
    return EX_CONFIG;
  }
  const nb::audit::Options& options = loaded->options;
  for (const std::string& warning : loaded->warnings) {
    output.write(nb::LogLevel::warning, warning);
  }
  if (check_config) return say("the configuration is right\n");
  const nb::audit::Ending ending;
  if (ending.fd() < 0) {
    output.write(nb::LogLevel::error, std::string("signalfd: ") + std::strerror(errno));
    return EX_OSERR;
  }
  if (check) {
    const nb::terminal::Findings findings = nb::audit::check(options, ending.fd());
    const int said =
        nb::terminal::say_findings({false, nb::terminal::style_of(STDOUT_FILENO)}, findings);
    return said != 0 ? EX_IOERR : nb::terminal::doctor_code(findings);
  }
  nb::Log log(&write_line, &output, options.level);
  log.set_lines_per_minute(kLinesPerMinute);
  nb::audit::Mover(options, log, ending).run();
  return EX_OK;
}
