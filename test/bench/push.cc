// What a push costs, beside a bare non-blocking send() of as many bytes. These take turns in one
// run, each at --rate (1 kHz), spread over its period:
//   bare     send() to an epoll reader in another process
//   push     nb_push_robot_state() with 4 x 7 numbers to an epoll reader in another process
//   stopped  the same to one that was stopped by SIGSTOP
//   away     the same with no agent at all
// or, with --socket NAME=PATH, once or more: bare, and the same to each of these agents; the first
// is the healthy one. Prints a table in microseconds, and the ratios that the project promises.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "nodebeat/client.h"

namespace {

constexpr int kJoints = 7;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

void sleep_until(int64_t time_ns) {
  const timespec until{static_cast<time_t>(time_ns / 1000000000),
                       static_cast<long>(time_ns % 1000000000)};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// A process that accepts on `path` and reads whatever comes; it dies with this one.
pid_t start_reader(const std::string& path) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    die(path.c_str());
  }
  if (::listen(listener, 8) != 0) die("listen");
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) die("fork");
  if (child > 0) {
    ::close(listener);
    return child;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  const int poll = ::epoll_create1(0);
  epoll_event entry{.events = EPOLLIN, .data = {.fd = listener}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, listener, &entry);
  static char buffer[65536];
  for (;;) {
    epoll_event ready[8];
    const int n = ::epoll_wait(poll, ready, 8, -1);
    for (int i = 0; i < n; ++i) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        fd = ::accept(listener, nullptr, nullptr);
        epoll_event peer{.events = EPOLLIN, .data = {.fd = fd}};
        ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &peer);
      } else if (::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) == 0) {
        ::close(fd);
      }
    }
  }
}

int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    die(path.c_str());
  }
  return fd;
}

nb_client* open_client(const std::string& path) {
  nb_client_options options{};
  options.size = sizeof options;
  options.name = "bench";
  options.socket_path = path.c_str();
  nb_client* client = nullptr;
  char error[256];
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) {
    std::fprintf(stderr, "%s\n", error);
    std::exit(1);
  }
  return client;
}

// Other digits for each push, as many as a double has.
struct Arms {
  std::array<std::array<double, kJoints>, 4> numbers{};

  void move(int64_t step) {
    for (int k = 0; k < 4; ++k) {
      for (int i = 0; i < kJoints; ++i) {
        numbers[k][i] = 3.1 * std::sin(1e-3 * static_cast<double>(step) + k + 0.37 * i);
      }
    }
  }
  nb_robot_state state() const {
    nb_robot_state state{};
    state.size = sizeof state;
    state.has =
        NB_ROBOT_JOINTS_L | NB_ROBOT_JOINTS_R | NB_ROBOT_VELOCITIES_L | NB_ROBOT_VELOCITIES_R;
    state.joints_l = numbers[0].data();
    state.joints_r = numbers[1].data();
    state.velocities_l = numbers[2].data();
    state.velocities_r = numbers[3].data();
    state.joints_l_count = state.joints_r_count = kJoints;
    state.velocities_l_count = state.velocities_r_count = kJoints;
    return state;
  }
};

// The bytes of one such push, as an agent would read them.
std::string line_of(const nb_robot_state& state, const std::string& path) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 1) != 0) {
    die(path.c_str());
  }
  nb_client* client = open_client(path);
  nb_push_robot_state(client, &state);
  nb_client_flush(client, 1000);
  const int fd = ::accept(listener, nullptr, nullptr);
  char buffer[8192];
  const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
  nb_client_close(client);
  ::close(fd);
  ::close(listener);
  ::unlink(path.c_str());
  const std::string text(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return text.substr(text.find("{\"jsonrpc\":\"2.0\",\"method\":\"robot.update\""));
}

struct Side {
  std::string name;
  nb_client* client = nullptr;  // null: the bare side
  std::vector<uint32_t> ns;

  double quantile(double q) const {
    const auto at = static_cast<size_t>(std::lround(q * static_cast<double>(ns.size() - 1)));
    return ns[at] / 1000.0;
  }
};

constexpr double kQuantiles[] = {0.5, 0.99, 0.999, 0.9999, 1};

void print(std::vector<Side>& sides, size_t bytes) {
  std::printf("\n%zu bytes a push; microseconds\n%-16s%10s%10s%10s%10s%10s\n", bytes, "", "median",
              "p99", "p99.9", "p99.99", "max");
  for (Side& side : sides) {
    std::sort(side.ns.begin(), side.ns.end());
    std::printf("%-16s", side.name.c_str());
    for (const double q : kQuantiles) std::printf("%10.2f", side.quantile(q));
    std::printf("\n");
  }
  const auto ratio = [&](const Side& a, const Side& b) {
    std::printf("%-24s", (a.name + " / " + b.name).c_str());
    for (const double q : kQuantiles) std::printf("%8.2f", a.quantile(q) / b.quantile(q));
    std::printf("\n");
  };
  std::printf("\n%-24s%8s%8s%8s%8s%8s\n", "ratio", "median", "p99", "p99.9", "p99.99", "max");
  ratio(sides[1], sides[0]);
  for (size_t i = 2; i < sides.size(); ++i) ratio(sides[i], sides[1]);
}

}  // namespace

int main(int argc, char** argv) {
  int64_t pushes = 15000;
  int64_t rate = 1000;
  bool fifo = false;
  std::vector<std::pair<std::string, std::string>> real;  // name, path
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--fifo") {
      fifo = true;
    } else if (i + 1 < argc && name == "--pushes") {
      pushes = std::max(1LL, std::atoll(argv[++i]));
    } else if (i + 1 < argc && name == "--rate") {
      rate = std::max(0LL, std::atoll(argv[++i]));
    } else if (i + 1 < argc && name == "--socket") {
      const std::string text = argv[++i];
      const size_t equals = text.find('=');
      const bool named = equals != std::string::npos;
      real.emplace_back(named ? text.substr(0, equals) : "push",
                        named ? text.substr(equals + 1) : text);
    } else {
      std::fprintf(stderr,
                   "usage: %s [--pushes N] [--rate HZ] [--socket NAME=PATH]... [--fifo]\n"
                   "  --pushes  of each kind (15000)\n"
                   "  --rate    of each kind (1000); 0: one after the other without a pause\n"
                   "  --socket  of a real agent; the first is the one that is well\n"
                   "  --fifo    run as a real-time thread would: SCHED_FIFO, memory locked\n",
                   argv[0]);
      return 2;
    }
  }
  char folder[] = "/tmp/nb_push_XXXXXX";
  if (::mkdtemp(folder) == nullptr) die(folder);
  const std::string base = folder;
  const std::string bare_path = base + "/bare", agent_path = base + "/agent",
                    stopped_path = base + "/stopped";
  const pid_t bare_reader = start_reader(bare_path);
  pid_t agent_reader = 0;
  pid_t stopped_reader = 0;
  if (real.empty()) {
    agent_reader = start_reader(agent_path);
    stopped_reader = start_reader(stopped_path);
    real = {{"push", agent_path}, {"stopped", stopped_path}, {"away", base + "/away"}};
  }

  Arms arms;
  arms.move(0);
  const std::string line = line_of(arms.state(), base + "/line");
  const int bare = connect_to(bare_path);
  std::vector<Side> sides(1);
  sides[0].name = "bare";
  for (const auto& [name, path] : real) sides.push_back({name, open_client(path), {}});
  if (stopped_reader > 0) {
    ::kill(stopped_reader, SIGSTOP);
    ::waitpid(stopped_reader, nullptr, WUNTRACED);
  }

  for (Side& side : sides) side.ns.resize(static_cast<size_t>(pushes));
  if (fifo) {
    const sched_param parameter{.sched_priority = 50};
    if (::sched_setscheduler(0, SCHED_FIFO, &parameter) != 0) std::perror("SCHED_FIFO");
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) std::perror("mlockall");
  }

  const int64_t apart = rate > 0 ? 1000000000 / rate / static_cast<int64_t>(sides.size()) : 0;
  const int64_t began = now_ns();
  int64_t at = began;
  uint64_t bare_full = 0;
  for (int64_t step = 0; step < pushes; ++step) {
    arms.move(step);
    const nb_robot_state state = arms.state();
    for (size_t i = 0; i < sides.size(); ++i) {
      // Each in every place in turn: a period of 1 ms keeps step with the kernel's own tick.
      Side& side = sides[(i + static_cast<size_t>(step)) % sides.size()];
      if (apart > 0) sleep_until(at += apart);
      const int64_t before = now_ns();
      if (side.client != nullptr) {
        nb_push_robot_state(side.client, &state);
      } else if (::send(bare, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
                 static_cast<ssize_t>(line.size())) {
        ++bare_full;
      }
      side.ns[static_cast<size_t>(step)] = static_cast<uint32_t>(now_ns() - before);
    }
  }

  const double seconds = static_cast<double>(now_ns() - began) / 1e9;
  std::printf("%lld pushes of each kind in %.1f s\n", static_cast<long long>(pushes), seconds);
  std::printf("bare: %llu full\n", static_cast<unsigned long long>(bare_full));
  for (const Side& side : sides) {
    if (side.client == nullptr) continue;
    nb_client_stats stats{};
    stats.size = sizeof stats;
    nb_client_get_stats(side.client, &stats);
    std::printf("%s: %llu sent, %llu not at once, %llu refused, %llu connections\n",
                side.name.c_str(), static_cast<unsigned long long>(stats.sent),
                static_cast<unsigned long long>(stats.kept),
                static_cast<unsigned long long>(stats.rejected),
                static_cast<unsigned long long>(stats.connects));
  }
  print(sides, line.size());

  for (const Side& side : sides) {
    if (side.client != nullptr) nb_client_close(side.client);
  }
  for (const pid_t pid : {bare_reader, agent_reader, stopped_reader}) {
    if (pid <= 0) continue;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  for (const std::string& path : {bare_path, agent_path, stopped_path}) ::unlink(path.c_str());
  ::rmdir(folder);
  return 0;
}
