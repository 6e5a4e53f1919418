#include "wire/program_events.h"

namespace nb::wire {
namespace {

void begin(std::string_view type, const ProgramSource& source, std::string& out) {
  out = "{\"type\":\"";
  out.append(type).append("\",\"node_id\":\"").append(source.node);
  out.append("\",\"timestamp\":\"").append(source.timestamp) += '"';
}

void begin_of_session(std::string_view type, const ProgramSource& source, std::string_view session,
                      std::string& out) {
  begin(type, source, out);
  out.append(",\"session_id\":\"").append(session) += '"';
}

void put(std::string_view name, std::string_view json, std::string& out) {
  out.append(",\"").append(name).append("\":").append(json);
}

void put_instance(const ProgramSource& source, std::string& out) {
  out.append(",\"instance_id\":\"").append(source.instance) += '"';
}

void end(const ProgramSource& source, std::string& out) {
  put_instance(source, out);
  out += '}';
}

}  // namespace

void write_state_update(const ProgramSource& source, const Record& robot, std::string& out) {
  begin("state_update", source, out);
  put("is_connected_l", robot.json(kRobotConnectedL), out);
  put("is_connected_r", robot.json(kRobotConnectedR), out);
  put("current_pose", robot.json(kRobotPose), out);
  end(source, out);
}

void write_session_start(const ProgramSource& source, std::string_view session,
                         const Record& progress, std::string& out) {
  begin_of_session("session_start", source, session, out);
  put("total_strokes", progress.json(kStrokeTotal), out);
  put("scene_name", progress.json(kStrokeScene), out);
  end(source, out);
}

void write_progress_update(const ProgramSource& source, std::string_view session,
                           const Record& progress, std::string& out) {
  begin_of_session("progress_update", source, session, out);
  put("stroke_idx", progress.json(kStrokeIdx), out);
  put("pose_idx", progress.json(kStrokePoseIdx), out);
  put("total_strokes", progress.json(kStrokeTotal), out);
  put("stroke_length", progress.json(kStrokeLength), out);
  put("description_l", progress.json(kStrokeDescriptionL), out);
  put("description_r", progress.json(kStrokeDescriptionR), out);
  end(source, out);
}

void write_session_end(const ProgramSource& source, std::string_view session, std::string& out) {
  begin_of_session("session_end", source, session, out);
  end(source, out);
}

void begin_error(const ProgramSource& source, json::View category, json::View message,
                 json::View details, std::string& out) {
  begin("error", source, out);
  put("category", category.raw(), out);
  put("message", message.raw(), out);
  put("details", "", out);
  if (details.exists()) {
    append_compact(details, out);
  } else {
    out += "{}";
  }
  put_instance(source, out);
}

}  // namespace nb::wire
