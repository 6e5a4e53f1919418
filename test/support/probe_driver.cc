// probe_driver: one probe of the real thing, for the tests in test/integration.
//
//   probe_driver type=mcp host=127.0.0.1 port=8080 path=/mcp era=auto interval_ms=100 ...
//
// Writes "ready" when it hears signals. Then "up" or "down", the latency and the detail, separated
// by tabs, as a line for each change of the verdict, and "now" lines with the same at each SIGUSR1.
// Ends at SIGTERM; exits with 1 if it could not close clean.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "probe/probe_set.h"
#include "uv/async.h"

namespace {

using namespace nb;

volatile std::sig_atomic_t stop_wanted = 0;
uv::Async* waker = nullptr;

class Driver {
 public:
  explicit Driver(uv::Loop& loop, probe::ProbeSet::Options options)
      : loop_(loop),
        async_(loop, Delegate<void()>::to<&Driver::on_signal>(this)),
        set_(loop, log_, std::move(options),
             Delegate<void(const wire::ProbeReport&)>::to<&Driver::print>(this)) {
    waker = &async_;
    for (const int number : {SIGTERM, SIGUSR1}) {
      std::signal(number, [](int which) {
        if (which == SIGTERM) stop_wanted = 1;
        waker->send();
      });
    }
  }
  ~Driver() {
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGUSR1, SIG_IGN);
  }

  void start(probe::ProbeSpec spec) { set_.set({std::move(spec)}); }

 private:
  void print(const wire::ProbeReport& report) {
    std::printf("%s\t%.3f\t%s\n",
                !report.up   ? "unknown"
                : *report.up ? "up"
                             : "down",
                report.latency_ms.value_or(-1), report.detail.c_str());
    std::fflush(stdout);
  }
  void on_signal() {
    if (stop_wanted != 0) return set_.leave(Delegate<void()>::to<&Driver::on_left>(this));
    set_.report(reports_);
    std::printf("now ");
    print(reports_.at(0));
  }

  void on_left() { loop_.stop(); }

  uv::Loop& loop_;
  Log log_;
  uv::Async async_;
  std::vector<wire::ProbeReport> reports_;
  probe::ProbeSet set_;
};

[[noreturn]] void usage(const char* word) {
  std::fprintf(stderr, "probe_driver does not know '%s'\n", word);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  probe::ProbeSpec spec;
  spec.name = "it";
  spec.expect_text.clear();
  probe::ProbeSet::Options options{.version = "0.0.0-test"};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) usage(argv[i]);
    const std::string_view key = word.substr(0, equals);
    const std::string value(word.substr(equals + 1));
    const int number = std::atoi(value.c_str());
    if (key == "type") {
      using probe::ProbeType;
      bool known = false;
      for (const ProbeType type :
           {ProbeType::mcp, ProbeType::http, ProbeType::tcp, ProbeType::unix_socket,
            ProbeType::process, ProbeType::systemd}) {
        if (probe::type_name(type) != value) continue;
        spec.type = type;
        known = true;
      }
      if (!known) usage(argv[i]);
    } else if (key == "host") {
      spec.target.host = value;
    } else if (key == "port") {
      spec.target.port = number;
    } else if (key == "socket") {
      spec.target.unix_path = value;
    } else if (key == "path") {
      spec.http_path = value;
    } else if (key == "era") {
      spec.era = value == "2025"   ? probe::McpEra::session_2025
                 : value == "2026" ? probe::McpEra::stateless_2026
                                   : probe::McpEra::automatic;
    } else if (key == "http_host") {
      spec.http_host = value;
    } else if (key == "start_timeout_ms") {
      spec.start_timeout = std::chrono::milliseconds(number);
    } else if (key == "interval_ms") {
      spec.interval = std::chrono::milliseconds(number);
    } else if (key == "timeout_ms") {
      spec.timeout = std::chrono::milliseconds(number);
    } else if (key == "down_after") {
      spec.down_after = static_cast<unsigned>(number);
    } else if (key == "unit") {
      spec.unit = value;
    } else if (key == "command") {
      spec.command = value;
    } else if (key == "bus") {
      options.system_bus = value;
    } else {
      usage(argv[i]);
    }
  }
  const SystemClock clock;
  uv::Loop loop(clock);
  {
    Driver driver(loop, options);
    std::printf("ready\n");
    std::fflush(stdout);
    driver.start(spec);
    loop.run();
  }
  return loop.close() == 0 ? 0 : 1;
}
