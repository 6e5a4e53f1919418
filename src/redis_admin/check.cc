// redis check: finds the server's address, asks, and reports.

#include "base/program.h"
#include "redis_admin/commands.h"
#include "redis_admin/look.h"
#include "redis_admin/secret_files.h"
#include "redis_admin/store_files.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

// The server that the options and the environment name, in `address`.
ExitCode find_address(const CheckOptions& options, RedisAddress& address) {
  std::string url = options.url;
  for (const char* name : {"NODEBEAT_REDIS_URL", "NODEBEAT_REDIS"}) {
    if (url.empty()) url = environment(name);
  }
  if (url.empty()) url = "redis://127.0.0.1:6379";
  const Result<RedisAddress> parsed = config::parse_redis_url(url);
  if (!parsed) return complain(kUsage, "the URL: " + printable(parsed.error().message));
  address = *parsed;
  if (!options.url.empty() && !address.password.empty()) {
    return complain(kUsage,
                    "a password on the command line can be read by every user of this computer: "
                    "give it by --password-file FILE or $NODEBEAT_REDIS_PASSWORD, or the whole URL "
                    "by $NODEBEAT_REDIS_URL");
  }
  if (!options.user.empty()) address.user = options.user;
  std::string file = options.password_file;
  if (file.empty() && address.password.empty()) {
    file = environment("NODEBEAT_REDIS_PASSWORD_FILE");
    address.password = environment("NODEBEAT_REDIS_PASSWORD");
  }
  if (!file.empty()) {
    std::optional<std::string> text;
    std::string fault = read_file(file, text);
    if (fault.empty() && !text) fault = file + ": there is no such file";
    if (!fault.empty()) return complain(kUsage, "the password: " + printable(fault));
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    if (text->empty()) return complain(kUsage, "the password: " + printable(file) + " is empty");
    address.password = *text;
  }
  if (!address.user.empty() && address.password.empty()) {
    return complain(kUsage, "user " + printable(address.user) +
                                " needs a password: --password-file FILE, or "
                                "$NODEBEAT_REDIS_PASSWORD");
  }
  return kOk;
}

ExitCode connect(Server& server, const RedisAddress& address) {
  using Opened = Server::Opened;
  const Opened opened = server.open(address);
  const std::string where = "redis " + printable(place_of(address));
  const std::string fault = printable(server.fault());
  switch (opened) {
    case Opened::open:
      return kOk;
    case Opened::unreachable:
      return complain(kAway, where + ": " + fault);
    case Opened::no_answer:
      return complain(kTimeout, where + ": " + fault);
    case Opened::refused:
      break;
  }
  const bool nobody = address.password.empty();
  return complain(kRefused,
                  where + ": " + fault +
                      (nobody ? "; give a user and password: --user NAME --password-file "
                                "FILE"
                              : "; as user " + (address.user.empty() ? std::string("default")
                                                                     : printable(address.user))));
}

}  // namespace

int run_check(const CheckOptions& options, const Output& output) {
  for (const std::string& node : options.nodes) {
    if (const std::string fault = node_name_fault(node); !fault.empty()) {
      return complain(kUsage, "--node '" + printable(node) + "': " + fault);
    }
  }
  if (const std::string fault = prefix_fault(options.prefix); !fault.empty()) {
    return complain(kUsage, "--prefix '" + printable(options.prefix) + "': " + fault);
  }
  RedisAddress address;
  if (const ExitCode code = find_address(options, address); code != kOk) return code;
  const Deadline deadline(options.timeout_ms);
  Server server(deadline);
  if (const ExitCode code = connect(server, address); code != kOk) return code;
  const ServerLook look = look_at_server(server, address, deadline, options.nodes, options.prefix);
  if (!look.stranger.empty()) {
    return complain(kAway, "redis " + printable(look.target) + ": " + printable(look.stranger));
  }
  const Findings findings = redis_findings(look);
  const ExitCode said = say_findings(output, findings);
  return said != kOk ? said : doctor_code(findings);
}

}  // namespace nb::redis_admin
