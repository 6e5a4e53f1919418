#include "gate/page.h"

#include "gate/page_files.h"

namespace nb::gate {
namespace {

// Everything has to come from the gate itself: no script or style within the document, no frame.
constexpr const char* kPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// A handler is a function here: a file needs no object.
template <const char* kContent, const char* kType>
void send_file(void*, const http::Request&, http::Reply&& reply) {
  reply.send({.body = kContent, .type = kType, .headers = {{"Content-Security-Policy", kPolicy}}});
}

constexpr char kHtml[] = "text/html; charset=utf-8";
constexpr char kScript[] = "text/javascript; charset=utf-8";
constexpr char kStyle[] = "text/css; charset=utf-8";
constexpr char kImage[] = "image/svg+xml";

template <const char* kContent, const char* kType>
void add(http::Router& router, std::string_view path) {
  router.add("GET", path, http::Router::Handler(nullptr, &send_file<kContent, kType>));
}

}  // namespace

void add_page(http::Router& router) {
  add<kPageHtml, kHtml>(router, "/");
  add<kPageScript, kScript>(router, "/page.js");
  add<kPageCharts, kScript>(router, "/charts.js");
  add<kPageStyle, kStyle>(router, "/page.css");
  add<kPageIcon, kImage>(router, "/favicon.svg");
}

}  // namespace nb::gate
