#include "audit/check.h"

#include <chrono>
#include <cinttypes>

#include "audit/database.h"
#include "audit/stream.h"
#include "base/text.h"
#include "redis_admin/server.h"
#include "terminal/text.h"

namespace nb::audit {
namespace {

using redis_admin::Deadline;
using redis_admin::Form;
using redis_admin::Reply;
using redis_admin::Server;
using terminal::Findings;
using terminal::fine;
using terminal::printable;
using terminal::problem;
using terminal::warning;

std::string advice_on_redis(std::string_view fault, const Options& options) {
  const auto has = [&](std::string_view word) { return fault.find(word) != fault.npos; };
  if (has("WRONGPASS")) {
    return "the user or the password is not the one of users.acl: redis.username, "
           "redis.password_file; nodebeatctl redis setup writes both";
  }
  if (has("NOAUTH")) return "name a user and a password: redis.username, redis.password_file";
  if (has("NOPERM")) {
    return "give the user '" + printable(options.redis.user) +
           "' the line that users.acl has for 'audit': nodebeatctl redis setup --force";
  }
  if (has("READONLY"))
    return "this is a replica: redis.url has to name the server that is written to";
  if (has("LOADING")) return "the server reads its data: wait";
  if (has("no answer in time"))
    return "is a firewall in between? Is the address right (redis.url)?";
  return "does Redis run there, and listen on that address (redis.url)?";
}

void look_at_redis(Findings& out, const Options& options, int stop_fd) {
  const std::string place = printable(redis_admin::place_of(options.redis));
  Server server(Deadline(ms_of(options.connect_timeout), stop_fd), {.bytes = 16 << 20});
  if (server.open(options.redis) != Server::Opened::open) {
    const std::string fault = printable(server.fault());
    out.push_back(problem("redis", place + ": " + fault, advice_on_redis(fault, options)));
    return;
  }
  const std::string user = options.redis.user.empty() ? "default" : options.redis.user;
  out.push_back(fine("redis", place + " answers, as user " + printable(user)));
  server.set_deadline(Deadline(ms_of(options.command_timeout), stop_fd));
  if (options.redis.db != 0) {
    const Reply done = server.call({"SELECT", std::to_string(options.redis.db)}, Form::any);
    if (done.is_error()) {
      out.push_back(problem("redis database", done.text, "redis.url names the database"));
      return;
    }
  }
  // In a transaction that is never carried out: the server refuses commands that the user may not
  // run.
  const Server::Command begin = {"MULTI"};
  const std::vector<Server::Command> commands = Stream::commands(options);
  std::string missing;
  std::string words = server.call(begin, Form::any).text;
  if (words == "OK") {
    for (const Server::Command& command : commands) {
      const Reply reply = server.call(command, Form::any);
      if (reply.kind == Reply::Kind::none) missing = words = server.fault();
      if (!reply.is_error()) continue;
      missing += (missing.empty() ? "" : ", ") + command.front();
      words = reply.text;
    }
    (void)server.call({"DISCARD"}, Form::any);
  } else {
    missing = begin.front();
  }
  if (!missing.empty()) {
    out.push_back(problem("redis rights", printable(missing) + " refused: " + printable(words),
                          advice_on_redis(words, options)));
    return;
  }
  out.push_back(fine("redis rights", "the user may read and acknowledge the stream"));
  const Reply stream = server.call(commands.front(), Form::any);
  const std::string key = options.stream();
  if (stream.is_error() && stream.text.starts_with("ERR no such key")) {
    out.push_back(fine("stream", key + " is not there yet: no session was written"));
  } else if (stream.is_error()) {
    out.push_back(problem("stream", key + ": " + printable(stream.text),
                          "only the agents write this key: another program has it"));
  } else if (stream.kind == Reply::Kind::none) {
    out.push_back(problem("stream", key + ": " + printable(server.fault()),
                          "if it holds an entry that no agent has written, that is set aside"));
  } else if (const auto facts = stream_facts(stream)) {
    out.push_back(fine("stream", format("%s has %" PRIu64 " entries, read up to %s of %s",
                                        key.c_str(), facts->length, facts->delivered.text().c_str(),
                                        facts->last.text().c_str())));
  } else {
    out.push_back(fine("stream", key + " was not read by any " + kGroup + " yet"));
  }
}

std::string advice_on_database(std::string_view fault) {
  const auto has = [&](std::string_view word) { return fault.find(word) != fault.npos; };
  if (has("password authentication failed") || has("no password supplied")) {
    return "the role's password belongs into a file: postgresql.password_file";
  }
  if (has("Peer authentication failed")) {
    return "over the local socket the role has the name of the system's user: user=nodebeat-audit, "
           "or name host=127.0.0.1 and a password";
  }
  if (has("no pg_hba.conf entry"))
    return "PostgreSQL's pg_hba.conf has to let this role in from here";
  if (has("role \"")) return "make the role: createuser nodebeat-audit";
  if (has("database \"")) {
    return "make the database: createdb --encoding=UTF8 --template=template0 "
           "--owner=nodebeat-audit nodebeat";
  }
  if (has("encoding") || has("standby")) return "postgresql.conninfo names the database";
  return "does PostgreSQL run there, and listen on that address (postgresql.conninfo)?";
}

void look_at_tables(Findings& out, Database& database) {
  std::string missing;
  size_t there = 0;
  for (const char* table : Database::kTables) {
    const auto rights = database.ask(
        format("SELECT CASE WHEN to_regclass('%s') IS NULL THEN 'missing' "
               "WHEN has_table_privilege('%s', 'SELECT') AND has_table_privilege('%s', 'INSERT') "
               "THEN 'fine' ELSE 'denied' END",
               table, table, table)
            .c_str());
    if (!rights || *rights == "denied") {
      out.push_back(problem("postgresql rights",
                            rights
                                ? std::string(table) + " may not be read and written by this role"
                                : printable(rights.error().message),
                            std::string("GRANT SELECT, INSERT, UPDATE ON ") + table +
                                " TO the role, or make the role its owner"));
      return;
    }
    if (*rights == "fine")
      ++there;
    else
      missing += (missing.empty() ? "" : ", ") + std::string(table);
  }
  if (there == std::size(Database::kTables)) {
    const auto version = database.ask("SELECT version FROM nodebeat_audit_meta");
    if (!version || *version != "1") {
      out.push_back(problem("postgresql tables",
                            version ? "they are of version " + printable(*version)
                                    : printable(version.error().message),
                            "install the nodebeat-audit that made them, or name another database"));
      return;
    }
    const auto rows = database.ask("SELECT count(*) FROM nodebeat_audit");
    out.push_back(
        fine("postgresql tables", rows ? *rows + " entries are stored" : "they are there"));
    const auto gaps = database.ask("SELECT count(*) FROM nodebeat_audit_gap");
    if (gaps && *gaps != "0") {
      out.push_back(warning("gaps",
                            *gaps + " times entries left the stream before they were stored",
                            "nodebeat_audit_gap has which; a longer [session] audit_length of the "
                            "agents bridges longer outages"));
    }
    return;
  }
  const auto may = database.ask(
      "SELECT CASE WHEN current_schema() IS NULL THEN 'no schema' "
      "WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 'fine' ELSE 'denied' END");
  if (may && *may == "fine") {
    out.push_back(fine("postgresql tables", "to be made at the start: " + missing));
  } else {
    out.push_back(problem("postgresql tables",
                          "missing, and this role may not make them: " + missing,
                          "make the role the database's owner, or GRANT CREATE ON SCHEMA public"));
  }
}

void look_at_database(Findings& out, const Options& options, int stop_fd) {
  const Log silent;
  Database database(options, silent, stop_fd);
  if (const Status connected = database.connect(); !connected) {
    const std::string fault = printable(connected.error().message);
    out.push_back(problem("postgresql", fault, advice_on_database(fault)));
    return;
  }
  out.push_back(fine("postgresql", place_of_database(options) + " answers"));
  const auto read_only = database.ask("SHOW transaction_read_only");
  if (!read_only || *read_only != "off") {
    out.push_back(
        problem("postgresql", "this database only lets read",
                "default_transaction_read_only of the role or the database has to be off"));
    return;
  }
  look_at_tables(out, database);
}

}  // namespace

Findings check(const Options& options, int stop_fd) {
  Findings out;
  look_at_redis(out, options, stop_fd);
  look_at_database(out, options, stop_fd);
  return out;
}

}  // namespace nb::audit
