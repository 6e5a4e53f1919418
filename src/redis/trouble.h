// Trouble: why a connection to Redis does not work, as a small set of named causes. The cause
// decides how long to wait and what to say. This file also says what an error reply means: a
// refusal of one command, which will be the same the next time, or a server that does not work and
// is tried again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nb::redis {

enum class Trouble : uint8_t {
  none,
  unresolved,    // the host's name cannot be looked up
  unreachable,   // the connection is refused or times out
  silent,        // connected, but a command was not answered in time
  closed,        // the server or the network ended the connection
  rubbish,       // a reply is not the protocol, has another form than its command, or is too large
  not_admitted,  // protected mode, or no room for another client
  wrong_password,  // WRONGPASS, NOAUTH, or AUTH refused
  no_permission,   // NOPERM: the user may not do what the agent does
  no_database,     // SELECT refused: this server has no such database
  loading,         // LOADING: the server reads its data set
  read_only,       // READONLY: a replica; writes belong elsewhere
  out_of_memory,   // OOM: maxmemory is reached and nothing may be evicted
  master_down,     // MASTERDOWN: a replica without its master
  not_saving,      // MISCONF: the server cannot save and therefore takes no writes
  busy,            // BUSY: a script runs too long
  no_replicas,     // NOREPLICAS: too few replicas follow, so the server takes no writes
  cluster_down,    // CLUSTERDOWN, TRYAGAIN
  server_error,    // any other error: a proxy whose server is away, a server of another kind
  refused,         // connected, but what the node writes of itself is refused for good
};

// Why the connection must be given up.
struct Failure {
  Trouble trouble = Trouble::none;
  std::string words;  // the server's own, which have passed foreign_text(), or ours; never a secret
};

// "loading", "wrong-password": for status output.
std::string_view name(Trouble trouble);
// "the server is loading its data": for a person.
std::string_view words(Trouble trouble);
// Whether the trouble will not pass by itself: then each pause is as long as the cap allows.
bool needs_a_person(Trouble trouble);

// Refusals that will be the same the next time: a written list of Redis' own texts (trouble.cc).
// The number tells one kind of refusal from another and is below kRefusals; nothing if the error is
// not on the list.
inline constexpr unsigned kRefusals = 17;
std::optional<unsigned> refusal_number(std::string_view error_reply);

// What an error reply ("OOM command not allowed ...") says about the server. `none`: it concerns
// that one command only, and is on the list of refusals (NOPERM, also on the list, is
// `no_permission`). An unknown error is `server_error`, and no data is given up for it.
Trouble classify(std::string_view error_reply);

// The same for an error reply to a command of the greeting; `none` if the connection is good all
// the same, since the client's name is a courtesy that an ACL or a proxy may forbid.
enum class GreetingStep : uint8_t { auth, client_name, select, ping };
Trouble greeting_trouble(GreetingStep step, std::string_view error_reply);

// "ERR unknown command 'AUTH', with args beginning with: 's3cret'" without what is repeated there.
std::string_view without_arguments(std::string_view error_reply);

}  // namespace nb::redis
