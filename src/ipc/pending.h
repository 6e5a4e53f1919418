// The calls whose answer comes later, and the batches that are not complete. Pure tables; entries
// are reused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "base/ticket_table.h"
#include "ipc/session.h"

namespace nb::ipc {

using rpc::Token;

struct PendingCall {
  ClientId client = 0;
  uint32_t batch = 0;
  size_t weight = 1;
  std::string id;
};

class PendingTable {
 public:
  Token add(ClientId client, std::string_view id, uint32_t batch, size_t weight);
  // Null if the call was settled already, or if its client has gone.
  PendingCall* find(Token token) { return calls_.find(token); }
  void remove(Token token) { calls_.remove(token); }
  // Removes all calls of this client, and calls refuse(call) for each of them first.
  template <class Refuse>
  void refuse_all(ClientId client, Refuse refuse) {
    calls_.for_each([&](Token token, const PendingCall& call) {
      if (call.client != client) return;
      refuse(call);
      calls_.remove(token);
    });
  }
  // Removes all calls of this client, and calls on_removed(batch) for each of them.
  void remove_all(ClientId client, Delegate<void(uint32_t)> on_removed);

 private:
  TicketTable<PendingCall> calls_;
};

struct Batch {
  ClientId client = 0;
  size_t open = 0;      // calls that are not settled; 0: this entry is free
  std::string answers;  // "[...,...", without its end; empty: none yet
};

class BatchTable {
 public:
  uint32_t add(ClientId client);  // never 0; open is 1
  Batch& operator[](uint32_t number) { return batches_[number - 1]; }
  void remove(uint32_t number);

 private:
  // A complete batch keeps a buffer of at most so many bytes, and at most so many batches do: the
  // memory that a burst of batches needed is given back.
  static constexpr size_t kKeptBytes = 4096;
  static constexpr size_t kKept = 64;

  std::vector<Batch> batches_;
};

}  // namespace nb::ipc
