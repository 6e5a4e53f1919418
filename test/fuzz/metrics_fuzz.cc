// What an agent may answer, any JSON, as metrics; and any Accept header. Every line is a comment or
// a sample, no sample comes twice, and no control character comes through.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "json/guard.h"
#include "metrics/answers.h"
#include "metrics/format.h"
#include "require.h"

namespace {

using namespace nb;
using nb::fuzz::require;

void check(std::string_view text, metrics::Format format) {
  std::set<std::string_view> samples;
  std::set<std::string_view> families;
  require(text.ends_with('\n'));
  require(text.ends_with("# EOF\n") == (format == metrics::Format::openmetrics));
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    require(!line.empty());
    for (const char c : line) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    if (line.starts_with("# TYPE ")) require(families.insert(line).second);
    if (line.starts_with('#')) continue;
    // A value has no blank in it, whatever the labels hold.
    const std::string_view sample = line.substr(0, line.rfind(' '));
    require(sample.size() < line.size() && samples.insert(sample).second);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)metrics::format_for(input);
  json::Guard guard;
  if (guard.check(input).reason != nullptr) return 0;
  metrics::Answers answers;
  answers.agent_is_there = true;
  answers.stats = answers.redis = guard.view();
  answers.health = guard.view()["health"];
  answers.status = {guard.view(), guard.view()["page"]};
  for (const metrics::Format format : {metrics::Format::text, metrics::Format::openmetrics}) {
    check(metrics::render(answers, format), format);
  }
  return 0;
}
