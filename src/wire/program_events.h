// The events that the agent writes for the programs of its node: on robot:events, on the channels
// of stroke sessions, and on error:events:{category}. Each function replaces `out`, whose memory is
// used again.
#pragma once

#include <string>
#include <string_view>

#include "json/view.h"
#include "wire/record.h"

namespace nb::wire {

// The node and the agent that the event is from. A timestamp is bare text.
struct ProgramSource {
  std::string_view node;
  std::string_view instance;
  std::string_view timestamp;
};

// `state_update`, of a record of kRobotStateFields.
void write_state_update(const ProgramSource& source, const Record& robot, std::string& out);

// `session_start`, `progress_update`, of a record of kStrokeProgressFields; `session_end`.
void write_session_start(const ProgramSource& source, std::string_view session,
                         const Record& progress, std::string& out);
void write_progress_update(const ProgramSource& source, std::string_view session,
                           const Record& progress, std::string& out);
void write_session_end(const ProgramSource& source, std::string_view session, std::string& out);

// `error`, without the closing brace: the names of the client may follow. `category` and `message`
// are texts; `details` is an object or missing.
void begin_error(const ProgramSource& source, json::View category, json::View message,
                 json::View details, std::string& out);

}  // namespace nb::wire
