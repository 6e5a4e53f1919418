// HttpExchange: one HTTP/1.1 request on a connection of its own, and its response.
//
// Each request asks for "Connection: close" and the connection is dropped as soon as the answer is
// complete: a probe is to find out whether a new client is served, and on loopback a connection
// costs no wake-up of its own (the connect is done when epoll looks).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/delegate.h"
#include "probe/check.h"
#include "probe/http_response.h"
#include "uv/dialer.h"

namespace nb::probe {

// The head of a request up to its last header; the caller adds further headers and the blank line.
// The Host header is the spec's, or names its target, without the zone of a link-local address (RFC
// 6874). No compression is asked for, since the probes cannot decompress.
std::string http_head(const char* method, const ProbeSpec& spec, const std::string& agent_version);

class HttpExchange {
 public:
  struct Events {
    // More of the response is here, but not all of it. May cancel the exchange.
    Delegate<void()> on_progress;
    // Called once, unless cancelled: the response is complete, or it has failed and the error says
    // how.
    Delegate<void(const Status&)> on_end;
  };

  HttpExchange(uv::Loop& loop, Events events);

  // Sends `request`, whole. There is no deadline here. Only when not running.
  void start(const uv::Target& target, std::string_view request);
  // Drops the connection; no callback follows. The response stays readable.
  void cancel();

  HttpResponse& response() { return response_; }
  // There was a connection, and the request went into it.
  bool sent() const { return request_.empty(); }
  // There is a connection, and no end yet.
  bool connected() const { return stream_ != nullptr; }
  // How far it got: "no connection", "no answer", "only 17 of 200 bytes".
  std::string progress() const;
  // The deadline has passed: cancels, and says how far the exchange came.
  Outcome give_up(const std::string& limit);

 private:
  void on_dialled(uv::Dialer::Answer& answer);
  void on_data(std::string_view bytes);
  void on_stream_end(int error);
  void finish(const Status& status);

  Events events_;
  uv::Target target_;
  HttpResponse response_;
  std::string request_;
  std::unique_ptr<uv::Stream> stream_;
  uv::Dialer dialer_;
};

}  // namespace nb::probe
