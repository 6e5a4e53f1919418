#include "gate/strokes.h"

#include "base/name.h"
#include "gate/outcome.h"
#include "wire/keys.h"

namespace nb::gate {
namespace {

constexpr std::string_view kPrefix = "stroke:progress:stroke_";
constexpr std::string_view kName = "stroke_";

Question page_from(std::string_view cursor) {
  std::string params;
  add_text(params, "prefix", kPrefix);
  add_integer(params, "limit", 1000);
  if (!cursor.empty()) add_text(params, "cursor", cursor);
  return {"state.list", '{' + params + '}'};
}

}  // namespace

std::optional<ForeignStroke> foreign_stroke(std::string_view session) {
  constexpr uint64_t kYear2001 = 1'000'000'000;  // since then, seconds have ten digits
  if (!session.starts_with(kName)) return std::nullopt;
  ForeignStroke out{session.substr(kName.size())};
  const auto seconds = wire::take_stroke_number(out.node);
  if (!seconds || *seconds < kYear2001 || !is_name(out.node)) return std::nullopt;
  out.seconds = *seconds;
  return out;
}

Question StrokeSearch::first() const {
  return get_question(wire::kStrokesKey);
}

std::optional<Question> StrokeSearch::take(const CallAnswer& answer) {
  if (pages_++ < 0) {
    if (answer.ok()) take_list(answer.result["value"]);
    return page_from({});
  }
  if (!answer.ok()) return std::nullopt;  // the strokes that agents list are known all the same
  std::string scratch;
  for (const json::View key : answer.result["keys"].elements()) {
    take_key(key.string(scratch).value_or(""));
  }
  const auto cursor = answer.result["cursor"].string(scratch);
  if (!cursor || pages_ >= kMostPages) return std::nullopt;
  return page_from(*cursor);
}

void StrokeSearch::take_list(json::View by_node) {
  std::string node, session;
  for (const json::Member& member : by_node.members()) {
    const std::string_view name = member.value.string(session).value_or("");
    if (!name.empty()) sessions_[std::string(member.name(node))] = {std::string(name), true, 0};
  }
}

// A session that an agent has named is listed, or has ended. Of a node's sessions the latest one
// counts.
void StrokeSearch::take_key(std::string_view key) {
  if (!key.starts_with(kPrefix)) return;
  const std::string_view name = key.substr(kPrefix.size() - kName.size());
  const auto stroke = foreign_stroke(name);
  if (!stroke) return;
  Session& session = sessions_[std::string(stroke->node)];
  if (session.is_listed || session.seconds > stroke->seconds) return;
  session = {std::string(name), false, stroke->seconds};
}

}  // namespace nb::gate
