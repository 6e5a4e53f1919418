#include "gate/options.h"

#include <getopt.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace nb::gate {
namespace {

enum Flag {
  kSocket = 256,
  kAllowWrites,
  kHttp,
  kHttpHost,
  kHttpRemote,
  kHttpMcp,
  kTokenFile,
  kMcpSocket,
  kMcpMode,
  kMcpGroup,
  kLogLevel,
  kVersion,
  kHelp
};

// '+': options end at the first operand; ':': getopt prints nothing.
constexpr char kNoShortOptions[] = "+:";

constexpr option kOptions[] = {
    {"socket", required_argument, nullptr, kSocket},
    {"allow-writes", no_argument, nullptr, kAllowWrites},
    {"http", required_argument, nullptr, kHttp},
    {"http-host", required_argument, nullptr, kHttpHost},
    {"http-remote", no_argument, nullptr, kHttpRemote},
    {"http-mcp", no_argument, nullptr, kHttpMcp},
    {"mcp-token-file", required_argument, nullptr, kTokenFile},
    {"mcp-socket", required_argument, nullptr, kMcpSocket},
    {"mcp-socket-mode", required_argument, nullptr, kMcpMode},
    {"mcp-socket-group", required_argument, nullptr, kMcpGroup},
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

std::optional<uint32_t> mode_of(std::string_view digits) {
  uint32_t mode = 0;
  const char* const end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, mode, 8);
  if (error != std::errc{} || at != end || mode > 0777) return std::nullopt;
  return mode;
}

Error usage(const std::string& words) {
  return Error{words + "; try 'nodebeat-gate --help'"};
}

std::optional<Command> command_of(std::string_view word) {
  if (word == "mcp") return Command::mcp;
  if (word == "serve") return Command::serve;
  return std::nullopt;
}

}  // namespace

Result<Options> parse_options(int argc, char** argv, const std::string& socket_of_environment) {
  Options options;
  if (!socket_of_environment.empty()) options.socket = socket_of_environment;
  std::optional<Command> command;
  std::optional<LogLevel> level;
  optind = 0;  // glibc: start from the beginning
  for (;;) {
    int option = 0;
    const int flag = getopt_long(argc, argv, kNoShortOptions, kOptions, &option);
    // As of a variable that is not set: no option has a meaning for that.
    if (flag >= kSocket && kOptions[option].has_arg == required_argument && *optarg == '\0') {
      return usage("--" + std::string(kOptions[option].name) + " needs a value");
    }
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
      case kAllowWrites:
        options.allow_writes = true;
        break;
      case kHttp: {
        const auto address = http::parse_address(optarg);
        if (!address) return usage("--http: " + address.error().message);
        options.http = *address;
        break;
      }
      case kHttpHost:
        options.http_hosts.push_back(optarg);
        break;
      case kHttpRemote:
        options.http_remote = true;
        break;
      case kHttpMcp:
        options.http_mcp = true;
        break;
      case kTokenFile:
        options.mcp_token_file = optarg;
        break;
      case kMcpSocket:
        options.mcp_socket = optarg;
        break;
      case kMcpMode: {
        const auto mode = mode_of(optarg);
        if (!mode) {
          return usage("--mcp-socket-mode: expected octal digits, as 0660, found '" +
                       std::string(optarg) + "'");
        }
        options.mcp_socket_mode = *mode;
        break;
      }
      case kMcpGroup:
        options.mcp_socket_group = optarg;
        break;
      case kLogLevel: {
        level = level_of(optarg);
        if (!level) {
          return usage("--log-level: expected error, warning, notice, info or debug, found '" +
                       std::string(optarg) + "'");
        }
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
  if (options.http && *command != Command::serve) return usage("--http is for 'serve'");
  if (options.http && !options.http_remote && !options.http->is_loopback()) {
    return usage("--http: other computers reach " + options.http->host +
                 ", and all of them may read then; if that is meant, add --http-remote");
  }
  if (options.http_mcp && !options.http)
    return usage("--http-mcp: --http says where, and is missing");
  if (!options.mcp_token_file.empty() && !options.http_mcp) {
    return usage("--mcp-token-file is for --http-mcp");
  }
  if (options.http_mcp && !options.http->is_loopback() && options.mcp_token_file.empty()) {
    return usage("--http-mcp: other computers reach " + options.http->host +
                 ", so it needs --mcp-token-file");
  }
  options.command = *command;
  // Clients show output on standard error as if it were an error.
  if (!level) level = options.command == Command::mcp ? LogLevel::warning : LogLevel::info;
  options.log_level = *level;
  return options;
}

std::string help_text() {
  return "Usage: nodebeat-gate [options] COMMAND\n"
         "\n"
         "Serves people and other machines what the nodebeat agent of this computer knows.\n"
         "\n"
         "Commands:\n"
         "  mcp              the Model Context Protocol over standard input and output,\n"
         "                   for programs that start this one; it ends with its input\n"
         "  serve            run as a service, until SIGTERM or SIGINT\n"
         "\n"
         "Options:\n"
         "  --socket PATH    the agent's socket (else $NODEBEAT_SOCKET, else\n"
         "                   /run/nodebeat/view.sock, by which one may only look)\n"
         "  --allow-writes   models may also write, where the agent's socket gives the\n"
         "                   right; that needs --socket /run/nodebeat/agent.sock as well\n"
         "  --http A:PORT    serve the cell's page, /metrics, /livez and /readyz there, as\n"
         "                   127.0.0.1:9809\n"
         "  --http-host NAME a name by which clients call this computer (may be repeated);\n"
         "                   requests for other names are refused\n"
         "  --http-remote    A may be an address that other computers reach\n"
         "  --http-mcp       serve MCP there, too, at /mcp\n"
         "  --mcp-token-file FILE\n"
         "                   MCP clients over HTTP have to show the token that this file\n"
         "                   has\n"
         "  --mcp-socket PATH\n"
         "                   serve: MCP on this Unix socket, a line a message or by HTTP\n"
         "                   at /mcp\n"
         "  --mcp-socket-mode MODE, --mcp-socket-group GROUP\n"
         "                   who may connect there (0660, the group of this process)\n"
         "  --log-level L    error, warning, notice, info or debug (mcp: warning, serve:\n"
         "                   info)\n"
         "  --version        print the version and exit\n"
         "  --help           print this and exit\n"
         "\n"
         "Exit codes: 0 ended as asked, 64 wrong usage, 66 the token cannot be read, 69 a\n"
         "socket is in use or cannot be made, 71 the system refused something, 74 nobody\n"
         "reads the output.\n"
         "More: man nodebeat-gate\n";
}

}  // namespace nb::gate
