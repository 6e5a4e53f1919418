// Unit tests of agent/: the C ABI and what it promises, and the agent's smaller parts. Real Redis
// and real processes are the integration suite's.
#include "nodebeat/agent.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "agent/figures.h"
#include "agent/mapping.h"
#include "agent/quick_path.h"
#include "agent/service_notify.h"
#include "base/unique_fd.h"
#include "config/load.h"
#include "node/options.h"
#include "support/fake_redis.h"

namespace nb::agent {
namespace {

using namespace std::chrono_literals;

TEST(Mapping, HandsOnWhatWasConfigured) {
  config::Sources sources;
  sources.host_name = "ook.cell";
  sources.text = R"(
[redis]
url = "redis://u:secret@[::1]:7000"
command_timeout = "3s"
[redis.db]
health = 2
[health]
disks = ["/", "/data"]
gpu = "none"
[[probe]]
name = "mcp"
type = "mcp"
url = "http://127.0.0.1:8000/mcp"
[[probe]]
name = "camera"
type = "tcp"
address = "cam:554"
interval = "10s"
)";
  const auto loaded = config::load(sources);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const redis::LinkOptions link = link_options(loaded->config);
  EXPECT_EQ(describe(link.target), "[::1]:7000");
  EXPECT_EQ(link.greeting.user, "u");
  EXPECT_EQ(link.greeting.password, "secret");
  EXPECT_EQ(link.greeting.client_name, "nodebeat:ook");
  EXPECT_EQ(link.greeting.databases, std::vector<int>{2});
  EXPECT_EQ(link.command_timeout, 3s);
  EXPECT_EQ(node::sampler_options(loaded->config).disks, (std::vector<std::string>{"/", "/data"}));
  EXPECT_EQ(node::sampler_options(loaded->config).gpu, health::GpuKind::none);
  const auto probes = node::probe_specs(loaded->config);
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_EQ(probes[0].http_path, "/mcp");
  EXPECT_EQ(probes[0].target.port, 8000);
  EXPECT_EQ(probes[1].target.host, "cam");
  EXPECT_EQ(probes[1].interval, 10s);
}

// A service manager: receives datagrams.
class Manager {
 public:
  explicit Manager(std::string name)
      : name_(std::move(name)), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof address.sun_path);
    if (name_[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  }
  const std::string& name() const { return name_; }
  // The next message; empty after ten seconds of nothing.
  std::string receive() {
    pollfd p{fd_.get(), POLLIN, 0};
    if (::poll(&p, 1, 10'000) != 1) return {};
    char text[1024];
    const ssize_t n = ::recv(fd_.get(), text, sizeof text, 0);
    return n > 0 ? std::string(text, static_cast<size_t>(n)) : std::string();
  }
  // Takes what has come, and then nothing more comes for ten periods of 20 ms.
  bool falls_silent() {
    pollfd p{fd_.get(), POLLIN, 0};
    char text[1024];
    while (::recv(fd_.get(), text, sizeof text, MSG_DONTWAIT) > 0) {
    }
    return ::poll(&p, 1, 200) == 0;
  }
  // Receives until a message begins with `text`; false if none does.
  bool hears(std::string_view text) {
    for (std::string message = receive(); !message.empty(); message = receive()) {
      if (message.rfind(text, 0) == 0) return true;
    }
    return false;
  }

 private:
  std::string name_;
  UniqueFd fd_;
};

std::string abstract_name(const char* what) {
  return "@nodebeat-test-" + std::string(what) + "-" + std::to_string(::getpid());
}

TEST(QuickPath, NamesAFileSystemThatMayNotAnswer) {
  const std::string mounts =
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 0:5 / /run rw - tmpfs tmpfs rw\n"
      "3 1 0:6 / /mnt/nas rw - nfs4 nas:/x rw\n"
      "4 2 0:7 / /run/user/1000/doc rw - fuse.portal portal rw\n";
  const auto slow = [&](const char* path) { return slow_file_system(path, mounts).value_or(""); };
  EXPECT_EQ(slow("/run/nodebeat/agent.sock"), "");
  EXPECT_EQ(slow("/var/lib/agent.sock"), "");
  EXPECT_EQ(slow("/mnt/nas/agent.sock"), "nfs4 at /mnt/nas");
  EXPECT_EQ(slow("/run/user/1000/doc/agent.sock"), "fuse.portal at /run/user/1000/doc");
  EXPECT_EQ(slow("agent.sock"), "") << "where that is, the table does not tell";
  const std::string link = testing::TempDir() + "/nb-slow-link";
  ::unlink(link.c_str());
  ASSERT_EQ(::symlink("/mnt/nas/run", link.c_str()), 0);
  EXPECT_EQ(slow((link + "/agent.sock").c_str()), "nfs4 at /mnt/nas");
  ::unlink(link.c_str());
  EXPECT_EQ(slow_file_system("/mnt/nas/x", "").value_or(""), "");
}

TEST(ServiceNotify, SpeaksToAbstractAndPathSockets) {
  for (const std::string& name :
       {abstract_name("notify"), testing::TempDir() + "/nb-notify.sock"}) {
    ::unlink(name.c_str());
    Manager manager(name);
    ServiceNotify notify(name, 10s);
    notify.ready();
    EXPECT_EQ(manager.receive(), "READY=1");
    notify.status("well");
    notify.status("well");
    notify.stopping();
    EXPECT_EQ(manager.receive(), "STATUS=well");
    EXPECT_EQ(manager.receive(), "STOPPING=1") << "the same status is not sent twice";
    notify.reloading(MonoTime(5s));
    EXPECT_EQ(manager.receive(), "RELOADING=1\nMONOTONIC_USEC=5000000");
    EXPECT_EQ(notify.watchdog_period(), 5s);
    ::unlink(name.c_str());
  }
  ServiceNotify().ready();  // nobody to tell
}

// A manager that is too busy to read: its queue is full of other services' messages.
struct BusyManager {
  UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  std::string name = "@nodebeat-notify-" + std::to_string(::getpid());

  BusyManager() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path);
    address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    while (::sendto(other.get(), "X=1", 3, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
                    size) >= 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
  }

  // What has come since, without the filler.
  std::vector<std::string> read() const {
    std::vector<std::string> messages;
    char text[1024];
    for (ssize_t n; (n = ::recv(fd.get(), text, sizeof text, 0)) >= 0;) {
      const std::string message(text, static_cast<size_t>(n));
      if (message != "X=1") messages.push_back(message);
    }
    return messages;
  }
};

TEST(ServiceNotify, WhatAFullQueueDidNotTakeIsSentAgain) {
  const BusyManager manager;
  ServiceNotify notify(manager.name, 10s);
  struct Count {
    int waiting = 0;
    void on_waiting() { ++waiting; }
  } count;
  notify.set_on_waiting(Delegate<void()>::to<&Count::on_waiting>(&count));
  notify.ready();
  notify.status("one");
  notify.watchdog();
  notify.reloading(MonoTime(5s));
  notify.status("two");
  notify.ready();
  notify.watchdog();
  EXPECT_EQ(count.waiting, 7);
  EXPECT_FALSE(notify.flush());
  EXPECT_TRUE(manager.read().empty());
  EXPECT_TRUE(notify.flush());
  EXPECT_EQ(manager.read(), (std::vector<std::string>{"RELOADING=1\nMONOTONIC_USEC=5000000",
                                                      "READY=1", "STATUS=two", "WATCHDOG=1"}));
  EXPECT_TRUE(notify.flush());
  EXPECT_TRUE(manager.read().empty()) << "each once";
}

TEST(ServiceNotify, AfterAStopNothingOfBeforeIsSent) {
  const BusyManager manager;
  ServiceNotify notify(manager.name, 10s);
  notify.reloading(MonoTime(5s));
  notify.ready();
  notify.stopping();
  manager.read();
  EXPECT_TRUE(notify.flush());
  EXPECT_EQ(manager.read(), std::vector<std::string>{"STOPPING=1"});
}

TEST(ServiceNotify, AStatusIsOneLineWhateverItIsMadeOf) {
  const BusyManager manager;
  manager.read();
  ServiceNotify notify(manager.name, 10s);
  notify.status("-ERR x\nWATCHDOG=trigger\r\nSTOPPING=1\u2028\u0085MAINPID=1\xff");
  notify.status(std::string(100'000, 'x'));
  const auto messages = manager.read();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(messages[0],
            "STATUS=-ERR x\\x0aWATCHDOG=trigger\\x0d\\x0aSTOPPING=1\\u2028\\u0085MAINPID=1\\xff");
  EXPECT_LE(messages[1].size(), 407u);
}

// An agent made through the C ABI, with its log.
class Made {
 public:
  explicit Made(const std::string& text, const char* node = "hog",
                const char* const* environment = nullptr, uint32_t flags = 0) {
    nb_agent_options options{};
    options.size = sizeof options;
    options.flags = flags;
    options.config_file = "test.toml";
    options.config_text = text.c_str();
    options.node = node;
    options.environment = environment;
    options.socket_path = "";
    options.log = [](void* user, int, const char* line) {
      auto* made = static_cast<Made*>(user);
      made->lines.emplace_back(line);
      if (made->on_line) made->on_line();
    };
    options.log_user = this;
    char buffer[1024] = "";
    rc = nb_agent_create(&options, &agent, buffer, sizeof buffer);
    error = buffer;
  }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() { nb_agent_destroy(agent); }

  nb_agent_stats stats() const {
    nb_agent_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(nb_agent_get_stats(agent, &stats), NB_OK);
    return stats;
  }

  nb_agent* agent = nullptr;
  int rc = 0;
  std::string error;
  std::vector<std::string> lines;
  std::function<void()> on_line;  // on the thread of the loop
};

constexpr char kNowhere[] = "[redis]\nurl = \"unix:///nonexistent/redis.sock\"\n";

TEST(AgentAbi, RefusesWhatItDoesNotKnow) {
  nb_agent* agent = nullptr;
  char error[256];
  nb_agent_options options{};
  EXPECT_EQ(nb_agent_create(nullptr, &agent, error, sizeof error), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_agent_create(&options, &agent, error, sizeof error), NB_ERR_ARGUMENT);
  EXPECT_NE(std::string(error).find("sizeof(nb_agent_options)"), std::string::npos) << error;
  options.size = sizeof options;
  options.flags = 0x80;
  EXPECT_EQ(nb_agent_create(&options, &agent, error, 8), NB_ERR_ARGUMENT);
  EXPECT_EQ(std::string(error), "options") << "cut to fit, and terminated";
  EXPECT_EQ(nb_agent_create(&options, &agent, nullptr, 0), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_agent_run(nullptr), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_agent_print_config(nullptr, nullptr, 0), NB_ERR_ARGUMENT);
  nb_agent_stop(nullptr);
  nb_agent_reload(nullptr);
  EXPECT_EQ(agent, nullptr);
}

// Programs that were built with an older or a newer header.
TEST(AgentAbi, StructsOfEverySizeAreAccepted) {
  alignas(nb_agent_options) char memory[sizeof(nb_agent_options) + 64] = {};
  auto* const options = reinterpret_cast<nb_agent_options*>(memory);
  options->config_text = kNowhere;
  options->node = "hog";
  const auto create = [&](size_t size, std::string& error) {
    options->size = static_cast<uint32_t>(size);
    nb_agent* agent = nullptr;
    char words[256] = "";
    const int rc = nb_agent_create(options, &agent, words, sizeof words);
    error = words;
    alignas(nb_agent_stats) char counters[sizeof(nb_agent_stats) + 64];
    auto* const stats = reinterpret_cast<nb_agent_stats*>(counters);
    for (size_t bytes = 8; rc == NB_OK && bytes <= sizeof counters; bytes += 8) {
      std::fill(std::begin(counters), std::end(counters), 'x');
      stats->size = static_cast<uint32_t>(bytes);
      EXPECT_EQ(nb_agent_get_stats(agent, stats), NB_OK);
      EXPECT_EQ(stats->size, bytes);
      EXPECT_EQ(stats->link_state, uint32_t{NB_LINK_STOPPED});
      if (bytes < sizeof counters) {
        EXPECT_EQ(counters[bytes], 'x');
      }
      if (bytes > sizeof(nb_agent_stats)) {
        EXPECT_EQ(counters[bytes - 1], 0);
      }
    }
    nb_agent_destroy(agent);
    return rc;
  };
  std::string error;
  for (size_t size = offsetof(nb_agent_options, redis_url); size <= sizeof memory;
       size += alignof(nb_agent_options)) {
    EXPECT_EQ(create(size, error), NB_OK) << size << error;
  }
  memory[sizeof(nb_agent_options) + 63] = 1;
  EXPECT_EQ(create(sizeof memory, error), NB_ERR_ARGUMENT);
  EXPECT_NE(error.find("does not know"), std::string::npos) << error;
  EXPECT_EQ(create(sizeof(nb_agent_options), error), NB_OK);
}

TEST(AgentAbi, AWrongConfigurationNamesFileLineAndKey) {
  const Made made("[heartbeat]\nintervall = \"5s\"\n");
  EXPECT_EQ(made.rc, NB_ERR_CONFIG);
  EXPECT_NE(made.error.find("test.toml:2"), std::string::npos) << made.error;
  EXPECT_NE(made.error.find("interval"), std::string::npos) << made.error;
}

TEST(AgentAbi, RefusesANodeNameThatReadersWouldMistake) {
  for (const char* name : {"a:b", "a b", "a\n", "", "*"}) {
    EXPECT_EQ(Made(kNowhere, name).rc, NB_ERR_CONFIG) << name;
  }
}

TEST(AgentAbi, PrintsItsConfigurationWithoutSecrets) {
  const Made made("[redis]\nurl = \"redis://u:hunter2@127.0.0.1:1\"\n");
  ASSERT_EQ(made.rc, NB_OK) << made.error;
  const int size = nb_agent_print_config(made.agent, nullptr, 0);
  ASSERT_GT(size, 100);
  std::string text(static_cast<size_t>(size) + 1, '\0');
  EXPECT_EQ(nb_agent_print_config(made.agent, text.data(), text.size()), size);
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_NE(text.find("test.toml:2"), std::string::npos);
}

TEST(AgentAbi, StopBeforeRunMakesRunReturn) {
  Made made(kNowhere);
  ASSERT_EQ(made.rc, NB_OK) << made.error;
  nb_agent_stop(made.agent);
  EXPECT_EQ(nb_agent_run(made.agent), NB_OK);
  EXPECT_EQ(nb_agent_run(made.agent), NB_ERR_STATE);
}

TEST(AgentAbi, IsReadyWithoutRedisAndTellsItsManager) {
  Manager manager(abstract_name("ready"));
  const std::string socket = "NOTIFY_SOCKET=" + manager.name();
  const char* environment[] = {socket.c_str(), "WATCHDOG_USEC=20000", nullptr};
  Made made(kNowhere, "hog", environment, NB_AGENT_SERVICE);
  ASSERT_EQ(made.rc, NB_OK) << made.error;
  std::thread thread([&] { EXPECT_EQ(nb_agent_run(made.agent), NB_OK); });
  EXPECT_TRUE(manager.hears("READY=1"));
  EXPECT_TRUE(manager.hears("STATUS=node hog; redis /nonexistent/redis.sock: not reachable"));
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  nb_agent_reload(made.agent);
  EXPECT_TRUE(manager.hears("RELOADING=1\nMONOTONIC_USEC="));
  EXPECT_TRUE(manager.hears("READY=1"));
  nb_agent_stop(made.agent);
  EXPECT_TRUE(manager.hears("STOPPING=1"));
  thread.join();
  EXPECT_EQ(made.stats().reloads, 1u);
  EXPECT_GT(made.stats().link_failures, 0u);
}

// Its loop hangs, in what its host does with a line of log; the process lives.
TEST(AgentAbi, TheWatchdogIsFedByALoopThatTurns) {
  Manager manager(abstract_name("hung"));
  const std::string socket = "NOTIFY_SOCKET=" + manager.name();
  const char* environment[] = {socket.c_str(), "WATCHDOG_USEC=40000", nullptr};
  Made made(kNowhere, "hog", environment, NB_AGENT_SERVICE);
  ASSERT_EQ(made.rc, NB_OK) << made.error;
  std::atomic<bool> hang = false;
  std::promise<void> hangs;
  std::promise<void> released;
  made.on_line = [&] {
    if (!hang.exchange(false)) return;
    hangs.set_value();
    released.get_future().wait();
  };
  std::thread thread([&] { EXPECT_EQ(nb_agent_run(made.agent), NB_OK); });
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  hang = true;
  nb_agent_reload(made.agent);
  EXPECT_EQ(hangs.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(manager.falls_silent());
  released.set_value();
  EXPECT_TRUE(manager.hears("WATCHDOG=1"));
  nb_agent_stop(made.agent);
  thread.join();
}

TEST(AgentAbi, ManyAgentsLiveInOneProcess) {
  constexpr int kMany = 50;
  std::vector<std::unique_ptr<Made>> agents;
  std::vector<std::thread> threads;
  for (int i = 0; i < kMany; ++i) {
    agents.push_back(std::make_unique<Made>(kNowhere, ("node-" + std::to_string(i)).c_str()));
    ASSERT_EQ(agents.back()->rc, NB_OK) << agents.back()->error;
  }
  for (auto& made : agents)
    threads.emplace_back([&made] { EXPECT_EQ(nb_agent_run(made->agent), NB_OK); });
  for (auto& made : agents) nb_agent_stop(made->agent);
  for (std::thread& thread : threads) thread.join();
}

TEST(AgentAbi, LeavesTheHostsSignalsAlone) {
  Made made(kNowhere);
  nb_agent_stop(made.agent);
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  EXPECT_EQ(nb_agent_run(made.agent), NB_OK);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
  struct sigaction action {};
  sigaction(SIGPIPE, nullptr, &action);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
}

// --- figures -------------------------------------------------------------------------------------

TEST(Figures, AsALineForTheServiceManager) {
  redis::LinkStatus link;
  Figures figures;
  figures.node = "hog";
  figures.target = "10.0.0.2:6379";
  figures.link = &link;
  link.state = redis::LinkState::steady;
  EXPECT_EQ(status_line(figures), "node hog; redis 10.0.0.2:6379: connected");
  link.words = "NOPERM this user may not";
  link.state = redis::LinkState::degraded;
  EXPECT_EQ(status_line(figures),
            "node hog; redis 10.0.0.2:6379: degraded: NOPERM this user may not");
  link.state = redis::LinkState::waiting;
  link.words = "connection refused";
  EXPECT_EQ(status_line(figures),
            "node hog; redis 10.0.0.2:6379: connection refused; trying again");
}

TEST(Figures, AsTheStructOfTheLibrary) {
  redis::LinkStatus link;
  link.state = redis::LinkState::steady;
  link.connects = 3;
  link.failures = 4;
  Figures figures;
  figures.link = &link;
  figures.beats = 5;
  figures.reloads = 6;
  figures.outbox.counters.stored = 7;
  figures.outbox.counters.refused = 8;
  figures.outbox.counters.expired = 9;
  figures.outbox.coalesced = 10;
  figures.outbox.events_waiting = 11;
  figures.outbox.dropped = 12;
  nb_agent_stats stats = to_c(figures);
  EXPECT_EQ(stats.size, sizeof stats);
  EXPECT_EQ(stats.link_state, static_cast<uint32_t>(NB_LINK_STEADY));
  EXPECT_EQ(stats.connects, 3u);
  EXPECT_EQ(stats.link_failures, 4u);
  EXPECT_EQ(stats.beats, 5u);
  EXPECT_EQ(stats.reloads, 6u);
  EXPECT_EQ(stats.stored, 7u);
  EXPECT_EQ(stats.refused, 8u);
  EXPECT_EQ(stats.events_expired, 9u);
  EXPECT_EQ(stats.coalesced, 10u);
  EXPECT_EQ(stats.events_waiting, 11u);
  EXPECT_EQ(stats.events_dropped, 12u);
  EXPECT_LT(stats.ping_ms, 0) << "nobody has answered a PING";
  link.round_trip = std::chrono::microseconds(1500);
  stats = to_c(figures);
  EXPECT_DOUBLE_EQ(stats.ping_ms, 1.5);
}

}  // namespace
}  // namespace nb::agent
