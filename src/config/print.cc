#include "config/print.h"

#include "base/text.h"
#include "config/assign.h"
#include "config/keys.h"

namespace nb::config {
namespace {

constexpr size_t kCommentColumn = 40;
constexpr std::string_view kEmpty = "\"\"";

// A secret that is set shows as ***; one that is not, as "".
std::string shown(const Key& key, Field field) {
  const std::string text = field_text(key, field);
  return key.secret && text != kEmpty ? "\"***\"" : text;
}

void add_line(std::string& out, std::string line, const std::string& from) {
  if (line.size() < kCommentColumn) line.resize(kCommentColumn, ' ');
  // The name of a file may hold anything.
  std::string comment = from;
  for (char& c : comment) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  out += line + "  # from " + (is_valid_utf8(comment) ? comment : "?") + "\n";
}

void add_probe(std::string& out, const ProbeConfig& probe, const std::string& from) {
  out += "\n";
  add_line(out, "[[probe]]", from);
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) != kProbeSection) continue;
    const bool foreign =
        key.probe_types != 0 && (key.probe_types & (1u << static_cast<int>(probe.type))) == 0;
    if (foreign) continue;
    const std::string text = field_text(key, field_of(key, probe));
    if (text != kEmpty) out += std::string(key.name) + " = " + text + "\n";
  }
}

}  // namespace

std::string print(const Loaded& loaded) {
  const Config& config = loaded.config;
  std::string out;
  std::string_view section;
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) == kProbeSection) break;
    if (section != key.section) {
      section = key.section;
      out += std::string(out.empty() ? "" : "\n") + "[" + key.section + "]\n";
    }
    add_line(out, std::string(key.name) + " = " + shown(key, field_of(key, config)),
             loaded.origins[key_index(key)].from);
  }
  for (size_t i = 0; i < config.probes.size(); ++i) {
    add_probe(out, config.probes[i], loaded.probe_origins[i]);
  }
  return out;
}

}  // namespace nb::config
