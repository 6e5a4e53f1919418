#include "terminal/findings.h"

#include <algorithm>

#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::terminal {
namespace {

const char* name(Level level) {
  return level == Level::ok ? "ok" : level == Level::warning ? "warning" : "problem";
}

}  // namespace

void add(Findings& to, Findings more) {
  for (Finding& finding : more) to.push_back(std::move(finding));
}

std::string section_of(const Finding& finding) {
  if (finding.level == Level::ok) return {};
  std::string section = finding.section.empty() ? finding.check : finding.section;
  if (section.starts_with("user ")) section = "users";  // "user nodebeat-hog"
  std::replace(section.begin(), section.end(), ' ', '-');
  return section;
}

int doctor_code(const Findings& findings) {
  Level worst = Level::ok;
  for (const Finding& finding : findings) worst = std::max(worst, finding.level);
  return static_cast<int>(worst);
}

std::string findings_json(const Findings& findings) {
  std::string list;
  for (const Finding& finding : findings) {
    ObjectText one;
    one.text("level", name(finding.level)).text("check", finding.check).text("text", finding.text);
    if (!finding.advice.empty()) one.text("advice", finding.advice);
    const std::string section = section_of(finding);
    if (!section.empty()) one.text("more", "troubleshooting.md#" + section);
    list += (list.empty() ? "" : ",") + one.str();
  }
  return ObjectText()
      .raw("findings", '[' + list + ']')
      .integer("worst", doctor_code(findings))
      .str();
}

ExitCode say_findings(const Output& output, const Findings& findings) {
  return output.json ? say_json(findings_json(findings))
                     : say(findings_text(findings, output.style));
}

std::string findings_text(const Findings& findings, const Style& style) {
  constexpr Colour kColours[] = {Colour::green, Colour::yellow, Colour::red};
  size_t widest = 0;
  for (const Finding& finding : findings) widest = std::max(widest, width(finding.check));
  std::string out;
  size_t counts[3] = {};
  constexpr size_t kLevel = 7;  // "problem"
  const size_t before = kLevel + 2 + widest + 2;
  const size_t room = style.terminal && style.columns > before + 20 ? style.columns - before : 0;
  for (const Finding& finding : findings) {
    const auto level = static_cast<size_t>(finding.level);
    ++counts[level];
    out += style.paint(kColours[level], pad(name(finding.level), kLevel)) + "  ";
    out += style.paint(Colour::bold, pad(finding.check, widest)) + "  ";
    std::string words = printable(finding.text);
    if (!finding.advice.empty()) {
      words += (style.utf8 ? " → " : " -> ") + printable(finding.advice);
    }
    if (const std::string section = section_of(finding); !section.empty()) {
      words += " [#" + section + "]";
    }
    const std::vector<std::string> lines =
        room > 0 ? wrap(words, room) : std::vector<std::string>{words};
    for (size_t i = 0; i < lines.size(); ++i) {
      out += (i == 0 ? std::string() : std::string(before, ' ')) + lines[i] + '\n';
    }
  }
  const auto many = [](size_t n, const char* what) {
    return format("%zu %s%s", n, what, n == 1 ? "" : "s");
  };
  if (counts[1] + counts[2] == 0) {
    return out + '\n' + style.paint(Colour::green, "all is well") + '\n';
  }
  return out + '\n' + many(counts[2], "problem") + ", " + many(counts[1], "warning") +
         "; [#...]: the section of docs/troubleshooting.md\n";
}

}  // namespace nb::terminal
