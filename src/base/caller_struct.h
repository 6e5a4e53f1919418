// Structs of the C ABI that begin with their size (`uint32_t size`) and grow at their end. A caller
// that was built with an older header hands over a shorter struct, a caller with a newer header a
// longer one. None of these functions allocates.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nb {

enum class CallerStruct : uint8_t {
  ok,
  wrong_size,      // no version of the struct has this size
  unknown_member,  // the caller has set a member that this version does not know
};

// The smallest struct is `size` and the 32 bits after it. A size beyond kMost is one that nobody
// has set. No member is larger than the alignment, so a multiple of the alignment cuts no member.
template <class T>
bool is_caller_size(size_t size) {
  constexpr size_t kLeast = 2 * sizeof(uint32_t);
  constexpr size_t kMost = 4096;
  return size >= kLeast && size <= kMost && size % alignof(T) == 0;
}

// Copies the caller's struct to `out`, with zeros for members that an older struct lacks. `out` is
// set only if the result is ok.
template <class T>
CallerStruct take_caller_struct(const T& given, T& out) {
  const size_t size = given.size;
  if (!is_caller_size<T>(size)) return CallerStruct::wrong_size;
  const char* const bytes = reinterpret_cast<const char*>(&given);
  if (size > sizeof(T) &&
      std::any_of(bytes + sizeof(T), bytes + size, [](char byte) { return byte != 0; })) {
    return CallerStruct::unknown_member;
  }
  std::memset(static_cast<void*>(&out), 0, sizeof(T));
  std::memcpy(static_cast<void*>(&out), bytes, std::min(size, sizeof(T)));
  return CallerStruct::ok;
}

// Copies as much of `known` as the caller's struct holds. Members that only a newer struct has
// become zero. The caller's `size` stays. False if that size is wrong.
template <class T>
bool give_caller_struct(const T& known, T& out) {
  const size_t size = out.size;
  if (!is_caller_size<T>(size)) return false;
  char* const bytes = reinterpret_cast<char*>(&out);
  const size_t common = std::min(size, sizeof(T));
  std::memcpy(bytes + sizeof(uint32_t), reinterpret_cast<const char*>(&known) + sizeof(uint32_t),
              common - sizeof(uint32_t));
  std::memset(bytes + common, 0, size - common);
  return true;
}

}  // namespace nb
