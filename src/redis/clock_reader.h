// ClockReader: asks the server for its time over the link, which costs neither a wake-up nor a
// round trip of its own while the link writes anyway.
#pragma once

#include "base/delegate.h"
#include "redis/link.h"
#include "redis/server_clock.h"

namespace nb::redis {

class ClockReader {
 public:
  // Both references must outlive it.
  ClockReader(uv::Loop& loop, Link& link, int database);
  ClockReader(const ClockReader&) = delete;
  ClockReader& operator=(const ClockReader&) = delete;

  const ServerClock& clock() const { return clock_; }

  // Asks, unless an answer is on its way or the server has refused one on this connection.
  void read();
  // Asks, also while read() waits, and calls `done` once: with the answer, or when there will be
  // none. False: it cannot be asked. One at a time.
  bool read_now(Delegate<void()> done);
  // There is a new connection.
  void on_connected() { refused_ = false; }
  // The server, asked at `asked`, has told its time in answer to another question.
  void take(WallTime at, MonoTime asked) { clock_.read(at, asked, loop_.now()); }

 private:
  struct Question {
    ClockReader* reader;
    Delegate<void()> done;
    MonoTime asked{};
    bool under_way = false;

    void on_answer(const QueryReply& reply) { reader->on_answer(*this, reply); }
  };
  bool ask(Question& question);
  void on_answer(Question& question, const QueryReply& reply);

  uv::Loop& loop_;
  Link& link_;
  int database_;
  ServerClock clock_;
  Question regular_{this, {}};
  Question now_{this, {}};
  bool refused_ = false;
};

}  // namespace nb::redis
