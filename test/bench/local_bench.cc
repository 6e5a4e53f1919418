// The cost of the local socket, compared with the bare operation by hand in the same run. It prints
// lines of words and numbers, for bench.py, which starts the agent, the Redis and redis-benchmark.
//
//   local_bench visible SOCKET PORT COUNT     robot.update until Redis has it, beside send() ->
//                                             epoll reader -> blocking HSET of the same bytes
//   local_bench relay SOCKET COUNT            event.publish until another client has it, beside an
//                                             epoll relay
//   local_bench strokes SOCKET PORT COUNT     stroke.update beside four blocking calls of hiredis
//   local_bench update SOCKET PORT COUNT      session.update with a version check, and
//                                             nb_session_update(), beside the same EVALSHA by
//                                             hiredis
//   local_bench deliver SOCKET OTHER PORT COUNT
//                                             from a client of one node to a client of another,
//                                             beside PUBLISH -> SUBSCRIBE by hiredis
//   local_bench flow SOCKET OTHER RATE SECONDS
//                                             RATE events a second from one node to another:
//                                             how many were sent, received, and reported as lost
//   local_bench rate SOCKET PORT publish|set CLIENTS COUNT [PAYLOAD [BATCHES]]
//                                             as fast as Redis takes it; each client has BATCHES
//                                             batches of 64 under way, as with redis-benchmark -P
//                                             64
//   local_bench fill SOCKET CLIENTS           fills both lanes and the output of clients that do
//                                             not read; ends with its standard input
//
// Latencies are in microseconds, the median and p99.
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench_tools.h"
#include "nodebeat/client.h"
#include "wire/session_script.h"

namespace {

using namespace nb::bench;

constexpr int64_t kPeriodNs = 1'000'000;  // between two measured updates
constexpr int kWarmUp = 200;              // updates that do not count
constexpr int kKeys = 8192;               // of `rate ... set`: more than are under way
constexpr int kBatch = 64;                // messages of `rate` that leave in one send()

class Samples {
 public:
  void add(int64_t ns) {
    if (++seen_ > kWarmUp) us_.push_back(static_cast<double>(ns) / 1000);
  }
  void print(const char* name) {
    if (us_.empty()) die("nothing was measured of %s", name);
    std::sort(us_.begin(), us_.end());
    const auto at = [&](double q) {
      return us_[static_cast<size_t>(std::lround(q * static_cast<double>(us_.size() - 1)))];
    };
    std::printf("%s %.1f %.1f\n", name, at(0.5), at(0.99));
  }

 private:
  int seen_ = 0;
  std::vector<double> us_;
};

// A connection that says JSON lines.
class Line {
 public:
  explicit Line(const char* path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      die("%s: %s", path, std::strerror(errno));
    }
  }
  Line(const Line&) = delete;
  ~Line() { ::close(fd_); }

  int fd() const { return fd_; }
  void say(std::string_view line) { send_all(fd_, line); }
  // One line, without its newline; valid until the next.
  std::string_view hear() {
    in_.erase(0, taken_);
    size_t end;
    size_t looked = 0;
    while ((end = in_.find('\n', looked)) == std::string::npos) {
      looked = in_.size();
      receive();
    }
    taken_ = end + 1;
    return {in_.data(), end};
  }
  std::string_view call(std::string_view line) {
    say(line);
    const std::string_view answer = hear();
    if (answer.find("\"error\"") != std::string_view::npos) {
      die("%.*s", static_cast<int>(answer.size()), answer.data());
    }
    return answer;
  }
  // What there is, at once or after waiting: how many lines it ended.
  int hear_lines() {
    in_.erase(0, taken_);
    taken_ = in_.size();
    receive();
    const std::string_view fresh = std::string_view(in_).substr(taken_);
    if (fresh.find("error\"") != std::string_view::npos) {
      die("%.*s", static_cast<int>(fresh.size()), fresh.data());
    }
    const auto lines = static_cast<int>(std::count(fresh.begin(), fresh.end(), '\n'));
    taken_ = in_.size();
    return lines;
  }

 private:
  void receive() {
    char buffer[65536];
    const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) die("the agent has closed the connection");
    in_.append(buffer, static_cast<size_t>(n));
  }

  int fd_;
  std::string in_;
  size_t taken_ = 0;
};

// Blocking calls, as a control loop would make them without an agent.
class Redis {
 public:
  explicit Redis(int port) : Redis(::redisConnect("127.0.0.1", port)) {}
  explicit Redis(redisContext* context) : context_(context) {
    if (context_ == nullptr || context_->err != 0) die("cannot connect to Redis");
  }
  Redis(const Redis&) = delete;
  ~Redis() { ::redisFree(context_); }

  std::string call(const std::vector<std::string_view>& words) {
    std::vector<const char*> data;
    std::vector<size_t> sizes;
    for (const std::string_view word : words) {
      data.push_back(word.data());
      sizes.push_back(word.size());
    }
    auto* reply = static_cast<redisReply*>(
        ::redisCommandArgv(context_, static_cast<int>(data.size()), data.data(), sizes.data()));
    if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) {
      die("redis: %s", reply == nullptr ? context_->errstr : reply->str);
    }
    std::string out = reply->str == nullptr ? "" : std::string(reply->str, reply->len);
    ::freeReplyObject(reply);
    return out;
  }
  // How often the server has carried out a command.
  int64_t calls(const std::string& command) {
    const std::string info = call({"INFO", "commandstats"});
    const std::string name = "cmdstat_" + command + ":calls=";
    const size_t at = info.find(name);
    return at == std::string::npos ? 0 : std::atoll(info.c_str() + at + name.size());
  }

 private:
  redisContext* context_;
};

// Waits by epoll as a server would; the bytes that came, or none at the end.
std::string_view epoll_read(int poll, int fd, char* buffer, size_t size) {
  epoll_event ready;
  while (::epoll_wait(poll, &ready, 1, -1) < 1) {
  }
  const ssize_t n = ::recv(fd, buffer, size, 0);
  return {buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))};
}

int epoll_on(int fd) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(poll, fd, fd);
  return poll;
}

// The floor of a command through an agent: a connection to Redis through a process that only passes
// on bytes. The same processes are woken, and each of them does as little as it can.
class RelayedRedis {
 public:
  explicit RelayedRedis(int port) {
    child_ = fork_with(fd_, [&](int fd) {
      const int redis = connect_to_redis(port);
      const int poll = epoll_on(fd);
      watch(poll, redis, redis);
      char buffer[65536];
      for (;;) {
        epoll_event ready;
        if (::epoll_wait(poll, &ready, 1, -1) < 1) continue;
        const ssize_t n = ::recv(ready.data.fd, buffer, sizeof buffer, 0);
        if (n <= 0) return;
        send_all(ready.data.fd == fd ? redis : fd, {buffer, static_cast<size_t>(n)});
      }
    });
  }
  RelayedRedis(const RelayedRedis&) = delete;
  ~RelayedRedis() { end(child_); }

  // To be freed by the caller, before this object.
  redisContext* context() const { return ::redisConnectFd(fd_); }

 private:
  int fd_ = -1;
  pid_t child_ = 0;
};

// With a stamp as its id, and other numbers each time.
std::string robot_line(int64_t stamp) {
  std::string out = text("{\"jsonrpc\":\"2.0\",\"id\":%" PRId64
                         ",\"method\":\"robot.update\",\"params\":{\"ack\":\"stored\"",
                         stamp);
  int k = 0;
  for (const char* name : {"joints_l", "joints_r", "velocities_l", "velocities_r"}) {
    out += text(",\"%s\":[", name);
    for (int i = 0; i < 7; ++i) {
      out += text("%s%.15f", i > 0 ? "," : "",
                  3.1 * std::sin(1e-9 * static_cast<double>(stamp % 1'000'000'000) + ++k));
    }
    out += ']';
  }
  return out + "}}\n";
}

int visible(const char* socket, int port, int count) {
  // What the reader measured last: a stamp of its own would have to come back over the socket.
  auto* stored_ns = static_cast<std::atomic<int64_t>*>(::mmap(nullptr, sizeof(std::atomic<int64_t>),
                                                              PROT_READ | PROT_WRITE,
                                                              MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (stored_ns == MAP_FAILED) die("mmap");
  int bare = -1;
  const pid_t reader = fork_with(bare, [&](int fd) {
    Redis redis(port);
    const int poll = epoll_on(fd);
    char buffer[8192];
    for (;;) {
      const std::string_view line = epoll_read(poll, fd, buffer, sizeof buffer);
      if (line.empty()) return;
      redis.call({"HSET", "bench:state", "state", line});
      const int64_t now = now_ns();
      const size_t at = line.find("\"id\":");
      stored_ns->store(now - std::atoll(line.data() + at + 5));
      (void)::send(fd, "\n", 1, MSG_NOSIGNAL);
    }
  });
  Line agent(socket);
  Samples through_agent, by_hand, by_hand_answered;
  int64_t at = now_ns();
  for (int i = 0; i < count + kWarmUp; ++i) {
    sleep_until(at += kPeriodNs);
    int64_t before = now_ns();
    agent.call(robot_line(before));
    through_agent.add(now_ns() - before);
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    before = now_ns();
    send_all(bare, robot_line(before));
    char newline;
    if (::recv(bare, &newline, 1, 0) != 1) die("the reader has died");
    by_hand_answered.add(now_ns() - before);
    by_hand.add(stored_ns->load());
  }
  through_agent.print("agent");
  by_hand.print("bare");
  by_hand_answered.print("bare_answered");
  end(reader);
  return 0;
}

int relay(const char* socket, int count) {
  int in = -1;
  int out[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) != 0) die("socketpair");
  const pid_t relay = fork_with(in, [&](int fd) {
    const int poll = epoll_on(fd);
    char buffer[8192];
    for (;;) {
      const std::string_view line = epoll_read(poll, fd, buffer, sizeof buffer);
      if (line.empty()) return;
      send_all(out[1], line);
    }
  });
  Line publisher(socket), subscriber(socket);
  subscriber.call(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\","
      "\"params\":{\"channels\":[\"bench:relay\"]}}\n");
  Samples through_agent, by_hand;
  int64_t at = now_ns();
  for (int i = 0; i < count + kWarmUp; ++i) {
    const std::string line = text(
        "{\"jsonrpc\":\"2.0\",\"method\":\"event.publish\",\"params\":{\"channel\":\"bench:relay\","
        "\"record\":false,\"event\":{\"n\":%d,\"filling\":\"%s\"}}}\n",
        i, std::string(200, 'x').c_str());
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    int64_t before = now_ns();
    publisher.say(line);
    const std::string_view heard = subscriber.hear();
    through_agent.add(now_ns() - before);
    if (heard.find(text("\"n\":%d,", i)) == std::string_view::npos) die("another event came");
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    before = now_ns();
    send_all(in, line);
    char buffer[8192];
    if (::recv(out[0], buffer, sizeof buffer, 0) <= 0) die("the relay has died");
    by_hand.add(now_ns() - before);
  }
  through_agent.print("agent");
  by_hand.print("bare");
  end(relay);
  return 0;
}

constexpr char kStop[] =
    "{\"jsonrpc\":\"2.0\",\"method\":\"bus.publish\",\"params\":{\"type\":\"system_broadcast\","
    "\"data\":{\"action\":\"emergency_stop\",\"admin\":\"bench\",\"message\":\"%d\"}}}\n";
std::string subscribe_line(const char* channels) {
  return text(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\",\"params\":{\"channels\":[%s]}}"
      "\n",
      channels);
}

std::string event_line(int number, bool record) {
  return text(
      "{\"jsonrpc\":\"2.0\",\"method\":\"event.publish\",\"params\":{\"channel\":\"bench:deliver\","
      "\"record\":%s,\"event\":{\"n\":%d,\"filling\":\"%s\"}}}\n",
      record ? "true" : "false", number, std::string(200, 'x').c_str());
}

int deliver(const char* socket, const char* other, int port, int count) {
  Line publisher(socket), here(socket), there(other);
  here.call(subscribe_line("\"cv:system:broadcast\""));
  there.call(subscribe_line("\"cv:system:broadcast\",\"bench:deliver\""));
  redisContext* sends = ::redisConnect("127.0.0.1", port);
  redisContext* hears = ::redisConnect("127.0.0.1", port);
  if (sends == nullptr || sends->err != 0 || hears == nullptr || hears->err != 0) {
    die("cannot connect to Redis");
  }
  const RelayedRedis relay_here(port), relay_there(port);
  redisContext* relayed_sends = relay_here.context();
  redisContext* relayed_hears = relay_there.context();
  ::freeReplyObject(::redisCommand(hears, "SUBSCRIBE bench:bare"));
  ::freeReplyObject(::redisCommand(relayed_hears, "SUBSCRIBE bench:relayed"));
  const auto reply_of = [](redisContext* context) {
    void* reply = nullptr;
    if (::redisGetReply(context, &reply) != REDIS_OK) die("redis: %s", context->errstr);
    ::freeReplyObject(reply);
  };
  Samples stop_here, stop_there, event, recorded, bare, relayed;
  int64_t at = now_ns();
  const auto through_agents = [&](const std::string& line, Samples* local, Samples& remote) {
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    const int64_t before = now_ns();
    publisher.say(line);
    if (local != nullptr) {
      here.hear();
      local->add(now_ns() - before);
    }
    there.hear();
    remote.add(now_ns() - before);
  };
  for (int i = 0; i < count + kWarmUp; ++i) {
    through_agents(text(kStop, i), &stop_here, stop_there);
    through_agents(event_line(i, false), nullptr, event);
    through_agents(event_line(i, true), nullptr, recorded);
    const std::string payload =
        text("{\"n\":%d,\"filling\":\"%s\"}", i, std::string(200, 'x').c_str());
    const auto by_hand = [&](const char* publish, redisContext* from, redisContext* to,
                             Samples& samples) {
      sleep_until(at = std::max(at + kPeriodNs, now_ns()));
      const int64_t before = now_ns();
      ::redisAppendCommand(from, publish, payload.c_str());
      for (int done = 0; done == 0;) {
        if (::redisBufferWrite(from, &done) != REDIS_OK) die("redis: %s", from->errstr);
      }
      reply_of(to);
      samples.add(now_ns() - before);
      reply_of(from);
    };
    by_hand("PUBLISH bench:bare %s", sends, hears, bare);
    by_hand("PUBLISH bench:relayed %s", relayed_sends, relayed_hears, relayed);
  }
  stop_here.print("stop_here");
  stop_there.print("stop_there");
  event.print("event");
  recorded.print("recorded");
  bare.print("bare");
  relayed.print("relayed");
  for (redisContext* context : {sends, hears, relayed_sends, relayed_hears}) ::redisFree(context);
  return 0;
}

int flow(const char* socket, const char* other, int rate, int seconds) {
  constexpr int kTicks = 100;  // a second
  const int total = rate * seconds;
  int told = -1;
  const pid_t reader = fork_with(told, [&](int fd) {
    Line there(other);
    there.call(subscribe_line("\"bench:deliver\""));
    send_all(fd, "+");
    int came = 0;
    for (;;) {
      const std::string_view line = there.hear();
      if (line.find("\"event.gap\"") != std::string_view::npos) {
        const size_t lost = line.find("\"lost\":");
        send_all(fd, text("lost %s\n", lost == std::string_view::npos
                                           ? "?"
                                           : std::string(line.substr(lost + 7, 9)).c_str()));
        came = -total;  // never the end
      }
      if (line.find("\"bench:deliver\"") == std::string_view::npos) continue;
      if (++came == total) send_all(fd, text("came %d\n", came));
    }
  });
  char byte;
  if (::recv(told, &byte, 1, 0) != 1) die("the reader has died");
  Line publisher(socket);
  int64_t at = now_ns();
  const int64_t began = at;
  int said = 0;
  for (int tick = 0; tick < kTicks * seconds; ++tick) {
    std::string lines;
    for (int i = 0; i < rate / kTicks; ++i) lines += event_line(said++, true);
    publisher.say(lines);
    sleep_until(at += 1'000'000'000 / kTicks);
  }
  const double took = static_cast<double>(now_ns() - began) / 1e9;
  const timeval patience{5, 0};
  ::setsockopt(told, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char answer[64] = {};
  const ssize_t n = ::recv(told, answer, sizeof answer - 1, 0);
  std::printf("said %d\nper_second %.0f\n%s", said, said / took, n > 0 ? answer : "came 0\n");
  end(reader);
  return 0;
}

// What bench.py does in Python too.
int strokes(const char* socket, int port, int count) {
  Line agent(socket);
  agent.call(
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stroke.start\",\"params\":{\"total_strokes\":"
      "1000000}}\n");
  nb_client_options options{};
  options.size = sizeof options;
  options.name = "bench";
  options.socket_path = socket;
  nb_client* client = nullptr;
  char error[256];
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) die("%s", error);
  Redis redis(port);
  Samples push, stored, by_hand;
  int64_t at = now_ns();
  for (int i = 0; i < count + kWarmUp; ++i) {
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    nb_stroke stroke{};
    stroke.size = sizeof stroke;
    stroke.has = NB_STROKE_STROKE_IDX | NB_STROKE_POSE_IDX | NB_STROKE_STROKE_LENGTH |
                 NB_STROKE_DESCRIPTION_L | NB_STROKE_DESCRIPTION_R;
    stroke.stroke_idx = i;
    stroke.pose_idx = i % 40;
    stroke.stroke_length = 40;
    stroke.description_l = "left arm, a long curve";
    stroke.description_r = "right arm, waits";
    int64_t before = now_ns();
    nb_stroke_update(client, &stroke);
    push.add(now_ns() - before);

    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    before = now_ns();
    agent.call(text(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stroke.update\",\"params\":{\"stroke_idx\":%d,"
        "\"pose_idx\":%d,\"stroke_length\":40,\"stroke_description_l\":\"left arm, a long curve\","
        "\"stroke_description_r\":\"right arm, waits\",\"ack\":\"stored\"}}\n",
        i, i % 40));
    stored.add(now_ns() - before);

    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    const std::string idx = text("%d", i), pose = text("%d", i % 40);
    before = now_ns();
    const std::string progress = text(
        "{\"timestamp\":\"2026-11-20T14:03:07.123456\",\"node_id\":\"bench\",\"stroke_idx\":%d,"
        "\"pose_idx\":%d,\"total_strokes\":1000000,\"stroke_length\":40,\"offset_idx_l\":0,"
        "\"offset_idx_r\":0,\"stroke_description_l\":\"left arm, a long curve\","
        "\"stroke_description_r\":\"right arm, waits\",\"is_executing\":true,\"is_paused\":false,"
        "\"scene_name\":\"default\",\"dataset_name\":null}",
        i, i % 40);
    redis.call({"HGET", "bench:progress", "progress"});
    redis.call({"HSET", "bench:progress", "progress", progress});
    redis.call({"XADD", "bench:history", "MAXLEN", "~", "10000", "*", "stroke_idx", idx, "pose_idx",
                pose, "description_l", "left arm, a long curve", "description_r",
                "right arm, waits", "node_id", "bench"});
    redis.call({"PUBLISH", "bench:progress", progress});
    by_hand.add(now_ns() - before);
  }
  push.print("push");
  stored.print("agent");
  by_hand.print("hiredis");
  nb_client_close(client);
  return 0;
}

// What the agent sends for the same call, byte for byte but for the names.
std::vector<std::string> update_words(int number, const std::string& state) {
  std::string members = "," + state.substr(1, state.size() - 2);
  std::string quoted;
  for (const char c : members) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return {"EVALSHA",
          nb::wire::kSessionScriptSha1,
          "5",
          "session:bare",
          "nodebeat:sessions",
          "nodebeat:sessions:seals",
          "nodebeat:sessions:writes:bench:bare",
          "nodebeat:sessions:audit",
          "update",
          text("%d", number),
          "bare",
          "\"bare\"",
          "3600000",
          number == 1 ? "" : text("%d", number - 1),
          number == 1 ? "upsert state " : "state ",
          "",
          "",
          "",
          members,
          quoted,
          "2097152",
          "10000",
          "client",
          "bench",
          "uid",
          "0",
          "node",
          "bench",
          "instance",
          "bare"};
}

int update(const char* socket, int port, int count) {
  Line agent(socket);
  nb_client_options options{};
  options.size = sizeof options;
  options.name = "bench";
  options.socket_path = socket;
  nb_client* client = nullptr;
  char error[256];
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) die("%s", error);
  Redis redis(port);
  redis.call({"SCRIPT", "LOAD", nb::wire::kSessionScript});
  redis.call({"DEL", "session:bare", "session:line", "session:library",
              "nodebeat:sessions:writes:bench:bare"});
  const RelayedRedis relay(port);
  Redis relayed_redis(relay.context());
  Samples raw, library, bare, relayed;
  int64_t at = now_ns();
  for (int i = 1; i <= count + kWarmUp; ++i) {
    const std::string state = text(
        "{\"n\":%d,\"joints\":[0.1234567,1.2345678,-2.3456789],\"scene\":\"kitchen table\","
        "\"step\":\"wipe\"}",
        i);
    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    const std::string line = text(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.update\",\"params\":{\"session_id\":"
        "\"line\",\"state\":%s,%s}}\n",
        state.c_str(), i == 1 ? "\"upsert\":true" : text("\"expected_version\":%d", i - 1).c_str());
    int64_t before = now_ns();
    agent.call(line);
    raw.add(now_ns() - before);

    sleep_until(at = std::max(at + kPeriodNs, now_ns()));
    nb_session_options with{};
    with.size = sizeof with;
    with.flags = i == 1 ? NB_SESSION_UPSERT : NB_SESSION_EXPECT;
    with.expected_version = i - 1;
    before = now_ns();
    if (nb_session_update(client, "library", state.c_str(), &with, nullptr) != NB_OK) {
      die("nb_session_update() has failed");
    }
    library.add(now_ns() - before);

    const auto by_hand = [&](Redis& to, int number, Samples& samples) {
      sleep_until(at = std::max(at + kPeriodNs, now_ns()));
      const std::vector<std::string> words = update_words(number, state);
      const std::vector<std::string_view> views(words.begin(), words.end());
      const int64_t began = now_ns();
      const std::string answer = to.call(views);
      samples.add(now_ns() - began);
      if (answer != text("ok %d", number)) die("the script answers %s", answer.c_str());
    };
    by_hand(redis, 2 * i - 1, bare);
    by_hand(relayed_redis, 2 * i, relayed);
  }
  raw.print("agent");
  library.print("library");
  bare.print("bare");
  relayed.print("relayed");
  nb_client_close(client);
  return 0;
}

int64_t stat_of(std::string_view stats, const char* name) {
  const std::string key = text("\"%s\":", name);
  const size_t at = stats.find(key);
  if (at == std::string_view::npos) die("agent.stats has no %s", name);
  return std::atoll(stats.data() + at + key.size());
}

constexpr std::string_view kStats = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent.stats\"}\n";

// Lines leave in batches, one send() each. The last of a batch is a request that is answered when
// it is stored; the caller sees to it that the lanes have room for the lines under way.
int rate(const char* socket, int port, bool is_set, int clients, int count, size_t payload,
         int batches_a_client) {
  std::vector<std::string> lines, requests;
  for (int i = 0; i < (is_set ? kKeys : 1); ++i) {
    const std::string params = is_set
                                   ? text("\"params\":{\"key\":\"bench:%04d\",\"value\":\"", i)
                                   : std::string(
                                         "\"params\":{\"channel\":\"bench:rate\",\"record\":false,"
                                         "\"event\":{\"filling\":\"");
    const size_t around = is_set ? 2 : std::strlen("{\"filling\":\"\"}");
    const std::string value = std::string(payload - around, 'x') + (is_set ? "\"" : "\"}");
    const std::string head = std::string("{\"jsonrpc\":\"2.0\",\"method\":\"") +
                             (is_set ? "state.set" : "event.publish") + "\"," + params + value;
    lines.push_back(head + "}}\n");
    requests.push_back(head + ",\"ack\":\"stored\",\"timeout_ms\":60000},\"id\":1}\n");
  }

  Redis redis(port);
  const char* command = is_set ? "set" : "publish";
  std::vector<std::unique_ptr<Line>> peers;
  std::vector<int> under_way(static_cast<size_t>(clients));
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < clients; ++i) {
    peers.push_back(std::make_unique<Line>(socket));
    peers.back()->call(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"client.hello\",\"params\":{\"errors\":true}}"
        "\n");
    epoll_event entry{.events = EPOLLIN, .data = {.fd = i}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, peers.back()->fd(), &entry);
  }
  const std::string before(peers[0]->call(kStats));
  const int64_t calls_before = redis.calls(command);
  std::string text_of_batch;
  int said = 0;
  int open = 0;
  size_t next = 0;
  const auto feed = [&](size_t client) {
    while (said < count && under_way[client] < batches_a_client) {
      text_of_batch.clear();
      for (int i = 0; i < kBatch; ++i, ++said, next = (next + 1) % lines.size()) {
        text_of_batch += i + 1 < kBatch ? lines[next] : requests[next];
      }
      ++under_way[client];
      ++open;
      peers[client]->say(text_of_batch);
    }
  };
  const int64_t began = now_ns();
  for (size_t i = 0; i < peers.size(); ++i) feed(i);
  while (open > 0) {
    epoll_event ready[64];
    const int n = ::epoll_wait(poll, ready, 64, -1);
    for (int i = 0; i < n; ++i) {
      const auto client = static_cast<size_t>(ready[i].data.fd);
      const int answered = peers[client]->hear_lines();
      under_way[client] -= answered;
      open -= answered;
      feed(client);
    }
  }
  const double seconds = static_cast<double>(now_ns() - began) / 1e9;
  const int64_t calls = redis.calls(command) - calls_before;
  const std::string after(peers[0]->call(kStats));
  std::printf("said %d\nseconds %.4f\nin_redis %" PRId64 "\n", said, seconds, calls);
  for (const char* name : {"stored", "coalesced", "dropped", "expired"}) {
    std::printf("%s %" PRId64 "\n", name, stat_of(after, name) - stat_of(before, name));
  }
  return 0;
}

// With its Redis away.
int fill(const char* socket, int clients) {
  std::vector<std::unique_ptr<Line>> peers;
  for (int i = 0; i < clients; ++i) {
    peers.push_back(std::make_unique<Line>(socket));
    peers.back()->call(
        text("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"client.hello\",\"params\":{\"name\":"
             "\"bench-%d\",\"will\":[{\"method\":\"robot.update\",\"params\":"
             "{\"is_connected_l\":false}}]}}\n",
             i));
  }
  const auto peer = [&](int i) -> Line& { return *peers[static_cast<size_t>(i % clients)]; };
  const std::string filling(200, 'x');
  int keys = 0;
  for (bool full = false; !full; ++keys) {
    peer(keys).say(
        text("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"state.set\",\"params\":{\"key\":"
             "\"bench:%07d\",\"value\":\"%s\"}}\n",
             keys, filling.c_str()));
    full = peer(keys).hear().find("queue_full") != std::string_view::npos;
  }
  std::printf("values %d\n", keys - 1);
  int events = 0;
  for (int64_t dropped = 0; dropped == 0; ++events) {
    const bool look = events % 500 == 0;
    peer(events).call(
        text("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.publish\",\"params\":{\"channel\":"
             "\"bench:fill\",\"event\":{\"n\":%d,\"filling\":\"%s\"}}}\n",
             events, filling.c_str()));
    if (look) dropped = stat_of(peer(0).call(kStats), "dropped");
  }
  std::printf("event_bytes %" PRId64 "\nlanes\n", stat_of(peer(0).call(kStats), "event_bytes"));
  std::fflush(stdout);
  if (std::getchar() == EOF) return 0;

  // And now what waits for all but the first, which never read again.
  for (int i = 1; i < clients; ++i) {
    peer(i).call(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\",\"params\":{\"channels\":"
        "[\"bench:deaf\"]}}\n");
  }
  const std::string large(8000, 'x');
  int64_t queued = 0;
  // Until nothing more is kept for them: each has a share, which depends on how much waits for all.
  for (int since_growth = 0; since_growth < 100; ++since_growth) {
    const int64_t before = queued;
    peer(0).say(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.publish\",\"params\":"
        "{\"channel\":\"bench:deaf\",\"record\":false,\"event\":{\"filling\":\"" +
        large + "\"}}}\n");
    (void)peer(0).hear();
    std::string_view stats = peer(0).call(kStats);
    queued = 0;
    constexpr std::string_view kName = "\"queued_bytes\":";
    for (size_t at; (at = stats.find(kName)) != std::string_view::npos;) {
      stats.remove_prefix(at + kName.size());
      queued += std::atoll(stats.data());
    }
    if (queued > before) since_growth = 0;
  }
  std::printf("queued_bytes %" PRId64 "\noutput\n", queued);
  std::fflush(stdout);
  (void)std::getchar();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::max(1, std::atoi(argv[i])); };
  ::signal(SIGPIPE, SIG_IGN);
  if (what == "visible" && argc == 5) return visible(argv[2], number(3), number(4));
  if (what == "relay" && argc == 4) return relay(argv[2], number(3));
  if (what == "deliver" && argc == 6) return deliver(argv[2], argv[3], number(4), number(5));
  if (what == "flow" && argc == 6) return flow(argv[2], argv[3], number(4), number(5));
  if (what == "strokes" && argc == 5) return strokes(argv[2], number(3), number(4));
  if (what == "update" && argc == 5) return update(argv[2], number(3), number(4));
  if (what == "rate" && argc >= 7 && argc <= 9) {
    return rate(argv[2], number(3), argv[4] == std::string_view("set"), number(5), number(6),
                static_cast<size_t>(argc >= 8 ? std::max(32, number(7)) : 300),
                argc == 9 ? number(8) : 1);
  }
  if (what == "fill" && argc == 4) return fill(argv[2], number(3));
  std::fputs("local_bench: see the head of local_bench.cc, and bench.py, which runs it\n", stderr);
  return 2;
}
