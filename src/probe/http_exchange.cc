#include "probe/http_exchange.h"

#include <algorithm>

#include "base/text.h"

namespace nb::probe {
namespace {

// The callers' own deadlines are shorter.
constexpr Duration kDialForEver = std::chrono::hours(24);

}  // namespace

std::string http_head(const char* method, const ProbeSpec& spec, const std::string& agent_version) {
  uv::Target host = spec.target;
  host.host.resize(std::min(host.host.find('%'), host.host.size()));
  std::string name = spec.http_host;
  if (name.empty()) name = host.unix_path.empty() ? describe(host) : "localhost";
  return format(
      "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: nodebeat/%s\r\nAccept-Encoding: identity\r\n"
      "Connection: close\r\n",
      method, spec.http_path.c_str(), name.c_str(), agent_version.c_str());
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

std::string HttpExchange::progress() const {
  if (!connected()) return "no connection";
  const std::string came = response_.progress();
  return came == "nothing" ? "no answer" : came;
}

Outcome HttpExchange::give_up(const std::string& limit) {
  const Outcome outcome = dialer_.resolving()
                              ? not_looked_up(target_, limit)
                              : Outcome{Finding::down, progress() + " within " + limit};
  cancel();
  return outcome;
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
