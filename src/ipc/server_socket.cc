#include "ipc/server_socket.h"

namespace nb::ipc {

ServerSocket::ServerSocket(uv::Loop& loop, const Log& log, const SocketOptions& options,
                           uint8_t number, OnConnection on_connection,
                           Admission::MayYield may_yield)
    : log_(log),
      options_(options),
      number_(number),
      on_connection_(on_connection),
      acceptor_(loop, log, Acceptor::OnConnection::to<&ServerSocket::on_connection>(this)),
      admission_({options.max_clients, options.max_clients_per_user, options.idle_after}, may_yield,
                 number) {}

Status ServerSocket::open() {
  if (options_.inherited_fd >= 0) return file_.adopt(options_.inherited_fd);
  Status status = file_.open(options_.path, options_.mode, options_.group);
  // Less access than was meant, never more: without its group the group's bits mean another group.
  if (!status && options_.may_be_missing && options_.group &&
      status.error().fault == Fault::denied) {
    constexpr uint32_t kGroupBits = 0070;
    log_.notice("%s. Until then only the agent's own user may use this socket",
                status.error().message.c_str());
    status = file_.open(options_.path, options_.mode & ~kGroupBits, std::nullopt);
  }
  return status;
}

Status ServerSocket::start() {
  Status status = open();
  if (status) {
    if (const int rc = acceptor_.start(file_.fd()); rc < 0) {
      stop();
      status = make_error("cannot listen on %s: %s", options_.path.c_str(), uv_strerror(rc));
    }
  }
  if (status || !options_.may_be_missing) return status;
  log_.warning("%s; the agent works without this socket", status.error().message.c_str());
  return {};
}

void ServerSocket::stop() {
  acceptor_.stop();
  file_.close();
}

}  // namespace nb::ipc
