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
    if (is_control(c)) c = '?';
  }
  out += line + "  # from " + (is_valid_utf8(comment) ? comment : "?") + "\n";
}

// So that the printed text gives the same sockets again: the view comes with [socket] only.
void add_socket_header(std::string& out, const Config& config) {
  const bool view = !config.more_sockets.empty() && config.more_sockets.front().is_view;
  out += view || config.socket.path.empty() ? "\n[socket]\n" : "\n[[socket]]\n";
  if (view) {
    out +=
        "# and a socket with which one can only read: " + config.more_sockets.front().path + "\n";
  }
}

void add_socket(std::string& out, const SocketConfig& socket, const std::string& from) {
  out += "\n";
  add_line(out, "[[socket]]", from);
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) != kSocketSection || holds_for_all_sockets(key)) continue;
    out += std::string(key.name) + " = " + field_text(key, field_of(key, socket)) + "\n";
  }
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
      // All of the sockets follow one another.
      if (section == kSocketSection) {
        for (size_t i = 0; i < config.more_sockets.size(); ++i) {
          if (config.more_sockets[i].is_view) continue;
          add_socket(out, config.more_sockets[i], loaded.socket_origins[i]);
        }
      }
      section = key.section;
      if (section == kSocketSection) {
        add_socket_header(out, config);
      } else {
        out += std::string(out.empty() ? "" : "\n") + "[" + key.section + "]\n";
      }
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
