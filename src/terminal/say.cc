#include "terminal/say.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "terminal/text.h"

namespace nb::terminal {

ExitCode say(std::string_view text) {
  return write_all(STDOUT_FILENO, text) ? kOk : output_fault(errno);
}

ExitCode output_fault(int error) {
  // The reader has gone, as head(1) does when it has read enough. That needs no message.
  if (error == EPIPE) return kOutput;
  return complain(kOutput, std::string("standard output: ") + std::strerror(error));
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

}  // namespace nb::terminal
