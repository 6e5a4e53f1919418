#include "ctl/context.h"

#include <unistd.h>

#include "ctl/text.h"

namespace nb::ctl {

ExitCode say(std::string_view text) {
  return write_all(STDOUT_FILENO, text) ? kOk : kFound;
}

ExitCode say_json(std::string_view json) {
  return say(json_printable(json) + '\n');
}

ExitCode complain(ExitCode exit, std::string_view sentence) {
  std::string line = "nodebeatctl: ";
  line += sentence;
  line += '\n';
  write_all(STDERR_FILENO, line);
  return exit;
}

}  // namespace nb::ctl
