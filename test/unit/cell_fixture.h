// What the tests of cell/ share: all nouns behind one dispatcher, a Redis that is scripted, and
// replies that the test reads.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cell/bus.h"
#include "cell/bus_filter.h"
#include "cell/errors.h"
#include "cell/events.h"
#include "cell/listeners.h"
#include "cell/look.h"
#include "cell/operation.h"
#include "cell/robot.h"
#include "cell/session.h"
#include "cell/state.h"
#include "cell/state_watch.h"
#include "cell/stroke.h"
#include "cell/writes.h"
#include "config/load.h"
#include "json/guard.h"
#include "outbox/outbox.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "redis/subscriber.h"
#include "rpc/codec.h"
#include "rpc/dispatcher.h"
#include "support/captured_log.h"
#include "support/fake_store.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::cell {

using namespace std::chrono_literals;

// Real time, and what the test adds to it.
class CellClock final : public Clock {
 public:
  MonoTime now() const override { return real_.now() + ahead; }
  WallTime wall_now() const override { return WallTime(1'795'183'387s) + wall_ahead; }
  Duration real_delay(Duration delay) const override {
    return delay > longest_wait ? delay / 1000 : delay;
  }

  Duration ahead{};
  Duration longest_wait = Duration::max();  // a timer with a longer delay expires sooner
  WallTime::duration wall_ahead{};

 private:
  SystemClock real_;
};

// A front end with clients that take what they are sent.
class FakeFront final : public rpc::FrontEnd {
 public:
  bool answer(rpc::Token token, std::string_view result) override {
    return settle(token, std::string(result));
  }
  bool refuse(rpc::Token token, const rpc::Error& error) override {
    return settle(token, words_of(error));
  }
  void report(rpc::ClientId client, std::string_view method, const rpc::Error& error) override {
    heard.emplace_back(std::to_string(client) + ": " + std::string(method) + ": " +
                       words_of(error));
  }
  bool notify(rpc::ClientId client, std::string_view line) override {
    heard.emplace_back(std::to_string(client) + ": " + std::string(line));
    if (on_notify) on_notify();
    return true;
  }
  bool notify_if_room(rpc::ClientId client, std::string_view line) override {
    return room-- > 0 && notify(client, line);
  }
  void notify_gap(rpc::ClientId client, WallTime, WallTime) override {
    heard.emplace_back(std::to_string(client) + ": gap");
  }
  void pause_reading(rpc::ClientId client, bool paused) override {
    paused ? void(paused_.push_back(client)) : void(std::erase(paused_, client));
  }
  size_t max_line_bytes(rpc::ClientId) const override { return line_bytes; }
  size_t queued_bytes(rpc::ClientId) const override { return queued; }
  size_t queued_bytes() const override { return queued; }

  // "name: message {data}"
  static std::string words_of(const rpc::Error& error) {
    std::string words = std::string(rpc::name_of(error.code)) + ": " + error.message;
    return error.data.empty() ? words : words + " {" + error.data + "}";
  }
  const std::vector<rpc::ClientId>& paused() const { return paused_; }

  size_t line_bytes = rpc::kLineBytes;
  size_t queued = 0;
  int room = 1'000'000;  // lines that notify_if_room() takes
  std::vector<std::string> heard;
  std::function<void()> on_notify;
  std::map<rpc::Token, std::string> later;  // answers that were put off; empty: not yet there

 private:
  bool settle(rpc::Token token, std::string words) {
    const auto at = later.find(token);
    if (at == later.end()) return false;
    EXPECT_EQ(at->second, "") << "answered twice: " << words;
    at->second = std::move(words);
    return true;
  }
  std::vector<rpc::ClientId> paused_;
};

// Keeps what a call is answered with.
class FakeReply final : public rpc::Reply {
 public:
  explicit FakeReply(FakeFront& front, bool wanted = true) : front_(front), wanted_(wanted) {}
  void answer(std::string_view result) override { settle(std::string(result)); }
  void refuse(const rpc::Error& error) override { settle(FakeFront::words_of(error)); }
  rpc::Token put_off(size_t weight) override {
    if (!wanted_) return 0;
    token = front_.later.empty() ? 1 : front_.later.rbegin()->first + 1;
    front_.later[token];
    weight_ = weight;
    settle("(later)");
    return token;
  }
  bool is_wanted() const override { return wanted_; }

  std::string words;  // empty: none of the three
  rpc::Token token = 0;

 private:
  void settle(std::string what) {
    EXPECT_EQ(words, "") << "settled twice: " << what;
    words = std::move(what);
  }
  FakeFront& front_;
  bool wanted_;
  size_t weight_ = 0;
};

class CellTest : public testing::Test {
 protected:
  explicit CellTest(std::string_view more_config = "") : config(load(more_config)) {
    outbox.set_on_settled(Delegate<void(const outbox::Settled&)>::to<&Writes::on_settled>(&writes));
    outbox.set_on_room(Delegate<void()>::to<&Writes::on_room>(&writes));
    make();
    link->start();
  }
  ~CellTest() override {
    if (look) look->stop();
    listeners.stop();
    state_watch.stop();
    reader->stop();
    subscriber->stop();
  }

  static config::Config load(std::string_view more) {
    config::Sources sources;
    sources.host_name = "ook";
    sources.text = "[node]\nname = \"ook\"\n" + std::string(more);
    auto loaded = config::load(sources);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return loaded->config;
  }

  static redis::LinkOptions way() {
    redis::LinkOptions options;
    options.target.host = "store";
    options.greeting.databases = {0};
    options.backoff = {1ms, 5ms, 5ms};
    return options;
  }

  void make() {
    robot.emplace(loop, log, identity, events, writes, config, note("/agent.sock.robot"));
    stroke.emplace(loop, log, identity, events, writes, config, note("/agent.sock.session"));
    look.emplace(loop, *reader, front, operations, identity.node,
                 Delegate<std::string_view()>::to<&CellTest::own_health>(this),
                 Delegate<bool()>::to<&CellTest::is_watched>(this));
    dispatcher.emplace();
    dispatcher->add(Robot::kMethods, &*robot);
    dispatcher->add(Stroke::kMethods, &*stroke);
    dispatcher->add(Errors::kMethods, &errors);
    dispatcher->add(Events::kMethods, &events);
    dispatcher->add(Bus::kMethods, &bus);
    dispatcher->add(State::kMethods, &state);
    dispatcher->add(StateWatch::kMethods, &state_watch);
    dispatcher->add(Sessions::kMethods, &sessions);
    dispatcher->add(Listeners::kMethods, &listeners);
    dispatcher->add(Look::kMethods, &*look);
  }
  std::string note(const char* name) { return keeps_notes ? tree(name) : std::string(); }
  std::string_view own_health() { return health; }
  bool is_watched() { return watched; }

  // --- calls

  // What the call is answered with at once: a result, "name: message", or "(later)".
  std::string call(std::string_view method, std::string_view params = "", uint64_t client = 7) {
    return call_as(rpc::Call::Origin::client, method, params, client);
  }
  std::string notify(std::string_view method, std::string_view params, uint64_t client = 7) {
    FakeReply reply(front, false);
    run(reply, rpc::Call::Origin::client, method, params, client);
    return reply.words;
  }
  std::string will(std::string_view method, std::string_view params = "", uint64_t client = 7) {
    return call_as(rpc::Call::Origin::will, method, params, client);
  }
  std::string check_will(std::string_view method, std::string_view params = "") {
    return call_as(rpc::Call::Origin::check, method, params, 7);
  }
  // What came in the end, when Redis has been asked.
  std::string finally(std::string_view method, std::string_view params = "", uint64_t client = 7) {
    const std::string at_once = call(method, params, client);
    if (at_once != "(later)") return at_once;
    const rpc::Token token = last_token;
    run_until([&] { return !front.later[token].empty(); });
    return front.later[token];
  }

  std::string call_as(rpc::Call::Origin origin, std::string_view method, std::string_view params,
                      uint64_t client) {
    FakeReply reply(front, origin == rpc::Call::Origin::client);
    run(reply, origin, method, params, client);
    last_token = reply.token;
    return reply.words;
  }
  void run(FakeReply& reply, rpc::Call::Origin origin, std::string_view method,
           std::string_view params, uint64_t client) {
    json::View view;
    json::Guard guard;
    if (!params.empty()) {
      EXPECT_EQ(guard.check(params).reason, nullptr) << params;
      view = guard.view();
    }
    const uint32_t user = client == 0 ? 0 : static_cast<uint32_t>(1000 + client / 10);
    rpc::Call call({client, user, rights}, reply, origin, loop.loop().now());
    call.method = method;
    if (origin == rpc::Call::Origin::client) return dispatcher->dispatch(call, view);
    if (!dispatcher->dispatch_will(call, view)) reply.refuse(rpc::not_found("not in a will"));
  }

  // --- Redis

  void run_until(const std::function<bool()>& condition) {
    EXPECT_TRUE(loop.run_until([&] {
      while (store.pump()) {
      }
      return condition();
    })) << log.text();
  }
  // All that was written has been confirmed.
  void settle() {
    run_until([&] { return is_connected() && outbox.drained(); });
  }
  void connect() {
    run_until([&] { return is_connected(); });
  }
  bool is_connected() const { return link->status().state == redis::LinkState::steady; }
  void lose_redis() {
    store.go_away();
    run_until([&] { return link->status().state < redis::LinkState::replaying; });
  }
  void client_closed(uint64_t client) {
    listeners.on_client_closed(client);
    state_watch.on_client_closed(client);
    operations.on_client_closed(client);
    look->on_client_closed(client);
    writes.on_client_closed(client);
    events.on_client_closed(client);
  }

  void on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
    listeners.on_publish(channel, payload, is_notice);
  }
  void on_status(const redis::LinkStatus& status) {
    writes.on_link_status();
    if (status.state >= redis::LinkState::replaying && !was_there_) {
      reader->on_server_there();
      if (reads_back) {
        robot->read_back(*link);
        stroke->read_back(*link);
      }
    }
    was_there_ = status.state >= redis::LinkState::replaying;
  }

  config::Config config;
  CellClock clock;
  test::TestLoop loop{clock};
  test::TempTree tree;
  test::CapturedLog log;
  test::FakeStore store;
  bool keeps_notes = false;
  bool reads_back = false;
  rpc::Rights rights = rpc::Rights::all();
  bool watched = true;
  std::string health = R"({"last_heartbeat":"2026-11-20T14:03:06.000000"})";
  node::Identity identity{"ook", "boot", "ook-1"};
  outbox::Outbox outbox{{"ook", "ook-1", {}, {}}};
  std::optional<redis::Link> link_{
      std::in_place,
      loop.loop(),
      log,
      outbox,
      way(),
      redis::LinkEvents{
          Delegate<void(const redis::LinkStatus&)>::to<&CellTest::on_status>(this),
          {},
          Delegate<void(std::string_view, std::string_view, bool)>::to<&CellTest::on_publish>(
              this)},
      &test::FakeStore::make};
  redis::Link* link = &*link_;
  std::optional<redis::Reader> reader{std::in_place, loop.loop(), way(), 0, &test::FakeStore::make};
  std::optional<redis::Subscriber> subscriber{
      std::in_place,
      loop.loop(),
      log,
      way(),
      redis::SubscriberEvents{
          Delegate<void(std::string_view, std::string_view,
                        std::string_view)>::to<&Listeners::on_remote>(&listeners),
          Delegate<void(WallTime, WallTime)>::to<&Listeners::on_gap>(&listeners),
          Delegate<void(redis::LinkState)>::to<&Listeners::on_remote_state>(&listeners)},
      &test::FakeStore::make};
  FakeFront front;
  Writes writes{loop, front, outbox, *link};
  Operations operations{loop, front, *reader, *link};
  redis::ClockReader clock_reader{loop.loop(), *link, 0};
  BusFilter bus_filter{log, identity, config, clock_reader};
  Listeners listeners{loop, log, identity, front, *link, *subscriber, *reader, bus_filter};
  std::string client_name;  // of every client
  wire::EventClient about_client(rpc::ClientId) { return {client_name, 4711}; }
  Events events{loop,      identity, writes,
                listeners, config,   Events::About::to<&CellTest::about_client>(this)};
  Bus bus{loop, bus_filter, events, config};
  Errors errors{loop, identity, events, config};
  StateWatch state_watch{loop.loop(), front, *link, *reader,
                         outbox,      0,     way(), &test::FakeStore::make};
  State state{writes, operations, outbox, state_watch, config};
  redis::Scripts scripts{loop.loop(), way(), 0, redis::Script{"return 1", "0123"},
                         &test::FakeStore::make};
  Sessions sessions{loop, front, operations, scripts, identity, config, {}};
  std::optional<Robot> robot;
  std::optional<Stroke> stroke;
  std::optional<Look> look;
  std::optional<rpc::Dispatcher> dispatcher;
  rpc::Token last_token = 0;

 private:
  bool was_there_ = false;
};

}  // namespace nb::cell
