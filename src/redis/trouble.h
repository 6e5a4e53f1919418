// Trouble: why the link to Redis does not work, as a small set of named causes. The cause picks
// how long to wait and what to say.
#pragma once

#include <cstdint>
#include <string_view>

namespace nb::redis {

enum class Trouble : uint8_t {
  none,
  unreachable,     // the name does not resolve, the connection is refused or times out
  silent,          // connected, but a command was not answered in time
  closed,          // the server or the network ended the connection
  rubbish,         // what came back is not the protocol, or far too much of it
  not_admitted,    // protected mode, or no room for another client
  wrong_password,  // WRONGPASS, NOAUTH, or AUTH refused
  no_permission,   // NOPERM: the user may not do what the agent does
  no_database,     // SELECT refused: this server has no such database
  loading,         // LOADING: the server reads its data set
  read_only,       // READONLY: a replica; writes belong elsewhere
  out_of_memory,   // OOM: maxmemory is reached and nothing may be evicted
  master_down,     // MASTERDOWN: a replica without its master
  not_saving,      // MISCONF: the server cannot save and therefore takes no writes
  busy,            // BUSY: a script runs too long
  cluster_down,    // CLUSTERDOWN, TRYAGAIN
};

// "loading", "wrong-password": for status output.
std::string_view name(Trouble trouble);
// "the server is loading its data": for a person.
std::string_view words(Trouble trouble);
// Will not pass by itself soon: wait at the cap from the first try on, do not hammer.
bool needs_a_person(Trouble trouble);

// What an error reply ("OOM command not allowed ...") says about the whole server. `none`: it
// concerns that one command only (WRONGTYPE, ERR).
Trouble classify(std::string_view error_reply);

}  // namespace nb::redis
