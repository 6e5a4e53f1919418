#include "redis_admin/look.h"

#include <algorithm>

#include "base/text.h"
#include "redis_admin/acl.h"
#include "redis_admin/needs.h"
#include "redis_admin/store_files.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

constexpr int kPings = 20;

// "HSET node:health:hog": the part of a command that a permission concerns.
std::string brief(const std::vector<std::string>& command) {
  return command.size() < 2 ? command.front() : command[0] + ' ' + command[1];
}

// Whether ACL DRYRUN allows the command, or the transaction has taken it.
bool is_allowed(const Reply& reply) {
  return reply.kind == Reply::Kind::status;
}

// Why ACL DRYRUN gave no verdict; empty: it gave one. "There is no such command" is a verdict, too.
std::string no_answer(const Server& server, const Reply& reply) {
  if (reply.kind == Reply::Kind::none) return server.fault();
  const bool not_there = reply.text.find("not found") != std::string::npos;
  return reply.is_error() && !not_there ? reply.text : std::string();
}

bool is_no_such_user(const Reply& reply) {
  return reply.is_error() && reply.text.find("not found") != std::string::npos &&
         reply.text.find("User") != std::string::npos;
}

Permission permission_of(const Need& need, const std::string& words) {
  return {.command = brief(need.command),
          .what_for = need.what_for,
          .words = words,
          .optional = need.optional};
}

// Adds to `to` those commands whose reply `counts`. Stops at the first reply that is no verdict;
// its `reason` is then in `unknown`.
template <class Reason, class Counts>
void note(const std::vector<Need>& needs, const std::vector<Reply>& replies, Reason&& reason,
          Counts&& counts, std::vector<Permission>& to, std::string& unknown) {
  for (size_t i = 0; i < needs.size(); ++i) {
    unknown = reason(replies[i]);
    if (!unknown.empty()) return;
    if (counts(replies[i])) to.push_back(permission_of(needs[i], replies[i].text));
  }
}

class Looker {
 public:
  Looker(Server& server, const RedisAddress& address, Deadline deadline,
         const std::vector<std::string>& nodes, const std::string& prefix)
      : server_(server), address_(address), deadline_(deadline), nodes_(nodes), prefix_(prefix) {}

  ServerLook look();

 private:
  void note_stranger(const Server& server) {
    if (server.is_stranger()) stranger_ = server.fault();
  }
  void look_at_config(ServerLook& look);
  void look_at_clock(ServerLook& look);
  void look_at_streams(ServerLook& look);
  void look_without_password(ServerLook& look);
  void look_at_users(ServerLook& look);
  std::vector<Reply> dry_run(const std::string& user, const std::vector<Need>& needs);
  UserLook by_dry_run(const std::string& user);
  UserLook by_queueing(Server& other, const std::string& user);

  Server& server_;
  const RedisAddress& address_;
  Deadline deadline_;
  const std::vector<std::string>& nodes_;
  const std::string& prefix_;
  std::string stranger_;
};

void Looker::look_at_config(ServerLook& look) {
  const std::vector<Directive> settings = recommended_settings();
  std::vector<Server::Command> commands;
  for (const Directive& setting : settings) commands.push_back({"CONFIG", "GET", setting.name});
  const std::vector<Reply> replies = server_.call_all(commands, Form::setting);
  for (size_t i = 0; i < settings.size(); ++i) {
    if (replies[i].items.size() == 2) look.config[settings[i].name] = replies[i].items[1].text;
  }
}

void Looker::look_at_clock(ServerLook& look) {
  const int64_t before = now_us();
  const Reply time = server_.call({"TIME"}, Form::time);
  const int64_t after = now_us();
  if (time.items.size() != 2) return;
  const int64_t server = parse_number<int64_t>(time.items[0].text).value_or(0) * 1'000'000 +
                         parse_number<int64_t>(time.items[1].text).value_or(0);
  // The server has read its clock about half-way between the two.
  const int64_t middle = before + (after - before) / 2;
  look.clock_offset_ms = static_cast<double>(server - middle) / 1e3;
}

// Comes last, and takes half of the time that is left: of a very large database only a part is
// looked at.
void Looker::look_at_streams(ServerLook& look) {
  constexpr size_t kStreams = 500;
  const int64_t enough = deadline_.left_ms() / 2;
  std::string cursor = "0";
  do {
    if (deadline_.left_ms() <= enough) {
      look.streams_unknown = "there are too many keys for the time: give it more by --timeout";
      return;
    }
    const Reply page =
        server_.call({"SCAN", cursor, "MATCH", prefix_ + "stream:*", "COUNT", "1000"}, Form::page);
    if (page.items.size() != 2) {
      look.streams_unknown = page.is_error() ? page.text : server_.fault();
      return;
    }
    std::vector<Server::Command> commands;
    for (const Reply& key : page.items[1].items) {
      if (look.streams.size() + commands.size() == kStreams) {
        look.streams_unknown = format("there are more than %zu", kStreams);
        break;
      }
      commands.push_back({"XINFO", "STREAM", key.text});
    }
    const std::vector<Reply> replies = server_.call_all(commands, Form::stream);
    for (size_t i = 0; i < replies.size(); ++i) {
      const std::vector<Reply>& about = replies[i].items;
      if (replies[i].denied()) look.streams_unknown = replies[i].text;
      for (size_t k = 0; k + 1 < about.size(); k += 2) {
        if (about[k].text != "last-generated-id") continue;
        look.streams.push_back({commands[i][2], about[k + 1].text});
      }
    }
    cursor = page.items[0].text;
  } while (cursor != "0" && look.streams_unknown.empty());
}

void Looker::look_without_password(ServerLook& look) {
  if (address_.password.empty()) {
    look.anonymous = true;
    return;
  }
  RedisAddress nobody = address_;
  nobody.user.clear();
  nobody.password.clear();
  Server other(deadline_);
  const auto opened = other.open(nobody);
  note_stranger(other);
  if (opened == Server::Opened::open) look.anonymous = true;
  // Any other refusal, such as "too many clients", says nothing about passwords.
  if (opened == Server::Opened::refused && other.fault().starts_with("NOAUTH")) {
    look.anonymous = false;
  }
  if (!look.anonymous) look.anonymous_unknown = other.fault();
}

// Asks the server whether `user` may run each of these commands.
std::vector<Reply> Looker::dry_run(const std::string& user, const std::vector<Need>& needs) {
  std::vector<Server::Command> commands;
  for (const Need& need : needs) {
    Server::Command command = {"ACL", "DRYRUN", user};
    command.insert(command.end(), need.command.begin(), need.command.end());
    commands.push_back(std::move(command));
  }
  return server_.call_all(commands, Form::permission);
}

UserLook Looker::by_dry_run(const std::string& user) {
  const std::string_view prefix = prefix_of_user(user);
  UserLook look{.user = user, .node = std::string(node_of_user(user))};
  const auto reason = [this](const Reply& reply) { return no_answer(server_, reply); };
  const std::vector<Need> needs = needs_of(look.node, prefix);
  const std::vector<Reply> needed = dry_run(look.user, needs);
  look.exists = std::none_of(needed.begin(), needed.end(), is_no_such_user);
  if (!look.exists) return look;
  const auto missing = [](const Reply& reply) { return !is_allowed(reply); };
  note(needs, needed, reason, missing, look.missing, look.unknown);
  if (!look.unknown.empty()) return look;
  const std::vector<Need> excesses = excesses_of(look.node, prefix);
  note(excesses, dry_run(look.user, excesses), reason, is_allowed, look.excess, look.unknown);
  return look;
}

// The way without ACL DRYRUN: in a transaction the server says for each command whether it may be
// queued. The transaction never ends, so nothing is carried out.
UserLook Looker::by_queueing(Server& other, const std::string& user) {
  const std::string_view prefix = prefix_.empty() ? prefix_of_user(user) : prefix_;
  UserLook look{.user = user, .node = std::string(node_of_user(user))};
  if (!nodes_.empty()) look.node = nodes_.front();
  if (other.open(address_) != Server::Opened::open) {
    look.unknown = other.fault();
    return look;
  }
  const Reply begun = other.call({"MULTI"}, Form::ok);
  if (begun.is_error()) {
    look.missing.push_back(
        {.command = "MULTI", .what_for = "all that it writes", .words = begun.text});
    return look;
  }
  const auto queue = [&other](const std::vector<Need>& needs) {
    std::vector<Server::Command> commands;
    for (const Need& need : needs) commands.push_back(need.command);
    return other.call_all(commands, Form::queued);
  };
  const auto reason = [&other](const Reply& reply) {
    return reply.kind == Reply::Kind::none ? other.fault() : std::string();
  };
  const auto missing = [](const Reply& reply) { return reply.denied(); };
  const std::vector<Need> needs = needs_of(look.node, prefix);
  note(needs, queue(needs), reason, missing, look.missing, look.unknown);
  if (!look.unknown.empty()) return look;
  const std::vector<Need> excesses = excesses_of(look.node, prefix);
  note(excesses, queue(excesses), reason, is_allowed, look.excess, look.unknown);
  return look;
}

void Looker::look_at_users(ServerLook& look) {
  const Reply users = server_.call({"ACL", "LIST"}, Form::users);
  if (users.kind != Reply::Kind::list) {
    look.users_unknown = users.text;
    const std::string user = look.user.empty() ? address_.user : look.user;
    if ((nodes_.empty() && node_of_user(user).empty()) || user == "default") return;
    Server other(deadline_);
    look.users.push_back(by_queueing(other, user));
    note_stranger(other);
    return;
  }
  look.all_users = true;
  std::vector<std::string> agents;
  for (const std::string& node : nodes_) agents.push_back(user_of_node(node, prefix_));
  for (const Reply& item : users.items) {
    look.acl.push_back(item.text);
    for (const AclLine& line : parse_acl(item.text).value_or(std::vector<AclLine>())) {
      if (nodes_.empty() && !node_of_user(line.user).empty()) agents.push_back(line.user);
      const bool is_viewer = line.user == "viewer";
      if (!is_viewer && !is_user_of_audit(line.user)) continue;
      const std::vector<Need> excesses =
          is_viewer ? excesses_of_viewer() : excesses_of_audit(prefix_of_user(line.user));
      std::vector<Permission>& to = is_viewer ? look.viewer_excess : look.audit_excess;
      const std::vector<Reply> allowed = dry_run(line.user, excesses);
      for (size_t i = 0; i < excesses.size(); ++i) {
        if (!is_allowed(allowed[i])) continue;
        to.push_back(permission_of(excesses[i], {}));
      }
    }
  }
  for (const std::string& agent : agents) look.users.push_back(by_dry_run(agent));
}

ServerLook Looker::look() {
  ServerLook look;
  look.target = place_of(address_);
  const Reply who = server_.call({"ACL", "WHOAMI"}, Form::name);
  if (!who.is_error()) look.user = who.text;
  const Reply info = server_.call({"INFO"}, Form::info);
  if (!info.is_error()) look.info = info.text;
  look_at_config(look);
  look_at_clock(look);
  for (int i = 0; i < kPings; ++i) {
    if (server_.call({"PING"}, Form::pong).kind != Reply::Kind::none) {
      look.ping_us.push_back(static_cast<double>(server_.took_us()));
    }
  }
  look_without_password(look);
  look_at_users(look);
  look_at_streams(look);
  // The server was opened before, so this is only the reason why the connection ended.
  look.lost = server_.fault();
  note_stranger(server_);
  look.stranger = stranger_;
  return look;
}

}  // namespace

ServerLook look_at_server(Server& server, const RedisAddress& address, Deadline deadline,
                          const std::vector<std::string>& nodes, const std::string& prefix) {
  return Looker(server, address, deadline, nodes, prefix).look();
}

}  // namespace nb::redis_admin
