#include "probe/http_exchange.h"

#include <algorithm>

#include "base/text.h"

namespace nb::probe {
namespace {

// Whoever uses the exchange has a deadline that is shorter.
constexpr Duration kDialForEver = std::chrono::hours(24);

}  // namespace

std::string http_head(const char* method, const uv::Target& target, const std::string& path,
                      const std::string& agent_version) {
  uv::Target host = target;
  host.host.resize(std::min(host.host.find('%'), host.host.size()));
  const std::string name = target.unix_path.empty() ? describe(host) : "localhost";
  return format("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: nodebeat/%s\r\nConnection: close\r\n",
                method, path.c_str(), name.c_str(), agent_version.c_str());
}

HttpExchange::HttpExchange(uv::Loop& loop, Events events)
    : events_(events),
      dialer_(loop, Delegate<void(uv::Dialer::Answer&)>::to<&HttpExchange::on_dialled>(this)) {}

void HttpExchange::start(const uv::Target& target, std::string_view request) {
  response_.reset();
  target_ = target;
  request_.assign(request);
  dialer_.start(target, kDialForEver);
}

void HttpExchange::cancel() {
  dialer_.cancel();
  stream_.reset();
}

Outcome HttpExchange::give_up(const std::string& limit) {
  const bool resolving = dialer_.resolving();
  const bool connected = stream_ != nullptr;
  cancel();
  if (resolving) return not_looked_up(target_, limit);
  std::string got = connected ? response_.progress() : "no connection";
  if (got == "nothing") got = "no answer";
  return {Finding::down, got + " within " + limit};
}

void HttpExchange::on_dialled(uv::Dialer::Answer& answer) {
  if (!answer) return finish(answer.error());
  stream_ = std::move(*answer);
  stream_->set_events({{},
                       Delegate<void(std::string_view)>::to<&HttpExchange::on_data>(this),
                       Delegate<void(int)>::to<&HttpExchange::on_stream_end>(this),
                       {}});
  int rc = stream_->write(request_);
  if (rc == 0) rc = stream_->start_reading();
  if (rc < 0) finish(make_error("the connection broke: %s", uv_strerror(rc)));
}

void HttpExchange::on_data(std::string_view bytes) {
  const Status status = response_.feed(bytes);
  if (!status || response_.complete()) return finish(status);
  events_.on_progress();
}

void HttpExchange::on_stream_end(int error) {
  if (error == UV_EOF) return finish(response_.end());
  finish(make_error("the connection broke after %s: %s", response_.progress().c_str(),
                    uv_strerror(error)));
}

void HttpExchange::finish(const Status& status) {
  stream_.reset();
  events_.on_end(status);
}

}  // namespace nb::probe
