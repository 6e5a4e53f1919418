// Rights and limits of a caller, and what the dispatcher makes of them.
#include <gtest/gtest.h>

#include <string>

#include "rpc/codec.h"
#include "rpc/dispatcher.h"

namespace nb::rpc {
namespace {

using namespace std::chrono_literals;

TEST(Rights, HaveTheNamesOfTheConfiguration) {
  for (size_t i = 1; i < std::size(kRightNames); ++i) {
    const Rights one = Rights().with(kRightNames[i]);
    for (size_t j = 1; j < std::size(kRightNames); ++j) {
      EXPECT_EQ(one.has(static_cast<Right>(j)), i == j) << kRightNames[i];
    }
    EXPECT_TRUE(one.has(Right::none));
    EXPECT_TRUE(Rights::all().has(static_cast<Right>(i)));
  }
  for (const char* unknown : {"", "none", "raed", "read "}) {
    EXPECT_FALSE(Rights().with(unknown).has(Right::read)) << unknown;
  }
}

TEST(TokenBucket, HoldsOneSecondsWorthAndFillsSteadily) {
  TokenBucket bucket(10);
  MonoTime now = MonoTime(100s);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(bucket.take(now), 0ms) << i;
  EXPECT_EQ(bucket.take(now), 100ms);
  EXPECT_EQ(bucket.take(now + 60ms), 40ms) << "a refusal takes nothing";
  EXPECT_EQ(bucket.take(now + 99ms), 1ms);
  EXPECT_EQ(bucket.take(now + 100ms), 0ms);
  EXPECT_EQ(bucket.take(now + 100ms), 100ms);
  now += 1h;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(bucket.take(now), 0ms) << "no more than one second's";
  EXPECT_GT(bucket.take(now), 0ms);
}

TEST(TokenBucket, WithoutALimitGivesAlways) {
  TokenBucket none;
  TokenBucket zero(0);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(none.take(MonoTime(1s)), 0ms);
    EXPECT_EQ(zero.take(MonoTime(1s)), 0ms);
  }
}

// --- the dispatcher
// -------------------------------------------------------------------------------

class Noun {
 public:
  void act(Call& call) {
    ++acted;
    call.answer();
  }
  int acted = 0;
};

constexpr Method kMethods[] = {
    method<&Noun::act>("a.read", {}, Right::read, kReads),
    method<&Noun::act>("a.event", {}, Right::event, kInWill),
    method<&Noun::act>("a.goodbye", {}, Right::none, kReads),
};

class HeardReply final : public Reply {
 public:
  void answer(std::string_view result) override { heard = result; }
  void refuse(const Error& error) override { append_error_object(heard, error); }
  Token put_off(size_t) override { return 0; }
  bool is_wanted() const override { return true; }

  std::string heard;
};

class Dispatched : public testing::Test {
 protected:
  Dispatched() {
    dispatcher.add(kMethods, &noun);
    dispatcher.set_socket_with(Dispatcher::SocketWith::to<&Dispatched::socket_with>(this));
  }
  std::string_view socket_with(Right right) { return right == Right::event ? "/all" : ""; }

  std::string call(std::string_view name, MonoTime now = MonoTime(1s),
                   Call::Origin origin = Call::Origin::client) {
    HeardReply reply;
    Call call({1, 0, rights, &limits}, reply, origin, now);
    call.method = name;
    if (origin == Call::Origin::client) {
      dispatcher.dispatch(call, {});
    } else {
      dispatcher.dispatch_will(call, {});
    }
    return reply.heard;
  }

  Noun noun;
  Dispatcher dispatcher;
  Rights rights = Rights::all();
  ClientLimits limits;
};

TEST_F(Dispatched, ARefusalNamesTheRightAndTheSocketThatGivesIt) {
  rights = Rights().with(Right::read);
  EXPECT_EQ(call("a.read"), "{}");
  const std::string refusal =
      R"({"code":-32011,"message":"a.event needs the right 'event', which this socket does not )"
      R"(give; the socket /all does","data":{"name":"forbidden","right":"event","socket":"/all"}})";
  EXPECT_EQ(call("a.event"), refusal);
  EXPECT_EQ(call("a.event", MonoTime(1s), Call::Origin::check), refusal) << "a will that is set";
  EXPECT_EQ(call("a.event", MonoTime(1s), Call::Origin::will), refusal);
  rights = {};
  EXPECT_EQ(call("a.read"),
            R"({"code":-32011,"message":"a.read needs the right 'read', which this socket does )"
            R"(not give","data":{"name":"forbidden","right":"read"}})")
      << "no socket gives it";
  EXPECT_EQ(noun.acted, 1);
}

TEST_F(Dispatched, CallsAndEventsAreLimitedEach) {
  limits = {TokenBucket(4), TokenBucket(2)};
  const auto limited = [](const char* what, int ms) {
    return std::string(R"({"code":-32015,"message":"more )") + what +
           R"( than one client of this socket may have in a second","data":)" +
           R"({"name":"rate_limited","retry_after_ms":)" + std::to_string(ms) + "}}";
  };
  EXPECT_EQ(call("a.event"), "{}");
  EXPECT_EQ(call("a.event"), "{}");
  EXPECT_EQ(call("a.event"), limited("events", 500));
  EXPECT_EQ(call("a.read"), "{}") << "a read is no event";
  EXPECT_EQ(call("a.read"), limited("calls", 250));
  EXPECT_EQ(call("a.event"), limited("calls", 250));
  EXPECT_EQ(call("a.unknown"), limited("calls", 250));
  EXPECT_EQ(call("a.goodbye"), "{}") << "a goodbye that is lost would set off the will";
  EXPECT_EQ(call("a.event", MonoTime(1s), Call::Origin::will), "{}") << "a will has no limits";
  EXPECT_EQ(call("a.read", MonoTime(1s) + 250ms), "{}");
  EXPECT_EQ(call("a.event", MonoTime(1s) + 500ms), "{}");
  EXPECT_EQ(noun.acted, 7);
}

}  // namespace
}  // namespace nb::rpc
