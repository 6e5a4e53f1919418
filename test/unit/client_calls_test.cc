// The calls of the client library that wait, and several threads at once, against an agent that
// answers from a thread of its own.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nodebeat/client.h"
#include "support/answering_agent.h"

namespace nb::client {
namespace {

using test::AnsweringAgent;
using test::failure;
using test::id_of;
using test::result;
using Lines = std::vector<std::string>;

class ClientCallsTest : public testing::Test {
 protected:
  ClientCallsTest() {
    char folder[] = "/tmp/nb_client_XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/agent.sock";
    options_.size = sizeof options_;
    options_.socket_path = path_.c_str();
    options_.reconnect_ms = 1;
    options_.user = this;
    options_.on_event = [](void* user, const char*, const char* json, uint32_t) {
      auto* const self = static_cast<ClientCallsTest*>(user);
      self->events_.emplace_back(json);
      if (self->on_event_) self->on_event_();
    };
    EXPECT_EQ(nb_client_open(&options_, &client_, nullptr, 0), NB_OK);
  }
  ~ClientCallsTest() override {
    nb_client_close(client_);
    agent_.reset();
    ::rmdir(folder_.c_str());
  }

  // `reply` runs on the agent's thread until the fixture ends: what it captures, it captures by
  // value.
  void answer(AnsweringAgent::Reply reply) {
    agent_.reset();
    agent_ = std::make_unique<AnsweringAgent>(path_, std::move(reply));
  }
  int call(const char* method, uint32_t timeout_ms = 5000) {
    return nb_call(client_, method, nullptr, result_, sizeof result_, timeout_ms);
  }

  // Until a call gets through: the connections of an agent that went are found broken first.
  void sync() {
    int outcome = NB_ERR_AWAY;
    for (int i = 0; i < 1000 && outcome != NB_OK; ++i) outcome = call("sync", 1000);
    ASSERT_EQ(outcome, NB_OK);
  }

  std::string folder_;
  std::string path_;
  nb_client_options options_{};
  nb_client* client_ = nullptr;
  std::unique_ptr<AnsweringAgent> agent_;
  Lines events_;
  std::function<void()> on_event_;
  char result_[64] = "";
};

TEST_F(ClientCallsTest, ACallReturnsItsResult) {
  answer([](const std::string& line) { return result(line, " {\"a\": 1.50}"); });
  EXPECT_EQ(call("agent.stats"), NB_OK);
  EXPECT_STREQ(result_, "{\"a\": 1.50}");
  EXPECT_EQ(nb_call(client_, "state.get", "{\"key\":\"k\"}", nullptr, 0, 5000), NB_OK);
  EXPECT_EQ(agent_->lines().back(),
            R"({"jsonrpc":"2.0","method":"state.get","params":{"key":"k"},"id":2})");
  EXPECT_EQ(nb_call(client_, "m", nullptr, result_, 5, 5000), NB_ERR_TOO_LARGE);
  EXPECT_EQ(nb_call(client_, "m", nullptr, result_, 12, 5000), NB_OK);
  EXPECT_EQ(nb_call(client_, "m", nullptr, result_, 0, 5000), NB_ERR_ARGUMENT);
}

// PROTOCOL.md, 1.3: a line of the agent may be longer than one to it.
TEST_F(ClientCallsTest, AnAnswerThatIsLongerThanALineEndsTheCallOnly) {
  const std::string text = "\"" + std::string(70000, 'x') + "\"";
  answer([=](const std::string& line) {
    if (line.find("\"long\"") != line.npos) return result(line, text);
    if (line.find("\"loud\"") == line.npos) return result(line, "1");
    return R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":)" + text + "}}\n" +
           result(line, "2");
  });
  ASSERT_EQ(call("first"), NB_OK);
  EXPECT_EQ(call("long"), NB_ERR_TOO_LARGE);
  EXPECT_EQ(nb_call(client_, "long", nullptr, nullptr, 0, 5000), NB_OK);
  EXPECT_EQ(call("loud"), NB_OK);  // an event that is so long is not its answer
  EXPECT_STREQ(result_, "2");
  nb_client_stats stats{};
  stats.size = sizeof stats;
  nb_client_get_stats(client_, &stats);
  EXPECT_EQ(stats.disconnects, 0u);
}

TEST_F(ClientCallsTest, ALongLineIsReadIfTheAgentWasToldSo) {
  constexpr size_t kMost = 1048576;
  nb_client_close(client_);
  options_.max_line_bytes = kMost;
  ASSERT_EQ(nb_client_open(&options_, &client_, nullptr, 0), NB_OK);
  const std::string around = R"({"jsonrpc":"2.0","id":1,"result":""})";  // with one digit
  // Of the answer's line; the hello is answered, too.
  const auto size = std::make_shared<std::atomic<size_t>>(100);
  const auto text = [size, around] {
    return "\"" + std::string(*size - around.size(), 'x') + "\"";
  };
  answer([text](const std::string& line) {
    if (line.find("\"event\"") == line.npos) return result(line, text());
    return R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":)" + text() +
           "}}\n" + result(line, "2");
  });
  std::string got(kMost, '\0');
  for (const size_t bytes : {size_t{100}, size_t{65537}, size_t{300000}, size_t{200}, kMost}) {
    *size = bytes;
    ASSERT_EQ(nb_call(client_, "m", nullptr, got.data(), got.size(), 5000), NB_OK) << bytes;
    EXPECT_EQ(std::string(got.c_str()), text());
  }
  EXPECT_EQ(
      agent_->lines()[1],
      R"({"jsonrpc":"2.0","method":"client.hello","params":{"max_line_bytes":1048576},"id":-1})");
  *size = kMost + 100;
  EXPECT_EQ(nb_call(client_, "m", nullptr, got.data(), got.size(), 5000), NB_ERR_TOO_LARGE);
  *size = 500000;
  EXPECT_EQ(call("event"), NB_OK);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0], text());
}

TEST_F(ClientCallsTest, ACallIsNoLongerThanTheAgentTakes) {
  std::string limit = "5000";
  answer([=](const std::string& line) {
    if (line.find("\"client.hello\"") == line.npos) return result(line, "1");
    return R"({"jsonrpc":"2.0","id":0,"result":{"protocol":1,"limits":{"line_bytes":)" + limit +
           "}}}\n";
  });
  const auto call_of = [&](size_t size) {
    const std::string params = "{\"a\":\"" + std::string(size, 'x') + "\"}";
    return nb_call(client_, "m", params.c_str(), nullptr, 0, 5000);
  };
  const auto says = [&](const char* words) {
    char text[512] = {};
    return nb_client_last_error(client_, text, sizeof text) == 0 &&
           std::string(text).find(words) != std::string::npos;
  };
  EXPECT_EQ(call_of(4900), NB_OK);
  EXPECT_EQ(call_of(5000), NB_ERR_TOO_LARGE);
  EXPECT_TRUE(says("at most 5000 bytes ([socket] max_line)"));
  for (const std::string& line : agent_->lines()) EXPECT_LE(line.size(), 5000u);
  // The next agent has another limit.
  limit = "9000";
  answer([=](const std::string& line) {
    if (line.find("\"client.hello\"") == line.npos) return result(line, "1");
    return R"({"jsonrpc":"2.0","id":0,"result":{"protocol":1,"limits":{"line_bytes":)" + limit +
           "}}}\n";
  });
  sync();
  EXPECT_EQ(call_of(8000), NB_OK);
  // A text that no line has room for is refused earlier, and told all the same.
  EXPECT_EQ(call_of(70000), NB_ERR_TOO_LARGE);
  EXPECT_TRUE(says("at most 9000 bytes"));
  EXPECT_EQ(call_of(9000), NB_ERR_TOO_LARGE);
}

TEST_F(ClientCallsTest, ARefusalSaysWhy) {
  answer([](const std::string& line) { return failure(line, -32601, "no method 'm'"); });
  EXPECT_EQ(call("m"), NB_ERR_REMOTE);
  char why[64];
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32601);
  EXPECT_STREQ(why, "no method 'm'");
}

TEST_F(ClientCallsTest, AMissingRightAndTooManyCallsHaveResultsOfTheirOwn) {
  answer([](const std::string& line) {
    const bool often = line.find("\"often\"") != line.npos;
    return failure(line, often ? -32015 : -32011, often ? "more calls" : "needs the right 'state'",
                   often ? R"({"name":"rate_limited","retry_after_ms":5})"
                         : R"({"name":"forbidden","right":"state","socket":"/s"})");
  });
  EXPECT_EQ(call("m"), NB_ERR_FORBIDDEN);
  char why[64];
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32011);
  EXPECT_STREQ(why, "needs the right 'state'");
  EXPECT_EQ(call("often"), NB_ERR_RATE_LIMITED);
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32015);
  EXPECT_EQ(nb_session_touch(client_, "s", nullptr, nullptr), NB_ERR_FORBIDDEN);
  EXPECT_STREQ(nb_result_text(NB_ERR_FORBIDDEN),
               "the socket does not give the right to make this call");
  EXPECT_STREQ(nb_result_text(NB_ERR_RATE_LIMITED),
               "more calls than one client of this socket may have in a second");
}

// PROTOCOL.md, 2.6: one report for all.
TEST_F(ClientCallsTest, NotificationsThatWereRefusedTogetherCountEach) {
  answer([](const std::string& line) {
    if (line.find("\"m\"") == line.npos) return result(line, "{}");
    return R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"event.publish","error":)"
           R"({"code":-32011,"message":"needs the right 'event'","data":{"name":"forbidden",)"
           R"("right":"event","count":17}}}})"
           "\n" +
           result(line, "{}");
  });
  sync();
  EXPECT_EQ(call("m"), NB_OK);
  nb_client_stats stats{};
  stats.size = sizeof stats;
  ASSERT_EQ(nb_client_get_stats(client_, &stats), NB_OK);
  EXPECT_EQ(stats.rejected, 17u);
  char why[64];
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32011);
  EXPECT_STREQ(why, "event.publish: needs the right 'event'");
}

TEST_F(ClientCallsTest, NoAgentNoAnswerAndAnAgentThatGoes) {
  EXPECT_EQ(call("m", 20), NB_ERR_AWAY);
  EXPECT_EQ(nb_client_wait(client_, 5), NB_ERR_TIMEOUT);
  EXPECT_EQ(nb_client_flush(client_, 5), NB_ERR_TIMEOUT);  // the hello

  answer([](const std::string&) { return ""; });
  EXPECT_EQ(nb_client_flush(client_, 5000), NB_OK);
  EXPECT_EQ(call("silent", 20), NB_ERR_TIMEOUT);

  answer([](const std::string& line) { return id_of(line).empty() ? "" : "close"; });
  EXPECT_EQ(nb_client_flush(client_, 5000), NB_OK);
  int outcome = call("m");
  if (outcome == NB_ERR_AWAY && agent_->lines().empty()) outcome = call("m");  // found it gone
  EXPECT_EQ(outcome, NB_ERR_AWAY);

  // The call of a connection that is gone is not made on the next one.
  answer([](const std::string& line) { return result(line, "{}"); });
  EXPECT_EQ(nb_client_flush(client_, 5000), NB_OK);
  EXPECT_EQ(call("after"), NB_OK);
  for (const std::string& line : agent_->lines()) {
    EXPECT_EQ(line.find("\"m\""), line.npos) << line;
  }
}

TEST_F(ClientCallsTest, AnAgentThatHangsUpSaysWhy) {
  const auto last_words = [](int code, const std::string& message) {
    return R"({"jsonrpc":"2.0","id":null,"error":{"code":)" + std::to_string(code) +
           ",\"message\":\"" + message + "\",\"data\":{\"limit\":1000}}}\nclose";
  };
  char why[64];
  // At the first line, the hello: before the call is made, or while it waits.
  answer([=](const std::string&) { return last_words(-32006, "64 clients are connected"); });
  EXPECT_EQ(call("m"), NB_ERR_REMOTE);
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32006);
  EXPECT_STREQ(why, "64 clients are connected");

  // At the call.
  answer([=](const std::string& line) {
    return line.find("\"m\"") == line.npos ? result(line, "{}")
                                           : last_words(-32700, "1000 malformed lines");
  });
  sync();
  EXPECT_EQ(call("m"), NB_ERR_REMOTE);
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), -32700);
  EXPECT_STREQ(why, "1000 malformed lines");

  // Words of an earlier connection, or that do not end one, are not why this one ended.
  answer([=](const std::string& line) {
    return line.find("\"m\"") == line.npos ? result(line, "{}") : std::string("close");
  });
  sync();
  EXPECT_EQ(call("m"), NB_ERR_AWAY);
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), 0);
  EXPECT_STREQ(why, "the agent has closed the connection");
  answer([=](const std::string& line) {
    if (line.find("\"m\"") == line.npos) return result(line, "{}");
    return last_words(-32600, "no call");
  });
  sync();
  EXPECT_EQ(call("m"), NB_ERR_AWAY);
  EXPECT_EQ(nb_client_last_error(client_, why, sizeof why), 0);
  answer([=](const std::string& line) {
    if (line.find("\"m\"") == line.npos) return result(line, "{}");
    return std::string(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no JSON",)"
                       R"("data":{"name":"parse_error","offset":3}}})"
                       "\nclose");
  });
  sync();
  EXPECT_EQ(call("m"), NB_ERR_AWAY);
}

TEST_F(ClientCallsTest, LateAnswersAreNotTakenForOthers) {
  answer([late = std::string()](const std::string& line) mutable {
    if (id_of(line).empty()) return std::string();
    const std::string answers = late + result(line, "\"mine\"");
    if (!late.empty()) return answers;
    late = result(line, "\"late\"");
    return std::string();
  });
  EXPECT_EQ(call("slow", 20), NB_ERR_TIMEOUT);
  EXPECT_EQ(call("m"), NB_OK);
  EXPECT_STREQ(result_, "\"mine\"");
}

TEST_F(ClientCallsTest, SubscriptionsAreRestored) {
  const auto reply = [](const std::string& line) { return result(line, "{}"); };
  answer(reply);
  EXPECT_EQ(nb_subscribe(client_, "robot:events", 0, 5000), NB_OK);
  EXPECT_EQ(nb_subscribe(client_, "error:*", 1, 5000), NB_OK);
  EXPECT_EQ(nb_subscribe(client_, "gone", 0, 5000), NB_OK);
  EXPECT_EQ(nb_subscribe(client_, "gone", 0, 5000), NB_OK);
  EXPECT_EQ(nb_unsubscribe(client_, "gone", 0, 5000), NB_OK);
  EXPECT_EQ(nb_subscribe(client_, nullptr, 0, 5000), NB_ERR_ARGUMENT);
  EXPECT_EQ(nb_subscribe(client_, std::string(257, 'c').c_str(), 0, 5000), NB_ERR_TOO_LARGE);
  answer(reply);
  sync();
  Lines lines = agent_->lines();
  lines.resize(3);
  EXPECT_EQ(
      lines,
      (Lines{
          R"({"jsonrpc":"2.0","method":"client.hello","params":{"errors":true},"id":0})",
          R"({"jsonrpc":"2.0","method":"event.subscribe","params":{"channels":["robot:events"]}})",
          R"({"jsonrpc":"2.0","method":"event.subscribe","params":{"patterns":["error:*"]}})"}));
  for (int i = 0; i < 62; ++i) {
    EXPECT_EQ(nb_subscribe(client_, std::to_string(i).c_str(), 0, 5000), NB_OK);
  }
  EXPECT_EQ(nb_subscribe(client_, "the 65th", 0, 5000), NB_ERR_FULL);
}

TEST_F(ClientCallsTest, ARefusedSubscriptionIsNotRestored) {
  answer([](const std::string& line) { return failure(line, -32602, "no"); });
  EXPECT_EQ(nb_subscribe(client_, "c", 0, 5000), NB_ERR_REMOTE);
  answer([](const std::string& line) { return result(line, "{}"); });
  sync();
  for (const std::string& line : agent_->lines()) EXPECT_EQ(line.find("subscribe"), line.npos);
}

TEST_F(ClientCallsTest, EventsComeWhileItWaitsAndMayPush) {
  const std::string event =
      R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c","event":1}})"
      "\n";
  int from_callback = NB_OK;
  int state_of_dispatch = NB_OK;
  on_event_ = [&] {
    from_callback = nb_notify(client_, "from.callback", nullptr);
    state_of_dispatch = nb_client_dispatch(client_);
  };
  answer([=](const std::string& line) {
    if (id_of(line).empty()) return std::string();
    return event + result(line, "{}") + event;
  });
  EXPECT_EQ(call("m"), NB_OK);
  EXPECT_EQ(from_callback, NB_OK);
  EXPECT_EQ(state_of_dispatch, NB_ERR_STATE);
  if (events_.size() < 2) {
    EXPECT_EQ(nb_client_wait(client_, 5000), NB_OK);
  }
  EXPECT_EQ(events_, (Lines{"1", "1"}));
  EXPECT_EQ(nb_client_wait(client_, 1), NB_ERR_TIMEOUT);
}

// It would take the mutex or the role with it.
TEST_F(ClientCallsTest, AThreadIsNotCancelledWithin) {
  answer([](const std::string& line) { return result(line, "{}"); });
  ASSERT_EQ(call("first"), NB_OK);
  const auto push = [](void* client) -> void* {
    for (;; ::pthread_testcancel()) nb_notify(static_cast<nb_client*>(client), "note", nullptr);
  };
  const auto wait = [](void* client) -> void* {
    for (;; ::pthread_testcancel()) nb_client_wait(static_cast<nb_client*>(client), 5);
  };
  for (void* (*const use)(void*) : {+push, +wait}) {
    pthread_t thread{};
    ASSERT_EQ(::pthread_create(&thread, nullptr, use, client_), 0);
    ::poll(nullptr, 0, 20);
    ::pthread_cancel(thread);
    ::pthread_join(thread, nullptr);
    EXPECT_EQ(call("after"), NB_OK);
  }
}

// Under TSan (./dev test) this is the test of all locks.
TEST_F(ClientCallsTest, ManyThreadsPushWhileOneDispatchesAndTheAgentComesAndGoes) {
  constexpr int kThreads = 4;
  constexpr int kPushes = 1500;
  std::atomic<int> received = 0;
  const auto reply = [&](const std::string& line) -> std::string {
    if (line.find("\"note\"") != line.npos && ++received % 500 == 0) return "close";
    if (line.find("\"note\"") != line.npos && received % 50 == 0) {
      return "{\"jsonrpc\":\"2.0\",\"method\":\"client.error\",\"params\":{\"error\":{\"code\":1}}}"
             "\n";
    }
    return result(line, "{}");
  };
  answer(reply);
  std::atomic<bool> stop = false;
  std::thread dispatcher([&] {
    while (!stop) {
      nb_call(client_, "sync", nullptr, nullptr, 0, 2);
      nb_client_dispatch(client_);
      nb_client_wait(client_, 1);
    }
  });
  std::vector<std::thread> threads;
  std::atomic<int> taken = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const double joints[] = {0.5, static_cast<double>(t)};
      nb_robot_state state{};
      state.size = sizeof state;
      state.has = NB_ROBOT_JOINTS_L;
      state.joints_l = joints;
      state.joints_l_count = 2;
      nb_stroke stroke{};
      stroke.size = sizeof stroke;
      stroke.has = NB_STROKE_TOTAL_STROKES;
      nb_client_stats stats{};
      stats.size = sizeof stats;
      char why[64];
      for (int i = 0; i < kPushes; ++i) {
        nb_push_robot_state(client_, &state);
        nb_stroke_update(client_, &stroke);
        if (nb_notify(client_, "note", nullptr) >= NB_OK) ++taken;
        if (i % 100 == 0) {
          nb_client_get_stats(client_, &stats);
          nb_client_last_error(client_, why, sizeof why);
          nb_client_get_fd(client_);
          nb_client_get_events(client_);
          nb_client_get_timeout(client_);
          nb_client_dispatch(client_);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  dispatcher.join();
  EXPECT_GT(taken, kThreads * kPushes / 10);
  sync();
  EXPECT_GT(received, 0);
  EXPECT_LE(received, taken);
  for (const std::string& line : agent_->lines()) {
    ASSERT_EQ(line.find("{\"jsonrpc\":\"2.0\",\"method\":\""), 0u) << line;
    ASSERT_EQ(line.find("jsonrpc", 10), line.npos) << line;
    ASSERT_EQ(line.back(), '}');
  }
}

}  // namespace
}  // namespace nb::client
