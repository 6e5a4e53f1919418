// Results that ask the client for something (2026-07-28): what is asked for in which round.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "json/view.h"
#include "mcp/toolbox.h"

namespace nb::conformance {

class Dialogs {
 public:
  // Whether there is a dialog of this name, of a tool or a prompt.
  static bool has(std::string_view name);
  // Asks, or gives the last answer.
  void go_on(std::string_view name, json::View params, mcp::Reply reply);

 private:
  // What a client has to send back, to which dialog and round it belongs. A state that was not
  // given out is refused.
  std::string new_state(std::string_view name, size_t round);

  std::map<std::string, size_t, std::less<>> states_;
};

}  // namespace nb::conformance
