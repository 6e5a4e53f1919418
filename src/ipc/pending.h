// What is owed to clients: calls whose answer comes later, and batches that are not complete.
// Pure tables; entries are used again.
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
  // Null if it was settled already, or its client has gone.
  PendingCall* find(Token token) { return calls_.find(token); }
  void remove(Token token) { calls_.remove(token); }
  // The same, and calls refuse(call) for each before.
  template <class Refuse>
  void refuse_all(ClientId client, Refuse refuse) {
    calls_.for_each([&](Token token, const PendingCall& call) {
      if (call.client != client) return;
      refuse(call);
      calls_.remove(token);
    });
  }
  // Forgets all of this client, and tells the batch of each.
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
  // Of a buffer, once its batch is complete; and so many of them, for what a burst of batches
  // needed is not needed for ever.
  static constexpr size_t kKeptBytes = 4096;
  static constexpr size_t kKept = 64;

  std::vector<Batch> batches_;
};

}  // namespace nb::ipc
