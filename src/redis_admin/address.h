// The Redis that a person names on the command line, and the password for it.
#pragma once

#include <string>

#include "config/redis_url.h"
#include "terminal/exit_code.h"

namespace nb::redis_admin {

struct AddressOptions {
  std::string url, user, password_file;
  const char* url_name = "URL";  // the option or operand that `url` is
};

// The server that the options name, or else the environment ($NODEBEAT_REDIS_URL,
// $NODEBEAT_REDIS_PASSWORD_FILE, $NODEBEAT_REDIS_PASSWORD), in `address`. A password in `url` is
// refused. If there is a password and no user is named, it is that of `usual_user`, unless that is
// empty. The exit code is kOk, or the reason was reported.
terminal::ExitCode find_address(const AddressOptions& options, config::RedisAddress& address,
                                const std::string& usual_user = {});

}  // namespace nb::redis_admin
