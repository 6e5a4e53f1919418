// A Redis server asked directly, not through the agent. hiredis' synchronous calls, with a time
// limit on each; nothing of hiredis is seen outside.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

struct RedisAddress {
  std::string host = "127.0.0.1";
  std::string unix_path;  // instead of host and port
  std::string user, password;
  int port = 6379;
  int db = 0;

  // Without a password.
  std::string text() const;
};

// redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N]. What is
// wrong with it, in words that repeat no password; empty: `out` is set.
std::string parse_redis_url(std::string_view url, RedisAddress& out);

struct RedisReply {
  enum class Kind : uint8_t { none, text, error, integer, list };
  Kind kind = Kind::none;  // none: nil, or no answer at all
  std::string text;        // of an integer, its digits
  std::vector<RedisReply> items;

  bool is_error() const { return kind == Kind::error; }
  bool denied() const { return is_error() && text.starts_with("NOPERM"); }
};

class RedisServer {
 public:
  RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer();

  enum class Opened : uint8_t { open, unreachable, refused, no_answer };
  // Connects, and logs in if the address has a password. What went wrong stands in fault().
  Opened open(const RedisAddress& address, int64_t timeout_ms);

  // `Kind::none` with a fault() if the connection is lost, or no answer came in time.
  RedisReply call(const std::vector<std::string>& command);
  // How long the last call took.
  int64_t took_us() const { return took_us_; }
  const std::string& fault() const { return fault_; }

 private:
  struct Context;
  // Why there was no answer to the last call.
  Opened lost() const { return late_ ? Opened::no_answer : Opened::unreachable; }

  std::unique_ptr<Context> context_;
  std::string fault_;
  int64_t took_us_ = 0;
  bool late_ = false;
};

}  // namespace nb::ctl
