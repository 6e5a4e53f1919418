#include "gate/history.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/name.h"
#include "json/writer.h"

namespace nb::gate {
namespace {

struct Range {
  std::string_view name;
  int64_t ms;
  int64_t points;
};
constexpr Range kRanges[] = {
    {"minutes", 600'000, 40}, {"hour", 3'600'000, 120}, {"day", 86'400'000, 120}};
constexpr const char* kFields[] = {"cpu_percent", "memory_percent", "temperature_c", "disk_percent",
                                   "gpu_percent"};
// More than the agent takes for a reading.
constexpr Duration kDeadline = std::chrono::seconds(6);

// Names of nodes and ranges have nothing to decode.
std::optional<std::string> params_of(const http::Request& request) {
  const std::string_view node = request.in_query("node").value_or("");
  const auto range = std::find_if(std::begin(kRanges), std::end(kRanges), [&](const Range& one) {
    return one.name == request.in_query("range");
  });
  if (!is_name(node) || range == std::end(kRanges)) return std::nullopt;
  std::string out;
  json::Writer json(out);
  json.begin_object().key("node").string(node).key("range_ms").integer(range->ms);
  json.key("points").integer(range->points).key("fields").begin_array();
  for (const char* field : kFields) json.string(field);
  json.end_array().end_object();
  return out;
}

}  // namespace

History::Reading::Reading(History& all, std::string what)
    : history(all),
      params(std::move(what)),
      call(all.agent_, Delegate<void(const CallAnswer&)>::to<&Reading::on_answer>(this)) {}

void History::handle(const http::Request& request, http::Reply&& reply) {
  auto params = params_of(request);
  if (!params) {
    return reply.send(
        {.status = 400, .body = "expected ?node=NAME&range=R, R being minutes, hour or day\n"});
  }
  auto at = std::find_if(readings_.begin(), readings_.end(),
                         [&](const auto& one) { return one->params == *params; });
  if (at == readings_.end()) {
    if (readings_.size() >= kMostWaiting) {
      return reply.send({.status = 503, .body = "too many histories are asked for\n"});
    }
    readings_.push_back(std::make_unique<Reading>(*this, std::move(*params)));
    at = std::prev(readings_.end());
  }
  (*at)->replies.push_back(std::move(reply));
  begin_waiting();
}

void History::begin_waiting() {
  for (size_t i = 0; i < std::min(readings_.size(), kMostReadings); ++i) {
    Reading& reading = *readings_[i];
    if (!reading.call.waiting()) reading.call.start("node.history", reading.params, kDeadline);
  }
}

void History::Reading::on_answer(const CallAnswer& answer) {
  auto& all = history.readings_;
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.get() == this; });
  const std::unique_ptr<Reading> ended = std::move(*at);
  all.erase(at);
  std::string body;
  if (answer.ok()) {
    body = answer.result.raw();
  } else {
    // No error of HTTP: a browser would write it into its log each time that Redis is away.
    json::Writer(body).begin_object().key("why").string(answer.failure->words).end_object();
  }
  for (http::Reply& reply : replies) {
    if (reply.is_wanted()) reply.send({.body = body, .type = "application/json"});
  }
  history.begin_waiting();
}

}  // namespace nb::gate
