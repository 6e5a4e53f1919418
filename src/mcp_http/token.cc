#include "mcp_http/token.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/own_file.h"
#include "base/text.h"

namespace nb::mcp_http {
namespace {

constexpr std::string_view kScheme = "Bearer ";
constexpr size_t kLeast = 16;
constexpr size_t kMost = 512;

// The characters that a header can carry (RFC 6750, section 2.1).
bool is_token_character(char c) {
  const std::string_view others = "-._~+/=";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

}  // namespace

Result<std::string> read_token(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) {
    return make_error("%s: %s", path.c_str(), std::strerror(errno));
  }
  if ((facts.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return make_error("%s: everybody may %s it: chmod o= %s", path.c_str(),
                      (facts.st_mode & S_IROTH) != 0 ? "read" : "write", path.c_str());
  }
  const auto text = read_own_file(path, kMost + 2);
  if (!text) return text.error();
  const std::string_view token = trim(*text);
  if (token.size() < kLeast || token.size() > kMost ||
      !std::all_of(token.begin(), token.end(), is_token_character)) {
    return make_error("%s: expected one word of %zu to %zu letters, digits or -._~+/=",
                      path.c_str(), kLeast, kMost);
  }
  return std::string(token);
}

bool shows_token(const http::Request& request, std::string_view token) {
  if (request.count("Authorization") != 1) return false;
  std::string_view shown = request.header("Authorization");
  if (!http::same_word(shown.substr(0, kScheme.size()), kScheme)) return false;
  shown = trim(shown.substr(kScheme.size()));
  unsigned differs = shown.size() == token.size() ? 0 : 1;
  for (size_t i = 0; i < token.size(); ++i) {
    const char c = shown.empty() ? '\0' : shown[i % shown.size()];
    differs |= static_cast<unsigned char>(c) ^ static_cast<unsigned char>(token[i]);
  }
  return differs == 0;
}

}  // namespace nb::mcp_http
