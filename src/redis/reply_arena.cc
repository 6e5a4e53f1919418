#include "redis/reply_arena.h"

#include <algorithm>
#include <new>

namespace nb::redis {
namespace {

constexpr size_t kFirstBlock = 4 * 1024;
constexpr size_t kLargestStep = 256 * 1024;

}  // namespace

ReplyArena::~ReplyArena() {
  while (blocks_ != nullptr) {
    Block* next = blocks_->next;
    ::operator delete(blocks_);
    blocks_ = next;
  }
}

void* ReplyArena::take(size_t size) {
  size = (size + kAlignment - 1) / kAlignment * kAlignment;
  if (blocks_ == nullptr || blocks_->capacity - used_ < size) {
    const size_t step =
        blocks_ == nullptr ? kFirstBlock : std::min(2 * blocks_->capacity, kLargestStep);
    const size_t capacity = std::max(step, size);
    blocks_ = new (::operator new(sizeof(Block) + capacity)) Block{blocks_, capacity};
    used_ = 0;
  }
  void* at = blocks_->bytes() + used_;
  used_ += size;
  return at;
}

void ReplyArena::reset() {
  while (blocks_ != nullptr && (blocks_->next != nullptr || blocks_->capacity > kFirstBlock)) {
    Block* next = blocks_->next;
    ::operator delete(blocks_);
    blocks_ = next;
  }
  used_ = 0;
}

}  // namespace nb::redis
