#include "redis_admin/address.h"

#include "base/program.h"
#include "redis_admin/secret_files.h"
#include "terminal/say.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;

ExitCode find_address(const AddressOptions& options, config::RedisAddress& address,
                      const std::string& usual_user) {
  std::string url = options.url;
  for (const char* name : {"NODEBEAT_REDIS_URL", "NODEBEAT_REDIS"}) {
    if (url.empty()) url = environment(name);
  }
  if (url.empty()) url = "redis://127.0.0.1:6379";
  const Result<config::RedisAddress> parsed = config::parse_redis_url(url);
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
  if (address.user.empty() && !address.password.empty()) address.user = usual_user;
  if (!address.user.empty() && address.password.empty()) {
    return complain(kUsage, "user " + printable(address.user) +
                                " needs a password: --password-file FILE, or "
                                "$NODEBEAT_REDIS_PASSWORD");
  }
  return kOk;
}

}  // namespace nb::redis_admin
