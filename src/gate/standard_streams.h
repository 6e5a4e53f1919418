// StandardStreams: standard input and output as a stream of the loop, of any kind: pipes, sockets,
// a terminal, files. Nothing here waits for a reader.
#pragma once

#include <string>
#include <string_view>

#include "base/delegate.h"
#include "base/unique_fd.h"
#include "uv/loop.h"
#include "uv/poll.h"
#include "uv/soon.h"

namespace nb::gate {

class StandardStreams {
 public:
  struct Events {
    Delegate<void(std::string_view)> on_data;  // valid during the call only
    Delegate<void()> on_end;                   // of input, or it cannot be read; once
    Delegate<void()> on_drain;                 // something was written
    Delegate<void(int)> on_broken;             // the output cannot be written: errno; once
  };

  // `in` and `out` stay the caller's.
  StandardStreams(uv::Loop& loop, int in, int out, Events events);

  void start_reading();
  void stop_reading();
  // Takes `bytes`, and leaves it empty.
  void write(std::string& bytes);
  size_t queued_bytes() const { return output_.size() - written_; }

 private:
  void on_readable(int) { read_some(); }
  void on_writable(int) { write_some(); }
  void on_turn();
  void read_some();
  void write_some();

  uv::Loop& loop_;
  Events events_;
  UniqueFd own_in_, own_out_;  // descriptions of our own, where the system gives them
  int in_, out_;
  bool reading_ = false;
  bool is_file_ = false;  // the input: there is always something to read
  std::string output_;
  size_t written_ = 0;
  uv::Poll in_poll_, out_poll_;
  uv::Soon soon_;
};

}  // namespace nb::gate
