// Unit tests of redis/greeting: what is said first, and which answers let a connection be used.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "redis/greeting.h"
#include "redis/reply_reader.h"
#include "support/resp_commands.h"

namespace nb::redis {
namespace {

using test::commands;

// A greeting that is answered.
struct Greeter {
  explicit Greeter(const Greeting& greeting, std::string_view role = {}) {
    append_greeting(greeting, role, output,
                    Delegate<void(GreetingStep)>::to<&Greeter::expect>(this));
  }
  void expect(GreetingStep step) { steps.push_back(step); }
  // Why it has failed, if it has.
  std::optional<Failure> answer(std::string_view replies) const {
    ReplyReader reader(1000);
    EXPECT_TRUE(reader.feed(replies));
    for (const GreetingStep step : steps) {
      const Reply reply = reader.next();
      if (!reply) break;
      if (auto failure = check_answer(step, reply)) return failure;
    }
    return std::nullopt;
  }
  std::string output;
  std::vector<GreetingStep> steps;
};

TEST(Greeting, SaysEverythingInOneWrite) {
  const Greeter greeter({"u", "secret", "nodebeat:hog", {2, 0}}, "-read");
  EXPECT_EQ(commands(greeter.output),
            "AUTH u secret; CLIENT SETNAME nodebeat:hog-read; SELECT 2; SELECT 0; PING");
  EXPECT_EQ(greeter.steps,
            (std::vector{GreetingStep::auth, GreetingStep::client_name, GreetingStep::select,
                         GreetingStep::select, GreetingStep::ping}));
}

TEST(Greeting, AuthenticatesTheUserThatIsNamed) {
  const auto greet = [](const char* user, const char* password) {
    return commands(Greeter({user, password, "n", {}}).output);
  };
  EXPECT_EQ(greet("", ""), "CLIENT SETNAME n; PING");
  EXPECT_EQ(greet("", "secret"), "AUTH secret; CLIENT SETNAME n; PING");
  EXPECT_EQ(greet("u", ""), "AUTH u ; CLIENT SETNAME n; PING") << "it may need no password";
}

TEST(Greeting, NamesWhatItFailedBy) {
  const auto greet = [](std::string_view replies) {
    const auto failure = Greeter({"", "secret", "n", {0, 20}}).answer(replies);
    EXPECT_EQ(failure ? failure->words.find("secret") : std::string::npos, std::string::npos);
    return failure ? failure->trouble : Trouble::none;
  };
  EXPECT_EQ(greet("-WRONGPASS no\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-ERR invalid password\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-LOADING x\r\n"), Trouble::loading);
  EXPECT_EQ(greet("+OK\r\n-NOPERM no client|setname\r\n+OK\r\n+OK\r\n+PONG\r\n"), Trouble::none);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n-ERR DB index is out of range\r\n"), Trouble::no_database);
  for (const char* error : {"MOVED 1 10.0.0.1:6379", "WRONGTYPE Operation", "CROSSSLOT Keys"}) {
    EXPECT_EQ(greet(format("+OK\r\n+OK\r\n-%s\r\n", error)), Trouble::server_error)
        << "not the database: " << error;
    EXPECT_EQ(greet(format("-%s\r\n", error)), Trouble::server_error) << "not the password";
  }
  EXPECT_EQ(greet("+OK\r\n-ERR max number of clients reached\r\n"), Trouble::not_admitted);
  EXPECT_EQ(greet("-upstream failure\r\n"), Trouble::server_error) << "not the password";
  EXPECT_EQ(greet("-ERR Client sent AUTH, but no password is set\r\n"), Trouble::wrong_password);
  EXPECT_EQ(greet("-ERR unknown command 'AUTH', with args beginning with: 'secret' \r\n"),
            Trouble::wrong_password);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n-ERR Host is down\r\n"), Trouble::server_error);
  EXPECT_EQ(greet("+OK\r\n-ERR Host is down\r\n+OK\r\n+OK\r\n+PONG\r\n"), Trouble::none)
      << "the name is a courtesy";
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n+OK\r\n-ERR unknown command 'PING'\r\n"),
            Trouble::server_error);
  EXPECT_EQ(greet("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+PENG\r\n"), Trouble::rubbish);
}

TEST(Greeting, OnlyOkAndPongLetTheConnectionBeUsed) {
  const std::vector<std::string> right = {"+OK\r\n", "+OK\r\n", "+OK\r\n", "+PONG\r\n"};
  const Greeter greeter({"", "secret", "n", {0}});
  EXPECT_FALSE(greeter.answer("+OK\r\n+OK\r\n+OK\r\n+PONG\r\n"));
  for (size_t i = 0; i < right.size(); ++i) {
    for (const std::string reply :
         {"+OK\r\n", "+PONG\r\n", "+QUEUED\r\n", ":0\r\n", ":1\r\n", "$-1\r\n", "$2\r\nOK\r\n",
          "*0\r\n", "*1\r\n+OK\r\n", "+ok\r\n"}) {
      std::string answers;
      for (size_t k = 0; k < right.size(); ++k) answers += k == i ? reply : right[k];
      const auto failure = greeter.answer(answers);
      EXPECT_EQ(failure.has_value(), reply != right[i]) << i << reply;
      if (failure) {
        EXPECT_EQ(failure->trouble, Trouble::rubbish) << i << reply;
      }
    }
  }
  // The form of PONG on a connection with subscriptions.
  EXPECT_FALSE(greeter.answer("+OK\r\n+OK\r\n+OK\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"));
}

}  // namespace
}  // namespace nb::redis
