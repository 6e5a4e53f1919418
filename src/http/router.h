// Router: which handler a path has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "http/message.h"
#include "http/reply.h"

namespace nb::http {

class Router {
 public:
  using Handler = Delegate<void(const Request&, Reply&&)>;

  // A path with GET also takes HEAD. A method of a path may be added once.
  void add(std::string_view method, std::string_view path, Handler handler);

  // Another path is 404, another method 405; both say what would be right.
  void handle(const Request& request, Reply&& reply) const;

 private:
  struct Route {
    std::string method, path;
    Handler handler;
  };
  std::string methods_of(std::string_view path) const;

  std::vector<Route> routes_;
};

}  // namespace nb::http
