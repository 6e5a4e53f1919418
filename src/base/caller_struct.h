// Structs of the C ABI that begin with their size (`uint32_t size`) and grow at their end. A caller
// that was built with an older header hands over a shorter one, a caller with a newer header a
// longer one. No function of these allocates.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nb {

enum class CallerStruct : uint8_t {
  ok,
  wrong_size,      // no version had this size
  unknown_member,  // a member is set that this version does not know
};

// The least is `size` and the 32 bits after it. More than the most is a size that nobody set. No
// member is larger than the alignment, so that a multiple of it cuts no member.
template <class T>
bool is_caller_size(size_t size) {
  constexpr size_t kLeast = 2 * sizeof(uint32_t);
  constexpr size_t kMost = 4096;
  return size >= kLeast && size <= kMost && size % alignof(T) == 0;
}

// What the caller's struct says, with zeros for what an older one lacks. `out` is set if ok.
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

// Hands `known` over, as much of it as the caller's struct holds; what only a newer one holds
// becomes zero. The caller's `size` stays. False if that is wrong.
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
