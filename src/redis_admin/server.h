// A Redis server that is asked directly, not through the agent. It is not trusted. So all questions
// have one deadline, each reply has limits (redis_admin/reply.h), and each reply must have the form
// of an answer to its question (redis_admin/forms.h).
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "config/redis_url.h"
#include "redis_admin/forms.h"
#include "redis_admin/reply.h"

namespace nb::redis_admin {

using config::RedisAddress;

// host:port, [host]:port or the path: without user and password.
std::string place_of(const RedisAddress& address);

// The time at which everything has to be done.
class Deadline {
 public:
  // As soon as `stop_fd`, if there is one, can be read from, no time is left.
  explicit Deadline(int64_t ms, int stop_fd = -1);
  // Not below 0.
  int64_t left_ms() const;
  int stop_fd() const { return stop_fd_; }

 private:
  int64_t end_us_;
  int stop_fd_;
};

class Server {
 public:
  explicit Server(Deadline deadline, ReplyLimits limits = {})
      : deadline_(deadline), limits_(limits) {}
  // For the questions from now on.
  void set_deadline(Deadline deadline) { deadline_ = deadline; }

  enum class Opened : uint8_t { open, unreachable, refused, no_answer };
  // Connects, and logs in if the address has a password. fault() has the reason of a failure.
  Opened open(const RedisAddress& address);

  using Command = std::vector<std::string>;
  // The answer. It is `Kind::none`, with a fault(), if the connection is lost, no answer came in
  // time, or the answer does not have that form; then the connection has ended.
  Reply call(const Command& command, Form form);
  // One reply for each command, as from call(), in one round trip. The commands are few and short.
  std::vector<Reply> call_all(std::span<const Command> commands, Form form);
  // How long the last call took.
  int64_t took_us() const { return took_us_; }
  const std::string& fault() const { return fault_; }
  // True if the connection ended because the server is not Redis, or does not answer as Redis does.
  bool is_stranger() const { return stranger_; }
  // True if the connection ended because a reply was beyond the limits.
  bool was_too_large() const { return too_large_; }

 private:
  bool connect(const RedisAddress& address);
  bool connect_to(const sockaddr* to, unsigned size, int64_t ms);
  bool send(std::string_view bytes);
  bool receive(Reply& reply);
  bool wait(short events, int64_t ms);
  // These end the connection, and return false.
  bool fail(std::string fault, bool late = false);
  bool fail_stranger(std::string fault);
  // How open() failed, when there was no answer to the last call.
  Opened lost() const { return late_ ? Opened::no_answer : Opened::unreachable; }

  Deadline deadline_;
  ReplyLimits limits_;
  UniqueFd fd_;
  std::string input_;  // bytes that have come and are not read yet
  std::string fault_;
  int64_t took_us_ = 0;
  bool late_ = false;
  bool stranger_ = false;
  bool too_large_ = false;
};

}  // namespace nb::redis_admin
