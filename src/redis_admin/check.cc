// redis check: finds the server's address, asks, and reports.

#include "redis_admin/address.h"
#include "redis_admin/commands.h"
#include "redis_admin/look.h"
#include "redis_admin/store_files.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

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
  if (const ExitCode code =
          find_address({options.url, options.user, options.password_file}, address);
      code != kOk) {
    return code;
  }
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
