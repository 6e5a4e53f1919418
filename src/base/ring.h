// Ring: a queue that grows by doubling and then allocates no more. References last until the next
// push_back.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace nb {

template <class T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& front() { return items_.data()[first_]; }
  const T& front() const { return items_.data()[first_]; }
  // The i-th from the front. (data(): these are asked several times for each reply, and the library
  // checks an index that the line before has made.)
  T& operator[](size_t i) { return items_.data()[(first_ + i) & (items_.size() - 1)]; }

  T& push_back(T item) {
    if (size_ == items_.size()) grow();
    T& place = (*this)[size_];
    place = std::move(item);
    ++size_;
    return place;
  }
  // Removes the oldest. Its value is destroyed when its place is used again, so use this for plain
  // values.
  void pop_front() {
    first_ = (first_ + 1) & (items_.size() - 1);
    --size_;
  }

 private:
  void grow() {
    std::vector<T> larger(items_.empty() ? 16 : items_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    items_ = std::move(larger);
    first_ = 0;
  }

  std::vector<T> items_;  // a power of two of them
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace nb
