// Operation: a call that reads from Redis in several steps and is answered at the end. It lives on
// the heap, owned by Operations; it ends itself, or with the client that called it.
//
// Each is bounded: in steps, in time, and by what the reader lets through of one answer.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/room_pause.h"
#include "ipc/rpc_server.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "rpc/error.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::agent {

class Operation;

class Operations {
 public:
  using LinkWords = std::string (*)(void* user);

  // As how many waiting calls one of them counts: a client has four under way at a time.
  static constexpr size_t kWeight = ipc::RpcServer::kMaxPending / 4;

  Operations(uv::Loop& loop, ipc::RpcServer& rpc, redis::Reader& reader, redis::Link& link,
             LinkWords link_words, void* user)
      : loop_(loop),
        rpc_(rpc),
        reader_(reader),
        link_(link),
        link_words_(link_words),
        user_(user),
        room_(loop, Delegate<void()>::to<&Operations::begin_waiting>(this)) {}
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // Begins it; a notification wants no answer, so it is not even asked.
  void begin(const ipc::Call& call, std::unique_ptr<Operation> operation);
  // Nobody waits for what this client asked.
  void on_client_closed(ipc::ClientId client);

  // Whether one more that this client asks for may begin, when `running` do: of those that do not
  // read their answers, the answers may take only so much memory.
  bool has_room(ipc::ClientId client, size_t running) const;
  // The longest line that the client gets now: as long as it reads; but where many do not read what
  // they asked for, long ones have to wait.
  size_t line_bytes(ipc::ClientId client) const;
  size_t result_bytes(ipc::ClientId client) const {
    return ipc::RpcServer::result_bytes(line_bytes(client));
  }
  bool redis_is_there() const { return link_.status().state >= redis::LinkState::replaying; }
  // Why there is no answer, in words.
  rpc::Error unavailable() const;
  size_t running() const { return running_.size(); }

 private:
  friend class Operation;

  uv::Loop& loop_;
  ipc::RpcServer& rpc_;
  redis::Reader& reader_;
  redis::Link& link_;
  LinkWords link_words_;
  void* user_;
  // Begins those that wait for room.
  void begin_waiting();

  std::vector<std::unique_ptr<Operation>> running_;  // and those that wait
  RoomPause pause_;
  uv::Timer room_;  // looks again whether there is room
};

class Operation {
 public:
  virtual ~Operation();

 protected:
  // The first step.
  virtual void begin() = 0;
  // What Redis answered to the last ask(), error replies included.
  virtual void on_reply(redis::Reply reply) = 0;
  redis::Reader& reader() { return all_->reader_; }
  bool redis_is_there() const { return all_->redis_is_there(); }
  void ask(std::initializer_list<std::string_view> command);
  // The longest line that the client reads: no answer is longer.
  size_t line_bytes() const { return all_->line_bytes(client_); }
  // And no result of a call.
  size_t result_bytes() const { return all_->result_bytes(client_); }
  // Of the time that an operation may take, half is over: what can end early should.
  bool is_late() const;
  // All end the operation: nothing may be touched afterwards.
  void answer(std::string_view result);
  void refuse(const rpc::Error& error);
  void refuse_as_unavailable() { refuse(all_->unavailable()); }
  // The reply is not of the form that the command has.
  void refuse_as_malformed(std::string_view command);

 private:
  friend class Operations;

  void on_answer(const redis::ReaderAnswer& answer);
  void end();

  Operations* all_ = nullptr;
  ipc::ClientId client_ = 0;
  ipc::Token token_ = 0;
  uint64_t question_ = 0;  // under way; 0: none
  bool begun_ = false;
  int steps_ = 0;
  MonoTime began_{};
};

}  // namespace nb::agent
