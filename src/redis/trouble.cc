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
    Row{Trouble::unresolved, "unresolved", "the host's name cannot be looked up", false},
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
    Row{Trouble::no_replicas, "no-replicas",
        "too few replicas follow the server, so it takes no writes", false},
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

// The errors after which a command that is sent again gets the same answer again, with the file of
// Redis 7.0 that has the text; other forms of 6.2 have rows of their own. A row is a code, which is
// the whole first word of an error, or a whole error, in which "*" stands for one word. An error
// that only begins like a row may be anything, so no data is given up for it.
struct Refusal {
  unsigned number;
  std::string_view text;
};
constexpr Refusal kPermanent[] = {
    {0, "NOPERM"},     // acl.c: this user may not run the command, or not with this key or channel
    {1, "WRONGTYPE"},  // object.c: the key holds another type
    {2, "CROSSSLOT"},  // cluster.c: the keys of a command or transaction lie in several slots
    {3, "MOVED"},      // cluster.c: the key belongs to another server of the cluster
    // server.c: too old, renamed, or another kind of server. 6.2 and older write `NAME`.
    {4, "ERR unknown command '*'"},
    {4, "ERR unknown command `*`"},
    {4, "ERR unknown command"},
    {5, "ERR wrong number of arguments for '*' command"},
    {6, "ERR syntax error"},                        // an option that an older server does not know
    {7, "ERR invalid expire time in '*' command"},  // t_string.c, expire.c
    {7, "ERR invalid expire time in *"},            // 6.2
    {8, "ERR value is not an integer or out of range"},  // object.c
    // t_stream.c
    {9, "ERR The ID specified in XADD is equal or smaller than the target stream top item"},
    {10, "ERR The stream has exhausted the last possible ID, unable to add more items"},
    {11, "ERR Elements are too large to be stored"},
    {12, "ERR string exceeds maximum allowed size (proto-max-bulk-len)"},  // t_string.c
    {12, "ERR string exceeds maximum allowed size (512MB)"},               // 6.2
    {13, "ERR The MAXLEN argument must be >= 0."},
    {14, "ERR Invalid stream ID specified as stream command argument"},
    {15, "ERR unsupported command"},  // proxies
    {16, "unsupported command"},      // Envoy's redis_proxy
    {16, "unsupported command '*'"},
};
static_assert(std::rbegin(kPermanent)->number + 1 == kRefusals);
constexpr unsigned kLastCode = 3;

bool is_of_a_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '|' ||
         c == '_' || c == '-' || c == '.';
}

// A word is as long as possible: in no row does a character of a word follow the "*".
bool is_exactly(std::string_view text, std::string_view row) {
  for (; !row.empty(); row.remove_prefix(1)) {
    if (row.front() == '*') {
      const auto* end = std::find_if_not(text.begin(), text.end(), is_of_a_word);
      if (end == text.begin()) return false;
      text.remove_prefix(static_cast<size_t>(end - text.begin()));
    } else if (text.starts_with(row.front())) {
      text.remove_prefix(1);
    } else {
      return false;
    }
  }
  return text.empty();
}

// "-EXECABORT Transaction discarded because of: OOM ...": the cause is what counts (multi.c).
std::string_view cause_of(std::string_view error_reply) {
  constexpr std::string_view kAborted = "EXECABORT Transaction discarded because of: ";
  if (error_reply.starts_with(kAborted)) error_reply.remove_prefix(kAborted.size());
  return error_reply;
}

}  // namespace

std::optional<unsigned> refusal_number(std::string_view error_reply) {
  error_reply = cause_of(error_reply);
  error_reply = error_reply.substr(0, error_reply.find(", with args beginning with: "));
  const std::string_view code = error_reply.substr(0, error_reply.find(' '));
  for (const Refusal& refusal : kPermanent) {
    const bool is_code = refusal.number <= kLastCode;
    if (is_code ? code == refusal.text : is_exactly(error_reply, refusal.text)) {
      return refusal.number;
    }
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
      {"NOREPLICAS", Trouble::no_replicas},
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
  if (trouble == Trouble::none) {
    // A code of the list (MOVED, WRONGTYPE) says nothing of a user or a database.
    return refusal_number(error_reply).value_or(0) > kLastCode ? likely : Trouble::server_error;
  }
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
