#include "ctl/json_merge.h"

#include <algorithm>

#include "json/view.h"
#include "terminal/json_text.h"

namespace nb::ctl {
namespace {

using json::View;
using terminal::json_compact;

std::string text_of(View value) {
  return value.exists() ? json_compact(value.raw()) : std::string();
}

bool is_same(View a, View b) {
  return text_of(a) == text_of(b);
}

void append_member(std::string& out, std::string_view raw_name, std::string_view value) {
  if (out.back() != '{') out += ',';
  out.append(1, '"').append(raw_name).append("\":").append(value);
}

struct Merger {
  Prefer prefer;
  Merge found;

  std::string object(View base, View mine, View theirs, const std::string& path) {
    std::string out = "{";
    std::string scratch;
    const auto take = [&](const json::Member& member) {
      const std::string name(member.name(scratch));
      const std::string value = this->member(base[name], mine[name], theirs[name],
                                             path.empty() ? name : path + '.' + name);
      if (!value.empty()) append_member(out, member.raw_name, value);
    };
    for (const json::Member& member : mine.members()) take(member);
    for (const json::Member& member : theirs.members()) {
      if (!mine[member.name(scratch)].exists()) take(member);
    }
    return out + '}';
  }

  // The value that the member gets; empty: it is left out.
  std::string member(View base, View mine, View theirs, const std::string& path) {
    if (is_same(mine, theirs)) return text_of(mine);
    const bool changed_by_me = !is_same(base, mine);
    const bool changed_by_them = !is_same(base, theirs);
    const auto is_object = [](View value) { return value.is(View::Type::object); };
    if (changed_by_me && changed_by_them && is_object(base) && is_object(mine) &&
        is_object(theirs)) {
      return object(base, mine, theirs, path);
    }
    auto& list = !changed_by_them ? found.mine : !changed_by_me ? found.theirs : found.both;
    list.push_back({path, text_of(base), text_of(mine), text_of(theirs)});
    const bool takes_mine = !changed_by_them || (changed_by_me && prefer == Prefer::mine);
    return text_of(takes_mine ? mine : theirs);
  }
};

}  // namespace

Merge merge(std::string_view base, std::string_view mine, std::string_view theirs, Prefer prefer) {
  Merger merger{prefer, {}};
  std::string text = merger.object(View::of(base), View::of(mine), View::of(theirs), "");
  merger.found.text = std::move(text);
  return std::move(merger.found);
}

std::string without_members(std::string_view object, const std::vector<std::string_view>& names) {
  std::string out = "{";
  for (const json::Member& member : View::of(object).members()) {
    const bool left_out = std::any_of(names.begin(), names.end(),
                                      [&](std::string_view name) { return member.name_is(name); });
    if (!left_out) append_member(out, member.raw_name, text_of(member.value));
  }
  return out + '}';
}

}  // namespace nb::ctl
