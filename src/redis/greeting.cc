#include "redis/greeting.h"

#include "redis/resp_writer.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length

void append_greeting(const Greeting& greeting, std::string_view role, std::string& output,
                     Delegate<void(GreetingStep)> expect) {
  RespWriter resp(output);
  const bool named = !greeting.user.empty();
  if (named || !greeting.password.empty()) {
    // The form with a user needs Redis 6; the one without works everywhere. A user that needs no
    // password (nopass) takes any.
    resp.command(named ? 3 : 2).arg("AUTH"sv);
    if (named) resp.arg(greeting.user);
    resp.arg(greeting.password);
    expect(GreetingStep::auth);
  }
  resp.command(3)
      .arg("CLIENT"sv)
      .arg("SETNAME"sv)
      .arg(std::string(greeting.client_name).append(role));
  expect(GreetingStep::client_name);
  for (const int db : greeting.databases) {
    resp.command(2).arg("SELECT"sv).arg(db);
    expect(GreetingStep::select);
  }
  resp.command(1).arg("PING"sv);
  expect(GreetingStep::ping);
}

std::optional<Failure> check_answer(GreetingStep step, Reply reply) {
  if (reply.is_error()) {
    const Trouble trouble = greeting_trouble(step, reply.text());
    if (trouble == Trouble::none) return std::nullopt;
    return Failure{trouble, std::string(without_arguments(reply.text()))};
  }
  if (step == GreetingStep::ping) {
    // Once something is subscribed to, PONG comes in an array.
    const std::string_view first = reply.is_array() ? reply[0].text() : reply.text();
    if (first == "PONG"sv || first == "pong"sv) return std::nullopt;
    return Failure{Trouble::rubbish, "PING was not answered by PONG"};
  }
  if (reply.is_status("OK"sv)) return std::nullopt;
  return Failure{Trouble::rubbish, "AUTH, CLIENT SETNAME or SELECT was not answered by OK"};
}

}  // namespace nb::redis
