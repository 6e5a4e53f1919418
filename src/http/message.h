// A request as a handler sees it, and the handler's answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nb::http {

// Valid during the handler's call only.
struct Request {
  std::string_view method;  // "GET"
  std::string_view path;    // as it was sent, nothing decoded: "/metrics"
  std::string_view query;   // behind the '?', as it was sent
  std::string_view body;
  std::vector<std::pair<std::string_view, std::string_view>> headers;

  // The header of that name, in any case; of several the first. Empty if there is none.
  std::string_view header(std::string_view name) const;
  // How many headers of that name there are.
  size_t count(std::string_view name) const;
  // The value of `name` in the query, as it was written: "1" of `?name=1`, empty of `?name`.
  // Nothing if the query does not have it.
  std::optional<std::string_view> in_query(std::string_view name) const;
  // Whether the query has the word, as `?verbose`, `?a=1&verbose` or `?verbose=1`.
  bool asks_for(std::string_view word) const { return in_query(word).has_value(); }
};

// Each also has `Cache-Control: no-store`, `X-Content-Type-Options: nosniff` and, if it names no
// other, a `Content-Security-Policy` that allows nothing.
struct Response {
  int status = 200;
  std::string body;
  std::string type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
};

// Equal but for the case of ASCII letters.
bool same_word(std::string_view a, std::string_view b);

}  // namespace nb::http
