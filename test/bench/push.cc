// What a push costs, beside a bare non-blocking send() of as many bytes. Four things take turns in
// one run, each at --rate (1 kHz), a quarter of a period apart:
//   bare     send() to an epoll reader in another process
//   push     nb_push_robot_state() with 4 x 7 numbers to an agent that reads (--socket: a real one)
//   stopped  the same to an agent that was stopped by SIGSTOP
//   away     the same with no agent at all
// Prints a table in microseconds, and the ratios that the project promises.
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
  const char* name;
  std::vector<uint32_t> ns;

  double quantile(double q) const {
    const auto at = static_cast<size_t>(q * static_cast<double>(ns.size() - 1) + 0.5);
    return ns[at] / 1000.0;
  }
};

constexpr double kQuantiles[] = {0.5, 0.99, 0.999, 0.9999, 1};

void print(const std::vector<Side*>& sides, size_t bytes) {
  std::printf("\n%zu bytes a push; microseconds\n%-10s%10s%10s%10s%10s%10s\n", bytes, "", "median",
              "p99", "p99.9", "p99.99", "max");
  for (Side* side : sides) {
    std::sort(side->ns.begin(), side->ns.end());
    std::printf("%-10s", side->name);
    for (const double q : kQuantiles) std::printf("%10.2f", side->quantile(q));
    std::printf("\n");
  }
  const auto ratio = [&](const char* words, const Side& a, const Side& b) {
    std::printf("%-18s", words);
    for (const double q : kQuantiles) std::printf("%8.2f", a.quantile(q) / b.quantile(q));
    std::printf("\n");
  };
  std::printf("\n%-18s%8s%8s%8s%8s%8s\n", "ratio", "median", "p99", "p99.9", "p99.99", "max");
  ratio("push / bare", *sides[1], *sides[0]);
  ratio("stopped / push", *sides[2], *sides[1]);
  ratio("away / push", *sides[3], *sides[1]);
}

}  // namespace

int main(int argc, char** argv) {
  int64_t pushes = 15000;
  int64_t rate = 1000;
  bool fifo = false;
  std::string real;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--fifo") {
      fifo = true;
    } else if (i + 1 < argc && name == "--pushes") {
      pushes = std::max(1LL, std::atoll(argv[++i]));
    } else if (i + 1 < argc && name == "--rate") {
      rate = std::max(0LL, std::atoll(argv[++i]));
    } else if (i + 1 < argc && name == "--socket") {
      real = argv[++i];
    } else {
      std::fprintf(stderr,
                   "usage: %s [--pushes N] [--rate HZ] [--socket PATH] [--fifo]\n"
                   "  --pushes  of each kind (15000)\n"
                   "  --rate    of each kind (1000); 0: one after the other without a pause\n"
                   "  --socket  of a real agent, for the side that is read\n"
                   "  --fifo    run as a real-time thread would: SCHED_FIFO, memory locked\n",
                   argv[0]);
      return 2;
    }
  }
  char folder[] = "/tmp/nb_push_XXXXXX";
  if (::mkdtemp(folder) == nullptr) die(folder);
  const std::string base = folder;
  const std::string bare_path = base + "/bare", agent_path = base + "/agent",
                    stopped_path = base + "/stopped", away_path = base + "/away";
  const pid_t bare_reader = start_reader(bare_path);
  const pid_t agent_reader = real.empty() ? start_reader(agent_path) : 0;
  const pid_t stopped_reader = start_reader(stopped_path);

  Arms arms;
  arms.move(0);
  const std::string line = line_of(arms.state(), base + "/line");
  const int bare = connect_to(bare_path);
  nb_client* agent = open_client(real.empty() ? agent_path : real);
  nb_client* stopped = open_client(stopped_path);
  nb_client* away = open_client(away_path);
  ::kill(stopped_reader, SIGSTOP);
  int status = 0;
  ::waitpid(stopped_reader, &status, WUNTRACED);

  Side sides[] = {{"bare", {}}, {"push", {}}, {"stopped", {}}, {"away", {}}};
  for (Side& side : sides) side.ns.resize(static_cast<size_t>(pushes));
  if (fifo) {
    const sched_param parameter{.sched_priority = 50};
    if (::sched_setscheduler(0, SCHED_FIFO, &parameter) != 0) std::perror("SCHED_FIFO");
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) std::perror("mlockall");
  }

  const int64_t quarter = rate > 0 ? 1000000000 / rate / 4 : 0;
  const int64_t began = now_ns();
  int64_t at = began;
  uint64_t bare_full = 0;
  const auto measure = [&](Side& side, int64_t step, auto&& push) {
    if (quarter > 0) sleep_until(at += quarter);
    const int64_t before = now_ns();
    push();
    side.ns[static_cast<size_t>(step)] = static_cast<uint32_t>(now_ns() - before);
  };
  for (int64_t step = 0; step < pushes; ++step) {
    arms.move(step);
    const nb_robot_state state = arms.state();
    measure(sides[0], step, [&] {
      const ssize_t n = ::send(bare, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n != static_cast<ssize_t>(line.size())) ++bare_full;
    });
    measure(sides[1], step, [&] { nb_push_robot_state(agent, &state); });
    measure(sides[2], step, [&] { nb_push_robot_state(stopped, &state); });
    measure(sides[3], step, [&] { nb_push_robot_state(away, &state); });
  }

  const double seconds = static_cast<double>(now_ns() - began) / 1e9;
  std::printf("%lld pushes of each kind in %.1f s%s%s\n", static_cast<long long>(pushes), seconds,
              real.empty() ? "" : " to ", real.c_str());
  nb_client_stats stats{};
  stats.size = sizeof stats;
  nb_client_get_stats(agent, &stats);
  std::printf(
      "push: %llu sent, %llu not at once, %llu refused, %llu connections; bare: %llu full\n",
      static_cast<unsigned long long>(stats.sent), static_cast<unsigned long long>(stats.kept),
      static_cast<unsigned long long>(stats.rejected),
      static_cast<unsigned long long>(stats.connects), static_cast<unsigned long long>(bare_full));
  nb_client_get_stats(stopped, &stats);
  std::printf("stopped: %llu sent, %llu kept\n", static_cast<unsigned long long>(stats.sent),
              static_cast<unsigned long long>(stats.kept));
  print({&sides[0], &sides[1], &sides[2], &sides[3]}, line.size());

  for (nb_client* client : {agent, stopped, away}) nb_client_close(client);
  for (const pid_t pid : {bare_reader, agent_reader, stopped_reader}) {
    if (pid <= 0) continue;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
  }
  for (const std::string& path : {bare_path, agent_path, stopped_path}) ::unlink(path.c_str());
  ::rmdir(folder);
  return 0;
}
