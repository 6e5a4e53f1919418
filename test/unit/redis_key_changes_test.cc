// Unit tests of redis/key_changes against a scripted server. The cell's tests of state.watch have
// what a watch makes of the changes.
#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "redis/key_changes.h"
#include "redis/plain_transport.h"
#include "support/fake_redis.h"
#include "support/stepped_clock.h"
#include "support/test_loop.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using test::FakeRedis;
using test::SteppedClock;
using test::TestLoop;

struct Host final : KeyChangesHost {
  void on_key(std::string_view key) override { heard.push_back("key " + std::string(key)); }
  void on_begun() override { heard.emplace_back("begun"); }
  void on_refused(std::string_view words) override {
    heard.push_back("refused " + std::string(words));
  }
  void on_lost() override { heard.emplace_back("lost"); }
  std::vector<std::string> heard;
};
using Heard = std::vector<std::string>;

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
std::string command(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) out += bulk(word);
  return out;
}

const std::string kChannel = "__redis__:invalidate";

class KeyChangesTest : public testing::Test {
 protected:
  KeyChangesTest() { ::signal(SIGPIPE, SIG_IGN); }

  void make(std::string_view prefix_of_the_cell = "") {
    LinkOptions options;
    options.target = {"127.0.0.1", redis_.port(), ""};
    options.greeting = {"", "", "nodebeat:hog", {0}};
    options.ping_after = options.command_timeout = 1h;
    options.connect_timeout = 5s;
    options.backoff = {1ms, 10ms, 10ms};
    options.prefix = prefix_of_the_cell;
    changes_.emplace(loop_.loop(), std::move(options), host_, &make_plain_transport);
  }
  bool receives(const std::string& text) {
    return loop_.run_until([&] { return redis_.received_has(text); });
  }
  bool hears(const Heard& wanted) {
    return loop_.run_until([&] { return host_.heard == wanted; });
  }
  // A new connection up to its number, which is 7.
  void connect() {
    ASSERT_TRUE(loop_.run_until([&] { return redis_.accept(); }));
    ASSERT_TRUE(receives("nodebeat:hog-keys\r\n"));
    ASSERT_TRUE(receives("PING\r\n"));
    redis_.send("+OK\r\n+OK\r\n+PONG\r\n");
    ASSERT_TRUE(receives(command({"CLIENT", "ID"})));
    redis_.forget();
    redis_.send(":7\r\n");
  }
  // What it is told for these arguments of CLIENT TRACKING.
  static std::string told(const std::vector<std::string>& arguments) {
    std::vector<std::string> tracking = {"CLIENT", "TRACKING", "ON", "REDIRECT", "7", "BCAST"};
    tracking.insert(tracking.end(), arguments.begin(), arguments.end());
    return command({"UNSUBSCRIBE", kChannel}) + command({"CLIENT", "TRACKING", "OFF"}) +
           command(tracking) + command({"SUBSCRIBE", kChannel});
  }
  void answer(std::string_view tracking = "+OK\r\n") {
    redis_.send("*3\r\n" + bulk("unsubscribe") + bulk(kChannel) + ":0\r\n+OK\r\n" +
                std::string(tracking) + "*3\r\n" + bulk("subscribe") + bulk(kChannel) + ":1\r\n");
  }
  void invalidate(const std::vector<std::string>& keys) {
    redis_.send("*3\r\n" + bulk("message") + bulk(kChannel) + command(keys));
  }

  SteppedClock clock_;
  TestLoop loop_{clock_};
  FakeRedis redis_;
  Host host_;
  std::optional<KeyChanges> changes_;
};

TEST_F(KeyChangesTest, AsksForTheKeysThatBeginSoAndTellsThem) {
  make();
  changes_->want({"a:", "b:"});
  connect();
  const std::string wanted = told({"PREFIX", "a:", "PREFIX", "b:"});
  ASSERT_TRUE(receives(wanted));
  EXPECT_EQ(redis_.received(), wanted);
  EXPECT_FALSE(changes_->is_telling());
  invalidate({"a:0"});  // of the tracking before
  answer();
  ASSERT_TRUE(hears({"begun"}));
  EXPECT_TRUE(changes_->is_telling());
  invalidate({"a:1", "b:1"});
  ASSERT_TRUE(hears({"begun", "key a:1", "key b:1"}));
}

TEST_F(KeyChangesTest, AllKeysNeedNoPrefixUnlessTheCellHasOne) {
  make();
  changes_->want({""});
  connect();
  ASSERT_TRUE(receives(told({})));
  EXPECT_EQ(redis_.received(), told({}));
}

TEST_F(KeyChangesTest, SeesTheKeysOfItsCellOnly) {
  make("left:");
  changes_->want({""});
  connect();
  ASSERT_TRUE(receives(told({"PREFIX", "left:"})));
  EXPECT_EQ(redis_.received(), told({"PREFIX", "left:"}));
  answer();
  ASSERT_TRUE(hears({"begun"}));
  invalidate({"left:k", "right:k"});
  invalidate({"left:end"});
  ASSERT_TRUE(hears({"begun", "key k", "key end"}));
}

TEST_F(KeyChangesTest, OtherKeysAreAskedForOnTheSameConnection) {
  make();
  changes_->want({"a:"});
  connect();
  ASSERT_TRUE(receives(told({"PREFIX", "a:"})));
  answer();
  ASSERT_TRUE(hears({"begun"}));
  redis_.forget();
  changes_->want({"a:"});  // it is so already
  changes_->want({"b:"});
  ASSERT_TRUE(receives(told({"PREFIX", "b:"})));
  EXPECT_EQ(redis_.received(), told({"PREFIX", "b:"}));
  answer();
  ASSERT_TRUE(hears({"begun", "begun"}));
  EXPECT_EQ(redis_.connections(), 1);
}

TEST_F(KeyChangesTest, ARefusalOfItsUserOrOfAnOldServerCostsNoConnection) {
  make();
  changes_->want({"a:"});
  connect();
  ASSERT_TRUE(receives(told({"PREFIX", "a:"})));
  answer("-NOPERM no\r\n");
  ASSERT_TRUE(hears({"refused NOPERM no"}));
  redis_.forget();
  changes_->want({"a:"});
  ASSERT_TRUE(receives(told({"PREFIX", "a:"}))) << "it is asked for again";
  answer("-ERR no such word\r\n");
  ASSERT_TRUE(hears({"refused NOPERM no", "refused ERR no such word"}));
  EXPECT_FALSE(changes_->is_telling());
  EXPECT_EQ(redis_.connections(), 1);
}

TEST_F(KeyChangesTest, AServerThatCannotNowIsConnectedToAgain) {
  make();
  changes_->want({"a:"});
  connect();
  ASSERT_TRUE(receives(told({"PREFIX", "a:"})));
  answer("-LOADING from disk\r\n");
  ASSERT_TRUE(hears({"lost"}));
  connect();
  ASSERT_TRUE(receives(told({"PREFIX", "a:"})));
  answer();
  ASSERT_TRUE(hears({"lost", "begun"}));
}

}  // namespace
}  // namespace nb::redis
