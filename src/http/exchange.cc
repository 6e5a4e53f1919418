#include "http/exchange.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace nb::http {
namespace {

// Of a body that is not taken: so much is read so that its sender sees the answer.
constexpr size_t kMostPassedOver = 8 * 1024 * 1024;
constexpr std::string_view kTargetTooLong =
    "HTTP/1.1 414 URI Too Long\r\nConnection: close\r\nContent-Type: text/plain; "
    "charset=utf-8\r\nContent-Length: 56\r\n\r\n"
    "a path and its query are longer than what is taken here\n";
static_assert(kTargetTooLong.size() - kTargetTooLong.find("\r\n\r\n") == 4 + 56,
              "its Content-Length is wrong");
constexpr const char* kNoContent = "default-src 'none'; frame-ancestors 'none'";

bool is_unix_socket(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

int descriptor_of(MHD_Connection* raw) {
  const MHD_ConnectionInfo* info = MHD_get_connection_info(raw, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info != nullptr ? info->connect_fd : -1;
}

}  // namespace

// --- Connection -------------------------------------------------------------------------------

Connection::Connection(Server& owner, MHD_Connection* connection)
    : server(owner),
      raw(connection),
      fd(descriptor_of(connection)),
      is_local(is_unix_socket(fd)),
      since(owner.loop_.now()) {}

Connection& Connection::of(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return *static_cast<Connection*>(info->socket_context);
}

void Connection::enter(State next) {
  if (state == State::closing) return;
  state = next;
  since = server.loop_.now();
}

bool Connection::is_overdue(MonoTime now) const {
  const Limits& limits = server.limits_;
  switch (state) {
    case State::idle:
      return now - since > limits.idle;
    case State::receiving:
      return now - since > limits.request;
    case State::answering:
      return now - since > limits.answer && !(exchange && exchange->is_stream());
    case State::waiting:
    case State::closing:
      return false;
  }
  return false;
}

void Connection::close() {
  state = State::closing;
  (void)::shutdown(fd, SHUT_RDWR);
  if (exchange) exchange->wake();
}

// All of it fits into the socket's buffer: earlier answers have left the buffer.
void Connection::refuse_target() {
  ++server.figures_.refused;
  (void)::send(fd, kTargetTooLong.data(), kTargetTooLong.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  close();
}

// --- Exchange ---------------------------------------------------------------------------------

Exchange::Exchange(Connection& connection, std::string_view target)
    : connection_(connection), server_(connection.server), target_(target) {}

Exchange::~Exchange() {
  if (ref_ != nullptr) ref_->exchange_ = nullptr;
  server_.bodies_ -= body_.size();
}

Request Exchange::request() const {
  Request request;
  const std::string_view target = target_;
  const size_t mark = target.find('?');
  request.method = method_;
  request.path = target.substr(0, mark);
  if (mark != std::string_view::npos) request.query = target.substr(mark + 1);
  request.body = body_;
  MHD_get_connection_values_n(
      connection_.raw, MHD_HEADER_KIND,
      [](void* list, MHD_ValueKind, const char* name, size_t name_size, const char* value,
         size_t value_size) {
        auto& headers = *static_cast<decltype(request.headers)*>(list);
        headers.emplace_back(std::string_view(name, name_size),
                             value != nullptr ? std::string_view(value, value_size) : "");
        return MHD_YES;
      },
      &request.headers);
  return request;
}

MHD_Result Exchange::on_part(const char* method, const char* piece, size_t* size) {
  if (!has_begun_) {
    method_ = method;
    return begin();
  }
  if (*size == 0) return handle();
  take({piece, *size});
  *size = 0;
  if (passed_over_ <= kMostPassedOver) return MHD_YES;
  ++server_.figures_.refused;
  return MHD_NO;
}

// An answer has no place before the end of the body. So a body without a known size, or for which
// there is no room now, is read to its end when it is not accepted.
void Exchange::take(std::string_view piece) {
  if (overflow_ == 0 && body_.size() + piece.size() > server_.limits_.body_bytes) overflow_ = 413;
  if (overflow_ == 0 && server_.bodies_ + piece.size() > server_.limits_.bodies_bytes) {
    overflow_ = 503;
  }
  if (overflow_ == 0) {
    body_.append(piece);
    server_.bodies_ += piece.size();
    return;
  }
  server_.bodies_ -= body_.size();
  body_ = {};
  passed_over_ += piece.size();
}

MHD_Result Exchange::begin() {
  has_begun_ = true;
  const Request asked = request();
  Response refusal = check(asked, server_.origins_, !connection_.is_local);
  if (refusal.status != 0) return refuse(std::move(refusal));
  const std::string_view length = asked.header("Content-Length");
  if (length.empty()) return MHD_YES;
  const auto bytes = parse_number<uint64_t>(length);
  if (bytes && *bytes <= server_.limits_.body_bytes) return MHD_YES;
  return refuse(too_large(bytes ? 413 : 400));
}

Response Exchange::too_large(int status) const {
  return {.status = status,
          .body = format("a body has at most %zu bytes\n", server_.limits_.body_bytes)};
}

MHD_Result Exchange::refuse(Response&& response) {
  ++server_.figures_.refused;
  is_handled_ = true;
  // The rest of the request, which is not read, must not be taken for another one.
  response.headers.emplace_back("Connection", "close");
  send(std::move(response));
  return queue();
}

MHD_Result Exchange::handle() {
  if (connection_.state == Connection::State::closing) return MHD_NO;
  if (!is_handled_ && overflow_ == 413) return refuse(too_large(overflow_));
  if (!is_handled_ && overflow_ != 0) {
    return refuse({.status = overflow_, .body = "too many bodies are held: try again\n"});
  }
  if (!is_handled_) {
    is_handled_ = true;
    ++server_.figures_.requests;
    connection_.enter(Connection::State::waiting);
    server_.handler_(request(), Reply(ExchangeRef(this)));
  }
  if (response_) return queue();
  suspend();
  return MHD_YES;
}

MHD_Result Exchange::queue() {
  connection_.enter(Connection::State::answering);
  const OwnedResponse response = std::move(response_);
  return MHD_queue_response(connection_.raw, static_cast<unsigned>(status_), response.get());
}

void Exchange::suspend() {
  is_suspended_ = true;
  MHD_suspend_connection(connection_.raw);
}

void Exchange::wake() {
  if (!std::exchange(is_suspended_, false)) return;
  MHD_resume_connection(connection_.raw);
  server_.run_soon();
}

void Exchange::prepare(OwnedResponse response, Response&& head) {
  if (!response) return;  // no memory: libmicrohttpd closes the connection
  const auto add = [&](const char* name, const std::string& value) {
    (void)MHD_add_response_header(response.get(), name, value.c_str());
  };
  add("Content-Type", head.type);
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  bool has_policy = false;
  for (const auto& [name, value] : head.headers) {
    add(name.c_str(), value);
    has_policy |= same_word(name, "Content-Security-Policy");
  }
  if (!has_policy) add("Content-Security-Policy", kNoContent);
  status_ = head.status;
  response_ = std::move(response);
}

void Exchange::send(Response&& response) {
  OwnedResponse made(MHD_create_response_from_buffer(response.body.size(), response.body.data(),
                                                     MHD_RESPMEM_MUST_COPY));
  prepare(std::move(made), std::move(response));
  wake();
}

void Exchange::open(Response&& head) {
  is_stream_ = true;
  unread_ = std::move(head.body);
  OwnedResponse made(MHD_create_response_from_callback(
      MHD_SIZE_UNKNOWN, server_.limits_.connection_bytes / 4, &Exchange::read, this, nullptr));
  prepare(std::move(made), std::move(head));
  wake();
}

ssize_t Exchange::read(void* exchange, uint64_t, char* out, size_t most) {
  auto& self = *static_cast<Exchange*>(exchange);
  const size_t size = std::min(most, self.unread_.size() - self.read_);
  if (self.connection_.state == Connection::State::closing) {
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
  if (size == 0 && self.has_ended_) return MHD_CONTENT_READER_END_OF_STREAM;
  if (size == 0) {
    self.suspend();
    return 0;
  }
  std::copy_n(self.unread_.data() + self.read_, size, out);
  self.read_ += size;
  if (self.read_ == self.unread_.size()) {
    self.unread_.clear();
    self.read_ = 0;
  }
  return static_cast<ssize_t>(size);
}

bool Exchange::write(std::string_view bytes) {
  if (unread_.size() - read_ + bytes.size() > server_.limits_.unread_bytes) {
    ++server_.figures_.cut_off;
    connection_.close();
    return false;
  }
  if (read_ > 0) unread_.erase(0, std::exchange(read_, 0));
  unread_.append(bytes);
  wake();
  return true;
}

void Exchange::end() {
  has_ended_ = true;
  wake();
}

// --- the objects of a handler --------------------------------------------------------------------

ExchangeRef::ExchangeRef(Exchange* exchange) : exchange_(exchange) {
  exchange_->ref_ = this;
}

ExchangeRef::ExchangeRef(ExchangeRef&& other) noexcept : exchange_(other.release()) {
  if (exchange_ != nullptr) exchange_->ref_ = this;
}

ExchangeRef& ExchangeRef::operator=(ExchangeRef&& other) noexcept {
  if (this == &other) return *this;
  release();
  exchange_ = other.release();
  if (exchange_ != nullptr) exchange_->ref_ = this;
  return *this;
}

ExchangeRef::~ExchangeRef() {
  release();
}

Exchange* ExchangeRef::release() {
  Exchange* exchange = std::exchange(exchange_, nullptr);
  if (exchange != nullptr) exchange->ref_ = nullptr;
  return exchange;
}

Reply& Reply::operator=(Reply&& other) noexcept {
  if (this == &other) return *this;
  Reply old(std::move(ref_));
  ref_ = std::move(other.ref_);
  return *this;
}

Reply::~Reply() {
  if (is_wanted()) send({.status = 500, .body = "there is no answer\n"});
}

void Reply::send(Response response) {
  if (Exchange* exchange = ref_.release()) exchange->send(std::move(response));
}

EventStream Reply::open(Response head) {
  Exchange* exchange = ref_.get();
  if (exchange == nullptr) return {};
  if (exchange->is_head()) {
    head.body.clear();
    send(std::move(head));
    return {};
  }
  exchange->open(std::move(head));
  return EventStream(std::move(ref_));
}

EventStream& EventStream::operator=(EventStream&& other) noexcept {
  if (this == &other) return *this;
  end();
  ref_ = std::move(other.ref_);
  return *this;
}

bool EventStream::write(std::string_view bytes) {
  if (ref_.get() == nullptr) return false;
  if (ref_.get()->write(bytes)) return true;
  ref_.release();
  return false;
}

void EventStream::end() {
  if (Exchange* exchange = ref_.release()) exchange->end();
}

}  // namespace nb::http
