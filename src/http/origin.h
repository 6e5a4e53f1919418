// Which host a request may name. Any web page can make a browser send requests to 127.0.0.1, under
// a name that leads there (DNS rebinding). The browser puts that name into `Host`, and the page's
// origin into `Origin`. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace nb::http {

class Origins {
 public:
  // `names` are host names or addresses, without a port, that are allowed besides localhost,
  // 127.0.0.1 and [::1].
  explicit Origins(std::vector<std::string> names = {});

  // The value of `Host`: a name of ours, with any port or none.
  bool is_our_host(std::string_view host) const;
  // The value of `Origin`: http or https, with a name of ours.
  bool is_our_origin(std::string_view origin) const;

 private:
  std::vector<std::string> names_;
};

// Why the request must not be answered, as a response; status 0 if it may be. `needs_host` is false
// where the client has not come over a network: no `Host` means anything there.
Response check(const Request& request, const Origins& origins, bool needs_host);

}  // namespace nb::http
