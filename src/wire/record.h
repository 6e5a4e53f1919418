// Record: RobotState and StrokeProgress as the programs on the other side of Redis parse them. A
// record is made from partial updates: what an update leaves out stays as it was. Each member is
// kept as the JSON that came in, so that numbers go out digit by digit.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json_view.h"
#include "wire/params.h"

namespace nb::wire {

struct RecordField {
  Param param;               // what an update may set it to
  std::string_view initial;  // its JSON before any did
};

// In the order in which they are written, after "timestamp" and "node_id".
std::span<const RecordField> robot_state_fields();
enum RobotField : uint8_t {
  kRobotConnectedL,
  kRobotConnectedR,
  kRobotJointsL,
  kRobotJointsR,
  kRobotVelocitiesL,
  kRobotVelocitiesR,
  kRobotPose
};
std::span<const RecordField> stroke_progress_fields();
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

class Record {
 public:
  explicit Record(std::span<const RecordField> fields);

  void reset();
  // `value` has been checked against the field's param.
  void set(size_t field, JsonView value);
  void set(size_t field, std::string_view json);
  // Takes those members of `object` that are what the field may be, except those already set by
  // set(), and tells whether any of them was another than it had. For what stands in Redis from
  // before: it may have been written by anybody.
  bool adopt(JsonView object);
  // The member's JSON.
  std::string_view json(size_t field) const { return values_[field]; }
  // The decoded text of a text member; its JSON else.
  std::string text(size_t field) const;

  // The canonical JSON. `timestamp` is bare text.
  void append_json(std::string_view timestamp, std::string_view node, std::string& out) const;

 private:
  std::span<const RecordField> fields_;
  std::vector<std::string> values_;
  std::vector<bool> known_;
};

}  // namespace nb::wire
