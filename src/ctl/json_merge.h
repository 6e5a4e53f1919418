// Two changes of one JSON object, united member by member. Values pass through as text: numbers
// keep their digits, members their order. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nb::ctl {

// A member that was changed, with its values as JSON; an empty value: the member is absent.
struct MemberChange {
  std::string path;  // "joints.speed"
  std::string base, mine, theirs;
};

struct Merge {
  std::string text;                  // both changes, without white space
  std::vector<MemberChange> mine;    // that I alone have changed
  std::vector<MemberChange> theirs;  // that they alone have changed
  std::vector<MemberChange> both;    // differently: `text` has one of them
};

enum class Prefer : uint8_t { mine, theirs };

// All three are valid JSON objects. Objects inside are united as well; lists and scalars are
// changed as a whole. The order is that of `mine`, with the additions of `theirs` at the end of
// their object.
Merge merge(std::string_view base, std::string_view mine, std::string_view theirs,
            Prefer prefer = Prefer::mine);

// The object without the members of these names, and without white space.
std::string without_members(std::string_view object, const std::vector<std::string_view>& names);

}  // namespace nb::ctl
