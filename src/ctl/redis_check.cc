// redis check: asks a Redis server what it is and what its users may do, and reports.
#include <chrono>
#include <cstdlib>

#include "base/text.h"
#include "ctl/commands.h"
#include "ctl/redis_files.h"
#include "ctl/redis_needs.h"
#include "ctl/redis_rules.h"
#include "ctl/redis_server.h"
#include "ctl/secret_files.h"
#include "ctl/text.h"
#include "ctl/timestamp.h"

namespace nb::ctl {
namespace {

constexpr int kPings = 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// "HSET node:health:hog": as much as a permission is about.
std::string brief(const std::vector<std::string>& command) {
  return command.size() < 2 ? command.front() : command[0] + ' ' + command[1];
}

// Whether ACL DRYRUN allows the command, or the transaction has taken it.
bool is_allowed(const RedisReply& reply) {
  return reply.kind == RedisReply::Kind::status;
}

// Why ACL DRYRUN told nothing; empty: it did. That a command is not there is an answer, too.
std::string no_answer(const RedisServer& server, const RedisReply& reply) {
  if (reply.kind == RedisReply::Kind::none) return server.fault();
  const bool not_there = reply.text.find("not found") != std::string::npos;
  return reply.is_error() && !not_there ? reply.text : std::string();
}

class Check {
 public:
  // `timeout_ms` for all that is asked, whoever answers.
  Check(const RedisCheckOptions& options, int64_t timeout_ms)
      : options_(options), deadline_(timeout_ms), server_(deadline_) {}

  ExitCode address();
  ExitCode connect();
  ServerLook look();
  // Why nothing of look() may be used: what answers is not Redis. Empty: it may.
  const std::string& stranger() const { return stranger_; }

 private:
  void note_stranger(const RedisServer& server) {
    if (server.is_stranger()) stranger_ = server.fault();
  }
  void look_at_config(ServerLook& look);
  void look_at_clock(ServerLook& look);
  void look_at_streams(ServerLook& look);
  void look_without_password(ServerLook& look);
  void look_at_users(ServerLook& look);
  std::vector<RedisReply> dry_run(const std::string& user, const std::vector<Need>& needs);
  UserLook by_dry_run(const std::string& node);
  UserLook by_queueing(RedisServer& other, const std::string& user, const std::string& node);

  const RedisCheckOptions& options_;
  Deadline deadline_;
  RedisAddress address_;
  RedisServer server_;
  std::string stranger_;
};

ExitCode Check::address() {
  std::string url = options_.url;
  for (const char* name : {"NODEBEAT_REDIS_URL", "NODEBEAT_REDIS"}) {
    if (url.empty()) url = environment(name);
  }
  if (url.empty()) url = "redis://127.0.0.1:6379";
  const Result<RedisAddress> parsed = config::parse_redis_url(url);
  if (!parsed) return complain(kUsage, "the URL: " + printable(parsed.error().message));
  address_ = *parsed;
  if (!options_.url.empty() && !address_.password.empty()) {
    return complain(kUsage,
                    "a password on the command line can be read by every user of this computer: "
                    "give it by --password-file FILE or $NODEBEAT_REDIS_PASSWORD, or the whole URL "
                    "by $NODEBEAT_REDIS_URL");
  }
  if (!options_.user.empty()) address_.user = options_.user;
  std::string file = options_.password_file;
  if (file.empty() && address_.password.empty()) {
    file = environment("NODEBEAT_REDIS_PASSWORD_FILE");
    address_.password = environment("NODEBEAT_REDIS_PASSWORD");
  }
  if (!file.empty()) {
    std::optional<std::string> text;
    std::string fault = read_file(file, text);
    if (fault.empty() && !text) fault = file + ": there is no such file";
    if (!fault.empty()) return complain(kUsage, "the password: " + printable(fault));
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    if (text->empty()) return complain(kUsage, "the password: " + printable(file) + " is empty");
    address_.password = *text;
  }
  if (!address_.user.empty() && address_.password.empty()) {
    return complain(kUsage, "user " + printable(address_.user) +
                                " needs a password: --password-file FILE, or "
                                "$NODEBEAT_REDIS_PASSWORD");
  }
  return kOk;
}

ExitCode Check::connect() {
  using Opened = RedisServer::Opened;
  const Opened opened = server_.open(address_);
  const std::string where = "redis " + printable(place_of(address_));
  const std::string fault = printable(server_.fault());
  switch (opened) {
    case Opened::open:
      return kOk;
    case Opened::unreachable:
      return complain(kAway, where + ": " + fault);
    case Opened::no_answer:
      return complain(kTimeout, where + ": " + fault);
    case Opened::refused:
      break;
  }
  const bool nobody = address_.password.empty();
  return complain(kRefused,
                  where + ": " + fault +
                      (nobody ? "; give a user and password: --user NAME --password-file "
                                "FILE"
                              : "; as user " + (address_.user.empty() ? std::string("default")
                                                                      : printable(address_.user))));
}

void Check::look_at_config(ServerLook& look) {
  const std::vector<Directive> settings = recommended_settings();
  std::vector<RedisServer::Command> commands;
  for (const Directive& setting : settings) commands.push_back({"CONFIG", "GET", setting.name});
  const std::vector<RedisReply> replies = server_.call_all(commands, Form::setting);
  for (size_t i = 0; i < settings.size(); ++i) {
    if (replies[i].items.size() == 2) look.config[settings[i].name] = replies[i].items[1].text;
  }
}

void Check::look_at_clock(ServerLook& look) {
  const int64_t before = now_us();
  const RedisReply time = server_.call({"TIME"}, Form::time);
  const int64_t after = now_us();
  if (time.items.size() != 2) return;
  const int64_t server = parse_number<int64_t>(time.items[0].text).value_or(0) * 1'000'000 +
                         parse_number<int64_t>(time.items[1].text).value_or(0);
  // The server looked at its clock about half-way.
  const int64_t middle = before + (after - before) / 2;
  look.clock_offset_ms = static_cast<double>(server - middle) / 1e3;
}

// Last, and for half of the time that is left: of a database with very many keys a part has to do.
void Check::look_at_streams(ServerLook& look) {
  constexpr size_t kStreams = 500;
  const int64_t enough = deadline_.left_ms() / 2;
  std::string cursor = "0";
  do {
    if (deadline_.left_ms() <= enough) {
      look.streams_unknown = "there are too many keys for the time: give it more by --timeout";
      return;
    }
    const RedisReply page =
        server_.call({"SCAN", cursor, "MATCH", "stream:*", "COUNT", "1000"}, Form::page);
    if (page.items.size() != 2) {
      look.streams_unknown = page.is_error() ? page.text : server_.fault();
      return;
    }
    std::vector<RedisServer::Command> commands;
    for (const RedisReply& key : page.items[1].items) {
      if (look.streams.size() + commands.size() == kStreams) {
        look.streams_unknown = format("there are more than %zu", kStreams);
        break;
      }
      commands.push_back({"XINFO", "STREAM", key.text});
    }
    const std::vector<RedisReply> replies = server_.call_all(commands, Form::stream);
    for (size_t i = 0; i < replies.size(); ++i) {
      const std::vector<RedisReply>& about = replies[i].items;
      if (replies[i].denied()) look.streams_unknown = replies[i].text;
      for (size_t k = 0; k + 1 < about.size(); k += 2) {
        if (about[k].text != "last-generated-id") continue;
        look.streams.push_back({commands[i][2], about[k + 1].text});
      }
    }
    cursor = page.items[0].text;
  } while (cursor != "0" && look.streams_unknown.empty());
}

void Check::look_without_password(ServerLook& look) {
  if (address_.password.empty()) {
    look.anonymous = true;
    return;
  }
  RedisAddress nobody = address_;
  nobody.user.clear();
  nobody.password.clear();
  RedisServer other(deadline_);
  const auto opened = other.open(nobody);
  note_stranger(other);
  if (opened == RedisServer::Opened::open) look.anonymous = true;
  // Any other refusal, such as of one client too many, says nothing about passwords.
  if (opened == RedisServer::Opened::refused && other.fault().starts_with("NOAUTH")) {
    look.anonymous = false;
  }
  if (!look.anonymous) look.anonymous_unknown = other.fault();
}

// The server's answers to whether `user` may do each of these.
std::vector<RedisReply> Check::dry_run(const std::string& user, const std::vector<Need>& needs) {
  std::vector<RedisServer::Command> commands;
  for (const Need& need : needs) {
    RedisServer::Command command = {"ACL", "DRYRUN", user};
    command.insert(command.end(), need.command.begin(), need.command.end());
    commands.push_back(std::move(command));
  }
  return server_.call_all(commands, Form::permission);
}

UserLook Check::by_dry_run(const std::string& node) {
  UserLook look{user_of_node(node), node, true, {}, {}};
  const std::vector<Need> needs = needs_of(node);
  const std::vector<RedisReply> needed = dry_run(look.user, needs);
  for (size_t i = 0; i < needs.size(); ++i) {
    const RedisReply& reply = needed[i];
    if (reply.is_error() && reply.text.find("not found") != std::string::npos &&
        reply.text.find("User") != std::string::npos) {
      look.exists = false;
      return look;
    }
    look.unknown = no_answer(server_, reply);
    if (!look.unknown.empty()) return look;
    if (is_allowed(reply)) continue;
    look.missing.push_back(
        {brief(needs[i].command), needs[i].what_for, reply.text, needs[i].optional});
  }
  const std::vector<Need> excesses = excesses_of(node);
  const std::vector<RedisReply> allowed = dry_run(look.user, excesses);
  for (size_t i = 0; i < excesses.size(); ++i) {
    look.unknown = no_answer(server_, allowed[i]);
    if (!look.unknown.empty()) return look;
    if (!is_allowed(allowed[i])) continue;
    look.excess.push_back({brief(excesses[i].command), excesses[i].what_for, {}, {}});
  }
  return look;
}

// Without ACL DRYRUN: a transaction tells of each command whether it may be queued, and as it never
// ends nothing is carried out.
UserLook Check::by_queueing(RedisServer& other, const std::string& user, const std::string& node) {
  UserLook look{user, node, true, {}, {}};
  if (other.open(address_) != RedisServer::Opened::open) {
    look.unknown = other.fault();
    return look;
  }
  const RedisReply begun = other.call({"MULTI"}, Form::ok);
  if (begun.kind == RedisReply::Kind::none) look.unknown = other.fault();
  if (begun.is_error()) {
    look.missing.push_back({"MULTI", "all that it writes", begun.text, false});
    return look;
  }
  const auto queue = [&other](const std::vector<Need>& needs) {
    std::vector<RedisServer::Command> commands;
    for (const Need& need : needs) commands.push_back(need.command);
    return other.call_all(commands, Form::queued);
  };
  const std::vector<Need> needs = needs_of(node);
  const std::vector<RedisReply> needed = queue(needs);
  for (size_t i = 0; i < needs.size(); ++i) {
    if (needed[i].kind == RedisReply::Kind::none) look.unknown = other.fault();
    if (!look.unknown.empty()) return look;
    if (!needed[i].denied()) continue;
    look.missing.push_back(
        {brief(needs[i].command), needs[i].what_for, needed[i].text, needs[i].optional});
  }
  const std::vector<Need> excesses = excesses_of(node);
  const std::vector<RedisReply> allowed = queue(excesses);
  for (size_t i = 0; i < excesses.size(); ++i) {
    if (allowed[i].kind == RedisReply::Kind::none) look.unknown = other.fault();
    if (!look.unknown.empty()) return look;
    if (!is_allowed(allowed[i])) continue;
    look.excess.push_back({brief(excesses[i].command), excesses[i].what_for, {}, {}});
  }
  return look;
}

void Check::look_at_users(ServerLook& look) {
  const RedisReply users = server_.call({"ACL", "LIST"}, Form::users);
  if (users.kind != RedisReply::Kind::list) {
    look.users_unknown = users.text;
    const std::string user = look.user.empty() ? address_.user : look.user;
    const std::string node =
        options_.nodes.empty() ? std::string(node_of_user(user)) : options_.nodes.front();
    if (node.empty() || user == "default") return;
    RedisServer other(deadline_);
    look.users.push_back(by_queueing(other, user, node));
    note_stranger(other);
    return;
  }
  look.all_users = true;
  std::vector<std::string> nodes = options_.nodes;
  for (const RedisReply& item : users.items) {
    look.acl.push_back(item.text);
    for (const AclLine& line : parse_acl(item.text).value_or(std::vector<AclLine>())) {
      const std::string_view node = node_of_user(line.user);
      if (options_.nodes.empty() && !node.empty()) nodes.emplace_back(node);
      if (line.user != "viewer") continue;
      const std::vector<Need> excesses = excesses_of_viewer();
      const std::vector<RedisReply> allowed = dry_run(line.user, excesses);
      for (size_t i = 0; i < excesses.size(); ++i) {
        if (!is_allowed(allowed[i])) continue;
        look.viewer_excess.push_back({brief(excesses[i].command), excesses[i].what_for, {}, {}});
      }
    }
  }
  for (const std::string& node : nodes) look.users.push_back(by_dry_run(node));
}

ServerLook Check::look() {
  ServerLook look;
  look.target = place_of(address_);
  const RedisReply who = server_.call({"ACL", "WHOAMI"}, Form::name);
  if (!who.is_error()) look.user = who.text;
  const RedisReply info = server_.call({"INFO"}, Form::info);
  if (!info.is_error()) look.info = info.text;
  look_at_config(look);
  look_at_clock(look);
  for (int i = 0; i < kPings; ++i) {
    if (server_.call({"PING"}, Form::pong).kind != RedisReply::Kind::none) {
      look.ping_us.push_back(static_cast<double>(server_.took_us()));
    }
  }
  look_without_password(look);
  look_at_users(look);
  look_at_streams(look);
  // After a good start it says only why the connection ended.
  look.lost = server_.fault();
  note_stranger(server_);
  return look;
}

}  // namespace

int run_redis_check(const Context& context, const RedisCheckOptions& options) {
  for (const std::string& node : options.nodes) {
    if (const std::string fault = node_name_fault(node); !fault.empty()) {
      return complain(kUsage, "--node '" + printable(node) + "': " + fault);
    }
  }
  Check check(options, context.timeout_ms);
  if (const ExitCode code = check.address(); code != kOk) return code;
  if (const ExitCode code = check.connect(); code != kOk) return code;
  const ServerLook look = check.look();
  if (!check.stranger().empty()) {
    return complain(kAway, "redis " + printable(look.target) + ": " + printable(check.stranger()));
  }
  const Findings findings = redis_findings(look);
  const ExitCode said = say_findings(context, findings);
  return said != kOk ? said : doctor_code(findings);
}

}  // namespace nb::ctl
