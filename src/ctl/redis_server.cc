#include "ctl/redis_server.h"

#include <hiredis/hiredis.h>
#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "ctl/text.h"

namespace nb::ctl {
namespace {

template <class Number>
bool read_number(std::string_view text, Number least, Number most, Number& out) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return false;
  if (value < least || value > most) return false;
  out = value;
  return true;
}

// "%40" as '@'; false for what is no such sequence.
bool decode(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 3) return false;
    const char* digits = text.data() + i + 1;
    const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
    if (error != std::errc() || end != digits + 2 || value == 0) return false;
    out += static_cast<char>(value);
    i += 2;
  }
  return true;
}

timeval time_of(int64_t ms) {
  timeval out{};
  out.tv_sec = static_cast<time_t>(ms / 1000);
  out.tv_usec = static_cast<suseconds_t>(ms % 1000 * 1000);
  return out;
}

RedisReply convert(const redisReply& reply) {
  RedisReply out;
  switch (reply.type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      out.kind = reply.type == REDIS_REPLY_ERROR ? RedisReply::Kind::error : RedisReply::Kind::text;
      out.text.assign(reply.str, static_cast<size_t>(reply.len));
      break;
    case REDIS_REPLY_INTEGER:
      out.kind = RedisReply::Kind::integer;
      out.text = std::to_string(reply.integer);
      break;
    case REDIS_REPLY_ARRAY:
      out.kind = RedisReply::Kind::list;
      for (size_t i = 0; i < reply.elements; ++i) out.items.push_back(convert(*reply.element[i]));
      break;
    default:
      break;
  }
  return out;
}

}  // namespace

struct RedisServer::Context {
  explicit Context(redisContext* opened) : raw(opened) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    if (raw != nullptr) redisFree(raw);
  }
  redisContext* raw;
};

RedisServer::RedisServer() = default;
RedisServer::~RedisServer() = default;

std::string RedisAddress::text() const {
  if (!unix_path.empty()) return unix_path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

std::string parse_redis_url(std::string_view url, RedisAddress& out) {
  constexpr char kGrammar[] =
      "write redis://[user[:password]@]host[:port][/db] or unix://[user[:password]@]/path[?db=N]";
  RedisAddress address;
  if (url.starts_with("rediss://")) return "TLS (rediss://) is not supported yet";
  const bool local = url.starts_with("unix://");
  if (!local && !url.starts_with("redis://")) return std::string("not a Redis URL: ") + kGrammar;
  url.remove_prefix(local ? 7 : 8);
  // The last '@' before the path: neither a host nor the end of the authority can hold one.
  const size_t at = url.substr(0, url.find('/')).rfind('@');
  if (at != url.npos) {
    const std::string_view both = url.substr(0, at);
    const size_t colon = both.find(':');
    if (!decode(both.substr(0, colon), address.user) ||
        (colon != both.npos && !decode(both.substr(colon + 1), address.password))) {
      return "a '%' in its user or password has to be followed by two hexadecimal digits";
    }
    url.remove_prefix(at + 1);
  }
  std::string_view db;
  if (local) {
    const size_t query = url.find('?');
    address.unix_path = url.substr(0, query);
    if (!address.unix_path.starts_with('/')) return "the path of the socket has to be absolute";
    if (address.unix_path.size() > 107) return "the path of the socket is longer than 107 bytes";
    if (query != url.npos) {
      if (!url.substr(query + 1).starts_with("db=")) return "the only option is ?db=N";
      db = url.substr(query + 4);
      if (db.empty()) return "the database is no number";
    }
  } else {
    const size_t slash = std::min(url.find('/'), url.size());
    std::string_view host = url.substr(0, slash);
    db = url.substr(std::min(slash + 1, url.size()));
    const bool v6 = host.starts_with('[') && host.find(']') != host.npos;
    const size_t colon = host.find(':', v6 ? host.find(']') : 0);
    if (colon != host.npos && !read_number(host.substr(colon + 1), 1, 65535, address.port)) {
      return "the port is no number from 1 to 65535 (in a password write %2F for '/')";
    }
    host = host.substr(0, colon);
    address.host = v6 ? host.substr(1, host.find(']') - 1) : host;
    if (address.host.empty()) return std::string("the host is missing: ") + kGrammar;
  }
  if (!db.empty() && !read_number(db, 0, 16383, address.db)) {
    return "the database is no number from 0 to 16383";
  }
  out = std::move(address);
  return {};
}

RedisServer::Opened RedisServer::open(const RedisAddress& address, int64_t timeout_ms) {
  // hiredis writes without MSG_NOSIGNAL; and a name server that does not answer should not take
  // longer than the connection may (resolv.conf(5)).
  std::signal(SIGPIPE, SIG_IGN);
  const int64_t seconds = std::max<int64_t>((timeout_ms + 999) / 1000, 1);
  ::setenv("RES_OPTIONS",
           format("timeout:%lld attempts:1", static_cast<long long>(seconds)).c_str(), 0);
  const timeval limit = time_of(timeout_ms);
  context_ = std::make_unique<Context>(
      address.unix_path.empty() ? redisConnectWithTimeout(address.host.c_str(), address.port, limit)
                                : redisConnectUnixWithTimeout(address.unix_path.c_str(), limit));
  if (context_->raw == nullptr || context_->raw->err != 0) {
    fault_ = context_->raw != nullptr ? context_->raw->errstr : "out of memory";
    return Opened::unreachable;
  }
  redisSetTimeout(context_->raw, limit);
  std::vector<std::string> login;
  if (!address.password.empty()) {
    login = {"AUTH"};
    if (!address.user.empty()) login.push_back(address.user);
    login.push_back(address.password);
    const RedisReply reply = call(login);
    if (reply.is_error()) {
      fault_ = reply.text;
      return Opened::refused;
    }
    if (reply.kind == RedisReply::Kind::none) return lost();
  }
  const RedisReply pong = call({"PING"});
  if (pong.kind == RedisReply::Kind::none) return lost();
  // A state of the server, which INFO tells of. All else is about this client.
  const auto is_state = [&](std::string_view code) { return pong.text.starts_with(code); };
  if (pong.is_error() && !is_state("LOADING") && !is_state("MASTERDOWN") && !is_state("BUSY") &&
      !is_state("MISCONF")) {
    fault_ = pong.text;
    return Opened::refused;
  }
  return Opened::open;
}

RedisReply RedisServer::call(const std::vector<std::string>& command) {
  if (!context_ || context_->raw == nullptr || context_->raw->err != 0) return {};
  std::vector<const char*> words;
  std::vector<size_t> sizes;
  for (const std::string& word : command) {
    words.push_back(word.data());
    sizes.push_back(word.size());
  }
  const auto begin = std::chrono::steady_clock::now();
  errno = 0;
  void* raw =
      redisCommandArgv(context_->raw, static_cast<int>(words.size()), words.data(), sizes.data());
  const auto took = std::chrono::steady_clock::now() - begin;
  took_us_ = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  if (raw == nullptr) {
    // With a time limit on the socket, EAGAIN is how it ends.
    late_ = context_->raw->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT);
    fault_ = late_ ? "no answer in time" : context_->raw->errstr;
    return {};
  }
  auto* reply = static_cast<redisReply*>(raw);
  RedisReply out = convert(*reply);
  freeReplyObject(reply);
  return out;
}

}  // namespace nb::ctl
