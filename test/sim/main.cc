// The simulation of the watchers: see README.md.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "base/text.h"
#include "sim/simulation.h"

namespace {

using namespace nb::sim;

int usage() {
  std::fputs(
      "watcher_sim [--seeds N] [--from N] [--jobs N]   N schedules, from a first seed on\n"
      "watcher_sim --seed N [--trace]                  one, with all that happens in it\n",
      stderr);
  return 64;
}

std::string replay(uint64_t seed, bool trace, Tally& tally) {
  Simulation simulation(seed, trace);
  const std::string failure = simulation.run();
  tally.add(simulation.tally());
  return failure;
}

void print(const Tally& tally) {
  std::printf(
      "%llu schedules, %llu events; announced: %llu lost, %llu returned, %llu uncertain; %llu "
      "claims.\n"
      "Held to their time: %llu losses, %llu takings over; waited for in a crowd: %llu; gone at "
      "the "
      "end: %llu.\n",
      static_cast<unsigned long long>(tally.schedules),
      static_cast<unsigned long long>(tally.events), static_cast<unsigned long long>(tally.lost),
      static_cast<unsigned long long>(tally.returned),
      static_cast<unsigned long long>(tally.uncertain),
      static_cast<unsigned long long>(tally.claims), static_cast<unsigned long long>(tally.timed),
      static_cast<unsigned long long>(tally.takeovers),
      static_cast<unsigned long long>(tally.crowds), static_cast<unsigned long long>(tally.found));
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seeds = 1'000'000, from = 1, jobs = std::thread::hardware_concurrency(), seed = 0;
  bool one = false, trace = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--trace") {
      trace = true;
      continue;
    }
    const auto number = i + 1 < argc ? nb::parse_number<uint64_t>(argv[i + 1]) : std::nullopt;
    uint64_t* option = word == "--seeds"  ? &seeds
                       : word == "--from" ? &from
                       : word == "--jobs" ? &jobs
                       : word == "--seed" ? &seed
                                          : nullptr;
    if (option == nullptr || !number) return usage();
    *option = *number;
    one = one || option == &seed;
    ++i;
  }
  if (trace && !one) return usage();

  Tally tally;
  if (one) {
    const std::string failure = replay(seed, trace, tally);
    if (!failure.empty()) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), failure.c_str());
      return 1;
    }
    print(tally);
    return 0;
  }
  std::atomic<uint64_t> next = from;
  std::mutex mutex;
  int failures = 0;
  const auto work = [&] {
    Tally mine;
    for (uint64_t each = next++; each < from + seeds && failures < 5; each = next++) {
      const std::string failure = replay(each, false, mine);
      if (failure.empty()) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      ++failures;
      std::printf("seed %llu: %s\n    (./dev sim --seed %llu --trace)\n",
                  static_cast<unsigned long long>(each), failure.c_str(),
                  static_cast<unsigned long long>(each));
      std::fflush(stdout);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    tally.add(mine);
  };
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < std::max<uint64_t>(jobs, 1); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  print(tally);
  return failures > 0 ? 1 : 0;
}
