#include "ipc/pending.h"

namespace nb::ipc {

Token PendingTable::add(ClientId client, std::string_view id, uint32_t batch, size_t weight) {
  const auto [token, call] = calls_.add();
  call.client = client;
  call.batch = batch;
  call.weight = weight;
  call.id.assign(id);
  return token;
}

void PendingTable::remove_all(ClientId client, Delegate<void(uint32_t)> on_removed) {
  calls_.for_each([&](Token token, const PendingCall& call) {
    if (call.client != client) return;
    const uint32_t of_batch = call.batch;
    calls_.remove(token);
    on_removed(of_batch);
  });
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
  if (number > kKept || batch.answers.capacity() > kKeptBytes) std::string().swap(batch.answers);
  while (batches_.size() > kKept && batches_.back().open == 0) batches_.pop_back();
  if (batches_.size() == kKept && batches_.capacity() > 2 * kKept) batches_.shrink_to_fit();
}

}  // namespace nb::ipc
