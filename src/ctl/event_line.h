// One event as one line for people: its time, channel, origin and content.
#pragma once

#include <string>
#include <string_view>

#include "ctl/agent_link.h"
#include "terminal/style.h"

namespace nb::ctl {

using namespace terminal;

// "14:03:07.123  robot:events  remote  state_update hog current_pose=ready". `arrived` is shown if
// the event has no timestamp.
std::string event_line(const Event& event, int64_t arrived, const Style& style);

// The same as one line of JSON.
std::string event_json(const Event& event, int64_t arrived);

// The content without time and channel: "state_update hog current_pose=ready".
std::string event_words(const Event& event);
std::string event_words(std::string_view json);

}  // namespace nb::ctl
