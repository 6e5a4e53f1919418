// RobotValues: the known state of the robot. It unites all partial states that were pushed, and
// writes any of its members as one robot.update. No allocation.
#pragma once

#include "client/line_writer.h"
#include "nodebeat/client.h"

namespace nb::client {

class RobotValues {
 public:
  static constexpr size_t kNumbers = 64;
  static constexpr size_t kPoseBytes = 256;

  // NB_OK, or why a push is not taken.
  static int check(const nb_robot_state& state);

  // Takes over the members of `state`, which was checked. A timestamp belongs to one push: a state
  // without a timestamp removes the older one.
  void merge(const nb_robot_state& state);

  uint32_t known() const { return has_; }
  // The most that write() could take once `state` is merged.
  size_t bound_with(const nb_robot_state& state) const;

  // One line with these of the known members.
  void write(LineWriter& out, uint32_t members) const;

 private:
  uint32_t has_ = 0;
  bool connected_[2] = {};
  uint8_t count_[4] = {};
  double goal_time_[2] = {};
  int64_t timestamp_ = 0;
  size_t pose_escaped_ = 0;
  char pose_[kPoseBytes + 1] = {};
  double numbers_[4][kNumbers] = {};
};

}  // namespace nb::client
