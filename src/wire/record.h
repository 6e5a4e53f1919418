// Record: RobotState and StrokeProgress as the programs on the other side of Redis parse them. A
// record is made from partial updates: a member that an update leaves out stays as it was. Each
// member is kept as the JSON that came in, so a number keeps its digits. An integer is written as
// digits only.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "json/view.h"
#include "rpc/params.h"

namespace nb::wire {

// The content of a record that another program, or an earlier run, has stored; an empty view if
// that is not JSON. The text must outlive the view.
json::View stored_record(std::string_view text);
// Its time; none if there is none.
std::optional<WallTime> time_of(json::View record);

struct RecordField {
  rpc::Param param;          // the values to which an update may set it
  std::string_view initial;  // the JSON before the first update
};

inline constexpr int64_t kExact = 9007199254740991;  // 2^53 - 1: every reader's double holds it

// In the order in which they are written, after "timestamp" and "node_id".
inline constexpr RecordField kRobotStateFields[] = {
    {{"is_connected_l", rpc::ParamKind::boolean}, "false"},
    {{"is_connected_r", rpc::ParamKind::boolean}, "false"},
    {{"joints_l", rpc::ParamKind::numbers_or_null, false, 0, 64}, "null"},
    {{"joints_r", rpc::ParamKind::numbers_or_null, false, 0, 64}, "null"},
    {{"velocities_l", rpc::ParamKind::numbers_or_null, false, 0, 64}, "null"},
    {{"velocities_r", rpc::ParamKind::numbers_or_null, false, 0, 64}, "null"},
    {{"current_pose", rpc::ParamKind::text, false, 0, 256}, "\"unknown\""},
    {{"goal_time_slow", rpc::ParamKind::number}, "2.0"},
    {{"goal_time_fast", rpc::ParamKind::number}, "0.5"},
};
enum RobotField : uint8_t {
  kRobotConnectedL,
  kRobotConnectedR,
  kRobotJointsL,
  kRobotJointsR,
  kRobotVelocitiesL,
  kRobotVelocitiesR,
  kRobotPose
};
inline constexpr RecordField kStrokeProgressFields[] = {
    {{"stroke_idx", rpc::ParamKind::integer, false, -kExact, kExact}, "0"},
    {{"pose_idx", rpc::ParamKind::integer, false, -kExact, kExact}, "0"},
    {{"total_strokes", rpc::ParamKind::integer, false, 0, kExact}, "0"},
    {{"stroke_length", rpc::ParamKind::integer, false, -kExact, kExact}, "0"},
    {{"offset_idx_l", rpc::ParamKind::integer, false, -kExact, kExact}, "0"},
    {{"offset_idx_r", rpc::ParamKind::integer, false, -kExact, kExact}, "0"},
    {{"stroke_description_l", rpc::ParamKind::text, false, 0, 4096}, "\"\""},
    {{"stroke_description_r", rpc::ParamKind::text, false, 0, 4096}, "\"\""},
    {{"is_executing", rpc::ParamKind::boolean}, "false"},
    {{"is_paused", rpc::ParamKind::boolean}, "false"},
    {{"scene_name", rpc::ParamKind::text, false, 0, 256}, "\"default\""},
    {{"dataset_name", rpc::ParamKind::text_or_null, false, 0, 256}, "null"},
};
enum StrokeField : uint8_t {
  kStrokeIdx,
  kStrokePoseIdx,
  kStrokeTotal,
  kStrokeLength,
  kStrokeOffsetL,
  kStrokeOffsetR,
  kStrokeDescriptionL,
  kStrokeDescriptionR,
  kStrokeExecuting,
  kStrokePaused,
  kStrokeScene
};

// The params that set a record's fields, for the list of a method's params.
template <size_t N>
constexpr std::array<const rpc::Param*, N> params_of(const RecordField (&fields)[N]) {
  std::array<const rpc::Param*, N> params{};
  for (size_t i = 0; i < N; ++i) params[i] = &fields[i].param;
  return params;
}

// Sets `out` to the text of `given` (a checked timestamp), or of `now` if none was given.
void take_timestamp(json::View given, WallTime now, std::string& out);

class Record {
 public:
  explicit Record(std::span<const RecordField> fields);

  void reset();
  // `value` has been checked against the field's param.
  void set(size_t field, json::View value);
  void set(size_t field, std::string_view json);
  // A partial update: the values of all fields, missing where they stay as they are.
  void update(std::span<const json::View> values);
  // Undoes the last set() of this field, or all that the last update() has set.
  void take_back(size_t field);
  void take_back(std::span<const json::View> values);
  // Takes the members of `object` that are allowed values of their fields, except fields that set()
  // has set. Returns whether any value has changed. This is for a record that was in Redis before:
  // any program may have written it.
  bool adopt(json::View object);
  // The member's JSON.
  std::string_view json(size_t field) const { return values_[field]; }
  // The decoded text of a text member; of other members the JSON.
  std::string text(size_t field) const;

  // The canonical JSON. `timestamp` is bare text.
  void append_json(std::string_view timestamp, std::string_view node, std::string& out) const;

 private:
  std::span<const RecordField> fields_;
  std::vector<std::string> values_;  // of all fields, and then as they were before the last set()
  uint32_t known_ = 0;               // a bit for each field that was set
  uint32_t was_known_ = 0;           // the same bits before the field's last set()
};

}  // namespace nb::wire
