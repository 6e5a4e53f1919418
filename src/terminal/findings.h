// Findings: the result of an inspection, for people and for scripts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "terminal/say.h"
#include "terminal/style.h"

namespace nb::terminal {

enum class Level : uint8_t { ok, warning, problem };

// One line: the subject, the observation, and, unless all is well, what to do.
struct Finding {
  Level level = Level::ok;
  std::string check;  // "redis memory"
  std::string text;
  std::string advice;
  // The section of docs/troubleshooting.md; empty: the one that is named like the check.
  std::string section = {};
};
// "redis-eviction": the section that explains the finding. Empty if all is well.
std::string section_of(const Finding& finding);
using Findings = std::vector<Finding>;

inline Finding fine(const char* check, std::string text) {
  return {Level::ok, check, std::move(text), {}, {}};
}
inline Finding warning(const char* check, std::string text, std::string advice,
                       std::string section = {}) {
  return {Level::warning, check, std::move(text), std::move(advice), std::move(section)};
}
inline Finding problem(const char* check, std::string text, std::string advice,
                       std::string section = {}) {
  return {Level::problem, check, std::move(text), std::move(advice), std::move(section)};
}

void add(Findings& to, Findings more);

// 0 if there is no warning, 1 if there are warnings only, 2 if there is a problem.
int doctor_code(const Findings& findings);

// One line for each finding, followed by the advice, if there is one, and the section of
// troubleshooting.md. On a terminal the lines are wrapped.
std::string findings_text(const Findings& findings, const Style& style);
std::string findings_json(const Findings& findings);
// Writes them to stdout.
ExitCode say_findings(const Output& output, const Findings& findings);

}  // namespace nb::terminal
