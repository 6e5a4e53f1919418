// nodebeatd: the agent as a daemon. It adds only flags, signals and standard error to the C ABI of
// agent.h, whose first user it is.
#include <getopt.h>
#include <signal.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/line_output.h"
#include "base/program.h"
#include "config/redis_url.h"
#include "nodebeat/agent.h"

namespace {

constexpr char kDefaultConfig[] = "/etc/nodebeat/nodebeat.toml";
constexpr char kDefaultFolder[] = "/etc/nodebeat/nodebeat.d";

constexpr char kHelp[] =
    "Usage: nodebeatd [options]\n"
    "\n"
    "Publishes how this node is to Redis, at a steady beat, keeps the link alive, and\n"
    "serves a socket to which the programs on this computer hand their state.\n"
    "\n"
    "  --config FILE    configuration file (default: /etc/nodebeat/nodebeat.toml, if\n"
    "                   it is there) and, after it, those of the folder beside it:\n"
    "                   nodebeat.d/*.toml\n"
    "  --node NAME      name of this node (default: the host name up to the first\n"
    "                   dot)\n"
    "  --redis URL      redis://[user@]host[:port][/db] or unix:///path/to.sock; a\n"
    "                   password belongs into redis.password_file or\n"
    "                   NODEBEAT_REDIS_URL\n"
    "  --socket PATH    local socket (default: /run/nodebeat/agent.sock); '' for none\n"
    "  --check-config   check the configuration, say what is wrong, and exit\n"
    "  --print-config   print the effective values and where each came from, and exit\n"
    "  --version        print the version and exit\n"
    "  --help           print this and exit\n"
    "\n"
    "Flags go over NODEBEAT_* environment variables, and those over the files.\n"
    "SIGHUP reads the configuration again, SIGTERM and SIGINT stop.\n"
    "\n"
    "Exit codes: 0 stopped as asked, 64 wrong usage, 65 the configuration is for\n"
    "another version of nodebeat, 78 it is wrong, 71 the system refused something.\n"
    "The local socket: 69 another process has it, 72 its folder is missing or\n"
    "something else is in its place, 73 read-only file system, 74 no space left, 77\n"
    "not allowed.\n";

constexpr int kSignals[] = {SIGHUP, SIGTERM, SIGINT};

// A signal handler can reach nothing else.
nb_agent* g_agent = nullptr;

void on_signal(int signal) {
  const int saved = errno;
  if (signal == SIGHUP) {
    nb_agent_reload(g_agent);
  } else {
    nb_agent_stop(g_agent);
  }
  errno = saved;
}

void install_handlers() {
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

// While there is no agent, a signal is held back: a SIGTERM in the first milliseconds is a clean
// stop like any other, and a SIGHUP does not end the process. After the stop a held signal ends
// with the process.
void hold_signals(int how) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kSignals) sigaddset(&set, signal);
  sigprocmask(how, &set, nullptr);
}

void write_line(void* output, int priority, const char* line) {
  static_cast<nb::LineOutput*>(output)->write(static_cast<nb::LogLevel>(priority), line);
}

// Every user of the computer may read the arguments of every process.
bool has_password(const char* redis_url) {
  const auto address = nb::config::parse_redis_url(redis_url);
  if (address) return !address->password.empty();
  // One that is malformed may hold a password, too.
  const std::string_view url = redis_url;
  if (url.find("password=") != url.npos) return true;
  const std::string_view user = url.substr(0, std::min(url.rfind('@'), url.size()));
  return user.size() < url.size() && user.find(':', user.find("//") + 1) != url.npos;
}

int say(const char* text) {
  return nb::print_all("nodebeatd", text);
}

int print_config(const nb_agent* agent) {
  std::string text(static_cast<size_t>(nb_agent_print_config(agent, nullptr, 0)) + 1, '\0');
  nb_agent_print_config(agent, text.data(), text.size());
  text.pop_back();
  return say(text.c_str());
}

int exit_code(int error) {
  switch (error) {
    case NB_OK:
      return EX_OK;
    case NB_ERR_CONFIG:
      return EX_CONFIG;
    case NB_ERR_VERSION:
      return EX_DATAERR;
    case NB_ERR_ARGUMENT:
      return EX_USAGE;
    case NB_ERR_IN_USE:
      return EX_UNAVAILABLE;
    case NB_ERR_NO_PLACE:
      return EX_OSFILE;
    case NB_ERR_READ_ONLY:
      return EX_CANTCREAT;
    case NB_ERR_NO_SPACE:
      return EX_IOERR;
    case NB_ERR_DENIED:
      return EX_NOPERM;
    default:
      return EX_OSERR;
  }
}

}  // namespace

int main(int argc, char** argv) {
  hold_signals(SIG_BLOCK);
  enum Flag { kConfig = 256, kNode, kRedis, kSocket, kCheck, kPrint, kVersion, kHelpFlag };
  static const option kOptions[] = {
      {"config", required_argument, nullptr, kConfig},
      {"node", required_argument, nullptr, kNode},
      {"redis", required_argument, nullptr, kRedis},
      {"socket", required_argument, nullptr, kSocket},
      {"check-config", no_argument, nullptr, kCheck},
      {"print-config", no_argument, nullptr, kPrint},
      {"version", no_argument, nullptr, kVersion},
      {"help", no_argument, nullptr, kHelpFlag},
      {nullptr, 0, nullptr, 0},
  };
  nb::open_standard_streams();
  signal(SIGPIPE, SIG_IGN);
  // journald reads priorities only from a stream of its own (systemd.exec(5), JOURNAL_STREAM).
  const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
  nb::LineOutput output(STDERR_FILENO, journal ? "" : "nodebeatd");
  bool check = false;
  bool print = false;
  nb_agent_options options{};
  options.size = sizeof options;
  options.flags = NB_AGENT_SERVICE;
  options.environment = environ;
  options.log = &write_line;
  options.log_user = &output;

  for (int flag = 0; (flag = getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
    switch (flag) {
      case kConfig:
        options.config_file = optarg;
        break;
      case kNode:
        options.node = optarg;
        break;
      case kRedis:
        options.redis_url = optarg;
        if (has_password(optarg)) {
          std::fputs(
              "nodebeatd: --redis: a password on the command line can be read by every user of "
              "this "
              "computer: put it into a file (redis.password_file) or the URL into the environment "
              "(NODEBEAT_REDIS_URL)\n",
              stderr);
          return EX_USAGE;
        }
        break;
      case kSocket:
        options.socket_path = optarg;
        break;
      case kCheck:
        check = true;
        break;
      case kPrint:
        print = true;
        break;
      case kVersion:
        return say(("nodebeatd " + std::string(nb_agent_version()) + '\n').c_str());
      case kHelpFlag:
        return say(kHelp);
      default:  // getopt has printed the reason
        std::fputs("nodebeatd: try 'nodebeatd --help'\n", stderr);
        return EX_USAGE;
    }
  }
  if (optind < argc) {
    std::fprintf(stderr, "nodebeatd: '%s' is not an option; try 'nodebeatd --help'\n",
                 argv[optind]);
    return EX_USAGE;
  }
  if (options.config_file == nullptr && std::getenv("NODEBEAT_CONFIG") == nullptr &&
      (::access(kDefaultConfig, F_OK) == 0 || ::access(kDefaultFolder, F_OK) == 0)) {
    options.config_file = kDefaultConfig;
  }

  char error[4096] = {};
  if (const int rc = nb_agent_create(&options, &g_agent, error, sizeof error); rc != NB_OK) {
    // Several lines: one for each mistake.
    for (char* line = std::strtok(error, "\n"); line != nullptr;
         line = std::strtok(nullptr, "\n")) {
      output.write(nb::LogLevel::error, line);
    }
    return exit_code(rc);
  }
  int code = EX_OK;
  if (print) {
    code = print_config(g_agent);
  } else if (check) {
    code = say("the configuration is right\n");
  } else {
    install_handlers();
    hold_signals(SIG_UNBLOCK);
    code = exit_code(nb_agent_run(g_agent));
  }
  // A second SIGTERM may come now: its handler must not find an agent that is gone.
  hold_signals(SIG_BLOCK);
  nb_agent_destroy(g_agent);
  return code;
}
