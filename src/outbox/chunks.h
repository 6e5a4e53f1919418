// Chunks: room for records of any size that are taken in order and given back in almost any, in
// blocks of 16 KiB. Each row of records has blocks of its own, so that a row whose records go soon
// leaves no holes between those of a row whose records stay. A record without a row has memory of
// its own, and no more than it needs. In steady state rows allocate nothing: a few empty blocks are
// kept for as long as they are needed once a second.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace nb::outbox {

class Chunks {
 public:
  struct Chunk;
  // Records that lie one after the other. It stays where it is while it has any.
  struct Row {
    Chunk* current = nullptr;
  };
  struct Room {
    void* at;      // aligned for any record
    Chunk* chunk;  // to give it back
  };

  Chunks() = default;
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;
  // Everything must have been given back.
  ~Chunks();

  // `size` must be a multiple of 8. What is larger than a chunk, and what has no row (null), gets a
  // chunk of its own.
  Room take(Row* row, size_t size);
  void give_back(Chunk* chunk);

  // Bytes at the ends of chunks in use that nothing more goes into; and how many more there would
  // be after take(row, size).
  size_t wasted() const { return wasted_; }
  static size_t waste_by(const Row* row, size_t size);
  // Returns the empty chunks that were not needed since it last did so, a second ago or more.
  void trim(MonoTime now);
  size_t allocated() const { return allocated_; }

 private:
  Chunk* make(size_t capacity);
  void free_chunk(Chunk* chunk);

  Chunk* spare_ = nullptr;  // a list
  size_t spares_ = 0;
  size_t fewest_spares_ = 0;  // since the last trim
  MonoTime trimmed_{};
  size_t wasted_ = 0;
  size_t allocated_ = 0;
};

}  // namespace nb::outbox
