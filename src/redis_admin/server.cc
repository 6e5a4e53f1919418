#include "redis_admin/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <memory>

#include "config/endpoint.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr char kLate[] = "no answer in time";
constexpr size_t kReadBytes = 64 * 1024;

int64_t steady_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string words_of(int error) {
  return std::strerror(error);
}

// A question to the resolver. If the answer takes too long, the question is abandoned: it lives on
// until the resolver has written its answer.
struct Lookup {
  std::string host, port;
  addrinfo hints{};
  gaicb request{};
};

void abandon(std::unique_ptr<Lookup> lookup) {
  static std::vector<std::unique_ptr<Lookup>> abandoned;
  std::erase_if(abandoned, [](const std::unique_ptr<Lookup>& one) {
    const int rc = ::gai_error(&one->request);
    if (rc == 0) ::freeaddrinfo(one->request.ar_result);
    return rc != EAI_INPROGRESS;
  });
  abandoned.push_back(std::move(lookup));
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses look_up(const RedisAddress& address, int64_t ms, std::string& fault) {
  auto lookup = std::make_unique<Lookup>();
  lookup->host = address.host;
  lookup->port = std::to_string(address.port);
  lookup->hints.ai_socktype = SOCK_STREAM;
  lookup->hints.ai_flags = AI_NUMERICSERV;
  lookup->request.ar_name = lookup->host.c_str();
  lookup->request.ar_service = lookup->port.c_str();
  lookup->request.ar_request = &lookup->hints;
  gaicb* list[] = {&lookup->request};
  int rc = ::getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr);
  if (rc == 0) {
    const timespec limit{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1000000)};
    (void)::gai_suspend(list, 1, &limit);
    rc = ::gai_error(list[0]);
  }
  if (rc == EAI_INPROGRESS) {
    fault = kLate;
    if (::gai_cancel(list[0]) != EAI_CANCELED) abandon(std::move(lookup));
    return {};
  }
  if (rc != 0) {
    fault = address.host + ": " + ::gai_strerror(rc);
    return {};
  }
  return Addresses(lookup->request.ar_result);
}

void append(std::string& out, const Server::Command& command) {
  out += format("*%zu\r\n", command.size());
  for (const std::string& word : command) {
    out += format("$%zu\r\n", word.size());
    out.append(word).append("\r\n");
  }
}

}  // namespace

std::string place_of(const RedisAddress& address) {
  if (address.is_unix()) return address.unix_path;
  return config::format_endpoint({address.host, address.port});
}

Deadline::Deadline(int64_t ms, int stop_fd) : end_us_(steady_us() + ms * 1000), stop_fd_(stop_fd) {}

int64_t Deadline::left_ms() const {
  return std::max<int64_t>((end_us_ - steady_us() + 999) / 1000, 0);
}

bool Server::fail(std::string fault, bool late) {
  fault_ = std::move(fault);
  late_ = late;
  fd_.reset();
  return false;
}

bool Server::fail_stranger(std::string fault) {
  stranger_ = true;
  return fail(std::move(fault));
}

// False if the time is over.
bool Server::wait(short events, int64_t ms) {
  const Deadline own(ms);
  for (;;) {
    // A negative descriptor is not looked at.
    pollfd entries[] = {{fd_.get(), events, 0}, {deadline_.stop_fd(), POLLIN, 0}};
    const int64_t left = std::min(own.left_ms(), deadline_.left_ms());
    const int ready = ::poll(entries, 2, static_cast<int>(std::min<int64_t>(left, INT_MAX)));
    if (ready > 0) return entries[1].revents == 0;
    if (left == 0 || (ready < 0 && errno != EINTR)) return false;
  }
}

bool Server::connect_to(const sockaddr* to, unsigned size, int64_t ms) {
  // A fault of an earlier address no longer counts when this one answers.
  fault_.clear();
  late_ = false;
  stranger_ = false;
  too_large_ = false;
  input_.clear();
  fd_ = UniqueFd(::socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_) return fail(words_of(errno));
  if (::connect(fd_.get(), to, size) == 0) return true;
  if (errno != EINPROGRESS) return fail(words_of(errno));
  if (!wait(POLLOUT, ms)) return fail(kLate, true);
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  return error == 0 || fail(words_of(error));
}

bool Server::connect(const RedisAddress& address) {
  if (address.is_unix()) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.unix_path.copy(to.sun_path, sizeof to.sun_path - 1);
    return connect_to(reinterpret_cast<const sockaddr*>(&to), sizeof to, deadline_.left_ms());
  }
  std::string fault;
  const Addresses list = look_up(address, deadline_.left_ms(), fault);
  if (!list) return fail(fault, fault == kLate);
  int64_t count = 0;
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next) ++count;
  // A silent address leaves the next ones their share of the time.
  for (const addrinfo* one = list.get(); one != nullptr; one = one->ai_next, --count) {
    if (connect_to(one->ai_addr, one->ai_addrlen, deadline_.left_ms() / count)) return true;
  }
  return false;
}

Server::Opened Server::open(const RedisAddress& address) {
  if (!connect(address)) return lost();
  if (!address.password.empty()) {
    Command login = {"AUTH"};
    if (!address.user.empty()) login.push_back(address.user);
    login.push_back(address.password);
    const Reply reply = call(login, Form::ok);
    if (reply.is_error()) {
      fault_ = reply.text;
      return Opened::refused;
    }
    if (reply.kind == Reply::Kind::none) return lost();
  }
  const Reply pong = call({"PING"}, Form::pong);
  if (pong.kind == Reply::Kind::none) return lost();
  // These errors are states of the server, which INFO reports. All other errors concern this
  // client.
  const auto is_state = [&](std::string_view code) { return pong.text.starts_with(code); };
  if (pong.is_error() && !is_state("LOADING") && !is_state("MASTERDOWN") && !is_state("BUSY") &&
      !is_state("MISCONF")) {
    fault_ = pong.text;
    return Opened::refused;
  }
  return Opened::open;
}

bool Server::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!wait(POLLOUT, deadline_.left_ms())) return fail(kLate, true);
    } else {
      return fail(words_of(errno));
    }
  }
  return true;
}

bool Server::receive(Reply& reply) {
  for (;;) {
    size_t used = 0;
    switch (read_reply(input_, reply, used, limits_)) {
      case ReplyState::whole:
        input_.erase(0, used);
        return true;
      case ReplyState::too_large:
        too_large_ = true;
        return fail(format("a reply is longer than %zu bytes or %zu items, more than is read here",
                           limits_.bytes, limits_.items));
      case ReplyState::malformed:
        return fail_stranger("the server there does not speak Redis' protocol");
      case ReplyState::more:
        break;
    }
    // This is tested before each read, since a server that always sends is never waited for.
    if (deadline_.left_ms() == 0) return fail(kLate, true);
    const size_t had = input_.size();
    input_.resize(had + kReadBytes);
    const ssize_t n = ::recv(fd_.get(), input_.data() + had, kReadBytes, 0);
    const int error = errno;
    input_.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return fail("the server closed the connection");
    if (n > 0) continue;
    if (error != EAGAIN && error != EINTR) return fail(words_of(error));
    if (!wait(POLLIN, deadline_.left_ms())) return fail(kLate, true);
  }
}

Reply Server::call(const Command& command, Form form) {
  return std::move(call_all({&command, 1}, form).front());
}

std::vector<Reply> Server::call_all(std::span<const Command> commands, Form form) {
  std::vector<Reply> replies(commands.size());
  std::string bytes;
  for (const Command& command : commands) append(bytes, command);
  const int64_t begin = steady_us();
  if (!fd_ || !send(bytes)) return replies;
  for (size_t i = 0; i < commands.size(); ++i) {
    Reply reply;
    if (!receive(reply)) break;
    if (!has_form(form, commands[i], reply)) {
      // Only the first word: others of a login are secrets.
      fail_stranger(
          "what answers there is not Redis, or does not answer as Redis does: the answer "
          "to " +
          commands[i].front() + " was " + description(reply));
      break;
    }
    replies[i] = std::move(reply);
  }
  took_us_ = steady_us() - begin;
  return replies;
}

}  // namespace nb::redis_admin
