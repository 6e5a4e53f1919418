// ReplyArena: the memory of one reply, taken piece by piece and given back at once.
#pragma once

#include <cstddef>

namespace nb::redis {

class ReplyArena {
 public:
  ReplyArena() = default;
  ReplyArena(const ReplyArena&) = delete;
  ReplyArena& operator=(const ReplyArena&) = delete;
  ~ReplyArena();

  static constexpr size_t kAlignment = 8;

  // Uninitialised, aligned for 64 bits; valid until reset().
  void* take(size_t size);
  // Keeps one small block, so that small replies allocate nothing.
  void reset();

 private:
  struct alignas(kAlignment) Block {
    Block* next;
    size_t capacity;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
  };

  Block* blocks_ = nullptr;  // the one in use first
  size_t used_ = 0;          // of that
};

}  // namespace nb::redis
