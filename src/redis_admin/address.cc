#include "redis_admin/address.h"

#include <initializer_list>
#include <optional>

#include "base/program.h"
#include "redis_admin/secret_files.h"
#include "terminal/say.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

// A value, and the option or the variable that gave it.
struct Given {
  std::string name, value;
};

Given given(const char* option, const std::string& value,
            std::initializer_list<const char*> variables) {
  Given found{option, value};
  for (const char* name : variables) {
    if (found.value.empty()) found = {name, environment(name)};
  }
  return found;
}

ExitCode read_password(const Given& file, std::string& password) {
  std::optional<std::string> text;
  std::string fault = read_file(file.value, text);
  if (fault.empty() && !text) fault = file.value + ": there is no such file";
  if (text) {
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    if (text->empty()) fault = file.value + " is empty";
  }
  if (!fault.empty()) return complain(kUsage, file.name + ": " + printable(fault));
  password = *text;
  return kOk;
}

}  // namespace

ExitCode find_address(const AddressOptions& options, config::RedisAddress& address,
                      const std::string& usual_user) {
  const Given url = given(options.url_name, options.url, {"NODEBEAT_REDIS_URL", "NODEBEAT_REDIS"});
  const Result<config::RedisAddress> parsed =
      config::parse_redis_url(url.value.empty() ? "redis://127.0.0.1:6379" : url.value);
  if (!parsed) return complain(kUsage, url.name + ": " + printable(parsed.error().message));
  address = *parsed;
  if (!options.url.empty() && !address.password.empty()) {
    return complain(kUsage,
                    url.name +
                        ": a password on the command line can be read by every user of this "
                        "computer: give it by --password-file FILE or $NODEBEAT_REDIS_PASSWORD, "
                        "or the whole URL by $NODEBEAT_REDIS_URL");
  }
  if (!options.user.empty()) address.user = options.user;
  Given file{"--password-file", options.password_file};
  if (file.value.empty() && address.password.empty()) {
    constexpr char kVariable[] = "NODEBEAT_REDIS_PASSWORD_FILE";
    file = {kVariable, environment(kVariable)};
    address.password = environment("NODEBEAT_REDIS_PASSWORD");
  }
  if (!file.value.empty()) {
    if (const ExitCode code = read_password(file, address.password); code != kOk) return code;
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
