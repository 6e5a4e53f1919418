#include "outbox/chunks.h"

#include <algorithm>
#include <cassert>
#include <new>

namespace nb::outbox {

// The records behind a chunk's head hold numbers of 64 bits. These have to be aligned on 32-bit Arm
// as well.
struct alignas(uint64_t) Chunks::Chunk {
  Chunk* next = nullptr;
  size_t capacity = 0;
  size_t used = 0;
  size_t live = 0;      // records in it
  Row* row = nullptr;   // the row that is filling this chunk
  bool single = false;  // made for one record, and not kept
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
};

namespace {

constexpr size_t kChunkBytes = 16 * 1024;

}  // namespace

Chunks::~Chunks() {
  while (spare_ != nullptr) {
    Chunk* next = spare_->next;
    free_chunk(spare_);
    spare_ = next;
  }
  assert(allocated_ == 0);
}

size_t Chunks::waste_by(const Row* row, size_t size) {
  constexpr size_t kCapacity = kChunkBytes - sizeof(Chunk);
  if (row == nullptr || row->current == nullptr || size > kCapacity) return 0;
  const size_t left = row->current->capacity - row->current->used;
  return left < size ? left : 0;
}

Chunks::Room Chunks::take(Row* row, size_t size) {
  constexpr size_t kCapacity = kChunkBytes - sizeof(Chunk);
  Chunk* chunk = row != nullptr ? row->current : nullptr;
  if (row == nullptr || size > kCapacity) {
    chunk = make(size);
    chunk->single = true;
  } else if (chunk == nullptr || chunk->capacity - chunk->used < size) {
    if (chunk != nullptr) {
      wasted_ += chunk->capacity - chunk->used;
      chunk->row = nullptr;
    }
    if (spare_ != nullptr) {
      chunk = spare_;
      spare_ = chunk->next;
      fewest_spares_ = std::min(fewest_spares_, --spares_);
    } else {
      chunk = make(kCapacity);
    }
    row->current = chunk;
    chunk->row = row;
  }
  void* at = chunk->bytes() + chunk->used;
  chunk->used += size;
  ++chunk->live;
  return {at, chunk};
}

void Chunks::give_back(Chunk* chunk) {
  if (--chunk->live > 0) return;
  if (chunk->single) return free_chunk(chunk);
  if (chunk->row != nullptr) {
    chunk->row->current = nullptr;
    chunk->row = nullptr;
  } else {
    wasted_ -= chunk->capacity - chunk->used;
  }
  chunk->used = 0;
  chunk->next = spare_;
  spare_ = chunk;
  ++spares_;
}

void Chunks::trim(MonoTime now) {
  if (spares_ == 0 || now - trimmed_ < std::chrono::seconds(1)) return;
  trimmed_ = now;
  for (; fewest_spares_ > 0; --fewest_spares_, --spares_) {
    Chunk* next = spare_->next;
    free_chunk(spare_);
    spare_ = next;
  }
  fewest_spares_ = spares_;
}

Chunks::Chunk* Chunks::make(size_t capacity) {
  auto* chunk = new (::operator new(sizeof(Chunk) + capacity)) Chunk;
  static_assert(sizeof(Chunk) % alignof(uint64_t) == 0);
  chunk->capacity = capacity;
  allocated_ += capacity;
  return chunk;
}

void Chunks::free_chunk(Chunk* chunk) {
  allocated_ -= chunk->capacity;
  ::operator delete(chunk);
}

}  // namespace nb::outbox
