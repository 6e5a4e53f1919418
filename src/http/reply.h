// Reply and EventStream: a handler answers with these, now or later. Each belongs to one request,
// is moved and not copied, and notices by itself when the client has gone.
#pragma once

#include <string_view>
#include <utility>

#include "http/message.h"

namespace nb::http {

class Exchange;

// The common part: the request's exchange, for as long as that lasts.
class ExchangeRef {
 public:
  ExchangeRef() = default;
  explicit ExchangeRef(Exchange* exchange);
  ExchangeRef(ExchangeRef&& other) noexcept;
  ExchangeRef& operator=(ExchangeRef&& other) noexcept;
  ~ExchangeRef();

  Exchange* get() const { return exchange_; }
  Exchange* release();

 private:
  friend class Exchange;
  Exchange* exchange_ = nullptr;  // null: ended, or moved away
};

// A body that goes on for as long as this object lives, and then ends well.
class EventStream {
 public:
  EventStream() = default;
  explicit EventStream(ExchangeRef ref) : ref_(std::move(ref)) {}
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept;
  ~EventStream() { end(); }

  // False if the client has gone. A client that leaves more unread than the server's limit is cut
  // off: then it has gone. Written bytes keep their order.
  bool write(std::string_view bytes);
  // A client's going is noticed when something is written.
  bool is_open() const { return ref_.get() != nullptr; }
  void end();

 private:
  ExchangeRef ref_;
};

class Reply {
 public:
  Reply() = default;
  explicit Reply(ExchangeRef ref) : ref_(std::move(ref)) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept;
  // Without an answer, the client gets a 500.
  ~Reply();

  bool is_wanted() const { return ref_.get() != nullptr; }
  // Once.
  void send(Response response);
  // Instead of send(): the head, whose body is the beginning, and then the written bytes. No size
  // is sent. The result is closed if the client has gone, or has asked for the head only.
  EventStream open(Response head);

 private:
  ExchangeRef ref_;
};

}  // namespace nb::http
