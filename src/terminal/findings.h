// Findings: what a look at something came to, for people and for scripts.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "terminal/say.h"
#include "terminal/style.h"

namespace nb::terminal {

enum class Level : uint8_t { ok, warning, problem };

// One line: what was looked at, what is so, and, unless it is well, what to do.
struct Finding {
  Level level = Level::ok;
  std::string check;  // "redis memory"
  std::string text;
  std::string advice;
};
using Findings = std::vector<Finding>;

inline Finding fine(const char* check, std::string text) {
  return {Level::ok, check, std::move(text), {}};
}
inline Finding warning(const char* check, std::string text, std::string advice) {
  return {Level::warning, check, std::move(text), std::move(advice)};
}
inline Finding problem(const char* check, std::string text, std::string advice) {
  return {Level::problem, check, std::move(text), std::move(advice)};
}

void add(Findings& to, Findings more);

// 0, 1 or 2: nothing, at most warnings, at least one problem.
int doctor_code(const Findings& findings);

// A line each; where it is not well, what to do stands behind it.
std::string findings_text(const Findings& findings, const Style& style);
std::string findings_json(const Findings& findings);
// Writes them to stdout.
ExitCode say_findings(const Output& output, const Findings& findings);

}  // namespace nb::terminal
