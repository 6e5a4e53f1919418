#include "ctl/fleet_pages.h"

#include "ctl/json.h"
#include "terminal/json_text.h"

namespace nb::ctl {
namespace {

// Each page of a fleet holds at least some ten nodes; no cell has so many.
constexpr int kMostPages = 1000;

}  // namespace

void StatusPages::Members::add(std::string_view object) {
  for (JsonMembers m(object); m.next();) {
    if (!names.emplace(m.name()).second) continue;
    if (!body.empty()) body += ',';
    body.append(1, '"').append(m.name()).append("\":").append(m.value());
  }
}

std::string StatusPages::add(std::string_view page) {
  if (first_.empty()) first_ = page;
  health_.add(json_member(page, "nodes_health"));
  last_seen_.add(json_member(page, "nodes_last_seen"));
  const JsonDocument cursor(json_member(page, "cursor"));
  return std::string(cursor.root().text());
}

std::string StatusPages::joined() const {
  ObjectText out;
  for (JsonMembers m(first_); m.next();) {
    if (m.name() == "nodes_health") {
      out.raw(m.name(), '{' + health_.body + '}');
    } else if (m.name() == "nodes_last_seen") {
      out.raw(m.name(), '{' + last_seen_.body + '}');
    } else if (m.name() != "cursor") {
      out.raw(m.name(), m.value());
    }
  }
  return out.str();
}

Answer whole_status(AgentLink& link, int64_t timeout_ms) {
  StatusPages pages;
  std::string cursor;
  for (int page = 0; page < kMostPages; ++page) {
    ObjectText params;
    if (!cursor.empty()) params.text("cursor", cursor);
    Answer answer = link.call("system.status", params.str(), timeout_ms);
    if (!answer.ok()) return answer;
    cursor = pages.add(answer.text);
    if (cursor.empty()) return {kOk, 0, pages.joined()};
  }
  return {kRefused, 0, "the agent's list of nodes has no end"};
}

}  // namespace nb::ctl
