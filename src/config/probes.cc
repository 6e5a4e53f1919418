// [[probe]]: keys that belong to every probe, keys that belong to its type, and rules between them.
#include <algorithm>

#include "base/text.h"
#include "config/assign.h"
#include "config/draft.h"
#include "config/suggest.h"

namespace nb::config {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

const Key& probe_key(const char* name) {
  return *find_key(kProbeSection, name);
}

const Member* find_member(const Value& table, std::string_view name) {
  for (const Member& member : table.members) {
    if (member.key == name) return &member;
  }
  return nullptr;
}

bool belongs(const Key& key, ProbeType type) {
  return key.probe_types == 0 || (key.probe_types & (1u << static_cast<int>(type))) != 0;
}

std::string type_name(ProbeType type) {
  return std::string(choices(probe_key("type"))[static_cast<size_t>(type)]);
}

std::string owners(const Key& key) {
  std::string names;
  for (int i = 0; i < 8; ++i) {
    if ((key.probe_types & (1u << i)) == 0) continue;
    names += names.empty() ? "" : " and ";
    names += type_name(static_cast<ProbeType>(i));
  }
  return names;
}

// Sets one member; false if it was wrong or does not belong here.
bool read_member(Draft& draft, const Member& member, bool type_known, ProbeConfig& probe) {
  const Place where = Place(member.line);
  const std::string path = format("%s.%s", kProbeSection, quoted_key(member.key).c_str());
  const Key* key = find_key(kProbeSection, member.key);
  if (key == nullptr) {
    draft.key_error(where, path, "unknown key%s", suggest_key(kProbeSection, member.key).c_str());
    return false;
  }
  if (type_known && !belongs(*key, probe.type)) {
    draft.key_error(where, path, "belongs to probes of type %s, not to type %s",
                    owners(*key).c_str(), type_name(probe.type).c_str());
    return false;
  }
  ProbeConfig scratch;
  // Without a known type the value is checked all the same, but goes nowhere.
  ProbeConfig& target = type_known || key->probe_types == 0 ? probe : scratch;
  const Status status = assign(*key, member.value, field_of(*key, target));
  if (!status) draft.key_error(where, path, "%s", status.error().message.c_str());
  return status.ok();
}

void set_defaults(ProbeConfig& probe) {
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) != kProbeSection || *key.fallback == '\0') continue;
    if (!belongs(key, probe.type)) continue;
    const Field field = field_of(key, probe);
    (void)assign(key, value_from_text(field.type, key.fallback), field);
  }
}

void check_required(Draft& draft, const Value& table, Place where, const ProbeConfig& probe) {
  const std::string title =
      format("probe '%s' of type %s", probe.name.c_str(), type_name(probe.type).c_str());
  if (probe.type == ProbeType::process) {
    const bool pidfile = find_member(table, "pidfile") != nullptr;
    const bool command = find_member(table, "command") != nullptr;
    if (pidfile == command) {
      draft.error(where, "%s needs either 'pidfile' or 'command'%s", title.c_str(),
                  pidfile ? ", not both" : "");
    } else if (pidfile && probe.pidfile.empty()) {
      draft.error(where, "%s: 'pidfile' is empty", title.c_str());
    }
    return;
  }
  constexpr const char* kRequired[] = {"url", "url", "address", "path", nullptr, "unit"};
  const char* name = kRequired[static_cast<size_t>(probe.type)];
  if (find_member(table, name) == nullptr) {
    draft.error(where, "%s needs '%s'", title.c_str(), name);
  }
}

// Adds it; the probe of the same name from a file before gives way.
void add_probe(Draft& draft, Place where, ProbeConfig&& probe) {
  std::vector<ProbeConfig>& probes = draft.loaded.config.probes;
  std::vector<std::string>& origins = draft.loaded.probe_origins;
  size_t i = 0;
  while (i < probes.size() && probes[i].name != probe.name) ++i;
  if (i == probes.size()) {
    probes.emplace_back();
    origins.emplace_back();
  } else if (draft.is_of_this_file(origins[i])) {
    return draft.key_error(where, "probe.name", "there is already a probe '%s' (%s)",
                           probe.name.c_str(), origins[i].c_str());
  }
  probes[i] = std::move(probe);
  origins[i] = draft.text_of(where);
}

}  // namespace

void read_probe(Draft& draft, const Value& table) {
  const Place where = Place(table.line);
  const size_t errors_before = draft.errors.size();
  ProbeConfig probe;
  const Member* type = find_member(table, "type");
  if (type == nullptr)
    draft.error(where, "a probe needs 'type': one of %s", probe_key("type").allowed);
  const bool type_known = type != nullptr && read_member(draft, *type, false, probe);
  if (type_known) set_defaults(probe);
  if (find_member(table, "name") == nullptr) draft.error(where, "a probe needs 'name'");
  for (const Member& member : table.members) {
    if (member.key != "type"sv) read_member(draft, member, type_known, probe);
  }
  if (draft.errors.size() != errors_before) return;

  const Member* timeout = find_member(table, "timeout");
  if (timeout == nullptr) probe.timeout = std::min(probe.timeout, probe.interval);
  if (probe.timeout > probe.interval) {
    draft.key_error(Place(timeout->line), "probe.timeout",
                    "must not be longer than the interval of probe '%s'", probe.name.c_str());
  }
  if (!probe.unit.empty() && probe.unit.find('.') == std::string::npos) probe.unit += ".service";
  check_required(draft, table, where, probe);
  add_probe(draft, where, std::move(probe));
}

}  // namespace nb::config
