#include "probe/http_check.h"

#include <algorithm>

#include "base/text.h"
#include "probe/words.h"

namespace nb::probe {
namespace {

std::string describe(const std::vector<StatusRange>& ranges) {
  std::string out;
  for (const StatusRange& range : ranges) {
    if (!out.empty()) out += " or ";
    out += range.first == range.last ? format("%d", range.first)
                                     : format("%d to %d", range.first, range.last);
  }
  return out;
}

}  // namespace

HttpCheck::HttpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome)
    : spec_(spec),
      on_outcome_(on_outcome),
      request_(http_head("GET", spec, context.version) + "Accept: */*\r\n\r\n"),
      exchange_(context.loop, {Delegate<void()>::to<&HttpCheck::on_progress>(this),
                               Delegate<void(const Status&)>::to<&HttpCheck::on_end>(this)}) {}

void HttpCheck::start() {
  searched_ = 0;
  exchange_.start(spec_.target, request_);
}

Outcome HttpCheck::give_up(const std::string& limit) {
  return exchange_.give_up(limit);
}

// An event stream has no end. Any other body is read to its end even if nothing of it is needed: a
// server that does not finish its answer is not well.
void HttpCheck::on_progress() {
  HttpResponse& response = exchange_.response();
  if (!response.head_complete() || !response.is_type("text/event-stream")) return;
  if (status_is_expected() && !find_text()) return;
  exchange_.cancel();
  on_end({});
}

void HttpCheck::on_end(const Status& status) {
  if (!status) return on_outcome_(failed(status.error()));
  HttpResponse& response = exchange_.response();
  if (!status_is_expected()) {
    std::string detail = format("HTTP %d", response.status());
    if (!response.location().empty()) detail += " to " + one_line(response.location());
    return on_outcome_({Finding::down, detail + ", expected " + describe(spec_.expect_status)});
  }
  if (!find_text() && response.is_compressed()) {
    return on_outcome_({Finding::down, format("HTTP %d, but compressed, which was not asked for",
                                              response.status())});
  }
  if (!find_text()) {
    return on_outcome_(
        {Finding::down, format("HTTP %d, but without the text \"%s\"%s", response.status(),
                               one_line(spec_.expect_text).c_str(),
                               response.truncated() ? " in its first 64 KiB" : "")});
  }
  on_outcome_({Finding::up, format("HTTP %d", response.status())});
}

bool HttpCheck::status_is_expected() {
  const int status = exchange_.response().status();
  return std::any_of(
      spec_.expect_status.begin(), spec_.expect_status.end(),
      [&](const auto& range) { return range.first <= status && status <= range.last; });
}

bool HttpCheck::find_text() {
  const std::string& text = spec_.expect_text;
  const std::string& body = exchange_.response().body();
  const size_t overlap = text.empty() ? 0 : text.size() - 1;
  const bool found = body.find(text, searched_ - std::min(searched_, overlap)) != std::string::npos;
  if (!found) searched_ = body.size();
  return found;
}

}  // namespace nb::probe
