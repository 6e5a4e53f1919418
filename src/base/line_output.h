// LineOutput: writes a program's log lines to a descriptor, and never waits for whoever reads them.
// A line that cannot be written at once is lost and counted; the next that can be is preceded by
// one that says how many were lost.
//
// The descriptor is usually standard error, and its open file description belongs to other
// processes too (a shell, another agent), for whom O_NONBLOCK must not be set. So each kind has its
// own way:
//  - a socket (the journal's) takes a line by send() with MSG_DONTWAIT;
//  - a pipe, a terminal and other devices are opened once more by /proc/self/fd: that description
//    is ours alone, and does not block;
//  - a file may be on a disk or a file server that hangs, for which nothing helps but a thread. It
//    takes lines from a buffer of 16 KiB, and so do pipes and terminals that cannot be opened again
//    because they belong to another user.
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
  // How the lines are marked: "<4>text" for the journal, "program: text" for people.
  static constexpr size_t kMaxLine = 2048;

  // `fd` stays the caller's, and must be open as long as this object or the process lives.
  // `program` empty: each line has a priority instead. SIGPIPE must be ignored or blocked.
  LineOutput(int fd, std::string program) : LineOutput(fd, std::move(program), way_for(fd)) {}
  LineOutput(int fd, std::string program, Way way);
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;
  // Gives what the thread still has to write 200 ms.
  ~LineOutput();

  // Writes a line without newline; longer ones than kMaxLine are cut. Not thread-safe.
  void write(LogLevel level, std::string_view text);
  // Since the last line that told it.
  uint64_t lost() const { return lost_; }

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
  std::string rest_;  // of a line of which a part was taken: goes before anything else
  std::unique_ptr<Writer> writer_;
  uint64_t lost_ = 0;
};

}  // namespace nb
