#include "redis/trouble.h"

#include <array>
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

Trouble classify(std::string_view error_reply) {
  if (error_reply.empty()) return Trouble::none;
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
  return Trouble::none;
}

}  // namespace nb::redis
