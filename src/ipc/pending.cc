#include "ipc/pending.h"

namespace nb::ipc {

Token PendingTable::add(ClientId client, std::string_view id, uint32_t batch) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(calls_.size()));
    calls_.emplace_back();
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  PendingCall& call = calls_[index];
  call.client = client;
  call.batch = batch;
  call.id.assign(id);
  ++call.generation;
  return Token{call.generation} << 32 | (index + 1);
}

PendingCall* PendingTable::find(Token token) {
  const size_t index = token & 0xffffffff;
  if (index == 0 || index > calls_.size()) return nullptr;
  PendingCall& call = calls_[index - 1];
  return call.client != 0 && call.generation == token >> 32 ? &call : nullptr;
}

void PendingTable::remove(Token token) {
  if (find(token) != nullptr) free_entry((token & 0xffffffff) - 1);
}

void PendingTable::remove_all(ClientId client, Delegate<void(uint32_t)> on_removed) {
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].client != client) continue;
    free_entry(i);
    on_removed(calls_[i].batch);
  }
}

void PendingTable::free_entry(size_t index) {
  calls_[index].client = 0;
  free_.push_back(static_cast<uint32_t>(index));
}

uint32_t BatchTable::add(ClientId client) {
  size_t i = 0;
  while (i < batches_.size() && batches_[i].open > 0) ++i;
  if (i == batches_.size()) batches_.emplace_back();
  batches_[i].client = client;
  batches_[i].open = 1;
  return static_cast<uint32_t>(i + 1);
}

void BatchTable::remove(uint32_t number) {
  Batch& batch = batches_[number - 1];
  batch.client = 0;
  batch.open = 0;
  batch.answers.clear();
  if (batch.answers.capacity() > kKept) std::string().swap(batch.answers);
}

}  // namespace nb::ipc
