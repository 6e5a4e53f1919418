// FNV-1a with 64 bits (Fowler, Noll, Vo: draft-eastlake-fnv). Two different texts have one hash
// once in 2^64, unless an attacker searches for such texts. Where others choose the texts of a
// table, the table begins with a secret number of its own. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace nb {

inline constexpr uint64_t kHashBegin = 0xcbf29ce484222325;

// Goes on with a hash, or begins one.
constexpr uint64_t hash_of(std::string_view text, uint64_t hash = kHashBegin) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace nb
