// Identity: which agent this is. The node's name says whose health it is. The instance id
// distinguishes two agents of one name, and two runs of one agent.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/random.h"

namespace nb::node {

struct Identity {
  std::string node;
  std::string boot_id;      // of the kernel; empty where it has none
  std::string instance_id;  // "hog-1a2b3c4d-65f0c2a1b2c3-9f31": node, boot, start, random
};

// `boot_id` as /proc/sys/kernel/random/boot_id has it.
Identity make_identity(std::string node, std::string boot_id, WallTime start, Random& random);

}  // namespace nb::node
