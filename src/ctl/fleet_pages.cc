#include "ctl/fleet_pages.h"

#include "ctl/json.h"
#include "json/view.h"
#include "terminal/json_text.h"

namespace nb::ctl {
namespace {

// A page of a fleet holds ten nodes or more, and no cell has so many pages.
constexpr int kMostPages = 1000;

}  // namespace

void StatusPages::Members::add(std::string_view object) {
  for (const json::Member& member : json::View::of(object).members()) {
    if (!names.emplace(member.raw_name).second) continue;
    if (!body.empty()) body += ',';
    body.append(1, '"').append(member.raw_name).append("\":").append(member.value.raw());
  }
}

std::string StatusPages::add(std::string_view page) {
  if (first_.empty()) first_ = page;
  health_.add(json::View::of(page)["nodes_health"].raw());
  last_seen_.add(json::View::of(page)["nodes_last_seen"].raw());
  standings_.add(json::View::of(page)["nodes"].raw());
  const JsonDocument cursor(json::View::of(page)["cursor"].raw());
  return std::string(cursor.root().text());
}

std::string StatusPages::joined() const {
  ObjectText out;
  for (const json::Member& member : json::View::of(first_).members()) {
    if (member.name_is("nodes_health")) {
      out.raw("nodes_health", '{' + health_.body + '}');
    } else if (member.name_is("nodes_last_seen")) {
      out.raw("nodes_last_seen", '{' + last_seen_.body + '}');
    } else if (member.name_is("nodes")) {
      out.raw("nodes", '{' + standings_.body + '}');
    } else if (!member.name_is("cursor")) {
      out.raw(member.raw_name, member.value.raw());
    }
  }
  return out.str();
}

Answer whole_status(Source& source, int64_t timeout_ms) {
  StatusPages pages;
  std::string cursor;
  for (int page = 0; page < kMostPages; ++page) {
    ObjectText params;
    if (!cursor.empty()) params.text("cursor", cursor);
    Answer answer = source.call("system.status", params.str(), timeout_ms);
    if (!answer.ok()) return answer;
    cursor = pages.add(answer.text);
    if (cursor.empty()) return {kOk, 0, pages.joined()};
  }
  return {kRefused, 0, "the agent's list of nodes has no end"};
}

}  // namespace nb::ctl
