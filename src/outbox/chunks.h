// Chunks: memory for records of any size, in blocks of 16 KiB. Records are taken in order and given
// back in almost any order. Each row of records has blocks of its own, so a row whose records go
// soon leaves no holes between the records of a row that stays. A record without a row has memory
// of its own, and no more than it needs. In steady state rows allocate nothing: a few empty blocks
// are kept as long as they are needed at least once a second.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace nb::outbox {

class Chunks {
 public:
  struct Chunk;
  // Records that lie one after the other. A row must not move while it has records.
  struct Row {
    Chunk* current = nullptr;
  };
  struct Room {
    void* at;      // aligned for any record
    Chunk* chunk;  // for give_back()
  };

  Chunks() = default;
  Chunks(const Chunks&) = delete;
  Chunks& operator=(const Chunks&) = delete;
  // Everything must have been given back.
  ~Chunks();

  // `size` must be a multiple of 8. A record that is larger than a chunk, or has no row (null),
  // gets a chunk of its own.
  Room take(Row* row, size_t size);
  void give_back(Chunk* chunk);

  // Bytes at the ends of chunks that are in use but take no more records; and how many bytes
  // take(row, size) would add to them.
  size_t wasted() const { return wasted_; }
  static size_t waste_by(const Row* row, size_t size);
  // Frees the empty chunks that were not needed since the last trim, at most once a second.
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
