// Unit tests of fleet/watch_claim: several agents and one watch, on a clock of the test's own.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "fleet/watch_claim.h"
#include "wire/lease.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;
using Step = WatchClaim::Step;

constexpr Duration kTick = 10ms;

struct Agent {
  Agent(const std::string& name, Duration phase, bool enabled, MonoTime now)
      : claim(name, name + "-1", enabled, Random(phase.count()), now), next_read(now + phase) {}
  WatchClaim claim;
  MonoTime next_read;
  bool running = true;
  int claims = 0;
  int reads = 0;
};

class WatchClaimTest : public testing::Test {
 protected:
  Agent& add(const std::string& name, Duration phase = {}, bool enabled = true) {
    agents_.push_back(std::make_unique<Agent>(name, phase, enabled, now_));
    return *agents_.back();
  }
  void read(Agent& agent) {
    ++agent.reads;
    agent.claim.on_read(watch_, now_, now_);
  }
  // What the script does.
  void write(Agent& agent, Step step) {
    const auto write = agent.claim.write(123, 4);
    if (step == Step::claim ? watch_ == write.expected : watch_.starts_with(write.expected)) {
      watch_ = write.wanted;
    }
    agent.claim.on_written(watch_, now_);
  }
  void run_for(Duration time) {
    for (const MonoTime end = now_ + time; now_ < end; now_ += kTick) {
      for (const auto& agent : agents_) {
        if (!agent->running) continue;
        if (now_ >= agent->next_read) {
          read(*agent);
          agent->next_read = now_ + 1s;
        }
        while (now_ >= agent->claim.next_step()) {
          const Step step = agent->claim.step(now_);
          ASSERT_NE(step, Step::nothing);
          agent->claims += step == Step::claim;
          if (step == Step::read) {
            read(*agent);
          } else {
            write(*agent, step);
          }
        }
      }
    }
  }
  int holders() {
    int count = 0;
    for (const auto& agent : agents_) count += agent->running && agent->claim.is_holding();
    return count;
  }
  Agent* holder() {
    for (const auto& agent : agents_) {
      if (agent->running && agent->claim.is_holding()) return agent.get();
    }
    return nullptr;
  }

  MonoTime now_ = MonoTime(500s);
  std::string watch_;
  std::vector<std::unique_ptr<Agent>> agents_;
};

TEST_F(WatchClaimTest, OfAHundredThatStartAtOnceOneHoldsIt) {
  for (int i = 0; i < 100; ++i) add("n" + std::to_string(i));
  run_for(300ms);
  EXPECT_EQ(holders(), 1);
  const auto watch = wire::parse_watch(watch_);
  ASSERT_TRUE(watch);
  EXPECT_EQ(watch->term, 1u);
  EXPECT_EQ(watch->looked_at_ms, 123u);
  EXPECT_EQ(watch->lag_ms, 4u);
  Agent* first = holder();
  EXPECT_EQ(first->claim.term(), 1u);
  EXPECT_EQ(first->claim.own_term(), wire::watch_term_of(watch_));
  run_for(1min);
  EXPECT_EQ(holder(), first) << "and keeps it";
  EXPECT_EQ(holders(), 1);
  for (const auto& agent : agents_) EXPECT_LE(agent->reads, 62) << "no more than with the leases";
}

TEST_F(WatchClaimTest, IsTakenOverWithin3SecondsOfTheHoldersDeath) {
  for (int phase = 0; phase < 1000; phase += 10) {
    watch_.clear();
    agents_.clear();
    Agent& first = add("hog");
    run_for(1s);
    Agent& second = add("ook", std::chrono::milliseconds(phase));
    run_for(5s);
    ASSERT_TRUE(first.claim.is_holding());
    first.running = false;
    const MonoTime died = now_;
    while (holders() == 0 && now_ < died + 10s) run_for(kTick);
    EXPECT_LE(now_ - died, 3s) << phase;
    EXPECT_GE(now_ - died, 1s) << phase;
    EXPECT_EQ(second.claim.term(), 2u);
    // The first one was only stopped.
    first.running = true;
    run_for(600ms);
    EXPECT_FALSE(first.claim.is_holding());
    EXPECT_TRUE(second.claim.is_holding());
    run_for(10s);
    EXPECT_EQ(holders(), 1);
  }
}

TEST_F(WatchClaimTest, OfManyCandidatesFewClaim) {
  for (int i = 0; i < 200; ++i) add("n" + std::to_string(i), i * 5ms);
  run_for(10s);
  Agent* first = holder();
  first->running = false;
  int claims = 0;
  for (const auto& agent : agents_) claims -= agent->claims;
  run_for(5s);
  for (const auto& agent : agents_) claims += agent->claims;
  EXPECT_EQ(holders(), 1);
  EXPECT_GE(claims, 1);
  EXPECT_LE(claims, 60);
}

TEST_F(WatchClaimTest, AnAgentThatIsExcludedNeverClaimsAndKnowsThatNobodyWatches) {
  Agent& agent = add("hog", 0s, false);
  run_for(9s);
  EXPECT_TRUE(agent.claim.is_watched()) << "it has not waited for long enough";
  run_for(2s);
  EXPECT_FALSE(agent.claim.is_watched());
  EXPECT_EQ(agent.claims, 0);
  Agent& other = add("ook");
  run_for(2s);
  EXPECT_TRUE(agent.claim.is_watched());
  EXPECT_EQ(wire::watch_term_of(agent.claim.watch()), wire::watch_term_of(watch_));
  other.running = false;
  run_for(20s);
  EXPECT_EQ(agent.claims, 0);
  EXPECT_FALSE(agent.claim.is_watched());
  EXPECT_GE(agent.claim.unchanged(now_), 19s);
}

TEST_F(WatchClaimTest, ReadsThatAreAMinuteApartTellWhetherSomebodyWatches) {
  Agent& agent = add("hog", 0s, false);
  for (int i = 1; i <= 5; ++i) {
    watch_ = "ook ook-1 4 " + std::to_string(i) + " 0 0";
    read(agent);
    EXPECT_TRUE(agent.claim.is_watched());
    now_ += 1min;
  }
  read(agent);
  EXPECT_FALSE(agent.claim.is_watched()) << "the same as a minute ago";
}

TEST_F(WatchClaimTest, AServerThatWasStoppedOrAwayWasNotUnwatched) {
  Agent& agent = add("hog", 0s, false);
  watch_ = "ook ook-1 4 1 0 0";
  read(agent);
  agent.claim.on_read(watch_, now_ + 1s, now_ + 13s);  // stopped
  now_ += 13s;
  EXPECT_TRUE(agent.claim.is_watched());
  now_ += 1s;
  read(agent);
  EXPECT_TRUE(agent.claim.is_watched()) << "its holder has had no time to renew it";
  now_ += 1min;
  agent.claim.on_connected(now_);
  now_ += 1s;
  read(agent);
  EXPECT_TRUE(agent.claim.is_watched());
  now_ += 10s;
  read(agent);
  EXPECT_FALSE(agent.claim.is_watched());
}

TEST_F(WatchClaimTest, WhoseRenewalIsRefusedHoldsItNoLonger) {
  Agent& agent = add("hog");
  run_for(2s);
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::renew);
  (void)agent.claim.write(0, 0);
  agent.claim.refused(now_, 250ms);
  EXPECT_FALSE(agent.claim.is_holding());
  read(agent);
  EXPECT_FALSE(agent.claim.is_holding()) << "that it is still there proves nothing";
  run_for(3s);
  EXPECT_TRUE(agent.claim.is_holding()) << "it was written again";
  EXPECT_EQ(agent.claim.term(), 2u);
  EXPECT_TRUE(agent.claim.was_away(now_)) << "leases may have been refused as well";
  run_for(10s);
  EXPECT_FALSE(agent.claim.was_away(now_));
}

TEST_F(WatchClaimTest, AfterARefusalForGoodItWaitsUnlessThereIsANewConnection) {
  for (const bool connects : {false, true}) {
    watch_.clear();
    agents_.clear();
    Agent& agent = add("hog");
    run_for(2s);
    while (agent.claim.next_step() > now_) now_ += kTick;
    ASSERT_EQ(agent.claim.step(now_), Step::renew);
    (void)agent.claim.write(0, 0);
    agent.claim.refused(now_, 1min);
    agent.claims = 0;
    if (connects) agent.claim.on_connected(now_);
    run_for(59s);
    EXPECT_EQ(agent.claims, connects ? 1 : 0);
    run_for(3s);
    EXPECT_EQ(agent.claims, 1);
  }
}

TEST_F(WatchClaimTest, AfterARefusalAnotherAgentMayTakeIt) {
  Agent& agent = add("hog");
  run_for(2s);
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::renew);
  (void)agent.claim.write(0, 0);
  agent.claim.refused(now_, 1min);
  Agent& other = add("ook");
  run_for(3min);
  EXPECT_TRUE(other.claim.is_holding());
  EXPECT_FALSE(agent.claim.is_holding());
  EXPECT_TRUE(agent.claim.is_alive_elsewhere());
}

TEST_F(WatchClaimTest, AVerdictThatFoundAnotherWatchHasItRenewedAtOnce) {
  Agent& agent = add("hog");
  run_for(2s);
  watch_ = "ook ook-1 9 1 0 0";
  ASSERT_GT(agent.claim.next_step(), now_);
  agent.claim.on_moved(now_);
  EXPECT_EQ(agent.claim.next_step(), now_);
  run_for(kTick);
  EXPECT_FALSE(agent.claim.is_holding());
}

TEST_F(WatchClaimTest, AHolderWhoseRenewalsAreNotAnsweredSeesThatAnotherHasIt) {
  Agent& agent = add("hog");
  run_for(2s);
  for (int i = 0; i < 5; ++i) {
    while (agent.claim.next_step() > now_) now_ += kTick;
    ASSERT_EQ(agent.claim.step(now_), Step::renew);
    (void)agent.claim.write(0, 0);
    agent.claim.not_written(now_);
    read(agent);
    EXPECT_TRUE(agent.claim.is_holding());
  }
  const MonoTime asked = now_;
  run_for(600ms);
  agent.claim.on_read("ook ook-1 2 1 0 0", asked, now_);
  EXPECT_TRUE(agent.claim.is_holding()) << "this was asked before it renewed it";
  watch_ = "ook ook-1 3 1 0 0";
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::renew);
  (void)agent.claim.write(0, 0);
  read(agent);
  EXPECT_FALSE(agent.claim.is_holding());
  agent.claim.not_written(now_);
  EXPECT_EQ(agent.claim.next_step(), MonoTime::max());
  EXPECT_EQ(agent.claim.watch(), watch_);
}

TEST_F(WatchClaimTest, AnAnswerFromBeforeIsNoProofOfSilence) {
  Agent& agent = add("ook");
  watch_ = "hog hog-1 4 1 0 0";
  agent.claim.on_read(watch_, now_, now_);
  const MonoTime asked = now_ + 1s;
  agent.claim.on_read(watch_, asked, asked + 10s);  // the server, or this agent, was stopped
  EXPECT_NE(agent.claim.next_step(), MonoTime::max());
  EXPECT_EQ(agent.claim.step(now_ + 11s), Step::read) << "it asks again, and does not claim";
}

TEST_F(WatchClaimTest, AClaimWhoseAnswerWasLostIsFoundByTheNextRead) {
  Agent& agent = add("hog");
  read(agent);
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::claim);
  watch_ = agent.claim.write(0, 0).wanted;
  EXPECT_EQ(agent.claim.next_step(), MonoTime::max()) << "one thing at a time";
  agent.claim.not_written(now_);
  EXPECT_FALSE(agent.claim.is_holding());
  run_for(1s);
  EXPECT_TRUE(agent.claim.is_holding());
  EXPECT_EQ(agent.claim.term(), 1u);
  EXPECT_EQ(agent.claims, 0);
}

TEST_F(WatchClaimTest, ARenewalWhoseAnswerWasLostDoesNotEndTheTerm) {
  Agent& agent = add("hog");
  run_for(2s);
  for (int i = 0; i < 10; ++i) {
    while (agent.claim.next_step() > now_) now_ += kTick;
    ASSERT_EQ(agent.claim.step(now_), Step::renew);
    const auto write = agent.claim.write(0, 0);
    ASSERT_TRUE(watch_.starts_with(write.expected));
    if (i % 2 == 0) watch_ = write.wanted;
    agent.claim.not_written(now_);
    EXPECT_TRUE(agent.claim.is_holding());
    EXPECT_EQ(agent.claim.next_step(), now_ + 500ms);
  }
  run_for(1s);
  EXPECT_TRUE(agent.claim.is_holding());
  EXPECT_EQ(agent.claim.term(), 1u);
}

TEST_F(WatchClaimTest, AWatchThatVanishedIsClaimedAnewByItsHolder) {
  Agent& agent = add("hog");
  run_for(2s);
  EXPECT_FALSE(agent.claim.had_to_claim_anew());
  watch_.clear();
  run_for(510ms);
  EXPECT_TRUE(agent.claim.is_holding());
  EXPECT_EQ(agent.claim.term(), 2u);
  EXPECT_TRUE(agent.claim.had_to_claim_anew());
  EXPECT_FALSE(agent.claim.had_to_claim_anew()) << "is told once";
}

TEST_F(WatchClaimTest, UnlessAnotherAgentWasFaster) {
  Agent& agent = add("hog");
  run_for(2s);
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::renew);
  (void)agent.claim.write(0, 0);
  agent.claim.on_written("", now_);
  EXPECT_TRUE(agent.claim.is_holding()) << "that is not known yet";
  ASSERT_EQ(agent.claim.step(now_), Step::claim);
  EXPECT_EQ(agent.claim.write(0, 0).expected, "");
  agent.claim.on_written("ook ook-1 9 1 0 0", now_);
  EXPECT_FALSE(agent.claim.is_holding());
  EXPECT_FALSE(agent.claim.had_to_claim_anew());
}

TEST_F(WatchClaimTest, AServerThatHasLostAClaimGivesTheWatchBack) {
  Agent& first = add("hog");
  run_for(2s);
  const std::string before = watch_;
  first.running = false;
  Agent& second = add("ook");
  run_for(4s);
  ASSERT_TRUE(second.claim.is_holding());
  first.running = true;
  run_for(1s);
  EXPECT_FALSE(first.claim.is_holding());
  watch_ = before;  // a failover
  run_for(1500ms);
  EXPECT_TRUE(first.claim.is_holding());
  EXPECT_FALSE(second.claim.is_holding());
  EXPECT_EQ(first.claim.own_term(), wire::watch_term_of(watch_));
}

TEST_F(WatchClaimTest, AReadThatIsNotAnsweredDoesNotEndAWrite) {
  Agent& agent = add("hog");
  run_for(2s);
  while (agent.claim.next_step() > now_) now_ += kTick;
  ASSERT_EQ(agent.claim.step(now_), Step::renew);
  agent.claim.not_read();
  EXPECT_EQ(agent.claim.next_step(), MonoTime::max());
}

TEST_F(WatchClaimTest, AServerThatWasAwayLeavesTheHolderTime) {
  Agent& agent = add("ook");
  watch_ = "hog hog-1 4 1 0 0";
  agent.claim.on_connected(now_);
  EXPECT_FALSE(agent.claim.was_away(now_));
  agent.claim.on_read(watch_, now_, now_);
  now_ += 1min;
  agent.claim.on_connected(now_);
  EXPECT_TRUE(agent.claim.was_away(now_));
  agent.claim.on_read(watch_, now_, now_);
  EXPECT_EQ(agent.claim.next_step(), now_ + 1500ms);
  EXPECT_EQ(agent.claim.step(now_ + 1500ms), Step::read) << "the holder may not be back";
  now_ += 11s;
  EXPECT_FALSE(agent.claim.was_away(now_));
}

TEST_F(WatchClaimTest, AMalformedWatchIsClaimedOnceItIsStale) {
  Agent& agent = add("hog");
  for (const std::string text : {"x", "hog", "hog hog-1 x 1 0 0"}) {
    watch_ = text;
    run_for(1s);
    EXPECT_EQ(watch_, text);
    run_for(3s);
    EXPECT_TRUE(agent.claim.is_holding());
    watch_ = "somebody ruins it";
    run_for(1s);
    EXPECT_FALSE(agent.claim.is_holding());
  }
}

}  // namespace
}  // namespace nb::fleet
