// LineOutput: writes a program's log lines to a descriptor, and never waits for their reader. A
// line that cannot be written at once is lost and counted. Before the next line that can be
// written, a line tells how many were lost.
//
// The descriptor is usually standard error. Its open file description belongs to other processes as
// well (a shell, another agent), so O_NONBLOCK must not be set on it. Each kind has its own way:
//  - a socket (the journal's) takes a line by send() with MSG_DONTWAIT;
//  - a pipe, a terminal or another device is opened once more by /proc/self/fd: that description is
//    ours alone, and does not block;
//  - a file may be on a disk or a file server that hangs, and only a thread helps there. The thread
//    takes lines from a buffer of 16 KiB. Pipes and terminals that cannot be opened again, because
//    they belong to another user, have such a thread too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/unique_fd.h"

namespace nb {

class LineOutput {
 public:
  enum class Way { socket, own_description, thread };
  // With its mark: "<4>text" for the journal, "program: text" for people.
  static constexpr size_t kMaxLine = 2048;

  // `fd` stays the caller's, and must be open as long as this object or the process lives.
  // `program` empty: each line has a priority instead. SIGPIPE must be ignored or blocked.
  LineOutput(int fd, std::string program) : LineOutput(fd, std::move(program), way_for(fd)) {}
  LineOutput(int fd, std::string program, Way way);
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;
  // Gives the thread 200 ms to write the rest.
  ~LineOutput();

  // Writes a line without newline; longer ones than kMaxLine are cut. Not thread-safe.
  void write(LogLevel level, std::string_view text);
  // Lines that were lost since the last line that reported their number.
  uint64_t lost() const;

  static Way way_for(int fd);

 private:
  class Writer;
  bool put_line(LogLevel level, std::string_view text);
  bool put(std::string_view bytes);
  ptrdiff_t send(std::string_view bytes) const;

  int fd_;
  std::string program_;
  Way way_;
  UniqueFd own_;
  std::string rest_;  // of a line that was written in part; goes before anything else
  std::unique_ptr<Writer> writer_;
  uint64_t lost_ = 0;
};

}  // namespace nb
