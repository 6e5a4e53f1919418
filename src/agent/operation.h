// Operation: a call that reads from Redis in several steps and is answered at the end. It lives on
// the heap, owned by Operations, and ends itself.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/rpc_server.h"
#include "redis/link.h"
#include "redis/reply_reader.h"
#include "wire/jsonrpc.h"

namespace nb::agent {

class Operation;

class Operations {
 public:
  using LinkWords = std::string (*)(void* user);

  Operations(ipc::RpcServer& rpc, redis::Link& link, int db, LinkWords link_words, void* user)
      : rpc_(rpc), link_(link), db_(db), link_words_(link_words), user_(user) {}
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // Begins it; a notification wants no answer, so it is not even asked.
  void begin(const ipc::Call& call, std::unique_ptr<Operation> operation);

 private:
  friend class Operation;

  ipc::RpcServer& rpc_;
  redis::Link& link_;
  int db_;
  LinkWords link_words_;
  void* user_;
  std::vector<std::unique_ptr<Operation>> running_;
};

class Operation {
 public:
  virtual ~Operation();

 protected:
  // The first step.
  virtual void begin() = 0;
  // What Redis answered to the last ask(), error replies included.
  virtual void on_reply(const redisReply& reply) = 0;
  // There is no connection, or it broke: `unavailable`, if not overridden.
  virtual void on_unavailable();

  void ask(std::initializer_list<std::string_view> command);
  size_t max_reply_bytes() const { return all_->link_.max_reply_bytes(); }
  // Both end the operation: nothing may be touched afterwards.
  void answer(std::string_view result);
  void refuse(const wire::RpcError& error);

 private:
  friend class Operations;

  void on_query(const redis::QueryReply& reply);
  void end();

  Operations* all_ = nullptr;
  ipc::Token token_ = 0;
  uint64_t query_ = 0;  // under way; 0: none
};

}  // namespace nb::agent
