// What the calling thread takes of a processor. A measure that other programs of the computer do
// not change, where a test compares the work for much with the work for little.
#pragma once

#include <cstdint>
#include <ctime>

namespace nb::test {

// The nanoseconds of a processor that this thread has taken so far.
inline int64_t processor_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace nb::test
