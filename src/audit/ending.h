// How the program is asked to end: SIGTERM and SIGINT are blocked, and make a descriptor readable,
// which every wait watches.
#pragma once

#include "base/unique_fd.h"

namespace nb::audit {

class Ending {
 public:
  // Blocks the signals for the whole process.
  Ending();
  // Can be read from when the program is to end. -1 if the system gave none.
  int fd() const { return fd_.get(); }
  bool is_asked() const;

 private:
  UniqueFd fd_;
};

// While one of these is there, a signal ends the program at once, with success.
class EndsAtOnce {
 public:
  EndsAtOnce();
  ~EndsAtOnce();
  EndsAtOnce(const EndsAtOnce&) = delete;
  EndsAtOnce& operator=(const EndsAtOnce&) = delete;
};

}  // namespace nb::audit
