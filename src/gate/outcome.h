// Outcomes of tools: {"success":…,"message":…} and further members. Foreign text is made harmless
// for terminals, by escapes.
#pragma once

#include <string>
#include <string_view>

#include "gate/agent.h"
#include "json/view.h"

namespace nb::gate {

// The room of a list or a value, so that the result fits into mcp::Session::kMaxResultBytes with
// its text form, whatever has to be escaped there.
inline constexpr size_t kRoom = 20 * 1024;

// `members` are further ones, as `"a":1,"b":2`, or empty.
std::string success(std::string_view message, std::string_view members = {});
// `error` is a name for programs, as of PROTOCOL.md, section 5.
std::string failure(std::string_view error, std::string_view message,
                    std::string_view members = {});

// "The argument `argument` is wrong: " and the words, which say what is expected.
std::string wrong_argument(std::string_view argument, std::string_view words);
inline constexpr std::string_view kCursorWords =
    "expected `next_cursor` of an earlier answer; leave it out to begin";

// Why a call has failed, in sentences that say what to do. `writes`: the call changes something.
std::string words_of(const CallFailure& failure, bool writes);
// The name of the error of such a failure.
std::string_view error_of(const CallFailure& failure);

// `text` as a JSON string.
std::string json_text(std::string_view text);

// Appends `"name":value` to members that are put together.
void add_raw(std::string& members, std::string_view name, std::string_view json);
void add_text(std::string& members, std::string_view name, std::string_view text);
void add_integer(std::string& members, std::string_view name, int64_t value);
void add_boolean(std::string& members, std::string_view name, bool value);

// The value under this name. If it is longer than `room`: the beginning of its text, with
// `truncated` and the number of bytes. For values of other programs.
void add_bounded(std::string& members, std::string_view name, json::View value,
                 size_t room = kRoom);

// How long ago a timestamp was, in ms, by this computer's clock; a moment ahead is now.
std::optional<int64_t> age_ms(std::string_view timestamp, WallTime now);

}  // namespace nb::gate
