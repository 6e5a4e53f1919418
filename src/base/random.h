// A small pseudo-random generator for jitter and identifiers; not for secrets.
#pragma once

#include <cstdint>

namespace nb {

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  // Seeded by the kernel's getrandom(2), so that a hundred agents started at one moment differ.
  static Random from_system();

  uint64_t next();
  // Uniform in [0, bound); 0 if bound is 0.
  uint64_t below(uint64_t bound);

 private:
  uint64_t state_;
};

}  // namespace nb
