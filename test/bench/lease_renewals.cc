// Renews the leases of many nodes that are not there, each on a connection of its own, as an agent
// does: SET and, in the same write, the reading of the watch; spread over the interval.
//
//   lease_renewals PORT NODES INTERVAL_MS PATIENCE_MS FROM SILENT
//
// The nodes are sim-FROM and so on. What they are is written into the register first; then "ready"
// is printed. At a line of its input the last SILENT nodes fall silent, and the line "silent" is
// printed; at the end of its input the program ends and prints how many renewals there were, and
// how many were late by more than a tenth of an interval.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

void append(std::string& out, std::initializer_list<std::string_view> words) {
  out += '*' + std::to_string(words.size()) + "\r\n";
  for (const std::string_view word : words) {
    out += '$' + std::to_string(word.size()) + "\r\n";
    out += word;
    out += "\r\n";
  }
}

int dial(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("connect");
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) fail("send");
    text.remove_prefix(static_cast<size_t>(sent));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("lease_renewals PORT NODES INTERVAL_MS PATIENCE_MS FROM SILENT\n", stderr);
    return 64;
  }
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  const size_t nodes = static_cast<size_t>(std::atol(argv[2]));
  const std::string interval_ms = argv[3], patience_ms = argv[4];
  const auto interval = std::chrono::milliseconds(std::atol(argv[3]));
  const size_t from = static_cast<size_t>(std::atol(argv[5]));
  const size_t silent = static_cast<size_t>(std::atol(argv[6]));

  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> fds(nodes);
  std::vector<std::string> names(nodes);
  std::string text;
  for (size_t i = 0; i < nodes; ++i) {
    names[i] = "sim-" + std::to_string(from + i);
    fds[i] = dial(port);
    text.clear();
    append(text, {"HSET", "nodebeat:nodes", names[i], "{}"});
    send_all(fds[i], text);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fds[i];
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) != 0) fail("epoll_ctl");
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = STDIN_FILENO;
  (void)::fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) fail("epoll_ctl");
  std::puts("ready");
  std::fflush(stdout);

  std::vector<epoll_event> events(1024);
  std::vector<char> answers(65536);
  size_t living = nodes;
  unsigned long long renewals = 0, late = 0;
  const Clock::time_point begin = Clock::now();
  // The node `next` of the round `seq` is due at begin + seq * interval + interval * next / nodes.
  for (unsigned long long seq = 1, next = 0;;) {
    const Clock::time_point now = Clock::now();
    for (;;) {
      const auto due = begin + (seq - 1) * interval + interval * next / nodes;
      if (due > now) break;
      if (next < living) {
        late += now - due > interval / 10;
        ++renewals;
        text.clear();
        const std::string lease = "0b5d1c2e-4c1f-4e57-9c0a-6f6f0f6f6f6f " + names[next] +
                                  "-0b5d1c2e-661440747419d-3272 " + std::to_string(seq) + ' ' +
                                  interval_ms + ' ' + patience_ms;
        append(text, {"SET", "nodebeat:lease:" + names[next], lease, "PX", "86400000"});
        append(text, {"GETRANGE", "nodebeat:watch", "0", "384"});
        append(text, {"TIME"});
        send_all(fds[next], text);
      }
      if (++next == nodes) {
        next = 0;
        ++seq;
      }
    }
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 1);
    for (int i = 0; i < count; ++i) {
      const ssize_t got = ::read(events[i].data.fd, answers.data(), answers.size());
      if (events[i].data.fd != STDIN_FILENO) {
        if (got <= 0 || answers[0] == '-') fail("redis");
        continue;
      }
      if (got > 0) {
        living = nodes - std::min(silent, nodes);
        std::puts("silent");
        std::fflush(stdout);
      } else if (got == 0) {
        std::printf("%llu %llu\n", renewals, late);
        return 0;
      }
    }
  }
}
