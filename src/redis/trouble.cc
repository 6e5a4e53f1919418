#include "redis/trouble.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <utility>

namespace nb::redis {
namespace {

struct Row {
  Trouble trouble;
  std::string_view name;
  std::string_view words;
  bool needs_a_person;
};

constexpr std::array kRows = {
    Row{Trouble::none, "none", "no trouble", false},
    Row{Trouble::unreachable, "unreachable", "not reachable", false},
    Row{Trouble::silent, "silent", "the server does not answer", false},
    Row{Trouble::closed, "closed", "the connection was closed", false},
    Row{Trouble::rubbish, "rubbish", "what it sends is not the Redis protocol", false},
    Row{Trouble::not_admitted, "not-admitted", "the server does not let this client in", false},
    Row{Trouble::wrong_password, "wrong-password",
        "the server does not accept the user or password", true},
    Row{Trouble::no_permission, "no-permission", "the user lacks a permission", true},
    Row{Trouble::no_database, "no-database", "the server has no such database", true},
    Row{Trouble::loading, "loading", "the server is loading its data", false},
    Row{Trouble::read_only, "read-only", "the server is a read-only replica", false},
    Row{Trouble::out_of_memory, "out-of-memory", "the server is out of memory", false},
    Row{Trouble::master_down, "master-down", "the server is a replica without its master", false},
    Row{Trouble::not_saving, "not-saving", "the server cannot save and takes no writes", false},
    Row{Trouble::busy, "busy", "the server is busy with a script", false},
    Row{Trouble::cluster_down, "cluster-down", "the cluster is down", false},
    Row{Trouble::server_error, "server-error", "the server answers with an error", false},
    Row{Trouble::refused, "refused", "the server refuses what this node writes of itself", true},
};

constexpr bool rows_are_in_order() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].trouble) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order(), "row() indexes by value");

const Row& row(Trouble trouble) {
  return kRows[static_cast<size_t>(trouble)];
}

}  // namespace

std::string_view name(Trouble trouble) {
  return row(trouble).name;
}
std::string_view words(Trouble trouble) {
  return row(trouble).words;
}
bool needs_a_person(Trouble trouble) {
  return row(trouble).needs_a_person;
}

namespace {

// The errors after which a command that is sent again gets the same answer again, and what they are
// from (files of Redis 7.0, the same in Valkey 8). A code is the whole first word; what begins with
// "ERR" is compared as far as it is written here. Errors of other servers stand at the end.
constexpr std::string_view kPermanent[] = {
    "NOPERM",     // acl.c: this user may not run the command, or not with this key or channel
    "WRONGTYPE",  // object.c: the key holds another type
    "CROSSSLOT",  // cluster.c: the keys of a command or transaction lie in several slots
    "MOVED",      // cluster.c: the key belongs to another server of the cluster
    "ERR unknown command",            // server.c: too old, renamed, or another kind of server
    "ERR unknown subcommand",         // server.c
    "ERR wrong number of arguments",  // server.c
    "ERR syntax error",               // object.c: an option that an older server does not know
    "ERR invalid expire time",        // t_string.c, expire.c
    "ERR value is not an integer",    // object.c
    "ERR value is out of range",      // object.c
    "ERR The ID specified in XADD",   // t_stream.c: not above the last
    "ERR The stream has exhausted",   // t_stream.c: its last ID is the highest there is
    "ERR Elements are too large",     // t_stream.c
    "ERR string exceeds maximum",     // t_string.c: proto-max-bulk-len
    "ERR The MAXLEN argument",        // t_stream.c
    "ERR Invalid stream ID",          // t_stream.c
    "ERR unsupported command",        // proxies
    "unsupported command",            // Envoy's redis_proxy
};
static_assert(std::size(kPermanent) == kRefusals);

// "-EXECABORT Transaction discarded because of: OOM ...": the cause is what counts (multi.c).
std::string_view cause_of(std::string_view error_reply) {
  constexpr std::string_view kAborted = "EXECABORT Transaction discarded because of: ";
  if (error_reply.starts_with(kAborted)) error_reply.remove_prefix(kAborted.size());
  return error_reply;
}

}  // namespace

std::optional<unsigned> refusal_number(std::string_view error_reply) {
  error_reply = cause_of(error_reply);
  const std::string_view code = error_reply.substr(0, error_reply.find(' '));
  for (unsigned i = 0; i < kRefusals; ++i) {
    const bool is_code = kPermanent[i].find(' ') == std::string_view::npos;
    if (is_code ? code == kPermanent[i] : error_reply.starts_with(kPermanent[i])) return i;
  }
  return std::nullopt;
}

Trouble classify(std::string_view error_reply) {
  if (error_reply.empty()) return Trouble::none;
  error_reply = cause_of(error_reply);
  // The first word is the machine-readable code (Redis serialization protocol, "Simple errors").
  constexpr std::pair<std::string_view, Trouble> kCodes[] = {
      {"DENIED", Trouble::not_admitted},      {"WRONGPASS", Trouble::wrong_password},
      {"NOAUTH", Trouble::wrong_password},    {"NOPERM", Trouble::no_permission},
      {"LOADING", Trouble::loading},          {"READONLY", Trouble::read_only},
      {"OOM", Trouble::out_of_memory},        {"MASTERDOWN", Trouble::master_down},
      {"MISCONF", Trouble::not_saving},       {"BUSY", Trouble::busy},
      {"CLUSTERDOWN", Trouble::cluster_down}, {"TRYAGAIN", Trouble::cluster_down},
      {"NOREPLICAS", Trouble::cluster_down},
  };
  const std::string_view code = error_reply.substr(0, error_reply.find(' '));
  for (const auto& [text, trouble] : kCodes) {
    if (code == text) return trouble;
  }
  if (error_reply.starts_with("ERR max number of clients")) return Trouble::not_admitted;
  return refusal_number(error_reply) ? Trouble::none : Trouble::server_error;
}

Trouble greeting_trouble(GreetingStep step, std::string_view error_reply) {
  const Trouble trouble = classify(error_reply);
  if (step == GreetingStep::client_name) {
    return trouble == Trouble::not_admitted ? trouble : Trouble::none;
  }
  // Without PING there is no link.
  const Trouble likely = step == GreetingStep::auth     ? Trouble::wrong_password
                         : step == GreetingStep::select ? Trouble::no_database
                                                        : Trouble::server_error;
  if (trouble == Trouble::none) return likely;
  if (trouble != Trouble::server_error || !error_reply.starts_with("ERR ")) return trouble;
  // Servers of all versions say one of these ("invalid DB index", "Client sent AUTH, but no
  // password is set"); a proxy that has lost its server says something else.
  constexpr std::string_view kAuth[] = {"AUTH", "password"};
  constexpr std::string_view kSelect[] = {"DB index", "SELECT", "database"};
  const auto says = [&](std::span<const std::string_view> words) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
      return error_reply.find(word) != std::string_view::npos;
    });
  };
  if (step == GreetingStep::auth && says(kAuth)) return likely;
  if (step == GreetingStep::select && says(kSelect)) return likely;
  return trouble;
}

std::string_view without_arguments(std::string_view error_reply) {
  return error_reply.substr(0, error_reply.find(", with args"));
}

}  // namespace nb::redis
