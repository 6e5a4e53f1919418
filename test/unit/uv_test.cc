// Unit tests of uv/: real loops, real sockets on loopback, each loop closed clean.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "support/fast_clock.h"
#include "support/listener.h"
#include "support/test_loop.h"
#include "uv/async.h"
#include "uv/blocking_call.h"
#include "uv/dialer.h"
#include "uv/poll.h"
#include "uv/resolver.h"
#include "uv/stream.h"
#include "uv/timer.h"

namespace nb::uv {
namespace {

using namespace std::chrono_literals;
using test::FastClock;
using test::Listener;
using test::TestLoop;

struct Counter {
  int count = 0;
  void on_call() { ++count; }
  Delegate<void()> delegate() { return Delegate<void()>::to<&Counter::on_call>(this); }
};

TEST(Loop, ReportsAHandleThatIsStillOpen) {
  const SystemClock clock;
  auto loop = std::make_unique<Loop>(clock);
  {
    Timer timer(*loop, {});
    EXPECT_EQ(loop->close(), UV_EBUSY);
  }
  EXPECT_EQ(loop->close(), 0);
}

// Keeps the loop from running, as SIGSTOP does.
void stall(std::chrono::milliseconds time) {
  const SystemClock real;
  for (const MonoTime end = real.now() + time; real.now() < end;) {
  }
}

TEST(Timer, ThatIsLateLetsSocketsBeReadFirst) {
  TestLoop loop;
  struct Order {
    std::string text;
    void on_timer() { text += 't'; }
    void on_input(int) { text += 'i'; }
  } order;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd here(ends[0]), there(ends[1]);
  Poll poll(loop, here.get(), Delegate<void(int)>::to<&Order::on_input>(&order));
  poll.watch(UV_READABLE);
  Timer timer(loop, Delegate<void()>::to<&Order::on_timer>(&order));
  timer.start(1ms);
  ASSERT_EQ(::write(there.get(), "x", 1), 1);
  stall(200ms);
  ASSERT_TRUE(loop.run_until([&] { return order.text.find('t') != std::string::npos; }));
  EXPECT_EQ(order.text.front(), 'i') << order.text;
  EXPECT_FALSE(timer.active());
}

TEST(Timer, ExpiresOnceNotEarlyAndCanBeMoved) {
  TestLoop loop;
  Counter counter;
  Timer timer(loop, counter.delegate());
  const MonoTime start = loop.loop().now();
  timer.start(1h);
  timer.start(5ms);
  ASSERT_TRUE(loop.run_until([&] { return counter.count == 1; }));
  EXPECT_GE(loop.loop().now() - start, 5ms);
  EXPECT_GE(loop.loop().now(), timer.due());
  EXPECT_FALSE(timer.active());
  timer.start(0ms);
  timer.stop();
  EXPECT_FALSE(timer.active());
}

TEST(Timer, FollowsTheInjectedClock) {
  const FastClock clock;
  TestLoop loop(clock);
  Counter counter;
  Timer timer(loop, counter.delegate());
  const MonoTime start = clock.now();
  timer.start(5s);
  ASSERT_TRUE(loop.run_until([&] { return counter.count == 1; }));
  EXPECT_GE(clock.now() - start, 5s);
}

TEST(Timer, MayDieInItsOwnCallback) {
  TestLoop loop;
  struct Owner {
    explicit Owner(Loop& l)
        : timer(std::make_unique<Timer>(l, Delegate<void()>::to<&Owner::die>(this))) {}
    void die() { timer.reset(); }
    std::unique_ptr<Timer> timer;
  } owner(loop);
  owner.timer->start(0ms);
  EXPECT_TRUE(loop.run_until([&] { return owner.timer == nullptr; }));
}

TEST(Async, WakesTheLoopFromASignalHandler) {
  TestLoop loop;
  Counter counter;
  static Async* target;
  Async async(loop, counter.delegate());
  ASSERT_TRUE(async.ok());
  target = &async;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) { target->send(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.run_until([&] { return counter.count == 1; }));
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(BlockingCall, RunsElsewhereAndReportsOnTheLoop) {
  TestLoop loop;
  Counter counter;
  BlockingCall call(loop, counter.delegate());
  auto thread = std::make_shared<std::atomic<pthread_t>>(pthread_self());
  ASSERT_TRUE(call.start([thread] { *thread = pthread_self(); }).ok());
  EXPECT_TRUE(call.running());
  ASSERT_TRUE(loop.run_until([&] { return counter.count == 1; }));
  EXPECT_FALSE(call.running());
  EXPECT_FALSE(pthread_equal(*thread, pthread_self()));
  ASSERT_TRUE(call.start([] {}).ok()) << "may be used again";
  EXPECT_TRUE(loop.run_until([&] { return counter.count == 2; }));
}

TEST(BlockingCall, WithoutAThreadItIsBlind) {
  TestLoop loop;
  Counter counter;
  BlockingCall call(loop, counter.delegate());
  const Status status = call.start([] {}, size_t{1} << 46);  // no computer has such a stack
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().fault, Fault::blind);
  EXPECT_FALSE(call.running());
  ASSERT_TRUE(call.start([] {}).ok()) << "may be used again";
  EXPECT_TRUE(loop.run_until([&] { return counter.count == 1; }));
}

// Holds a thread until released, and says when the thread has let go of it.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  bool entered = false;
  void wait() {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
  }
  void release() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};

TEST(BlockingCall, AHungCallKeepsNeitherItsOwnerNorTheLoop) {
  auto gate = std::make_shared<Gate>();
  {
    TestLoop loop;
    Counter counter;
    {
      BlockingCall call(loop, counter.delegate());
      ASSERT_TRUE(call.start([gate] { gate->wait(); }).ok());
      std::unique_lock lock(gate->mutex);
      gate->changed.wait(lock, [&] { return gate->entered; });
    }
    EXPECT_EQ(loop.loop().close(), 0) << "the loop closes while the call hangs";
    EXPECT_EQ(counter.count, 0);
  }
  gate->release();
  while (gate.use_count() > 1) sched_yield();  // the thread frees what it held
}

struct Resolved {
  std::optional<Result<Addresses>> result;
  void on_resolved(Result<Addresses>& r) { result = std::move(r); }
  auto delegate() { return Delegate<void(Result<Addresses>&)>::to<&Resolved::on_resolved>(this); }
};

TEST(Resolver, AnswersANumberAtOnceAndANameByTheSystem) {
  TestLoop loop;
  Resolved resolved;
  Resolver resolver(loop, resolved.delegate());
  resolver.start("127.0.0.1", 6379);
  ASSERT_TRUE(resolved.result.has_value());
  EXPECT_EQ(describe(resolved.result->value().at(0)), "127.0.0.1:6379");
  resolver.start("::1", 6379);
  EXPECT_EQ(describe(resolved.result->value().at(0)), "[::1]:6379");

  resolved.result.reset();
  resolver.start("localhost", 80);
  ASSERT_TRUE(loop.run_until([&] { return resolved.result.has_value(); }));
  ASSERT_TRUE(resolved.result->ok());
  EXPECT_FALSE(resolved.result->value().empty());
}

TEST(Resolver, SaysWhichNameItCouldNotResolve) {
  TestLoop loop;
  Resolved resolved;
  Resolver resolver(
      loop, resolved.delegate(), [](const std::string& host, int) -> Result<Addresses> {
        return make_error("cannot resolve '%s': Name or service not known", host.c_str());
      });
  resolver.start("nowhere.invalid", 1);
  ASSERT_TRUE(loop.run_until([&] { return resolved.result.has_value(); }));
  EXPECT_EQ(resolved.result->error().message,
            "cannot resolve 'nowhere.invalid': Name or service not known");
}

struct Dialled {
  std::optional<Dialer::Answer> answer;
  std::vector<DialStage> stages;
  void on_answer(Dialer::Answer& a) { answer = std::move(a); }
  void on_stage(DialStage stage) { stages.push_back(stage); }
  auto answered() { return Delegate<void(Dialer::Answer&)>::to<&Dialled::on_answer>(this); }
  auto staged() { return Delegate<void(DialStage)>::to<&Dialled::on_stage>(this); }
};

struct Received {
  std::string data;
  int end = 0;
  int drains = 0;
  void on_data(std::string_view bytes) { data += bytes; }
  void on_end(int error) { end = error; }
  void on_drain() { ++drains; }
  Stream::Events events() {
    return {{},
            Delegate<void(std::string_view)>::to<&Received::on_data>(this),
            Delegate<void(int)>::to<&Received::on_end>(this),
            Delegate<void()>::to<&Received::on_drain>(this)};
  }
};

void exchange_and_end(TestLoop& loop, Stream& stream, UniqueFd peer) {
  Received received;
  stream.set_events(received.events());
  ASSERT_EQ(stream.start_reading(), 0);
  std::string hello = "hello";
  ASSERT_EQ(stream.write(hello), 0);
  EXPECT_TRUE(hello.empty());
  char buffer[16] = {};
  ASSERT_EQ(::recv(peer.get(), buffer, sizeof buffer, 0), 5);
  EXPECT_STREQ(buffer, "hello");
  ASSERT_EQ(::send(peer.get(), "back", 4, 0), 4);
  ASSERT_TRUE(loop.run_until([&] { return received.data == "back"; }));
  peer.reset();
  ASSERT_TRUE(loop.run_until([&] { return received.end != 0; }));
  EXPECT_EQ(received.end, UV_EOF);
}

TEST(Dialer, ConnectsOverTcp) {
  TestLoop loop;
  Listener listener;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), dialled.staged());
  dialer.start({"127.0.0.1", listener.port(), ""}, 5s);
  EXPECT_FALSE(dialled.answer.has_value()) << "never before start() has returned";
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  ASSERT_TRUE(dialled.answer->ok());
  EXPECT_EQ(dialled.stages, (std::vector{DialStage::resolving, DialStage::connecting}));
  exchange_and_end(loop, **dialled.answer.value(), listener.accept());
}

TEST(Dialer, ConnectsOverAUnixSocket) {
  TestLoop loop;
  const std::string path = testing::TempDir() + "/nb-dialer.sock";
  Listener listener(path);
  Dialled dialled;
  Dialer dialer(loop, dialled.answered());
  dialer.start({"", 0, path}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  ASSERT_TRUE(dialled.answer->ok());
  exchange_and_end(loop, **dialled.answer.value(), listener.accept());
}

TEST(Dialer, SaysWhatFailedInWords) {
  TestLoop loop;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered());
  dialer.start({"", 0, "/nonexistent/redis.sock"}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message, "/nonexistent/redis.sock: no such file or directory");

  dialled.answer.reset();
  dialer.start({"", 0, "/" + std::string(200, 'x')}, 5s);
  EXPECT_FALSE(dialled.answer.has_value());
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_NE(dialled.answer->error().message.find("name too long"), std::string::npos);

  int port = 0;
  { port = Listener().port(); }
  dialled.answer.reset();
  dialer.start({"127.0.0.1", port, ""}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message,
            "127.0.0.1:" + std::to_string(port) + ": connection refused");
  EXPECT_NE(dialled.answer->error().fault, Fault::blind);
}

// Whether an error tells anything of the target.
TEST(Dialer, IsBlindWhenNothingWasLearnedOfTheTarget) {
  TestLoop loop;
  Dialled dialled;
  Dialer nobody(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    return make_error("no name server").as(Fault::blind);
  });
  nobody.start({"any.example", 1, ""}, 5s);
  EXPECT_TRUE(nobody.resolving());
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().fault, Fault::blind);

  dialled.answer.reset();
  Dialer none(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    return make_error("no such name");
  });
  none.start({"none.example", 1, ""}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().fault, Fault::other);

  // A socket that the agent may not use.
  if (::geteuid() == 0) return;
  const std::string path = testing::TempDir() + "/nb-dialer-closed.sock";
  Listener listener(path);
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  dialled.answer.reset();
  none.start({"", 0, path}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message, path + ": permission denied");
  EXPECT_EQ(dialled.answer->error().fault, Fault::blind);
}

std::atomic<int> g_second_port;  // a LookUp is a plain function: what it needs stands here

TEST(Dialer, TriesTheNextAddressWhenTheFirstRefuses) {
  TestLoop loop;
  Listener listener;
  g_second_port = listener.port();
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    int refusing = 0;
    { refusing = Listener().port(); }
    return Addresses{*parse_numeric("127.0.0.2", refusing),
                     *parse_numeric("127.0.0.1", g_second_port)};
  });
  dialer.start({"two.example", 1, ""}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  ASSERT_TRUE(dialled.answer->ok());
  EXPECT_TRUE(listener.ready());
}

std::atomic<int> g_full_port;

TEST(Dialer, EachAddressHasItsTurnBeforeTheDeadline) {
  // A client that connects to a queue that is full gets no answer, as behind a firewall.
  TestLoop loop;
  Listener full(0);
  Listener listener;
  g_full_port = full.port();
  g_second_port = listener.port();
  const sockaddr_storage address = *parse_numeric("127.0.0.1", full.port());
  std::vector<UniqueFd> queue;
  for (int i = 0; i < 4; ++i) {
    queue.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ::connect(queue.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in));
  }
  ASSERT_TRUE(loop.run_until([&] { return full.ready(); }));
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    Addresses eight(8, *parse_numeric("127.0.0.1", g_full_port));
    eight[4] = *parse_numeric("127.0.0.1", g_second_port);
    return eight;
  });
  dialer.start({"eight.example", 1, ""}, 900ms);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_TRUE(dialled.answer->ok()) << dialled.answer->error().message;
}

std::shared_ptr<Gate> g_gate;

TEST(Dialer, ItsDeadlineCoversALookUpThatHangs) {
  TestLoop loop;
  g_gate = std::make_shared<Gate>();
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    const auto gate = g_gate;
    gate->wait();
    return Error{"late"};
  });
  dialer.start({"slow.example", 1, ""}, 20ms);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message, "slow.example:1: no answer in time");
  EXPECT_FALSE(dialer.dialling());
  g_gate->release();
  while (g_gate.use_count() > 1) sched_yield();
}

std::atomic<int> g_look_ups;

TEST(Dialer, WaitsForALookUpThatHangsInsteadOfBeginningAnother) {
  TestLoop loop;
  g_gate = std::make_shared<Gate>();
  g_look_ups = 0;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    ++g_look_ups;
    const auto gate = g_gate;
    gate->wait();
    return Error{"late"};
  });
  for (int tries = 0; tries < 3; ++tries) {
    dialled.answer.reset();
    dialer.start({"slow.example", 1, ""}, 1ms);
    ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  }
  dialled.answer.reset();
  dialer.start({"slow.example", 1, ""}, 1h);
  g_gate->release();
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message, "late");
  EXPECT_EQ(g_look_ups, 1);
  // Of another name it tells nothing.
  g_gate = std::make_shared<Gate>();
  dialer.start({"slow.example", 1, ""}, 1h);
  dialer.cancel();
  dialer.start({"slower.example", 1, ""}, 1h);
  ASSERT_TRUE(loop.run_until([] { return g_look_ups == 3; }));
  g_gate->release();
  while (g_gate.use_count() > 1) sched_yield();
}

std::atomic<int> g_connects;

// As on a file server that has gone: the loop turns all the while.
TEST(Dialer, APathThatHangsKeepsNobodyWaitingAndIsLookedUpOnce) {
  TestLoop loop;
  g_gate = std::make_shared<Gate>();
  g_connects = 0;
  Dialled dialled;
  const std::string path = testing::TempDir() + "/nb-hanging.sock";
  Listener listener(path);
  Dialer dialer(loop, dialled.answered(), {}, &look_up, [](const std::string& to) {
    ++g_connects;
    const auto gate = g_gate;
    gate->wait();
    return connect_path(to);
  });
  for (int tries = 0; tries < 3; ++tries) {
    dialled.answer.reset();
    dialer.start({"", 0, path}, 1ms);
    ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
    EXPECT_EQ(dialled.answer->error().message, path + ": no answer in time");
    EXPECT_EQ(dialled.answer->error().fault, Fault::blind) << "nothing was learned of the socket";
  }
  dialled.answer.reset();
  dialer.start({"", 0, path}, 1h);
  g_gate->release();
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  ASSERT_TRUE(dialled.answer->ok());
  EXPECT_EQ(g_connects, 1);
  exchange_and_end(loop, **dialled.answer.value(), listener.accept());
  // What comes after cancel() is closed, and a dialer may go while it hangs.
  g_gate = std::make_shared<Gate>();
  {
    Dialled nobody;
    Dialer gone(loop, nobody.answered(), {}, &look_up, [](const std::string& to) {
      const auto gate = g_gate;
      gate->wait();
      return connect_path(to);
    });
    gone.start({"", 0, path}, 1h);
    gone.cancel();
  }
  g_gate->release();
  const UniqueFd peer = listener.accept();
  char byte;
  EXPECT_EQ(::recv(peer.get(), &byte, 1, 0), 0);
  while (g_gate.use_count() > 1) sched_yield();
}

TEST(Dialer, MayBeCancelledAtAnyStage) {
  TestLoop loop;
  const std::string path = testing::TempDir() + "/nb-stages.sock";
  Listener tcp;
  Listener unix_socket(path);
  struct Canceller {
    void on_answer(Dialer::Answer&) { ++answers; }
    void on_stage(DialStage now) {
      if (now == stage) dialer->cancel();
    }
    DialStage stage{};
    Dialer* dialer = nullptr;
    int answers = 0;
  } canceller;
  Dialer dialer(loop, Delegate<void(Dialer::Answer&)>::to<&Canceller::on_answer>(&canceller),
                Delegate<void(DialStage)>::to<&Canceller::on_stage>(&canceller));
  canceller.dialer = &dialer;
  const Target number{"127.0.0.1", tcp.port(), ""};
  for (const DialStage stage : {DialStage::resolving, DialStage::connecting}) {
    canceller.stage = stage;
    dialer.start(number, 5s);
    EXPECT_FALSE(dialer.dialling());
  }
  dialer.start({"", 0, path}, 5s);
  EXPECT_FALSE(dialer.dialling());
  // The loop has nothing left to do.
  loop.loop().run_once(false);
  EXPECT_FALSE(tcp.ready());
  EXPECT_FALSE(unix_socket.ready());
  EXPECT_EQ(canceller.answers, 0);
}

TEST(Dialer, CancelIsSilent) {
  TestLoop loop;
  Listener listener;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered());
  dialer.start({"127.0.0.1", listener.port(), ""}, 5s);
  dialer.cancel();
  loop.loop().run_once(false);
  EXPECT_FALSE(dialled.answer.has_value());
}

TEST(Dialer, AFailureThatWasCancelledIsNotToldOfTheNextTarget) {
  TestLoop loop;
  g_gate = std::make_shared<Gate>();
  Dialled dialled;
  Dialer dialer(loop, dialled.answered(), {}, [](const std::string&, int) -> Result<Addresses> {
    const auto gate = g_gate;
    gate->wait();
    return Error{"late"};
  });
  dialer.start({"255.255.255.255", 1, ""}, 1h);  // fails within the call
  dialer.cancel();
  dialer.start({"slow.example", 1, ""}, 1ms);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  EXPECT_EQ(dialled.answer->error().message, "slow.example:1: no answer in time");
  g_gate->release();
  while (g_gate.use_count() > 1) sched_yield();
}

TEST(Stream, QueuesWhatTheKernelDoesNotTakeAndSaysWhenItHas) {
  TestLoop loop;
  Listener listener;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered());
  dialer.start({"127.0.0.1", listener.port(), ""}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  Stream& stream = **dialled.answer.value();
  const UniqueFd peer = listener.accept();
  Received received;
  stream.set_events(received.events());
  constexpr size_t kSize = 32 * 1024 * 1024;
  std::string big(kSize, 'x');
  ASSERT_EQ(stream.write(big), 0);
  EXPECT_TRUE(big.empty());
  EXPECT_GT(stream.queued_bytes(), 0u);
  std::string more = "y";
  ASSERT_EQ(stream.write(more), 0);
  size_t got = 0;
  char last = 0;
  std::vector<char> buffer(1 << 20);
  ASSERT_TRUE(loop.run_until([&] {
    const ssize_t n = ::recv(peer.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n > 0) {
      got += static_cast<size_t>(n);
      last = buffer[static_cast<size_t>(n) - 1];
    }
    return got == kSize + 1 && received.drains > 0;
  }));
  EXPECT_EQ(last, 'y');
  EXPECT_EQ(stream.queued_bytes(), 0u);
}

TEST(Stream, MayDieWithWritesQueued) {
  TestLoop loop;
  Listener listener;
  Dialled dialled;
  Dialer dialer(loop, dialled.answered());
  dialer.start({"127.0.0.1", listener.port(), ""}, 5s);
  ASSERT_TRUE(loop.run_until([&] { return dialled.answer.has_value(); }));
  const UniqueFd peer = listener.accept();
  std::string big(32 * 1024 * 1024, 'x');
  ASSERT_EQ((*dialled.answer.value())->write(big), 0);
  dialled.answer.reset();
}

}  // namespace
}  // namespace nb::uv
