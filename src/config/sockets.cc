// [[socket]], and the default second socket. The first [[socket]] is the same as [socket]: its keys
// have origins, and the environment and --socket override them.
#include "base/text.h"
#include "config/assign.h"
#include "config/draft.h"
#include "config/suggest.h"

namespace nb::config {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr std::string_view kMainName = "agent.sock";
constexpr std::string_view kViewName = "view.sock";
constexpr size_t kMaxSockets = 16;

// These hold for the clients of all sockets.
constexpr std::string_view kOfAll[] = {"max_line", "max_output", "line_timeout"};

void set_defaults(SocketConfig& socket) {
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) != kSocketSection || *key.fallback == '\0') continue;
    (void)assign(key, value_from_text(key.type, key.fallback), field_of(key, socket));
  }
}

void read_member(Draft& draft, const Member& member, SocketConfig& socket) {
  const Place where = Place(member.line);
  const std::string path = format("%s.%s", kSocketSection, quoted_key(member.key).c_str());
  const Key* key = find_key(kSocketSection, member.key);
  if (key == nullptr) {
    draft.key_error(where, path, "unknown key%s", suggest_key(kSocketSection, member.key).c_str());
  } else if (holds_for_all_sockets(*key)) {
    draft.key_error(where, path, "belongs to the first [[socket]]: it holds for all of them");
  } else if (const Status status = assign(*key, member.value, field_of(*key, socket)); !status) {
    draft.key_error(where, path, "%s", status.error().message.c_str());
  }
}

bool has_member(const Value& table, std::string_view name) {
  for (const Member& member : table.members) {
    if (member.key == name) return true;
  }
  return false;
}

// Rights are never given by leaving them out.
void read_further(Draft& draft, const Value& table) {
  const Place where = Place(table.line);
  const size_t errors_before = draft.errors.size();
  SocketConfig socket;
  set_defaults(socket);
  socket.path.clear();
  for (const Member& member : table.members) read_member(draft, member, socket);
  if (draft.errors.size() == errors_before && socket.path.empty()) {
    draft.error(where, "a further [[socket]] needs 'path', which is not empty");
  }
  if (!has_member(table, "rights")) {
    draft.error(where, "a further [[socket]] needs 'rights': one or more of %s",
                find_key(kSocketSection, "rights")->allowed);
  }
  draft.loaded.config.more_sockets.push_back(std::move(socket));
  draft.loaded.socket_origins.push_back(draft.text_of(where));
}

// Beside the first: /run/nodebeat/view.sock for /run/nodebeat/agent.sock. Several agents may have
// their sockets in one folder, so for any other name it is that name and ".view".
std::string view_path(const std::string& first) {
  const std::string folder = first.substr(0, first.rfind('/') + 1);
  if (first.substr(folder.size()) == kMainName) return folder + std::string(kViewName);
  return first + ".view";
}

void add_view(Draft& draft) {
  SocketConfig view;
  set_defaults(view);
  view.path = view_path(draft.loaded.config.socket.path);
  if (view.path.size() > kMaxUnixPath) return;
  view.group = "nodebeat-view";
  view.rights = {"read"};
  view.max_clients = 32;
  view.calls_per_second = 10'000;
  view.is_view = true;
  draft.loaded.config.more_sockets.push_back(std::move(view));
  draft.loaded.socket_origins.push_back("default");
}

// A list of sockets replaces everything that the files before have said about sockets.
void forget_sockets(Draft& draft) {
  draft.loaded.config.socket = SocketConfig();
  set_defaults(draft.loaded.config.socket);
  for (const Key& key : all_keys()) {
    if (std::string_view(key.section) == kSocketSection) draft.origin(key) = Origin();
  }
  draft.loaded.config.more_sockets.clear();
  draft.loaded.socket_origins.clear();
}

void warn_of_mode(Draft& draft, const SocketConfig& socket, const std::string& where) {
  if ((socket.mode & 0006) == 0) return;
  draft.warning(where, "key 'socket.mode': every user of this host may reach the agent");
}

}  // namespace

bool holds_for_all_sockets(const Key& key) {
  for (const std::string_view one : kOfAll) {
    if (one == key.name) return true;
  }
  return false;
}

void read_sockets(Draft& draft, const Value& tables) {
  forget_sockets(draft);
  draft.sockets_are_listed = true;
  if (tables.items.size() > kMaxSockets) {
    return draft.error(Place(tables.line), "section 'socket': at most %zu sockets", kMaxSockets);
  }
  bool first = true;
  for (const Value& table : tables.items) {
    if (table.kind != Value::Kind::table) {
      draft.error(Place(table.line), "section 'socket': expected tables [[socket]], got %s",
                  describe(table).c_str());
    } else if (first) {
      read_section(draft, kSocketSection, table);
    } else {
      read_further(draft, table);
    }
    first = false;
  }
}

void settle_sockets(Draft& draft) {
  const Config& config = draft.loaded.config;
  const std::vector<SocketConfig>& more = config.more_sockets;
  const std::vector<std::string>& origins = draft.loaded.socket_origins;
  if (config.socket.path.empty() && !more.empty()) {
    draft.error_at(*find_key(kSocketSection, "path"),
                   "is empty, so there are no sockets, but there are further [[socket]]s: give it "
                   "a path, or remove them");
  }
  warn_of_mode(draft, config.socket, draft.origin("socket", "mode").from);
  for (size_t i = 0; i < more.size(); ++i) {
    warn_of_mode(draft, more[i], origins[i]);
    const std::string* there =
        more[i].path == config.socket.path ? &draft.origin("socket", "path").from : nullptr;
    for (size_t j = 0; j < i && there == nullptr; ++j) {
      if (more[i].path == more[j].path) there = &origins[j];
    }
    if (there == nullptr || more[i].path.empty()) continue;
    draft.error(origins[i], "key 'socket.path': there is already a socket at %s (%s)",
                more[i].path.c_str(), there->c_str());
  }
  if (!draft.sockets_are_listed && !config.socket.path.empty()) add_view(draft);
}

}  // namespace nb::config
