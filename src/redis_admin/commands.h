// `nodebeatctl redis setup` and `redis check`. Both return the exit code, and have reported the
// reason where it is not kOk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "terminal/say.h"

namespace nb::redis_admin {

struct SetupOptions {
  std::string folder;
  std::vector<std::string> nodes, binds, keys, channels;
  std::optional<std::string> prefix;  // of the cell; nothing: as users.acl has it, or none
  std::string host;                   // by which the nodes reach it; empty: the first of `binds`
  std::string server, maxmemory;      // empty: as it was, or the usual value
  std::optional<long long> port;
  bool no_watch = false;  // the nodes whose lines are written may not watch the cell
  bool force = false;
  bool adopt = false;  // accept files of other users, and users who may administer
};
terminal::ExitCode run_setup(const SetupOptions& options, const terminal::Output& output);

struct CheckOptions {
  std::string url, user, password_file;
  std::vector<std::string> nodes;  // their users are checked; empty: all, or the own one
  std::string prefix;              // of the cell whose nodes and streams are checked
  int64_t timeout_ms = 3000;       // for all questions together
};
// The exit code is also that of the worst finding (terminal/findings.h).
int run_check(const CheckOptions& options, const terminal::Output& output);

}  // namespace nb::redis_admin
