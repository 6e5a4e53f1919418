#include "http/router.h"

#include <set>
#include <utility>

namespace nb::http {

void Router::add(std::string_view method, std::string_view path, Handler handler) {
  routes_.push_back({std::string(method), std::string(path), handler});
}

std::string Router::methods_of(std::string_view path) const {
  std::string methods;
  for (const Route& route : routes_) {
    if (route.path != path) continue;
    methods += (methods.empty() ? "" : ", ") + route.method;
    if (route.method == "GET") methods += ", HEAD";
  }
  return methods;
}

void Router::handle(const Request& request, Reply&& reply) const {
  const std::string_view method = request.method == "HEAD" ? "GET" : request.method;
  for (const Route& route : routes_) {
    if (route.path == request.path && route.method == method) {
      return route.handler(request, std::move(reply));
    }
  }
  if (const std::string methods = methods_of(request.path); !methods.empty()) {
    return reply.send({.status = 405,
                       .body = "this path takes " + methods + "\n",
                       .headers = {{"Allow", methods}}});
  }
  std::set<std::string_view> paths;
  for (const Route& route : routes_) paths.insert(route.path);
  std::string words = "there is no such path. There are:";
  for (const std::string_view path : paths) words.append(" ").append(path);
  reply.send({.status = 404, .body = words + "\n"});
}

}  // namespace nb::http
