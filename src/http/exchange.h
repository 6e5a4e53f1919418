// Exchange: one request and its answer. Connection: one client's connection, with its exchange.
// Both belong to the server; their callbacks come from libmicrohttpd.
#pragma once

#include <microhttpd.h>

#include <memory>
#include <string>
#include <string_view>

#include "http/server.h"

namespace nb::http {

// A response of libmicrohttpd, which counts its owners.
struct DropResponse {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using OwnedResponse = std::unique_ptr<MHD_Response, DropResponse>;

class Exchange {
 public:
  // `target` is the path and query of the first line.
  Exchange(Connection& connection, std::string_view target);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  // First with the headers, then with each piece of the body, then without one, and again after
  // each wait. It subtracts from `size` what it takes of the body.
  MHD_Result on_part(const char* method, const char* piece, size_t* size);

  // For Reply and EventStream.
  void send(Response&& response);
  void open(Response&& head);
  bool write(std::string_view bytes);
  void end();

  bool is_head() const { return method_ == "HEAD"; }
  bool is_stream() const { return is_stream_; }
  // libmicrohttpd leaves a connection alone that waits; it has to go on to be closed.
  void wake();

 private:
  friend class ExchangeRef;
  static ssize_t read(void* exchange, uint64_t at, char* out, size_t most);

  MHD_Result begin();
  void take(std::string_view piece);
  MHD_Result handle();
  MHD_Result queue();
  MHD_Result refuse(Response&& response);
  void prepare(OwnedResponse response, Response&& head);
  void suspend();
  Request request() const;
  Response too_large(int status) const;

  Connection& connection_;
  Server& server_;
  ExchangeRef* ref_ = nullptr;  // the object that will answer, or writes
  std::string target_;
  std::string method_;
  std::string body_;
  OwnedResponse response_;  // until it is queued
  int status_ = 0;
  bool has_begun_ = false;
  bool is_handled_ = false;
  int overflow_ = 0;        // the status that refuses the body, or 0
  size_t passed_over_ = 0;  // bytes of such a body
  bool is_suspended_ = false;
  bool is_stream_ = false;
  bool has_ended_ = false;
  std::string unread_;
  size_t read_ = 0;  // of `unread_`
};

class Connection {
 public:
  enum class State : uint8_t {
    idle,       // there is no request
    receiving,  // a request has begun
    waiting,    // for the handler's answer
    answering,  // the client reads
    closing,
  };

  Connection(Server& owner, MHD_Connection* connection);

  static Connection& of(MHD_Connection* connection);

  void enter(State state);
  // False while there is no hurry: the handler has the request, or a stream runs.
  bool is_overdue(MonoTime now) const;
  // The client sees the connection end; libmicrohttpd notices, and reports that it is closed.
  void close();
  // Answers before libmicrohttpd has read the request, and closes.
  void refuse_target();

  Server& server;
  MHD_Connection* const raw;
  const int fd;
  const bool is_local;  // a Unix socket
  State state = State::idle;
  MonoTime since;
  std::unique_ptr<Exchange> exchange;
};

}  // namespace nb::http
