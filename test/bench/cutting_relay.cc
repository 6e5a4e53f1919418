// Links that break: a TCP relay that cuts connections at random, where that hurts most.
//
//   cutting_relay TARGET_PORT LISTENERS EVERY SEED
//
// Listens on so many free ports of 127.0.0.1 and prints them in one line. Once in about EVERY
// pieces that pass, a connection is reset: an answer is dropped (what was asked is done, and nobody
// knows), half a piece is handed on, or the whole piece. It ends with its standard input, and then
// prints how often it has cut.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace {

struct Pair {
  int client;
  int server;
};

sockaddr_in loopback(int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return at;
}

int listen_anywhere() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in at = loopback(0);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 || ::listen(fd, 64) != 0) {
    std::perror("cutting_relay: listen");
    std::exit(1);
  }
  sockaddr_in is{};
  socklen_t size = sizeof is;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&is), &size);
  std::printf("%d ", ntohs(is.sin_port));
  return fd;
}

void reset(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

void reset(Pair& pair) {
  reset(pair.client);
  reset(pair.server);
  pair.client = -1;
}

bool hand_on(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::send(fd, data, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) return std::fputs("usage: cutting_relay PORT LISTENERS EVERY SEED\n", stderr), 2;
  const sockaddr_in target = loopback(std::atoi(words[1]));
  std::vector<int> listeners;
  for (int i = 0; i < std::atoi(words[2]); ++i) listeners.push_back(listen_anywhere());
  std::puts("");
  std::fflush(stdout);
  std::mt19937 random(static_cast<unsigned>(std::atoi(words[4])));
  std::uniform_int_distribution<int> whether(1, std::atoi(words[3]));
  std::uniform_int_distribution<int> how(0, 2);
  std::vector<Pair> pairs;
  unsigned long cuts = 0;
  static char data[1 << 16];
  for (;;) {
    std::vector<pollfd> waits = {{STDIN_FILENO, POLLIN, 0}};
    for (const int fd : listeners) waits.push_back({fd, POLLIN, 0});
    for (const Pair& pair : pairs) {
      waits.push_back({pair.client, POLLIN, 0});
      waits.push_back({pair.server, POLLIN, 0});
    }
    ::poll(waits.data(), waits.size(), -1);
    if (waits[0].revents != 0) break;
    const size_t known = pairs.size();
    for (size_t i = 0; i < listeners.size(); ++i) {
      if (waits[1 + i].revents == 0) continue;
      const int client = ::accept(listeners[i], nullptr, nullptr);
      const int server = ::socket(AF_INET, SOCK_STREAM, 0);
      if (::connect(server, reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
        reset(client);
        ::close(server);
        continue;
      }
      const int yes = 1;
      for (const int fd : {client, server}) {
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      }
      pairs.push_back({client, server});
    }
    for (size_t i = 0; i < known; ++i) {
      Pair& pair = pairs[i];
      for (const bool from_server : {false, true}) {
        if (pair.client < 0) break;
        if (waits[1 + listeners.size() + 2 * i + from_server].revents == 0) continue;
        const ssize_t n = ::recv(from_server ? pair.server : pair.client, data, sizeof data, 0);
        if (n <= 0) {
          reset(pair);
          continue;
        }
        auto size = static_cast<size_t>(n);
        const bool cut = whether(random) == 1;
        if (cut) size = size * static_cast<size_t>(how(random)) / 2;
        const bool gone = !hand_on(from_server ? pair.client : pair.server, data, size);
        if (cut || gone) reset(pair);
        if (cut) ++cuts;
      }
    }
    std::erase_if(pairs, [](const Pair& pair) { return pair.client < 0; });
  }
  std::printf("%lu\n", cuts);
}
