#include "gate/options.h"

#include <getopt.h>

#include <optional>
#include <string_view>

namespace nb::gate {
namespace {

enum Flag { kSocket = 256, kLogLevel, kVersion, kHelp };

// '+': options end where the first operand stands; ':': getopt prints nothing.
constexpr char kNoShortOptions[] = "+:";

constexpr option kOptions[] = {
    {"socket", required_argument, nullptr, kSocket},
    {"log-level", required_argument, nullptr, kLogLevel},
    {"version", no_argument, nullptr, kVersion},
    {"help", no_argument, nullptr, kHelp},
    {nullptr, 0, nullptr, 0},
};

std::optional<LogLevel> level_of(std::string_view name) {
  if (name == "error") return LogLevel::error;
  if (name == "warning") return LogLevel::warning;
  if (name == "notice") return LogLevel::notice;
  if (name == "info") return LogLevel::info;
  if (name == "debug") return LogLevel::debug;
  return std::nullopt;
}

Error usage(std::string words) {
  return Error{words + "; try 'nodebeat-gate --help'"};
}

std::optional<Command> command_of(std::string_view word) {
  if (word == "serve") return Command::serve;
  return std::nullopt;
}

}  // namespace

Result<Options> parse_options(int argc, char** argv, const std::string& socket_of_environment) {
  Options options;
  if (!socket_of_environment.empty()) options.socket = socket_of_environment;
  std::optional<Command> command;
  optind = 0;  // glibc: begin anew
  for (;;) {
    const int flag = getopt_long(argc, argv, kNoShortOptions, kOptions, nullptr);
    if (flag == -1) {
      if (optind >= argc) break;
      const std::string word = argv[optind++];
      if (command) return usage("'" + word + "' is one command too many");
      command = command_of(word);
      if (!command) return usage("there is no command '" + word + "'");
      continue;
    }
    switch (flag) {
      case kSocket:
        options.socket = optarg;
        break;
      case kLogLevel: {
        const auto level = level_of(optarg);
        if (!level) {
          return usage("--log-level: expected error, warning, notice, info or debug, found '" +
                       std::string(optarg) + "'");
        }
        options.log_level = *level;
        break;
      }
      case kVersion:
        options.command = Command::version;
        return options;
      case kHelp:
        options.command = Command::help;
        return options;
      case ':':
        return usage(std::string(argv[optind - 1]) + " needs a value");
      default:
        return usage("there is no option " + std::string(argv[optind - 1]));
    }
  }
  if (!command) return usage("a command is missing");
  options.command = *command;
  return options;
}

std::string help_text() {
  return "Usage: nodebeat-gate [options] COMMAND\n"
         "\n"
         "Serves people and other machines what the nodebeat agent of this computer knows.\n"
         "\n"
         "Commands:\n"
         "  serve            run as a service, until SIGTERM or SIGINT\n"
         "\n"
         "Options:\n"
         "  --socket PATH    the agent's socket (else $NODEBEAT_SOCKET, else\n"
         "                   /run/nodebeat/view.sock, by which one may only look)\n"
         "  --log-level L    error, warning, notice, info (the default) or debug\n"
         "  --version        print the version and exit\n"
         "  --help           print this and exit\n"
         "\n"
         "Exit codes: 0 ended as asked, 64 wrong usage, 71 the system refused something.\n"
         "More: man nodebeat-gate\n";
}

}  // namespace nb::gate
