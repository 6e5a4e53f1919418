#include "http/server.h"

#include <microhttpd.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "http/exchange.h"

namespace nb::http {
namespace {

// Connections that are being closed for others still count for libmicrohttpd. At its own limit it
// no longer accepts, and so no connection would be closed for another.
constexpr unsigned kRoomToClose = 32;
constexpr Duration kMaxSweep = std::chrono::seconds(1);

// libmicrohttpd keeps each argument of a query in the memory of the connection. If that does not
// suffice, the version of Debian 12 answers nothing at all.
constexpr size_t kMostTargetBytes = 8 * 1024;
constexpr ptrdiff_t kMostArguments = 128;

bool is_taken(std::string_view target) {
  return target.size() <= kMostTargetBytes &&
         std::count(target.begin(), target.end(), '&') < kMostArguments;
}

unsigned whole_seconds(Duration duration) {
  return static_cast<unsigned>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

Duration sweep_period(const Limits& limits) {
  return std::min({kMaxSweep, limits.idle / 2, limits.request / 2, limits.answer / 2});
}

}  // namespace

struct Server::Callbacks {
  static void* on_target(void*, const char* target, MHD_Connection* raw) {
    Connection& connection = Connection::of(raw);
    connection.enter(Connection::State::receiving);
    connection.exchange = std::make_unique<Exchange>(connection, target);
    if (!is_taken(target)) connection.refuse_target();
    return connection.exchange.get();
  }

  static MHD_Result on_part(void*, MHD_Connection* raw, const char*, const char* method,
                            const char*, const char* piece, size_t* size, void**) {
    Connection& connection = Connection::of(raw);
    return connection.exchange ? connection.exchange->on_part(method, piece, size) : MHD_NO;
  }

  static void on_completed(void*, MHD_Connection* raw, void**, MHD_RequestTerminationCode) {
    Connection& connection = Connection::of(raw);
    connection.exchange.reset();
    connection.enter(Connection::State::idle);
  }

  static void on_connection(void* server, MHD_Connection* raw, void** context,
                            MHD_ConnectionNotificationCode code) {
    auto& self = *static_cast<Server*>(server);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
      auto* connection = new Connection(self, raw);
      *context = connection;
      return self.on_connected(*connection);
    }
    auto* connection = static_cast<Connection*>(std::exchange(*context, nullptr));
    self.on_closed(connection);
    delete connection;
  }

  // Nothing is decoded: paths are compared as they were sent.
  static size_t keep(void*, MHD_Connection*, char* text) { return std::string_view(text).size(); }
};

Server::Server(uv::Loop& loop, Limits limits, Origins origins, Handler handler)
    : loop_(loop),
      limits_(limits),
      origins_(std::move(origins)),
      handler_(handler),
      due_(loop, Delegate<void()>::to<&Server::on_due>(this)),
      sweep_(loop, Delegate<void()>::to<&Server::on_sweep>(this)),
      soon_(loop, Delegate<void()>::to<&Server::run>(this)) {}

Server::~Server() {
  poll_.reset();
  if (daemon_ == nullptr) return;
  // It must not have a connection that waits when it stops.
  for (Connection* connection : connections_) connection->close();
  MHD_stop_daemon(daemon_);
}

Status Server::start(UniqueFd listening) {
  const bool listens = static_cast<bool>(listening);
  const unsigned flags =
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (listens ? 0 : MHD_USE_NO_LISTEN_SOCKET);
  const MHD_OptionItem end{MHD_OPTION_END, 0, nullptr};
  const MHD_OptionItem socket[] = {
      listens ? MHD_OptionItem{MHD_OPTION_LISTEN_SOCKET, listening.get(), nullptr} : end, end};
  daemon_ = MHD_start_daemon(
      flags, 0, nullptr, nullptr, &Callbacks::on_part, this, MHD_OPTION_ARRAY, socket,  //
      MHD_OPTION_CONNECTION_LIMIT, limits_.connections + kRoomToClose,                  //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits_.connection_bytes,                     //
      MHD_OPTION_CONNECTION_TIMEOUT, whole_seconds(limits_.silence),                    //
      MHD_OPTION_URI_LOG_CALLBACK, &Callbacks::on_target, this,                         //
      MHD_OPTION_NOTIFY_COMPLETED, &Callbacks::on_completed, this,                      //
      MHD_OPTION_NOTIFY_CONNECTION, &Callbacks::on_connection, this,                    //
      MHD_OPTION_UNESCAPE_CALLBACK, &Callbacks::keep, this,                             //
      MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
  if (daemon_ == nullptr) return make_error("the HTTP server could not be started");
  listening.release();
  const MHD_DaemonInfo* info = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) return make_error("the HTTP server has no epoll descriptor");
  poll_ = std::make_unique<uv::Poll>(loop_, info->epoll_fd,
                                     Delegate<void(int)>::to<&Server::on_ready>(this));
  if (poll_->watch(UV_READABLE) != 0) return make_error("the HTTP server cannot be watched");
  run_soon();
  return {};
}

bool Server::adopt(UniqueFd connected) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const int fd = connected.get();
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  connected.release();  // it is closed also where it is refused
  const bool taken =
      MHD_add_connection(daemon_, fd, reinterpret_cast<sockaddr*>(&address), size) == MHD_YES;
  run_soon();
  return taken;
}

void Server::on_ready(int) {
  (void)poll_->watch(UV_READABLE);  // after an error libuv has stopped
  run();
}

void Server::run() {
  MHD_run(daemon_);
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  if (MHD_get_timeout(daemon_, &milliseconds) != MHD_YES) return due_.stop();
  if (milliseconds == 0) return run_soon();
  due_.start(std::chrono::milliseconds(static_cast<int64_t>(milliseconds)));
}

void Server::flush() {
  if (daemon_ == nullptr) return;
  // Goes on with suspended answers, takes the bytes, writes them.
  for (int step = 0; step < 3; ++step) MHD_run(daemon_);
}

void Server::on_connected(Connection& connection) {
  connections_.push_back(&connection);
  figures_.connections = connections_.size();
  if (connections_.size() > limits_.connections) displace_one(connection);
  if (!sweep_.active()) sweep_.start(sweep_period(limits_));
}

void Server::on_closed(Connection* connection) {
  std::erase(connections_, connection);
  figures_.connections = connections_.size();
}

// The one that has kept its place longest without a whole request; if all have one, the newest.
void Server::displace_one(const Connection& newest) {
  using State = Connection::State;
  Connection* longest = nullptr;
  for (Connection* each : connections_) {
    if (each->state != State::idle && each->state != State::receiving) continue;
    if (each == &newest && longest != nullptr) continue;
    if (longest == nullptr || longest == &newest || each->since < longest->since) longest = each;
  }
  if (longest == nullptr) return;
  ++figures_.displaced;
  longest->close();
}

void Server::on_sweep() {
  const MonoTime now = loop_.now();
  for (Connection* connection : connections_) {
    if (!connection->is_overdue(now)) continue;
    ++figures_.timeouts;
    connection->close();
  }
  if (!connections_.empty()) sweep_.start(sweep_period(limits_));
}

}  // namespace nb::http
