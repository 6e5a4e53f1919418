// Unit tests of fleet/watcher: patience, grace, and many nodes at once.
#include <gtest/gtest.h>

#include "base/random.h"
#include "unit/fleet_watcher_fixture.h"

namespace nb::fleet {
namespace {

// --- patience ---

TEST_F(WatcherTest, LateLooksWidenPatienceUpToFourTimes) {
  add("hog");
  begin();
  for (const auto& [gap, percent] : std::map<Duration, unsigned>{
           {250ms, 100}, {370ms, 100}, {400ms, 160}, {500ms, 200}, {900ms, 360}, {10s, 400}}) {
    watcher_.begin("self");
    read_register();
    look();
    now_ += gap;
    look();
    EXPECT_EQ(watcher_.widening(), percent) << gap / 1ms;
    EXPECT_EQ(watcher_.lag(), gap - 250ms);
    run_for(7s);
    EXPECT_EQ(watcher_.widening(), 100u) << "until no look was late for a while";
  }
  // So does a late answer.
  ask();
  now_ += 600ms;
  answer();
  EXPECT_EQ(watcher_.widening(), 240u);
  // And looks that failed.
  run_for(7s);
  for (int i = 0; i < 3; ++i) {
    now_ = watcher_.next_look();
    ask();
    watcher_.fail_look(now_);
  }
  now_ = watcher_.next_look();
  look();
  EXPECT_EQ(watcher_.widening(), 400u);
}

TEST_F(WatcherTest, AWidenedPatienceStillEnds) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  for (int i = 0; i < 20 && count("lost") == 0; ++i) {
    for (int ticks = 0; ticks < 60; ++ticks) tick();
    look();
  }
  EXPECT_EQ(count("lost"), 1);
  EXPECT_GE(from_renewal_to_announcement("hog"), 7s);
  EXPECT_LE(from_renewal_to_announcement("hog"), 9s);
}

TEST_F(WatcherTest, FullLoadForHalfAnHourKillsNobody) {
  Random random(7);
  for (const bool fast : {false, true}) {
    clear();
    add_many(20, fast ? 250ms : 1s, fast ? 1s : 3s);
    begin();
    // The watcher's looks and their answers come late, and so do the nodes' renewals.
    const auto wait = [&](uint64_t most_ms) {
      for (Duration left = std::chrono::milliseconds(random.below(most_ms)); left > 0s;
           left -= kTick) {
        tick();
        for (auto& [name, node] : nodes_) {
          if (node.renewed == now_) node.due += node.interval * random.below(150) / 100;
        }
      }
    };
    for (const MonoTime end = now_ + 30min; now_ < end;) {
      wait(fast ? 300 : 750);
      ask();
      wait(fast ? 200 : 500);
      answer();
    }
    EXPECT_EQ(count("lost"), 0);
    EXPECT_EQ(count("uncertain"), 0);
  }
}

TEST_F(WatcherTest, AServerThatStopsForUpToTwoSecondsAHundredTimesKillsNobody) {
  Random random(11);
  for (const bool fast : {false, true}) {
    clear();
    add_many(20, fast ? 250ms : 1s, fast ? 1s : 3s);
    begin();
    for (int i = 0; i < 100; ++i) {
      run_for(std::chrono::milliseconds(1000 + random.below(4000)));
      // In the worst case the look that waits is answered before the renewals that wait, and links
      // take a while to notice that the server is back.
      const uint64_t stop = random.below(2001);
      ask();
      now_ += std::chrono::milliseconds(stop);
      answer();
      for (auto& [name, node] : nodes_) {
        node.due = std::max(node.due, now_ + std::chrono::milliseconds(random.below(stop / 2 + 1)));
      }
    }
    EXPECT_EQ(count("lost"), 0);
  }
}

TEST_F(WatcherTest, AWatcherThatWasStoppedForTenSecondsKillsNobody) {
  add_many(20);
  begin();
  for (int i = 0; i < 20; ++i) {
    run_for(3s + 70ms * i);
    const bool in_a_look = i % 2 == 0;
    if (in_a_look) ask();
    const auto before = leases_;
    for (Duration time{}; time < 10s; time += kTick) tick();
    if (in_a_look) {
      std::swap(leases_, const_cast<std::map<std::string, std::string>&>(before));
      answer();  // it lay in the socket for ten seconds
      leases_ = before;
    }
  }
  run_for(5s);
  EXPECT_EQ(said_, Strings());
  // What died meanwhile is found all the same.
  kill(name(3));
  for (Duration time{}; time < 10s; time += kTick) tick();
  run_until("lost " + name(3), 15s);
}

TEST_F(WatcherTest, AHundredAgentsThatStartAtOnceAreNotSilent) {
  Random random(3);
  begin();
  run_for(1s);
  for (int i = 0; i < 100; ++i) {
    add(name(i), std::chrono::milliseconds(random.below(4000)));
    if (i % 10 == 9) {
      run_for(50ms);
      read_register();
    }
  }
  run_for(30s);
  EXPECT_EQ(said_, Strings());
}

// --- grace ---

TEST_F(WatcherTest, AfterTakingOverEachNodeHasAFullPatience) {
  add("hog");
  add("ook");
  tick();
  kill("hog");
  now_ += 1h;
  renew("ook");
  begin();
  const MonoTime began = now_;
  run_until("lost hog");
  EXPECT_GE(now_ - began, 3s);
  EXPECT_LE(now_ - began, 3300ms);
}

TEST_F(WatcherTest, AfterTheServerHasChangedLinksHaveTimeToComeBack) {
  add("hog");
  add("ook");
  begin();
  run_for(5s);
  kill("hog");
  for (int i = 0; i < 4; ++i) {
    begin_again();
    run_for(i < 3 ? 5s : 0s);
  }
  EXPECT_EQ(count("lost"), 0);
  // A link that has noticed nothing for a while, and then needed some tries.
  nodes_["ook"].due = now_ + 5500ms;
  const MonoTime began = now_;
  run_until("lost hog");
  EXPECT_GE(now_ - began, 3s);
  EXPECT_LE(now_ - began, 6300ms);
  EXPECT_EQ(count("lost ook"), 0);
}

TEST_F(WatcherTest, ATakingOverInTroubleLeavesThemTime) {
  add("hog");
  add("ook", 5500ms);
  tick();
  kill("hog");
  renew("ook");
  watcher_.begin("self", true);
  read_register(true);
  run_until("lost hog");
  EXPECT_EQ(count("lost"), 1);
}

TEST_F(WatcherTest, GraceBeginsWithAWholeLook) {
  add("hog");
  add("ook");
  begin();
  run_for(5s);
  kill("hog");
  begin_again();
  for (int i = 0; i < 20; ++i) {
    ask();
    watcher_.see(watcher_.find("ook"), leases_["ook"], now_);
    now_ += 250ms;
    tick();
    watcher_.end_look(now_);  // one was left out
    drain();
  }
  EXPECT_EQ(count("lost"), 0);
  EXPECT_EQ(watcher_.next_look(), now_ + 250ms);
  const MonoTime began = now_;
  run_until("lost hog");
  EXPECT_GE(now_ - began, 3s);
}

TEST_F(WatcherTest, WhatAnotherWatcherHasAnnouncedIsKnown) {
  add("hog");
  add("ook");
  add("eek");
  begin();
  run_for(5s);
  kill("hog");
  kill("ook");
  run_until("lost hog");
  run_until("lost ook");
  run_for(1s);
  // Another watcher takes over; one node has come back meanwhile, and another one dies before.
  kill("eek");
  watcher_.end();
  revive("ook");
  run_for(2s);
  said_.clear();
  begin();
  run_for(20s);
  EXPECT_EQ(said_, Strings({"returned ook network", "suspect eek", "lost eek"}));
  EXPECT_EQ(state("hog"), State::lost);
  revive("hog");
  run_until("returned hog");
}

TEST_F(WatcherTest, ANodeThatIsOnlyMarkedIsKnownToo) {
  dead_["hog"] = "b1 i1 7 1000 3000";
  begin();
  run_for(10s);
  EXPECT_EQ(state("hog"), State::lost);
  EXPECT_EQ(said_, Strings());
  add("hog");
  nodes_["hog"].seq = 7;
  run_until("returned hog");
}

TEST_F(WatcherTest, AServerThatWasEmptiedKillsNobodyAndHidesNobody) {
  add_many(6);
  begin();
  run_for(5s);
  kill(name(0));
  run_until("lost n0");
  run_for(1s);
  kill(name(1));
  const MonoTime died = now_;
  run_for(1s);
  // Everything is gone. Those that live write their entries and leases again.
  leases_.clear();
  dead_.clear();
  registered_.clear();
  begin_again();
  run_for(500ms);
  for (int i = 2; i < 6; ++i) registered_[name(i)] = true;
  read_register();
  run_for(30s);
  EXPECT_EQ(count("lost n0"), 1) << "it was announced, and nobody knows it any more";
  EXPECT_EQ(count("lost n1"), 1) << "this watcher had seen it";
  EXPECT_LE(announced_[name(1)] - died, 8s);
  EXPECT_EQ(count("lost"), 2);
  EXPECT_EQ(watcher_.find(name(0)), watcher_.size());
}

TEST_F(WatcherTest, AnEntryThatComesBackIsASignOfLife) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  leases_.clear();
  registered_.clear();
  begin_again();
  run_for(5s);
  registered_["hog"] = true;
  read_register();
  run_for(2500ms);
  EXPECT_EQ(count("lost"), 0);
  run_until("lost hog", 5s);
}

TEST_F(WatcherTest, ALostNodeThatIsForgottenMeanwhileIsNotAnnouncedAgain) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("lost hog");
  dead_.clear();
  leases_.clear();
  registered_.clear();
  watcher_.begin_again();
  begin_again();
  run_for(30s);
  EXPECT_EQ(count("lost"), 1);
  EXPECT_EQ(watcher_.size(), 0u);
}

TEST_F(WatcherTest, AfterAFailoverThatLostAnAnnouncementItIsMadeAgain) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("lost hog");
  dead_.clear();
  said_.clear();
  begin_again();
  run_for(20s);
  EXPECT_EQ(count("lost hog"), 1);
  // One that was not lost is not made again.
  begin_again();
  run_for(20s);
  EXPECT_EQ(count("lost hog"), 1);
}

TEST_F(WatcherTest, AVerdictThatIsUnderWayWhenTheServerChangesIsReported) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  ASSERT_TRUE(is_asked());
  begin_again();  // reads marks before the script runs
  const Outcome outcome = run(scripts_[0]);
  watcher_.report(scripts_[0].ticket, outcome, now_);
  answers_ = true;
  EXPECT_EQ(state("hog"), State::lost);
  revive("hog");
  run_until("returned hog");
  run_for(10s);
  EXPECT_EQ(count("lost"), 1);
}

TEST_F(WatcherTest, AfterTheEndNothingIsSaidAndReportsHaveNoEffect) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  ASSERT_TRUE(is_asked());
  watcher_.end();
  EXPECT_EQ(watcher_.size(), 0u);
  look();
  watcher_.begin_again();
  read_register();
  EXPECT_EQ(watcher_.size(), 0u);
  begin();
  look();
  watcher_.report(scripts_[0].ticket, Outcome::announced, now_);
  EXPECT_EQ(state("hog"), State::alive);
}

// --- many at once ---

TEST_F(WatcherTest, AHundredAndTwentyOfTwoHundredAreOneEventAndThenSingleOnes) {
  for (const bool fast : {false, true}) {
    clear();
    const Duration patience = fast ? 1s : 3s;
    add_many(200, fast ? 250ms : 1s, patience);
    begin();
    run_for(10s);
    const MonoTime died = now_;
    for (int i = 0; i < 120; ++i) kill(name(i));
    run_until("uncertain");
    EXPECT_EQ(count("lost"), 0);
    const MonoTime since = now_;
    run_until("sure");
    EXPECT_GE(now_ - since, patience);
    EXPECT_LE(now_ - since, patience + 50ms);
    EXPECT_EQ(count("lost"), 120);
    run_for(10s);
    EXPECT_EQ(count("lost"), 120);
    EXPECT_EQ(count("uncertain"), 1);
    EXPECT_EQ(count("sure"), 1);
    EXPECT_EQ(said_[std::find_if(said_.begin(), said_.end(),
                                 [](auto& s) { return s.starts_with("uncertain"); }) -
                    said_.begin()],
              "uncertain 120 of 200");
    for (int i = 0; i < 120; ++i) EXPECT_LE(announced_[name(i)] - died, 2 * patience + 250ms);
    // The others are judged as before.
    kill(name(150));
    run_until("lost " + name(150));
  }
}

TEST_F(WatcherTest, ThoseOfACrowdThatComeBackAreNotAnnounced) {
  add_many(10);
  begin();
  run_for(10s);
  for (int i = 0; i < 8; ++i) kill(name(i));
  run_until("uncertain");
  run_for(1s);
  for (int i = 0; i < 5; ++i) revive(name(i));
  run_until("sure");
  run_for(10s);
  EXPECT_EQ(count("lost"), 3);
  EXPECT_EQ(count("unsuspect"), 5);
  EXPECT_EQ(count("returned"), 0);
}

TEST_F(WatcherTest, FewerThanHalfOrThanThreeAreAnnouncedAtOnce) {
  add_many(4);
  begin();
  run_for(10s);
  kill(name(0));
  kill(name(1));
  run_for(4s);
  EXPECT_EQ(count("lost"), 2) << "half, but two";
  EXPECT_EQ(count("uncertain"), 0);
  clear();
  add_many(200);
  begin();
  run_for(10s);
  for (int i = 0; i < 99; ++i) kill(name(i));
  run_for(4s);
  EXPECT_EQ(count("lost"), 99) << "fewer than half";
  EXPECT_EQ(count("uncertain"), 0);
}

TEST_F(WatcherTest, ASecondCrowdIsOneMoreEvent) {
  add_many(20);
  begin();
  run_for(10s);
  for (int i = 0; i < 10; ++i) kill(name(i));
  run_until("sure");
  EXPECT_EQ(count("lost"), 10);
  for (int i = 10; i < 16; ++i) kill(name(i));
  run_for(20s);
  EXPECT_EQ(count("lost"), 16);
  EXPECT_EQ(count("uncertain"), 2);
  EXPECT_EQ(count("sure"), 2);
}

TEST_F(WatcherTest, ACrowdThatIsWaitedForWhileTheServerChangesIsOneEvent) {
  add_many(20);
  begin();
  run_for(10s);
  for (int i = 0; i < 15; ++i) kill(name(i));
  run_until("uncertain");
  run_for(2s);
  begin_again();
  run_for(2900ms);
  EXPECT_EQ(count("lost"), 0) << "a grace is a grace";
  run_for(10s);
  EXPECT_EQ(count("lost"), 15);
  EXPECT_EQ(count("uncertain"), 1);
}

}  // namespace
}  // namespace nb::fleet
