// Unit tests of fleet/: the walk over the cell and its pages, with a scripted store and without a
// socket.
#include "fleet/fleet.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "json/view.h"
#include "redis/reader.h"
#include "support/fake_store.h"
#include "support/fast_clock.h"
#include "support/stepped_clock.h"
#include "support/test_loop.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;
using test::array_of;
using test::bulk;
using test::FakeStore;

std::string scan_page(const std::vector<std::string>& texts) {
  return "*2\r\n" + bulk("0") + array_of(texts);
}

class FleetTest : public testing::Test {
 public:
  FleetTest() {
    redis::LinkOptions options;
    options.greeting.databases = {0};
    options.command_timeout = 1h;
    options.connect_timeout = 1h;
    options.backoff = {1h, 1h, 1h};
    reader_.emplace(loop_.loop(), options, 0, &FakeStore::make);
    fleet_.emplace(loop_.loop(), *reader_, "ook", wiring());
    store_.answer("SCAN", scan_page({}));
    store_.answer("HLEN", ":0\r\n");
    store_.answer("HSCAN", scan_page({}));
    store_.answer("GETRANGE", "$0\r\n\r\n");
    store_.answer("HSTRLEN", ":0\r\n");
    store_.answer("XREVRANGE", "*0\r\n");
    store_.answer("TYPE", "+none\r\n");
  }

  Fleet::Wiring wiring() {
    return {Delegate<bool()>::to<&FleetTest::redis_is_there>(this),
            Delegate<uint64_t()>::to<&FleetTest::link_connects>(this),
            Delegate<bool()>::to<&FleetTest::is_watched>(this),
            Delegate<std::string_view()>::to<&FleetTest::own_health>(this),
            Delegate<bool(uint64_t, size_t)>::to<&FleetTest::has_room>(this),
            Delegate<size_t(uint64_t)>::to<&FleetTest::page_bytes>(this),
            Delegate<void(uint64_t, std::string_view)>::to<&FleetTest::on_answer>(this)};
  }
  bool redis_is_there() { return there_; }
  uint64_t link_connects() { return link_connects_; }
  bool is_watched() { return watched_; }
  std::string_view own_health() { return own_health_; }
  bool has_room(uint64_t client, size_t pages) { return client != crowded_ && pages < most_pages_; }
  size_t page_bytes(uint64_t) { return page_bytes_; }
  void on_answer(uint64_t token, std::string_view page) {
    EXPECT_EQ(pages_.count(token), 0u) << "it is answered once";
    pages_[token] = page;
  }

  // A node that the register has, with this health.
  void add_node(const std::string& name, const std::string& health) {
    registered_.insert(registered_.end(), {name, "{}"});
    store_.answer("HSCAN nodebeat:nodes 0 COUNT 500", scan_page(registered_));
    store_.answer("HLEN", ":" + std::to_string(registered_.size() / 2) + "\r\n");
    store_.answer("HSTRLEN node:health:" + name + " health",
                  ":" + std::to_string(health.size()) + "\r\n");
    store_.answer("HGET node:health:" + name + " health", bulk(health));
  }
  void ask(uint64_t token, size_t limit = Fleet::kMostNodes, const std::string& from = {},
           uint64_t client = 1) {
    Fleet::Wish wish;
    wish.client = client;
    wish.token = token;
    wish.limit = limit;
    wish.from = from;
    fleet_->ask(std::move(wish));
  }
  template <class Condition>
  bool pump_until(Condition condition) {
    return loop_.run_until([&] {
      while (store_.pump()) {
      }
      return condition();
    });
  }
  bool answered(size_t pages) {
    return pump_until([&] { return pages_.size() >= pages; });
  }
  json::View page(uint64_t token) { return json::View::of(pages_[token]); }
  std::string text_of(json::View view) {
    std::string scratch;
    return std::string(view.string(scratch).value_or("(none)"));
  }

  // What the page says of how a node is.
  json::View of(uint64_t token, const std::string& node) {
    for (const json::Member& member : page(token)["nodes"].members()) {
      if (member.name_is(node)) return member.value;
    }
    return {};
  }
  void lease(const std::string& node, int seq, int patience_ms = 3000) {
    store_.answer("GETRANGE nodebeat:lease:" + node + " 0 384",
                  bulk(words(node, seq, patience_ms)));
  }
  static std::string words(const std::string& node, int seq, int patience_ms = 3000) {
    return "boot " + node + "-1 " + std::to_string(seq) + " 1000 " + std::to_string(patience_ms);
  }
  // One question after `later`, on a page of its own.
  void look_again(Duration later) {
    clock_.ahead += later;
    ask(++token_);
    ASSERT_TRUE(answered(pages_.size() + 1));
  }

  test::SteppedClock clock_;
  test::TestLoop loop_{clock_};
  FakeStore store_;
  std::optional<redis::Reader> reader_;
  std::optional<Fleet> fleet_;
  std::vector<std::string> registered_;
  std::map<uint64_t, std::string> pages_;
  bool there_ = true;
  uint64_t link_connects_ = 1;
  bool watched_ = true;
  std::string own_health_ = "null";
  uint64_t token_ = 100;
  uint64_t crowded_ = 0;
  size_t most_pages_ = 100;
  size_t page_bytes_ = 60'000;
};

TEST_F(FleetTest, APageHasEachNodeWithItsHealthOrWhenItWasLastSeen) {
  add_node("eek", R"({"is_reachable":true,"last_heartbeat":"2026-11-20T14:03:07.123456"})");
  add_node("hog", "");
  store_.answer("XREVRANGE stream:node_metrics:hog + - COUNT 1",
                "*1\r\n*2\r\n" + bulk("1700000000000-0") + array_of({"health", "{}"}));
  own_health_ = R"({"cpu_percent":1})";
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["redis_connected"].boolean(), true);
  EXPECT_EQ(page(1)["total_nodes"].integer(), 3);
  EXPECT_EQ(page(1)["nodes_online"].integer(), 2);
  EXPECT_EQ(page(1)["nodes_health"]["eek"]["is_reachable"].boolean(), true);
  EXPECT_EQ(page(1)["nodes_health"]["hog"].type(), json::View::Type::null);
  EXPECT_EQ(text_of(page(1)["nodes_last_seen"]["eek"]), "2026-11-20T14:03:07.123456");
  EXPECT_EQ(text_of(page(1)["nodes_last_seen"]["hog"]), "2023-11-14T22:13:20.000000");
  EXPECT_EQ(page(1)["cursor"].type(), json::View::Type::null);
  EXPECT_EQ(of(1, "eek").raw(), R"({"state":"up","since":null,"age_ms":null,"source":"health"})");
  EXPECT_EQ(of(1, "hog").raw(),
            R"({"state":"down","since":"2023-11-14T22:13:20.000000","age_ms":null,)"
            R"("source":"health","cause":"its health has expired"})");
  EXPECT_EQ(text_of(of(1, "ook")["state"]), "up");
  EXPECT_EQ(text_of(of(1, "ook")["source"]), "own");
  EXPECT_EQ(page(1)["nodes_health"]["ook"].raw(), own_health_);
  EXPECT_EQ(store_.count("HSTRLEN node:health:ook"), 0) << "of itself it knows more than Redis";
}

TEST_F(FleetTest, AllQuestionsOfATurnShareOneWalk) {
  add_node("eek", R"({"is_reachable":true})");
  for (uint64_t token = 1; token <= 20; ++token) ask(token, 1, token % 2 == 0 ? "eek" : "");
  ASSERT_TRUE(answered(20));
  EXPECT_EQ(store_.count("HLEN"), 1);
  EXPECT_EQ(pages_[1].size(), pages_[19].size());
  EXPECT_TRUE(page(1)["nodes_health"]["eek"].exists());
  EXPECT_FALSE(page(1)["nodes_health"]["ook"].exists());
  EXPECT_EQ(text_of(page(1)["cursor"]), "eek");
  EXPECT_TRUE(page(2)["nodes_health"]["ook"].exists());
  EXPECT_FALSE(page(2)["nodes_health"]["eek"].exists());
  EXPECT_EQ(page(2)["cursor"].type(), json::View::Type::null);
}

TEST_F(FleetTest, AQuestionWithinASecondIsAnsweredFromTheView) {
  add_node("eek", R"({"is_reachable":true})");
  ask(1);
  ASSERT_TRUE(answered(1));
  for (uint64_t token = 2; token <= 20; ++token) {
    ask(token);
    ASSERT_TRUE(answered(token));
    EXPECT_EQ(page(token)["nodes_health"]["eek"].raw(), R"({"is_reachable":true})");
  }
  EXPECT_EQ(store_.count("HLEN"), 1) << "one walk";
  look_again(1s);
  EXPECT_EQ(store_.count("HLEN"), 2);
}

TEST_F(FleetTest, AViewIsGivenUpWhenNobodyAsks) {
  test::FastClock fast;
  test::TestLoop loop(fast);
  redis::LinkOptions options;
  options.greeting.databases = {0};
  redis::Reader reader(loop.loop(), options, 0, &FakeStore::make);
  Fleet fleet(loop.loop(), reader, "ook", wiring());
  const auto turn = [&](size_t pages) {
    return loop.run_until([&] {
      while (store_.pump()) {
      }
      return pages_.size() >= pages;
    });
  };
  add_node("eek", R"({"is_reachable":true})");
  // A walk has some seconds, which are milliseconds here: a busy machine may need several walks.
  uint64_t token = 0;
  do {
    fleet.ask({1, ++token, 10, ""});
    ASSERT_TRUE(turn(token));
  } while (!page(token)["nodes_health"]["eek"].exists() && token < 100);
  EXPECT_TRUE(page(token)["nodes_health"]["eek"].exists());
  there_ = false;
  const MonoTime later = fast.now() + 3 * Fleet::kIdle;
  ASSERT_TRUE(loop.run_until([&] { return fast.now() > later; }));
  EXPECT_EQ(fleet.find("eek"), nullptr);
  fleet.ask({1, ++token, 10, ""});
  ASSERT_TRUE(turn(token));
  EXPECT_FALSE(page(token)["nodes_health"]["eek"].exists());
  EXPECT_TRUE(page(token)["nodes_health"]["ook"].exists());
  reader.stop();
}

TEST_F(FleetTest, ALeaseIsJudgedByItsChangeBetweenTwoLooks) {
  add_node("eek", R"({"is_reachable":true})");
  lease("eek", 1);
  look_again(0s);
  EXPECT_EQ(of(token_, "eek").raw(),
            R"({"state":"up","since":null,"age_ms":null,"source":"lease"})")
      << "there was one look: nobody has announced anything";
  lease("eek", 2);
  look_again(1s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up");
  EXPECT_GE(of(token_, "eek")["age_ms"].integer(), 0) << "it has been seen to change";
  look_again(1s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up") << "a third of its patience";
  EXPECT_GE(of(token_, "eek")["age_ms"].integer(), 1000);
  look_again(1100ms);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "suspect");
  EXPECT_TRUE(text_of(of(token_, "eek")["cause"]).starts_with("lease not renewed for 2"));
  EXPECT_NE(of(token_, "eek")["since"].type(), json::View::Type::null);
  EXPECT_EQ(page(token_)["nodes_online"].integer(), 2) << "a suspect is not lost";
  look_again(10s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "suspect") << "the watcher decides who is lost";
  watched_ = false;
  look_again(1s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "down") << "there is none";
  lease("eek", 3);
  look_again(1s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up");
}

TEST_F(FleetTest, WhomTheWatcherHasAnnouncedIsDownAsLongAsItsLeaseIsThat) {
  add_node("eek", R"j({"is_reachable":false,"reason":"lease not renewed for 3.1 s (seen by hog)",)j"
                  R"("timestamp":"2026-11-20T14:03:07.5","last_heartbeat":"2026-11-20T14:03:04"})");
  lease("eek", 7);
  const auto mark = [&](const std::string& text) {
    store_.answer("HSCAN nodebeat:dead 0 COUNT 500", scan_page({"eek", text, "stranger", text}));
  };
  mark(words("eek", 7));
  look_again(0s);
  EXPECT_EQ(of(token_, "eek").raw(),
            R"({"state":"down","since":"2026-11-20T14:03:07.500000","age_ms":null,)"
            R"j("source":"lease","cause":"lease not renewed for 3.1 s (seen by hog)"})j");
  EXPECT_EQ(page(token_)["nodes_online"].integer(), 1);
  mark(words("eek", 6));
  look_again(1s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up") << "that was an earlier death";
}

TEST_F(FleetTest, ACleanStopIsALeaseWithoutPatience) {
  add_node("eek", R"({"is_reachable":false,"reason":"stopped"})");
  lease("eek", 7, 0);
  look_again(0s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "down");
  EXPECT_EQ(text_of(of(token_, "eek")["cause"]), "stopped");
}

TEST_F(FleetTest, WithoutRedisEveryOtherNodeIsUnknownSinceThen) {
  const std::string health =
      R"({"is_reachable":true,"last_heartbeat":"2026-11-20T14:03:07.000000"})";
  add_node("eek", health);
  lease("eek", 1);
  own_health_ = R"({"cpu_percent":1})";
  look_again(0s);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up");
  there_ = false;
  const size_t asked = store_.commands().size();
  for (const Duration later : {Duration(0s), Duration(1h)}) {
    look_again(later);
    EXPECT_EQ(page(token_)["redis_connected"].boolean(), false);
    EXPECT_EQ(page(token_)["nodes_online"].integer(), 1);
    EXPECT_EQ(page(token_)["total_nodes"].integer(), 2);
    EXPECT_EQ(text_of(of(token_, "eek")["state"]), "unknown");
    EXPECT_NE(of(token_, "eek")["since"].type(), json::View::Type::null);
    EXPECT_EQ(text_of(of(token_, "eek")["cause"]), "Redis cannot be read");
    EXPECT_EQ(page(token_)["nodes_health"]["eek"].type(), json::View::Type::null)
        << "never its last colour";
    EXPECT_EQ(text_of(page(token_)["nodes_last_seen"]["eek"]), "2026-11-20T14:03:07.000000");
    EXPECT_EQ(text_of(of(token_, "ook")["state"]), "up");
    EXPECT_EQ(page(token_)["nodes_health"]["ook"].raw(), own_health_);
  }
  EXPECT_EQ(store_.commands().size(), asked);
  there_ = true;
  lease("eek", 2);
  look_again(0s);
  EXPECT_EQ(page(token_)["redis_connected"].boolean(), true) << "at once, when it is back";
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "up");
}

TEST_F(FleetTest, AWalkThatFailsLeavesWhatWasKnownAsUnknown) {
  add_node("eek", R"({"is_reachable":true})");
  look_again(0s);
  store_.answer("HLEN", "*0\r\n");  // no Redis
  look_again(1s);
  EXPECT_EQ(page(token_)["redis_connected"].boolean(), false);
  EXPECT_EQ(text_of(of(token_, "eek")["state"]), "unknown");
  EXPECT_EQ(text_of(of(token_, "ook")["state"]), "up");
}

TEST_F(FleetTest, NodesThatAreReadOneByOneTakeABoundedRoom) {
  const std::string health = R"({"text":")" + std::string(30'000, 'x') + R"("})";
  for (int i = 0; i < 100; ++i) {
    KnownNode node;
    ASSERT_TRUE(take_health(node, health));
    node.answered = clock_.now();
    EXPECT_EQ(fleet_->learn("n" + std::to_string(i), std::move(node)).health, health);
  }
  int kept = 0;
  for (int i = 0; i < 100; ++i) kept += fleet_->find("n" + std::to_string(i)) != nullptr;
  EXPECT_GT(kept, 30);
  EXPECT_LT(kept, 36) << "a megabyte; the others are read again";
  there_ = false;
  for (int i = 0; i < 100; ++i) EXPECT_NE(fleet_->find("n" + std::to_string(i)), nullptr);
}

TEST_F(FleetTest, ANodeThatIsReadAgainTakesItsRoomOnce) {
  const std::string health = R"({"text":")" + std::string(30'000, 'x') + R"("})";
  for (int i = 0; i < 100; ++i) {
    KnownNode node;
    ASSERT_TRUE(take_health(node, health));
    node.answered = clock_.now();
    fleet_->learn("eek", std::move(node));
    ASSERT_NE(fleet_->find("eek"), nullptr) << i;
    if (i % 2 == 1) fleet_->forget("eek");
  }
}

TEST_F(FleetTest, ANodeThatIsReadAloneIsSuspectAsInAWalk) {
  const auto learn = [&] {
    KnownNode node;
    node.server = fleet_->server();
    node.asked = node.answered = clock_.now();
    take_lease(node, words("eek", 7), 0);
    return fleet_->learn("eek", std::move(node)).state;
  };
  EXPECT_EQ(learn(), NodeState::up);
  clock_.ahead += 2s;
  EXPECT_EQ(learn(), NodeState::suspect);
  ++link_connects_;
  EXPECT_EQ(learn(), NodeState::up) << "another server may have an older lease";
  clock_.ahead += 2s;
  EXPECT_EQ(learn(), NodeState::suspect);
}

TEST_F(FleetTest, ANodeThatIsForgottenLeavesTheView) {
  add_node("eek", R"({"is_reachable":true})");
  add_node("hog", R"({"is_reachable":true})");
  look_again(0s);
  EXPECT_NE(fleet_->find("eek"), nullptr);
  EXPECT_EQ(fleet_->find("ook"), nullptr) << "of itself the agent knows better";
  fleet_->forget("eek");
  EXPECT_EQ(fleet_->find("eek"), nullptr);
  look_again(0s);
  EXPECT_FALSE(page(token_)["nodes_health"]["eek"].exists());
  EXPECT_TRUE(page(token_)["nodes_health"]["hog"].exists());
}

TEST_F(FleetTest, APageWithoutItsHealthsIsNotMadeOfTheView) {
  const std::string health = R"({"text":")" + std::string(30'000, 'x') + R"("})";
  for (int i = 0; i < 60; ++i) add_node("n" + std::to_string(100 + i), health);
  look_again(0s);
  EXPECT_EQ(store_.count("HLEN"), 1);
  std::string from = text_of(page(token_)["cursor"]);
  size_t pages = 1;
  for (; from != "(none)"; ++pages) {
    ask(++token_, Fleet::kMostNodes, from);
    ASSERT_TRUE(answered(pages_.size() + 1));
    ASSERT_NE(text_of(page(token_)["cursor"]), from) << "each page has a node";
    from = text_of(page(token_)["cursor"]);
  }
  EXPECT_GT(pages, 30u);
  EXPECT_LE(store_.count("HLEN"), 4) << "a megabyte of healths is kept at a time";
}

TEST_F(FleetTest, APageThatHasNoRoomForAllGoesOnBehindItsLastNode) {
  const std::string health = R"({"text":")" + std::string(300, 'x') + R"("})";
  for (const char* name : {"a", "b", "c"}) add_node(name, health);
  page_bytes_ = 384 + 2 * 500;
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_LE(pages_[1].size(), page_bytes_);
  EXPECT_EQ(text_of(page(1)["cursor"]), "b");
  ask(2, 10, "b");
  ASSERT_TRUE(answered(2));
  EXPECT_TRUE(page(2)["nodes_health"]["c"].exists());
  EXPECT_TRUE(page(2)["nodes_health"]["ook"].exists());
}

TEST_F(FleetTest, WithoutRedisAPageHasTheOwnNodeAndSaysSo) {
  there_ = false;
  own_health_ = R"({"cpu_percent":1})";
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["redis_connected"].boolean(), false);
  EXPECT_EQ(page(1)["nodes_health"]["ook"]["cpu_percent"].raw(), "1");
  EXPECT_TRUE(store_.commands().empty());
}

TEST_F(FleetTest, AReplyThatItsCommandCannotHaveEndsTheWalk) {
  add_node("eek", R"({"is_reachable":true})");
  store_.answer("HSTRLEN node:health:eek health", "*0\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["redis_connected"].boolean(), false);
}

TEST_F(FleetTest, WhatAnAclForbidsIsLeftOut) {
  add_node("eek", R"({"is_reachable":true})");
  add_node("hog", R"({"is_reachable":true})");
  store_.answer("HSTRLEN node:health:eek health", "-NOPERM no\r\n");
  store_.answer("HGET node:health:eek health", "-NOPERM no\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["redis_connected"].boolean(), true);
  EXPECT_EQ(page(1)["nodes_health"]["eek"].type(), json::View::Type::null);
  EXPECT_TRUE(page(1)["nodes_health"]["hog"]["is_reachable"].exists());
}

TEST_F(FleetTest, AHealthThatIsTooLongIsNotAskedFor) {
  add_node("eek", "{}");
  store_.answer("HSTRLEN node:health:eek health",
                ":" + std::to_string(CellWalk::kMaxHealth + 1) + "\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["nodes_health"]["eek"].type(), json::View::Type::null);
  EXPECT_EQ(store_.count("HGET node:health:eek"), 0);
}

TEST_F(FleetTest, ANodeWhoseHealthCannotBeReadIsNotCalledDead) {
  store_.answer("XREVRANGE", "*1\r\n*2\r\n" + bulk("1700000000000-1") + array_of({"health", "{}"}));
  add_node("eek", "{}");
  store_.answer("HSTRLEN node:health:eek health",
                ":" + std::to_string(CellWalk::kMaxHealth + 1) + "\r\n");
  add_node("hog", "no health");
  add_node("ape", "");
  store_.answer("HSTRLEN node:health:ape health", "-NOPERM no\r\n");
  store_.answer("HGET node:health:ape health", "-NOPERM no\r\n");
  add_node("gone", "");
  ask(1);
  ASSERT_TRUE(answered(1));
  for (const char* node : {"eek", "hog", "ape"}) {
    EXPECT_EQ(text_of(of(1, node)["state"]), "unknown") << node;
    EXPECT_EQ(text_of(of(1, node)["cause"]), "its health cannot be read") << node;
  }
  EXPECT_EQ(text_of(of(1, "gone")["state"]), "down");
}

TEST_F(FleetTest, RunningSessionsAreCounted) {
  store_.answer("HSCAN nodebeat:strokes 0 COUNT 500",
                scan_page({"eek", "stroke_eek_1_000000", "hog", "", "ook", "stroke_ook_2_000000"}));
  store_.answer("HSTRLEN stroke:progress:stroke_eek_1_000000 progress", ":21\r\n");
  store_.answer("HGET stroke:progress:stroke_eek_1_000000 progress",
                bulk(R"({"is_executing":true})"));
  store_.answer("HSTRLEN stroke:progress:stroke_ook_2_000000 progress", ":22\r\n");
  store_.answer("HGET stroke:progress:stroke_ook_2_000000 progress",
                bulk(R"({"is_executing":false})"));
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(page(1)["active_stroke_sessions"].integer(), 1);
}

TEST_F(FleetTest, NodesThatNoListHasAreFoundByTheirKeys) {
  store_.answer("SCAN", scan_page({"node:health:py", "node:health:gone",
                                   "node:health:", "stroke:progress:stroke_py_5"}));
  store_.answer("HSTRLEN node:health:py health", ":22\r\n");
  store_.answer("HGET node:health:py health", bulk(R"({"is_reachable":true})"));
  store_.answer("HSTRLEN stroke:progress:stroke_py_5 progress", ":21\r\n");
  store_.answer("HGET stroke:progress:stroke_py_5 progress", bulk(R"({"is_executing":true})"));
  ask(1);
  ASSERT_TRUE(answered(1));
  EXPECT_TRUE(page(1)["nodes_health"]["py"]["is_reachable"].exists());
  EXPECT_FALSE(page(1)["nodes_health"]["gone"].exists()) << "its key is gone, and no list has it";
  EXPECT_EQ(page(1)["active_stroke_sessions"].integer(), 1);
}

// One that another program writes the health of.
class FleetUnlisted : public FleetTest {
 public:
  FleetUnlisted() { unlisted("py", R"({"is_reachable":true})"); }
  void unlisted(const std::string& node, const std::string& health) {
    found_.push_back("node:health:" + node);
    store_.answer("SCAN", scan_page(found_));
    store_.answer("HSTRLEN node:health:" + node + " health",
                  ":" + std::to_string(health.size()) + "\r\n");
    store_.answer("HGET node:health:" + node + " health", bulk(health));
  }
  long noted(const std::string& node) {
    return store_.count("HSETNX nodebeat:nodes " + node + " {}");
  }

  std::vector<std::string> found_;
};

TEST_F(FleetUnlisted, IsNotedAndKnownWhenItsHealthIsGone) {
  unlisted("rb", R"({"is_reachable":true})");
  store_.answer("HSETNX", ":1\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  ASSERT_TRUE(pump_until([&] { return noted("py") == 1 && noted("rb") == 1; }));
  add_node("py", "");
  look_again(2s);
  const json::View node = of(token_, "py");
  EXPECT_EQ(text_of(node["state"]), "down");
  EXPECT_EQ(text_of(node["cause"]), "its health has expired") << "though no history has it";
  EXPECT_NE(text_of(node["since"]), "(none)");
  look_again(2s);
  EXPECT_EQ(text_of(of(token_, "py")["state"]), "down");
  EXPECT_EQ(noted("py"), 1);
}

TEST_F(FleetUnlisted, IsNotedByAQuestionForItAlone) {
  KnownNode read;
  read.answered = loop_.loop().now();
  ASSERT_TRUE(take_health(read, R"({"is_reachable":true})"));
  for (int i = 0; i < 3; ++i) {
    KnownNode again = read;
    fleet_->learn("solo", std::move(again));
  }
  ASSERT_TRUE(pump_until([&] { return noted("solo") > 0; }));
  EXPECT_EQ(noted("solo"), 1);
}

TEST_F(FleetUnlisted, IsNotTriedAgainWhereTheListMayNotBeWritten) {
  unlisted("rb", R"({"is_reachable":true})");
  store_.answer("HSETNX", "-NOPERM this user has no permissions\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  for (int i = 0; i < 3; ++i) look_again(2s);
  EXPECT_EQ(noted("py") + noted("rb"), 1) << "the server keeps a log of what it refuses";
  ++link_connects_;
  look_again(2s);
  look_again(2s);
  EXPECT_EQ(noted("py") + noted("rb"), 2) << "by another server once more";
}

TEST_F(FleetUnlisted, IsNotNotedIfItIsSaidToBeDown) {
  unlisted("down", R"({"is_reachable":false})");
  ask(1);
  ASSERT_TRUE(answered(1));
  look_again(2s);
  EXPECT_EQ(noted("down"), 0) << "it may just be forgotten";
}

TEST_F(FleetUnlisted, IsNotNotedByAListThatWasNotReadToItsEnd) {
  store_.answer("HLEN", ":5\r\n");
  store_.answer("HSCAN nodebeat:nodes 0 COUNT 500", "$5000000\r\n");
  ask(1);
  ASSERT_TRUE(answered(1));
  look_again(2s);
  EXPECT_EQ(page(token_)["nodes_left_out"].integer(), 5);
  EXPECT_EQ(text_of(of(token_, "py")["state"]), "up");
  EXPECT_EQ(store_.count("HSETNX"), 0);
}

TEST_F(FleetUnlisted, IsNotNotedByAProgramThatIsNoNode) {
  fleet_.emplace(loop_.loop(), *reader_, "", wiring());
  ask(1);
  ASSERT_TRUE(answered(1));
  look_again(2s);
  EXPECT_EQ(store_.count("HSETNX"), 0);
}

TEST_F(FleetTest, AClientThatIsGoneIsNotAnswered) {
  store_.answer("HLEN", "");  // held back
  ask(1, 10, "", 7);
  ASSERT_TRUE(loop_.run_until([&] {
    while (store_.pump()) {
    }
    return store_.count("HLEN") == 1;
  }));
  ask(2, 10, "", 8);
  fleet_->on_client_closed(7);
  store_.answer("HLEN", ":0\r\n");
  there_ = false;  // the next walk asks nothing
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(pages_.count(1), 0u);
  EXPECT_EQ(pages_.count(2), 1u);
}

TEST_F(FleetTest, AClientThatDoesNotReadWaits) {
  crowded_ = 7;
  ask(1, 10, "", 7);
  ask(2, 10, "", 8);
  ASSERT_TRUE(answered(1));
  EXPECT_EQ(pages_.count(2), 1u);
  crowded_ = 0;
  ASSERT_TRUE(answered(2));
}

TEST_F(FleetTest, AfterAStopNobodyIsAnswered) {
  ask(1);
  fleet_->stop();
  for (int i = 0; i < 10; ++i) {
    loop_.loop().run_once(false);
    while (store_.pump()) {
    }
  }
  EXPECT_TRUE(pages_.empty() && store_.commands().empty());
}

}  // namespace
}  // namespace nb::fleet
