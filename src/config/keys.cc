#include "config/keys.h"

#include "config/assign.h"

#define NB_DOC(...) nullptr
#include "config/key_table.h"

namespace nb::config {
namespace {

char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

Field member_of(const Key& key, const void* owner) {
  auto* bytes = const_cast<char*>(static_cast<const char*>(owner));
  return {key.type, bytes + key.offset};
}

}  // namespace

std::span<const Key> all_keys() {
  return kKeys;
}

const Key* find_key(std::string_view section, std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.section == section && key.name == name) return &key;
  }
  return nullptr;
}

bool is_section(std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.section == name) return true;
  }
  return false;
}

size_t key_index(const Key& key) {
  return static_cast<size_t>(&key - kKeys);
}

std::string environment_name(const Key& key) {
  if (std::string_view(key.section) == kProbeSection) return {};
  std::string name = "NODEBEAT_" + std::string(key.section) + "_" + key.name;
  for (char& c : name) c = upper(c);
  return name;
}

Field field_of(const Key& key, const Config& config) {
  return member_of(key, &config);
}

Field field_of(const Key& key, const ProbeConfig& probe) {
  return member_of(key, &probe);
}

Field field_of(const Key& key, const SocketConfig& socket) {
  const char* first = reinterpret_cast<const char*>(&socket);
  return {key.type, const_cast<char*>(first + key.offset - offsetof(Config, socket))};
}

void set_raw_defaults(Config& config) {
  for (const Key& key : kKeys) {
    if (std::string_view(key.section) == kProbeSection || *key.fallback == '\0') continue;
    // A default that its own key refuses is found by a unit test.
    (void)assign(key, value_from_text(key.type, key.fallback), field_of(key, config));
  }
}

}  // namespace nb::config
