// Passwords: where one may be, and which wins.
//
// Of several places the strongest that has one wins: the URL of the --redis flag, the environment,
// the systemd credential `redis-password` ($CREDENTIALS_DIRECTORY/redis-password), the file; and
// within one place password_file before password before the URL. The same for the user, of which
// there are only `username` and the URL's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nb::config {

struct SecretFile {
  std::string text;
  bool others_may_read = false;
  std::optional<uint32_t> group;  // its members may read the file
};

// Nothing if the file does not exist.
using SecretReader = Result<std::optional<SecretFile>> (*)(const std::string& path);
Result<std::optional<SecretFile>> read_secret_file(const std::string& path);

// The password in the text of a file: without its one final newline. Empty, or of several lines, it
// is an error, which does not repeat it.
Result<std::string> password_from(std::string_view text);
// A likely mistake in a password from a file, or "": quotes or blanks around it.
std::string doubt_about(std::string_view password);

}  // namespace nb::config
