// redis setup: configuration, users and passwords of the cell's store, into a folder.
//
// Setup keeps what is there: a user's line, once written, changes only with --force, and its
// password does not change even then. So setup adds a node that is named, and keeps the operator's
// own lines.
#include <algorithm>
#include <set>

#include "config/redis_url.h"
#include "redis_admin/commands.h"
#include "redis_admin/secret_files.h"
#include "redis_admin/sha256.h"
#include "redis_admin/store_files.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

// How long to wait for another setup in the same folder, which only writes a few files.
constexpr int64_t kMostWaitMs = 10'000;
// A placeholder in the nodes' URLs if the host is not known.
constexpr char kNoHost[] = "HOST";

enum class What : uint8_t { written, rewritten, kept };

struct Done {
  std::string name;  // of the file, or of the user
  What what = What::written;
};

const char* word(What what) {
  return what == What::written ? "written" : what == What::rewritten ? "rewritten" : "kept";
}

class Setup {
 public:
  explicit Setup(const SetupOptions& options) : options_(options) {
    store_.nodes = options.nodes;
    store_.binds = options.binds;
    store_.keys = options.keys;
    store_.channels = options.channels;
    store_.watch = !options.no_watch;
    if (!options.server.empty()) store_.server = options.server;
    if (!options.maxmemory.empty()) store_.maxmemory = options.maxmemory;
    if (options.port) store_.port = *options.port;
  }

  // Both return the fault, in words; empty: none.
  std::string check() const;
  std::string run();

  std::string text(const Style& style) const;
  std::string json() const;

 private:
  // A node of the cell that is set up; the same server may have others.
  bool is_node_here(std::string_view user) const {
    return !node_of_user(user).empty() && prefix_of_user(user) == store_.prefix;
  }
  std::string path(const std::string& name) const { return options_.folder + '/' + name; }
  std::string load();
  std::string settle_prefix();
  std::string admit(const AclLine& line);
  std::string settle_password(const std::string& user, bool known,
                              std::vector<std::string>& hashes);
  std::string make_password(const std::string& user, bool known, std::vector<std::string>& hashes);
  std::string settle(const std::string& user);
  void adopt(std::string_view conf);
  std::string settle_conf();
  void warn_of_lines(const std::vector<AclLine>& lines);
  void warn_of_way_in();
  std::string host() const;
  std::string url_of(std::string_view user) const;

  const SetupOptions& options_;
  StoreOptions store_;
  std::vector<AclLine> lines_;
  bool had_acl_ = false;
  std::vector<Done> users_;
  std::vector<Done> files_;
  std::vector<std::string> warnings_;
  // users whose lines were kept and differ from those that setup would write
  std::string other_lines_;
  FolderLock lock_;
};

std::string password_name(std::string_view user) {
  return std::string(user) + ".password";
}

std::string fault_in(const char* flag, const std::string& value, const std::string& fault) {
  return fault.empty() ? fault : format("%s '%s': ", flag, printable(value).c_str()) + fault;
}

std::string Setup::check() const {
  std::string fault;
  const auto look = [&](const char* flag, const auto& values, auto fault_of) {
    for (const auto& value : values) {
      if (fault.empty()) fault = fault_in(flag, value, fault_of(value));
    }
  };
  look("node", options_.nodes, node_name_fault);
  look("--bind", options_.binds, address_fault);
  if (options_.prefix) look("--prefix", std::vector<std::string>{*options_.prefix}, prefix_fault);
  if (!options_.host.empty()) look("--host", std::vector<std::string>{options_.host}, host_fault);
  look("--keys", options_.keys, key_pattern_fault);
  look("--channels", options_.channels, channel_pattern_fault);
  look("--maxmemory", std::vector<std::string>{store_.maxmemory}, size_fault);
  if (fault.empty() && (store_.port < 1 || store_.port > 65535)) {
    fault = "--port: a port is a number from 1 to 65535";
  }
  return fault;
}

// Decides about a user who is in users.acl already. Except for the admin, a user who could undo
// this whole setup is never kept silently, whatever that user is called.
std::string Setup::admit(const AclLine& line) {
  const bool own = line.user == "default" || line.user == "admin" || line.user == "viewer" ||
                   is_user_of_audit(line.user) || !node_of_user(line.user).empty();
  if (own && line.hashes.size() > 1) {
    warnings_.push_back("user " + line.user + " has " + std::to_string(line.hashes.size()) +
                        " passwords in users.acl: each of them lets in");
  }
  // --force writes the lines of setup's own users again; warn_of_lines() handles the default user.
  const bool settled = own && (options_.force || line.user == "default" || line.user == "admin");
  if (settled || !line.on || !may_administer(line.text)) return {};
  const std::string what = "user " + line.user + " of users.acl" +
                           (own ? "" : " is none of this setup's and") +
                           " may change the server and its users";
  if (!options_.adopt) {
    return what + ": " + (own ? "--force writes its line again; or " : "remove the line, ") +
           "turn the user off, or say --adopt to keep it";
  }
  warnings_.push_back(what + ": kept");
  return {};
}

std::string Setup::load() {
  std::optional<std::string> text;
  if (std::string fault = read_own_file(path("users.acl"), options_.adopt, text); !fault.empty())
    return fault;
  if (!text) return settle_prefix();
  had_acl_ = true;
  auto parsed = parse_acl(*text);
  if (!parsed) {
    return path("users.acl") +
           " has a line that is no user's (Redis would refuse it too): correct or remove it";
  }
  lines_ = std::move(*parsed);
  for (const AclLine& line : lines_) {
    if (std::string fault = admit(line); !fault.empty()) return fault;
  }
  if (std::string fault = settle_prefix(); !fault.empty()) return fault;
  // As with the addresses: the further rights of nodes are given once, and hold for later nodes.
  for (const AclLine& line : lines_) {
    if (!is_node_here(line.user)) continue;
    read_free_patterns(line, store_);
    break;
  }
  if (!options_.keys.empty()) store_.keys = options_.keys;
  if (!options_.channels.empty()) store_.channels = options_.channels;
  return {};
}

// A node is added without naming the prefix again, if there is only one possible cell.
std::string Setup::settle_prefix() {
  std::set<std::string_view> prefixes;
  for (const AclLine& line : lines_) {
    if (!node_of_user(line.user).empty()) prefixes.insert(prefix_of_user(line.user));
  }
  if (options_.prefix) {
    store_.prefix = *options_.prefix;
  } else if (prefixes.size() > 1) {
    return "users.acl has nodes of several cells: --prefix says which one is meant (--prefix= the "
           "one without a prefix)";
  } else if (!prefixes.empty()) {
    store_.prefix = *prefixes.begin();
  }
  return {};
}

// Settles the password of a user: the one in its file, the one that users.acl has, or a new one.
// `hashes` are those of the user's line. `known`: the user is in users.acl already.
std::string Setup::settle_password(const std::string& user, bool known,
                                   std::vector<std::string>& hashes) {
  const std::string name = password_name(user);
  std::optional<std::string> password;
  if (std::string fault = read_own_file(path(name), options_.adopt, password); !fault.empty())
    return fault;
  if (!password) return hashes.empty() ? make_password(user, known, hashes) : std::string();
  while (password->ends_with('\n') || password->ends_with('\r')) password->pop_back();
  if (password->empty()) return path(name) + " is empty: remove it, or fill it in";
  const std::string hash = '#' + sha256_hex(*password);
  const bool holds = std::find(hashes.begin(), hashes.end(), hash) != hashes.end();
  if (known && !holds && !options_.force) {
    warnings_.push_back(name + " is not the password that users.acl has for " + user +
                        ": --force takes it over");
  }
  if (!known) {
    warnings_.push_back(name + " was there before " + user +
                        " was in users.acl: its password holds, and was not made here");
  }
  if (!holds) hashes = {hash};
  if (!is_private(path(name))) {
    warnings_.push_back(name + " may be read by others than its owner: chmod 600");
  }
  files_.push_back({name, What::kept});
  return {};
}

// Makes a new password, in a file of its own.
std::string Setup::make_password(const std::string& user, bool known,
                                 std::vector<std::string>& hashes) {
  const std::string name = password_name(user);
  const std::string fresh = new_password();
  if (fresh.empty()) return "the kernel gave no random numbers";
  if (std::string fault = write_file(path(name), fresh + '\n', false); !fault.empty()) return fault;
  if (known && !options_.force) {
    warnings_.push_back(user + " has no password in users.acl: --force enters the new one");
  }
  hashes = {'#' + sha256_hex(fresh)};
  files_.push_back({name, What::written});
  return {};
}

// Settles the user's password and line.
std::string Setup::settle(const std::string& user) {
  const auto at = std::find_if(lines_.begin(), lines_.end(),
                               [&](const AclLine& line) { return line.user == user; });
  const bool known = at != lines_.end();
  std::vector<std::string> hashes = known ? at->hashes : std::vector<std::string>();
  if (user != "default") {
    if (std::string fault = settle_password(user, known, hashes); !fault.empty()) return fault;
  }
  if (known && !options_.force) {
    // warn_of_lines() handles a user who needs no password. The line itself shows whether a node
    // may watch the cell.
    StoreOptions other = store_;
    other.watch = !store_.watch;
    if (!(at->on && at->nopass) && at->text != acl_line(store_, user, at->hashes) &&
        at->text != acl_line(other, user, at->hashes)) {
      other_lines_ += (other_lines_.empty() ? "" : ", ") + user;
    }
    users_.push_back({user, What::kept});
    return {};
  }
  AclLine line{user, acl_line(store_, user, hashes), hashes};
  users_.push_back({user, known ? What::rewritten : What::written});
  if (known) {
    *at = std::move(line);
  } else {
    lines_.push_back(std::move(line));
  }
  return {};
}

// Options that the operator gave before, and does not give now, still hold: a node is added without
// naming the addresses again.
void Setup::adopt(std::string_view conf) {
  const StoreOptions there = read_redis_conf(conf);
  if (options_.binds.empty()) store_.binds = there.binds;
  if (options_.server.empty()) store_.server = there.server;
  if (options_.maxmemory.empty()) store_.maxmemory = there.maxmemory;
  if (!options_.port) store_.port = there.port;
}

std::string Setup::settle_conf() {
  std::optional<std::string> there;
  if (std::string fault = read_own_file(path("redis.conf"), options_.adopt, there); !fault.empty())
    return fault;
  if (there) adopt(*there);
  const std::string wanted = redis_conf(store_);
  const bool kept = there && (*there == wanted || !options_.force);
  // The URLs of the nodes follow the file as it is, not the options of this call.
  const StoreOptions now = read_redis_conf(kept ? *there : wanted);
  store_.binds = now.binds;
  store_.port = now.port;
  if (kept) {
    files_.push_back({"redis.conf", What::kept});
    if (*there != wanted) {
      warnings_.emplace_back(
          "redis.conf is not what these options would give, and was kept: --force writes it again");
    }
    return {};
  }
  files_.push_back({"redis.conf", there ? What::rewritten : What::written});
  return write_file(path("redis.conf"), wanted, options_.force);
}

void Setup::warn_of_lines(const std::vector<AclLine>& lines) {
  if (!other_lines_.empty()) {
    warnings_.push_back(
        "users.acl has lines that are not what these options would give, and were "
        "kept: " +
        other_lines_ + "; --force writes them again");
  }
  for (const AclLine& line : lines) {
    if (!line.on || !line.nopass) continue;
    const bool own = std::any_of(users_.begin(), users_.end(),
                                 [&](const Done& user) { return user.name == line.user; });
    warnings_.push_back(
        "user " + line.user +
        " is on in users.acl and needs no password: anyone who reaches the server " +
        "may do what it may; " +
        (own ? "--force writes its line again" : "give it one, or turn it off"));
  }
}

void Setup::warn_of_way_in() {
  if (store_.port == 0) {
    warnings_.emplace_back("redis.conf has port 0: no other node reaches it");
  } else if (options_.host.empty() && host() == kNoHost) {
    warnings_.emplace_back(
        "redis.conf names no single address by which nodes reach it, so their lines say HOST: "
        "--host NAME fills it in");
  } else if (options_.host.empty() && is_loopback(host())) {
    warnings_.emplace_back(
        "only programs on the store's own computer reach it: --bind ADDRESS names more of its "
        "addresses");
  }
}

std::string Setup::run() {
  if (std::string fault = make_folder(options_.folder, options_.adopt); !fault.empty())
    return fault;
  if (std::string fault = lock_.take(options_.folder, kMostWaitMs); !fault.empty()) return fault;
  if (std::string fault = load(); !fault.empty()) return fault;
  std::vector<std::string> users = {"default", "admin", "viewer", user_of_audit(store_.prefix)};
  for (const AclLine& line : lines_) {
    if (is_node_here(line.user)) users.push_back(line.user);
  }
  for (const std::string& node : options_.nodes) {
    users.push_back(user_of_node(node, store_.prefix));
  }
  std::set<std::string> seen;
  for (const std::string& user : users) {
    if (!seen.insert(user).second) continue;
    if (std::string fault = settle(user); !fault.empty()) return fault;
  }
  std::string text;
  for (const AclLine& line : lines_) text += line.text + '\n';
  const bool changed = std::any_of(users_.begin(), users_.end(),
                                   [](const Done& user) { return user.what != What::kept; });
  if (changed) {
    if (std::string fault = write_file(path("users.acl"), text, true); !fault.empty()) return fault;
  }
  files_.push_back({"users.acl", !had_acl_ ? What::written
                                 : changed ? What::rewritten
                                           : What::kept});
  warn_of_lines(parse_acl(text).value_or(std::vector<AclLine>()));
  if (std::string fault = settle_conf(); !fault.empty()) return fault;
  warn_of_way_in();
  return {};
}

// The host by which the nodes reach the server.
std::string Setup::host() const {
  if (!options_.host.empty()) return options_.host;
  for (const std::string& address : store_.binds) {
    if (const std::string host = host_of_bind(address); !host.empty()) return host;
  }
  const bool inside = std::all_of(store_.binds.begin(), store_.binds.end(), is_loopback);
  return inside ? "127.0.0.1" : kNoHost;
}

std::string Setup::url_of(std::string_view user) const {
  config::RedisAddress address;
  address.host = host();
  address.port = static_cast<uint16_t>(store_.port);
  address.user = user;
  address.db_given = true;
  return config::masked_url(address);  // it holds no password
}

std::string Setup::text(const Style& style) const {
  std::string out = "In " + printable(options_.folder) + ":\n";
  for (const Done& file : files_) {
    out += "  " + pad(word(file.what), 10) + file.name + '\n';
  }
  for (const std::string& warning : warnings_) {
    out += style.paint(Colour::yellow, "warning") + "  " + printable(warning) + '\n';
  }
  const std::string& server = store_.server;
  const auto shown = [&](const std::string& name) { return shell_word(printable(path(name))); };
  out += "\nOn the host of the store:\n  sudo install -o " + server + " -g " + server +
         " -m 0640 " + shown("redis.conf") + ' ' + shown("users.acl") + " /etc/" + server +
         "/\n  sudo systemctl restart " + server + "-server\n";
  if (server != "redis") {
    out += "  (there the file is called " + server + ".conf: install redis.conf under that name)\n";
  }
  // The server does start without an address that has a '-' before it.
  if (std::any_of(store_.binds.begin(), store_.binds.end(), [](const std::string& address) {
        return !address.starts_with('-') && !host_of_bind(address).empty();
      })) {
    out += "It does not start before it has these addresses. If they come late: systemctl edit " +
           server + "-server,\n  [Unit], Wants= and After=network-online.target\n";
  }

  out +=
      "\nOn each node its password file, for nobody but the agent:\n"
      "  sudo install -o nodebeat -g nodebeat -m 0400 FILE /etc/nodebeat/redis-password\n"
      "and in /etc/nodebeat/nodebeat.d/cell.toml, under [redis],\n"
      "password_file = \"/etc/nodebeat/redis-password\" and its own line:\n";
  for (const Done& user : users_) {
    if (node_of_user(user.name).empty()) continue;
    out += "  " + style.paint(Colour::bold, std::string(node_of_user(user.name))) + "  url = \"" +
           url_of(user.name) + "\"  (FILE is " + shown(password_name(user.name)) + ")\n";
  }
  const std::string prefix =
      store_.prefix.empty() ? std::string() : "  prefix = \"" + store_.prefix + "\"\n";
  if (!prefix.empty()) out += "and the prefix of this cell:\n" + prefix;
  const std::string audit = user_of_audit(store_.prefix);
  out +=
      "\nFor nodebeat-audit, where it is installed:\n"
      "  sudo install -o nodebeat-audit -g nodebeat-audit -m 0400 " +
      shown(password_name(audit)) +
      " /etc/nodebeat-audit/redis-password\n"
      "and in /etc/nodebeat-audit/audit.d/cell.toml, under [redis],\n"
      "password_file = \"/etc/nodebeat-audit/redis-password\" and\n"
      "  url = \"" +
      url_of(audit) + "\"\n" + prefix;
  return out + "\nThen: nodebeatctl redis check --password-file " + shown("admin.password") + ' ' +
         shell_word(url_of("admin")) +
         (prefix.empty() ? "" : " --prefix " + shell_word(store_.prefix)) + '\n';
}

std::string Setup::json() const {
  std::string files;
  std::string nodes;
  std::string warnings;
  for (const Done& file : files_) {
    files += (files.empty() ? "" : ",") +
             ObjectText().text("name", file.name).text("what", word(file.what)).str();
  }
  for (const Done& user : users_) {
    if (node_of_user(user.name).empty()) continue;
    nodes += (nodes.empty() ? "" : ",") + ObjectText()
                                              .text("node", node_of_user(user.name))
                                              .text("user", user.name)
                                              .text("what", word(user.what))
                                              .text("url", url_of(user.name))
                                              .text("password_file", password_name(user.name))
                                              .str();
  }
  for (const std::string& warning : warnings_) {
    warnings += (warnings.empty() ? "" : ",") + json_quote(warning);
  }
  return ObjectText()
      .text("folder", options_.folder)
      .text("prefix", store_.prefix)
      .raw("files", '[' + files + ']')
      .raw("nodes", '[' + nodes + ']')
      .raw("warnings", '[' + warnings + ']')
      .str();
}

}  // namespace

ExitCode run_setup(const SetupOptions& options, const Output& output) {
  Setup setup(options);
  if (const std::string fault = setup.check(); !fault.empty()) return complain(kUsage, fault);
  if (const std::string fault = setup.run(); !fault.empty()) {
    return complain(kFound, printable(fault));
  }
  return output.json ? say_json(setup.json()) : say(setup.text(output.style));
}

}  // namespace nb::redis_admin
