// The floor of local_bench's `rate`: the same messages into Redis, through a process between that
// does nothing but hand them on. It waits by epoll, reads each client that has something once a
// turn, sends all of it in one write, and does not look into it.
//
//   bare_relay PORT publish|set CLIENTS COUNT PAYLOAD BATCHES [checks]
//
// With `checks` the relay also does what no agent can leave out: for each message it checks the
// text of a call of that kind (json::Guard), and the last answer of a batch becomes the line that
// answers such a call.
//
// Clients, relay and Redis are three processes, as with the agent. The clients say what the agent
// would send to Redis, since a relay that does not parse cannot translate. All messages have one
// length and all answers have one, so the relay finds their ends by counting.
//
// Prints "said N" and "seconds S": the time from the first message to the answer of the last one.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "bench_tools.h"
#include "json/guard.h"

namespace {

using namespace nb::bench;

constexpr int kBatch = 64;       // messages that leave a client in one send(), as in local_bench
constexpr int kKeys = 8192;      // likewise, of "set"
constexpr size_t kRead = 65536;  // bytes that the relay takes from one client in one turn

// Appends what there is, at most `most` bytes.
void receive(int fd, std::string& out, size_t most) {
  const size_t before = out.size();
  out.resize(before + most);
  ssize_t n;
  while ((n = ::recv(fd, out.data() + before, most, 0)) < 0 && errno == EINTR) {
  }
  if (n <= 0) die("a connection has ended");
  out.resize(before + static_cast<size_t>(n));
}

struct Sizes {
  size_t message, answer;
};

// A call of an agent's client, and the answer to it. Both are empty where the relay does not check.
struct Texts {
  std::string call, answer;
};

Texts texts_of(bool is_set, const std::string& value) {
  const std::string params =
      is_set ? R"("state.set","params":{"key":"bench:0000","value":")" + value + R"("}})"
             : R"("event.publish","params":{"channel":"bench:rate","record":false,"event":{"x":")" +
                   value + R"("}}})";
  return {R"({"jsonrpc":"2.0","method":)" + params,
          "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n"};
}

// Never returns; dies with its parent.
[[noreturn]] void relay(const std::vector<int>& clients, int redis, Sizes sizes,
                        const Texts& texts) {
  struct Owed {  // answers, in the order of their messages
    size_t client, messages;
  };
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < clients.size(); ++i) watch(poll, clients[i], static_cast<int>(i));
  watch(poll, redis, -1);
  std::vector<std::string> parts(clients.size()), answers(clients.size());
  std::vector<size_t> answered(clients.size());
  std::deque<Owed> owed;
  std::string to_redis, from_redis;
  nb::json::Guard guard;
  for (;;) {
    epoll_event ready[64];
    const int n = ::epoll_wait(poll, ready, 64, -1);
    to_redis.clear();
    for (int i = 0; i < n; ++i) {
      if (ready[i].data.fd < 0) {
        receive(redis, from_redis, kRead);
        continue;
      }
      const auto client = static_cast<size_t>(ready[i].data.fd);
      std::string& part = parts[client];
      receive(clients[client], part, kRead);
      const size_t messages = part.size() / sizes.message;
      if (messages == 0) continue;
      for (size_t m = 0; m < messages && !texts.call.empty(); ++m) {
        if (guard.check(texts.call, {}).reason != nullptr) die("the text of a call is malformed");
      }
      to_redis.append(part, 0, messages * sizes.message);
      part.erase(0, messages * sizes.message);
      owed.push_back({client, messages});
    }
    if (!to_redis.empty()) send_all(redis, to_redis);
    size_t taken = 0;
    while (!owed.empty() && from_redis.size() - taken >= sizes.answer) {
      const size_t whole = (from_redis.size() - taken) / sizes.answer;
      const size_t messages = std::min(whole, owed.front().messages);
      const size_t client = owed.front().client;
      if (texts.answer.empty()) {
        answers[client].append(from_redis, taken, messages * sizes.answer);
      } else {
        for (size_t m = 0; m < messages; ++m) {
          if (++answered[client] % kBatch == 0) answers[client] += texts.answer;
        }
      }
      taken += messages * sizes.answer;
      if ((owed.front().messages -= messages) == 0) owed.pop_front();
    }
    from_redis.erase(0, taken);
    for (size_t i = 0; i < clients.size(); ++i) {
      if (!answers[i].empty()) send_all(clients[i], answers[i]);
      answers[i].clear();
    }
  }
}

// As many batches as a client has under way, and how many bytes of answers it has had of the first.
struct Client {
  int fd = -1;
  int under_way = 0;
  size_t heard = 0;
};

void run(int port, bool is_set, size_t clients, int count, size_t payload, int batches_a_client,
         bool checks) {
  const std::string value(payload, 'x');
  std::vector<std::string> batches;
  const auto word = [](std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
  };
  size_t message = 0;
  for (int key = 0; key < (is_set ? kKeys : kBatch); key += kBatch) {
    std::string batch;
    for (int i = key; i < key + kBatch; ++i) {
      char name[16];
      std::snprintf(name, sizeof name, "bench:%04d", i);
      batch += "*3\r\n" + word(is_set ? "SET" : "PUBLISH") + word(is_set ? name : "bench:rate") +
               word(value);
    }
    message = batch.size() / kBatch;
    batches.push_back(std::move(batch));
  }
  const std::string_view answer = is_set ? "+OK\r\n" : ":0\r\n";
  const Texts texts = checks ? texts_of(is_set, value) : Texts{};

  std::vector<Client> ours(clients);
  std::vector<int> theirs(clients);
  for (size_t i = 0; i < clients; ++i) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) die("socketpair");
    ours[i].fd = ends[0];
    theirs[i] = ends[1];
  }
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) die("fork: %s", std::strerror(errno));
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    for (const Client& client : ours) ::close(client.fd);
    relay(theirs, connect_to_redis(port), {message, answer.size()}, texts);
  }
  for (const int fd : theirs) ::close(fd);

  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (size_t i = 0; i < clients; ++i) watch(poll, ours[i].fd, static_cast<int>(i));
  int said = 0;
  int open = 0;
  size_t next = 0;
  const auto feed = [&](Client& client) {
    for (; said < count && client.under_way < batches_a_client; said += kBatch) {
      ++client.under_way;
      ++open;
      send_all(client.fd, batches[next]);
      next = (next + 1) % batches.size();
    }
  };
  const size_t batch_answer = checks ? texts.answer.size() : kBatch * answer.size();
  std::string heard;
  const int64_t began = now_ns();
  for (Client& client : ours) feed(client);
  while (open > 0) {
    epoll_event ready[64];
    const int n = ::epoll_wait(poll, ready, 64, -1);
    for (int i = 0; i < n; ++i) {
      Client& client = ours[static_cast<size_t>(ready[i].data.fd)];
      heard.clear();
      receive(client.fd, heard, kRead);
      // An error of Redis is longer than an answer, and would be counted as several.
      if (heard.find('-') != std::string::npos) die("Redis: %.*s", 100, heard.c_str());
      client.heard += heard.size();
      for (; client.heard >= batch_answer; client.heard -= batch_answer, --open) {
        --client.under_way;
      }
      feed(client);
    }
  }
  std::printf("said %d\nseconds %.4f\n", said, static_cast<double>(now_ns() - began) / 1e9);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  const bool checks = argc == 8 && std::string_view(argv[7]) == "checks";
  const std::string_view what = argc == 7 || checks ? argv[2] : "";
  if (what != "publish" && what != "set") {
    std::fputs("bare_relay: see the head of bare_relay.cc, and bench.py, which runs it\n", stderr);
    return 2;
  }
  const auto number = [&](int i) { return std::max(1, std::atoi(argv[i])); };
  run(number(1), what == "set", static_cast<size_t>(number(3)), number(4),
      static_cast<size_t>(number(5)), number(6), checks);
  return 0;
}
