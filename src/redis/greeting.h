// Greeting: what is said first on a new connection (AUTH, the client's name, SELECT, PING), and
// whether its answers let the connection be used. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "redis/reply.h"
#include "redis/trouble.h"

namespace nb::redis {

struct Greeting {
  std::string user;      // empty: the default user
  std::string password;  // both empty: no AUTH
  std::string client_name;
  // Every database that units may name. Each is selected once before anything is written: a
  // SELECT that fails later, in mid-pipeline, would let the writes after it land in another one.
  std::vector<int> databases;
};

// Adds the commands of the greeting to `output`, and calls `expect` for each, in order. `role` is
// appended to the client's name.
void append_greeting(const Greeting& greeting, std::string_view role, std::string& output,
                     Delegate<void(GreetingStep)> expect);

// Why the connection cannot be used after this answer to a command of the greeting. Nothing if it
// can be used, which may be so after an error, too: see greeting_trouble().
std::optional<Failure> check_answer(GreetingStep step, Reply reply);

}  // namespace nb::redis
