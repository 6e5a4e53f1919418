#include "base/random.h"

#include <sys/random.h>

#include <ctime>

namespace nb {

Random Random::from_system() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
    // Early boot: the pool is not ready. Time still distinguishes agents well enough for jitter.
    timespec ts{};
    clock_gettime(CLOCK_REALTIME, &ts);
    seed =
        static_cast<uint64_t>(ts.tv_nsec) * 0x9e3779b97f4a7c15u ^ static_cast<uint64_t>(ts.tv_sec);
  }
  return Random(seed);
}

uint64_t Random::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t Random::below(uint64_t bound) {
  // The bias of a plain remainder is below bound / 2^64: nothing for jitter.
  return bound == 0 ? 0 : next() % bound;
}

}  // namespace nb
