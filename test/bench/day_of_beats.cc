// A day of beats, run on a clock that is five hundred times as fast: the agent's memory at the end
// is what it was at the beginning. The clock is the injected one, so timers, deadlines and beats
// all follow it; Redis is a real one.
//
//   day_of_beats REDIS-URL [SPEED]
//
// Prints the process's private memory through the day; the last line is JSON. Exit code 1 if the
// end is more than 16 KiB above the first hour.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "agent/agent.h"
#include "base/file.h"
#include "base/text.h"
#include "config/load.h"

namespace {

class FastClock final : public nb::Clock {
 public:
  explicit FastClock(int speed) : speed_(speed) {}
  nb::MonoTime now() const override { return start_ + (real_.now() - start_) * speed_; }
  nb::WallTime wall_now() const override {
    return wall_start_ + std::chrono::duration_cast<std::chrono::microseconds>(now() - start_);
  }
  nb::Duration real_delay(nb::Duration delay) const override { return delay / speed_; }

 private:
  nb::SystemClock real_;
  int speed_;
  nb::MonoTime start_ = real_.now();
  nb::WallTime wall_start_ = real_.wall_now();
};

long private_kb() {
  const auto text = nb::read_small_file("/proc/self/smaps_rollup");
  if (!text) return -1;
  long sum = 0;
  for (const char* field : {"\nPrivate_Clean:", "\nPrivate_Dirty:"}) {
    const size_t at = text->find(field);
    if (at != std::string::npos)
      sum += std::atol(text->c_str() + at + std::string_view(field).size());
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: day_of_beats REDIS-URL [SPEED]\n");
    return 64;
  }
  const int speed = argc > 2 ? std::atoi(argv[2]) : 500;
  const FastClock clock(speed);
  nb::config::Sources sources;
  sources.host_name = "day";
  sources.flags.redis_url = argv[1];
  // A minute is 120 ms of real time here: deadlines must be as long as they may be.
  sources.text =
      "[redis]\nconnect_timeout = \"1min\"\ncommand_timeout = \"1min\"\nping_after = \"1min\"\n";
  auto loaded = nb::config::load(sources);
  if (!loaded) {
    std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
    return 1;
  }
  nb::agent::Agent agent(clock, nb::Log(), std::move(sources), std::move(*loaded), false);
  std::thread thread([&] { agent.run(); });

  const nb::MonoTime start = clock.now();
  long after_an_hour = 0;
  for (int hour = 1; hour <= 24; ++hour) {
    std::this_thread::sleep_until(std::chrono::steady_clock::now() +
                                  (start + std::chrono::hours(hour) - clock.now()) / speed);
    if (hour == 1) after_an_hour = private_kb();
    if (hour % 6 == 0 || hour == 1) {
      std::printf("  hour %2d: %llu beats, %llu stored, private %ld kB\n", hour,
                  static_cast<unsigned long long>(agent.stats().beats),
                  static_cast<unsigned long long>(agent.stats().stored), private_kb());
      std::fflush(stdout);
    }
  }
  const long at_the_end = private_kb();
  const nb_agent_stats stats = agent.stats();
  agent.stop();
  thread.join();
  std::printf(
      "{\"beats\": %llu, \"stored\": %llu, \"link_failures\": %llu, \"private_kb_after_1h\": %ld, "
      "\"private_kb_after_24h\": %ld}\n",
      static_cast<unsigned long long>(stats.beats), static_cast<unsigned long long>(stats.stored),
      static_cast<unsigned long long>(stats.link_failures), after_an_hour, at_the_end);
  return at_the_end - after_an_hour <= 16 && stats.beats > 1000 ? 0 : 1;
}
