// Operation: a call that reads from Redis in several steps and is answered at the end. It belongs
// to the client that called it: it lives on the heap, owned by Operations, and ends by itself or
// with that client. It may have several questions under way at once.
//
// Each is bounded: in steps, in time, and by the longest answer that the reader takes.
#pragma once

#include <array>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/room_pause.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "rpc/call.h"
#include "rpc/codec.h"
#include "rpc/error.h"
#include "rpc/front_end.h"
#include "rpc/line_limits.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::cell {

class Operation;

class Operations {
 public:
  // As how many waiting calls one of them counts: a client has four under way at a time.
  static constexpr size_t kWeight = rpc::kWaitingCalls / 4;

  // All references must outlive it.
  Operations(uv::Loop& loop, rpc::FrontEnd& front, redis::Reader& reader, const redis::Link& link)
      : loop_(loop),
        front_(front),
        reader_(reader),
        link_(link),
        room_(loop, Delegate<void()>::to<&Operations::begin_waiting>(this)) {}
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // Begins it; a notification has no answer, so its question is not even asked.
  void begin(rpc::Call& call, std::unique_ptr<Operation> operation);
  // The client has gone, so its answers are not sent.
  void on_client_closed(rpc::ClientId client);

  // Whether a further operation of this client may begin while `running` others do: the answers to
  // clients that do not read may take only a limited amount of memory.
  bool has_room(rpc::ClientId client, size_t running) const;
  // The longest line that the client gets now. It is the longest that the client reads, or less
  // while many clients do not read their answers: then long lines have to wait.
  size_t line_bytes(rpc::ClientId client) const;
  size_t result_bytes(rpc::ClientId client) const { return rpc::result_bytes(line_bytes(client)); }
  bool redis_is_there() const { return link_.status().state >= redis::LinkState::replaying; }
  uint64_t link_connects() const { return link_.status().connects; }
  // Why there is no answer, in words.
  rpc::Error unavailable() const;
  size_t running() const { return running_.size(); }

 private:
  friend class Operation;

  // Begins those that wait for room.
  void begin_waiting();

  uv::Loop& loop_;
  rpc::FrontEnd& front_;
  redis::Reader& reader_;
  const redis::Link& link_;

  std::vector<std::unique_ptr<Operation>> running_;  // and those that wait
  RoomPause pause_;
  uv::Timer room_;  // checks again whether there is room
};

class Operation {
 public:
  static constexpr size_t kMostAtOnce = 4;

  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual ~Operation();

 protected:
  // The first step.
  virtual void begin() = 0;
  // Redis' answer to the question `what`, error replies included.
  virtual void on_reply(int what, redis::Reply reply) = 0;

  redis::Reader& reader() { return all_->reader_; }
  bool redis_is_there() const { return all_->redis_is_there(); }
  // Asks a question. `what` comes back with the answer.
  void ask(int what, std::initializer_list<std::string_view> command) { ask_also(what, command); }
  // The same where more is to be asked at once: kMostAtOnce questions may be under way. False:
  // there is no Redis or no time left, and the operation has ended.
  bool ask_also(int what, std::initializer_list<std::string_view> command);
  // The longest line that the client reads: no answer is longer.
  size_t line_bytes() const { return all_->line_bytes(client_); }
  // And no result of a call.
  size_t result_bytes() const { return all_->result_bytes(client_); }
  // Half of the operation's time is over: work that can end early should end.
  bool is_late() const;
  // All end the operation: nothing may be touched afterwards.
  void answer(std::string_view result);
  void refuse(const rpc::Error& error);
  void refuse_as_unavailable() { refuse(all_->unavailable()); }
  // The reply is not of the form that the command has.
  void refuse_as_malformed(std::string_view command);

 private:
  friend class Operations;

  struct Question {
    Operation* operation = nullptr;
    int what = 0;
    uint64_t number = 0;  // the reader's; 0: nothing is asked

    void on_answer(const redis::ReaderAnswer& answer);
  };

  void end();

  Operations* all_ = nullptr;
  rpc::ClientId client_ = 0;
  rpc::Token token_ = 0;
  std::array<Question, kMostAtOnce> questions_;
  bool begun_ = false;
  int steps_ = 0;
  MonoTime began_{};
};

}  // namespace nb::cell
