#include "client/robot_values.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "client/caller_text.h"

namespace nb::client {
namespace {

constexpr uint32_t kAll = (NB_ROBOT_TIMESTAMP << 1) - 1;
constexpr std::string_view kConnectedNames[] = {"\"is_connected_l\":", "\"is_connected_r\":"};
constexpr std::string_view kNumberNames[] = {
    "\"joints_l\":", "\"joints_r\":", "\"velocities_l\":", "\"velocities_r\":"};
constexpr std::string_view kGoalNames[] = {"\"goal_time_slow\":", "\"goal_time_fast\":"};
constexpr std::string_view kBegin = R"({"jsonrpc":"2.0","method":"robot.update","params":{)";
// A generous size for names, commas and everything else that takes a fixed number of bytes.
constexpr size_t kFixedBytes = 400;

// Where the member of each bit begins in nb_robot_state, in the order of the bits; of two members,
// the later one. A struct that ends there or earlier comes from a caller that does not know the
// member.
constexpr uint16_t kOffsets[] = {
    offsetof(nb_robot_state, is_connected_l), offsetof(nb_robot_state, is_connected_r),
    offsetof(nb_robot_state, joints_l),       offsetof(nb_robot_state, joints_r),
    offsetof(nb_robot_state, velocities_l),   offsetof(nb_robot_state, velocities_r),
    offsetof(nb_robot_state, current_pose),   offsetof(nb_robot_state, goal_time_slow),
    offsetof(nb_robot_state, goal_time_fast), offsetof(nb_robot_state, timestamp_us)};

struct Numbers {
  const double* values;
  uint8_t count;
};

Numbers numbers_of(const nb_robot_state& state, int i) {
  switch (i) {
    case 0:
      return {state.joints_l, state.joints_l_count};
    case 1:
      return {state.joints_r, state.joints_r_count};
    case 2:
      return {state.velocities_l, state.velocities_l_count};
    default:
      return {state.velocities_r, state.velocities_r_count};
  }
}

// A list with a null element breaks its readers. A list that is null as a whole does not.
bool all_finite(const double* numbers, size_t count) {
  return std::all_of(numbers, numbers + count, [](double number) { return std::isfinite(number); });
}

bool has(uint32_t members, uint32_t first, int i) {
  return (members & first << i) != 0;
}

}  // namespace

int RobotValues::check(const nb_robot_state& state) {
  if ((state.has & ~kAll) != 0) return NB_ERR_ARGUMENT;
  if (state.size < sizeof state && lacks_a_member(state.has, state.size, kOffsets)) {
    return NB_ERR_ARGUMENT;
  }
  for (int i = 0; i < 4; ++i) {
    if (!has(state.has, NB_ROBOT_JOINTS_L, i)) continue;
    const Numbers numbers = numbers_of(state, i);
    if (numbers.count > kNumbers) return NB_ERR_TOO_LARGE;
    if (numbers.count > 0 && numbers.values == nullptr) return NB_ERR_ARGUMENT;
  }
  if (has(state.has, NB_ROBOT_TIMESTAMP, 0) &&
      (state.timestamp_us < 0 || state.timestamp_us > kMaxTimestamp)) {
    return NB_ERR_ARGUMENT;
  }
  if ((has(state.has, NB_ROBOT_GOAL_TIME_SLOW, 0) && !std::isfinite(state.goal_time_slow)) ||
      (has(state.has, NB_ROBOT_GOAL_TIME_FAST, 0) && !std::isfinite(state.goal_time_fast))) {
    return NB_ERR_ARGUMENT;  // the agent would refuse the whole update
  }
  if (!has(state.has, NB_ROBOT_CURRENT_POSE, 0)) return NB_OK;
  std::string_view pose;
  return take_text(state.current_pose, kPoseBytes, pose);
}

void RobotValues::merge(const nb_robot_state& state) {
  has_ = (has_ & ~static_cast<uint32_t>(NB_ROBOT_TIMESTAMP)) | state.has;
  for (int i = 0; i < 4; ++i) {
    if (!has(state.has, NB_ROBOT_JOINTS_L, i)) continue;
    const Numbers numbers = numbers_of(state, i);
    count_[i] = numbers.count;
    if (numbers.count > 0) {
      std::memcpy(numbers_[i], numbers.values, numbers.count * sizeof(double));
    }
  }
  if (has(state.has, NB_ROBOT_IS_CONNECTED_L, 0)) connected_[0] = state.is_connected_l != 0;
  if (has(state.has, NB_ROBOT_IS_CONNECTED_R, 0)) connected_[1] = state.is_connected_r != 0;
  if (has(state.has, NB_ROBOT_GOAL_TIME_SLOW, 0)) goal_time_[0] = state.goal_time_slow;
  if (has(state.has, NB_ROBOT_GOAL_TIME_FAST, 0)) goal_time_[1] = state.goal_time_fast;
  if (has(state.has, NB_ROBOT_TIMESTAMP, 0)) timestamp_ = state.timestamp_us;
  if (has(state.has, NB_ROBOT_CURRENT_POSE, 0)) {
    const size_t size = ::strnlen(state.current_pose, kPoseBytes);
    std::memcpy(pose_, state.current_pose, size);
    pose_[size] = '\0';
    pose_escaped_ = escaped_size({pose_, size});
  }
}

size_t RobotValues::bound_with(const nb_robot_state& state) const {
  size_t size = kFixedBytes;
  for (int i = 0; i < 4; ++i) {
    const size_t count =
        has(state.has, NB_ROBOT_JOINTS_L, i) ? numbers_of(state, i).count : count_[i];
    size += count * (kNumberBytes + 1);
  }
  if (!has(state.has, NB_ROBOT_CURRENT_POSE, 0)) return size + pose_escaped_;
  return size + escaped_size({state.current_pose, ::strnlen(state.current_pose, kPoseBytes)});
}

void RobotValues::write(LineWriter& out, uint32_t members) const {
  members &= has_;
  out.raw(kBegin);
  bool first = true;
  const auto name = [&](std::string_view text) {
    if (!first) out.character(',');
    first = false;
    out.raw(text);
  };
  if (has(members, NB_ROBOT_TIMESTAMP, 0)) {
    name("\"timestamp\":");
    out.timestamp(timestamp_);
  }
  for (int i = 0; i < 2; ++i) {
    if (!has(members, NB_ROBOT_IS_CONNECTED_L, i)) continue;
    name(kConnectedNames[i]);
    out.boolean(connected_[i]);
  }
  for (int i = 0; i < 4; ++i) {
    if (!has(members, NB_ROBOT_JOINTS_L, i)) continue;
    name(kNumberNames[i]);
    if (!all_finite(numbers_[i], count_[i])) {
      out.raw("null");
      continue;
    }
    out.character('[');
    for (size_t k = 0; k < count_[i]; ++k) {
      if (k > 0) out.character(',');
      out.number(numbers_[i][k]);
    }
    out.character(']');
  }
  if (has(members, NB_ROBOT_CURRENT_POSE, 0)) {
    name("\"current_pose\":");
    out.string(pose_);
  }
  for (int i = 0; i < 2; ++i) {
    if (!has(members, NB_ROBOT_GOAL_TIME_SLOW, i)) continue;
    name(kGoalNames[i]);
    out.number(goal_time_[i]);
  }
  out.raw("}}\n");
}

}  // namespace nb::client
