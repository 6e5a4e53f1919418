// Unit tests of fleet/watcher: what becomes of one node.
#include <gtest/gtest.h>

#include "support/count_allocations.h"
#include "unit/fleet_watcher_fixture.h"

namespace nb::fleet {
namespace {

// --- one node ---

TEST_F(WatcherTest, AnnouncesALostNodeOnceWithin3500MsOfItsLastRenewal) {
  // Wherever in the interval and between two looks it dies.
  for (Duration phase{}; phase < 1s; phase += 10ms) {
    const std::string node = "n" + std::to_string(phase / 10ms);
    said_.clear();
    add(node, phase);
    begin();
    run_for(5s + phase / 3);
    EXPECT_EQ(said_, Strings()) << "it is alive";
    EXPECT_EQ(state(node), State::alive);
    kill(node);
    run_until("lost " + node);
    EXPECT_LT(from_renewal_to_announcement(node), 3300ms) << "patience, a look, the clock's ticks";
    EXPECT_GE(from_renewal_to_announcement(node), 3s);
    EXPECT_EQ(said_, Strings({"suspect " + node, "lost " + node}));
    EXPECT_EQ(state(node), State::lost);
    run_for(20s);
    EXPECT_EQ(said_.size(), 2u) << "once";
  }
}

TEST_F(WatcherTest, InTheFastProfileItTakes1200Ms) {
  for (Duration phase{}; phase < 250ms; phase += 10ms) {
    const std::string node = "n" + std::to_string(phase / 10ms);
    said_.clear();
    add(node, phase, 250ms, 1s);
    begin();
    run_for(3s + phase / 3);
    kill(node);
    run_until("lost " + node);
    EXPECT_LT(from_renewal_to_announcement(node), 1150ms);
    EXPECT_GE(from_renewal_to_announcement(node), 1s);
  }
}

TEST_F(WatcherTest, ASuspectThatRenewsIsNotAnnounced) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("suspect hog");
  EXPECT_EQ(state("hog"), State::suspect);
  EXPECT_GE(now_ - nodes_["hog"].renewed, 2s);
  EXPECT_LT(now_ - nodes_["hog"].renewed, 2300ms);
  revive("hog");
  run_for(20s);
  EXPECT_EQ(said_, Strings({"suspect hog", "unsuspect hog"}));
  EXPECT_EQ(state("hog"), State::alive);
}

TEST_F(WatcherTest, SilenceCountsFromTheAnswerThatShowedTheChange) {
  add("hog");
  begin();
  run_for(5s);
  while (watcher_.next_look() > now_) tick();
  ask();
  now_ += 290ms;  // not so much that it is late
  renew("hog");
  answer();
  kill("hog");
  const MonoTime seen = now_;
  run_until("lost hog");
  EXPECT_GE(now_ - seen, 3s);
}

TEST_F(WatcherTest, LooksFourTimesASecondAndExactlyWhenAPatienceEnds) {
  add("hog");
  begin();
  run_for(5s);
  const MonoTime before = watcher_.next_look();
  run_for(before - now_ + kTick);
  EXPECT_EQ(watcher_.next_look() - before, 250ms);
  // An answer that takes 70 ms, so that the end of the patience is not when a look is due anyway.
  while (watcher_.next_look() > now_) tick();
  ask();
  now_ += 70ms;
  renew("hog");
  answer();
  kill("hog");
  const MonoTime end = now_ + 3s;
  while (watcher_.next_look() < end) run_for(watcher_.next_look() - now_ + kTick);
  EXPECT_EQ(watcher_.next_look(), end);
}

TEST_F(WatcherTest, LooksTenTimesASecondForTheSakeOfOneFastNode) {
  add("hog");
  add("ook", 0s, 250ms, 1s);
  begin();
  run_for(5s);
  const MonoTime before = watcher_.next_look();
  run_for(before - now_ + kTick);
  EXPECT_EQ(watcher_.next_look() - before, 100ms);
}

TEST_F(WatcherTest, EachNodeHasItsOwnPatience) {
  add("fast", 0s, 250ms, 1s);
  add("slow", 0s, 10s, 1min);
  begin();
  run_for(30s);
  kill("fast");
  kill("slow");
  run_until("lost fast");
  run_for(20s);
  EXPECT_EQ(count("lost slow"), 0);
  run_until("lost slow", 60s);
  EXPECT_GE(from_renewal_to_announcement("slow"), 1min);
}

TEST_F(WatcherTest, ANewBootOrInstanceIsASignOfLifeAndALowerSeqIsNone) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_for(2500ms);
  nodes_["hog"].run = "i2";
  nodes_["hog"].seq = 0;
  renew("hog");
  run_for(2500ms);
  nodes_["hog"].boot = "b2";
  nodes_["hog"].seq = 0;
  renew("hog");
  run_for(2500ms);
  EXPECT_EQ(count("lost"), 0);
  nodes_["hog"].seq = 50;
  renew("hog");
  run_for(2s);
  // The server has lost something, and has an older lease of the same run.
  nodes_["hog"].seq = 48;
  leases_["hog"] = lease_of(nodes_["hog"]);
  run_for(1300ms);
  EXPECT_EQ(count("lost hog"), 1);
  EXPECT_EQ(dead_["hog"], lease_of(nodes_["hog"])) << "judged by what the server has";
}

TEST_F(WatcherTest, WithoutALeaseNobodyIsJudged) {
  registered_["old"] = true;  // an agent of an earlier version
  add("hog");
  begin();
  run_for(60s);
  EXPECT_EQ(said_, Strings());
  EXPECT_EQ(state("old"), State::unknown);
}

TEST_F(WatcherTest, ADeletedLeaseGivesAFullPatience) {
  add("hog");
  add("ook", 500ms);
  begin();
  run_for(5s);
  for (int i = 0; i < 50; ++i) {
    leases_.clear();
    run_for(990ms);
  }
  EXPECT_EQ(count("lost"), 0) << "they are alive, and write it again";
  kill("hog");
  leases_.erase("hog");
  run_until("lost hog");
  EXPECT_LE(from_renewal_to_announcement("hog"), 3550ms);
  run_for(20s);
  EXPECT_EQ(count("lost"), 1);
  revive("hog");
  run_until("returned hog");
}

TEST_F(WatcherTest, ALeaseThatIsDeletedAtTheEndOfAPatienceGivesAFullOne) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_for(2500ms);
  renew("hog");
  leases_.erase("hog");  // before a look has seen the renewal
  const MonoTime deleted = now_;
  run_until("lost hog");
  EXPECT_GE(now_ - deleted, 3s);
}

TEST_F(WatcherTest, AMalformedLeaseIsSaidOnceAndKillsNobody) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  leases_["hog"] = "{\"seq\": 1}";
  run_for(30s);
  EXPECT_EQ(said_, Strings({"malformed hog"}));
  EXPECT_EQ(state("hog"), State::malformed);
  // The same lease as before: it was put back now, so it is not silent for half a minute.
  leases_["hog"] = lease_of(nodes_["hog"]);
  run_for(2500ms);
  EXPECT_EQ(count("lost"), 0);
  run_until("lost hog", 2s);
  revive("hog");
  run_for(3s);
  kill("hog");
  leases_["hog"] = "x";
  run_for(3s);
  EXPECT_EQ(count("malformed"), 2) << "it had been good in between";
}

TEST_F(WatcherTest, AnAgentThatStopsIsNotWaitedFor) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  nodes_["hog"].patience = 0s;
  renew("hog");
  run_for(60s);
  EXPECT_EQ(said_, Strings());
  EXPECT_EQ(state("hog"), State::stopped);
  nodes_["hog"].patience = 3s;
  revive("hog");
  run_for(5s);
  EXPECT_EQ(state("hog"), State::alive);
  kill("hog");
  run_until("lost hog");
}

TEST_F(WatcherTest, ARenamedNodeIsANodeThatStoppedAndAnother) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  nodes_["hog"].patience = 0s;
  renew("hog");
  add("hog-2");
  run_for(1s);
  read_register();
  run_for(30s);
  EXPECT_EQ(said_, Strings());
  EXPECT_EQ(state("hog-2"), State::alive);
}

TEST_F(WatcherTest, TwoNodesOfOneNameAreOneThatLives) {
  add("hog");
  begin();
  Node other = nodes_["hog"];
  other.run = "i7";
  other.seq = 1000;
  for (int i = 0; i < 30; ++i) {
    run_for(400ms);
    ++other.seq;
    leases_["hog"] = lease_of(other);
    run_for(600ms);
  }
  kill("hog");  // one of both
  for (int i = 0; i < 30; ++i) {
    run_for(1s);
    ++other.seq;
    leases_["hog"] = lease_of(other);
  }
  EXPECT_EQ(said_, Strings());
  run_until("lost hog");
}

TEST_F(WatcherTest, TheWatchersOwnNodeIsNeverAnnounced) {
  add("self");
  add("hog");
  begin();
  run_for(5s);
  kill("self");
  run_for(30s);
  EXPECT_EQ(said_, Strings()) << "whoever judges is alive";
}

// --- the return ---

TEST_F(WatcherTest, AReturnWithdrawsAndTellsHow) {
  add("hog");
  begin();
  run_for(5s);
  const char* how[] = {"network", "restarted", "rebooted"};
  for (int i = 0; i < 3; ++i) {
    said_.clear();
    kill("hog");
    run_until("lost hog");
    if (i == 1) nodes_["hog"].run = "i11";  // begins like the one before
    if (i == 2) nodes_["hog"].boot = "b2", nodes_["hog"].run = "i3";
    if (i > 0) nodes_["hog"].seq = 0;
    revive("hog");
    run_for(10s);
    EXPECT_EQ(said_, Strings({"suspect hog", "lost hog", std::string("returned hog ") + how[i]}));
    EXPECT_EQ(state("hog"), State::alive);
    EXPECT_TRUE(dead_.empty());
  }
}

TEST_F(WatcherTest, ALeaseFromBeforeTheLossIsNoReturn) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("lost hog");
  --nodes_["hog"].seq;
  leases_["hog"] = lease_of(nodes_["hog"]);  // of a server that has lost its latest writes
  run_for(10s);
  EXPECT_EQ(count("returned"), 0);
  EXPECT_EQ(state("hog"), State::lost);
}

TEST_F(WatcherTest, ALateVerdictDoesNotHitANodeThatHasComeBack) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  ASSERT_TRUE(is_asked());
  EXPECT_EQ(scripts_[0].kind, Kind::lost);
  renew("hog");  // before the script gets there
  revive("hog");
  watcher_.report(scripts_[0].ticket, run(scripts_[0]), now_);
  EXPECT_NE(state("hog"), State::lost);
  answers_ = true;
  run_for(20s);
  EXPECT_EQ(count("lost"), 0);
  EXPECT_EQ(count("returned"), 0);
  EXPECT_EQ(state("hog"), State::alive);
}

TEST_F(WatcherTest, AReturnThatIsSeenBeforeTheAnswerIsWithdrawnBehindIt) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  ASSERT_TRUE(is_asked());
  const Outcome outcome = run(scripts_[0]);  // the answer is on its way
  EXPECT_EQ(outcome, Outcome::announced);
  revive("hog");
  run_for(5s);
  EXPECT_EQ(scripts_.size(), 1u) << "one at a time";
  answers_ = true;
  watcher_.report(scripts_[0].ticket, outcome, now_);
  run_until("returned hog");
}

TEST_F(WatcherTest, WithoutAnAnswerAVerdictComesAgainAndIsAnnouncedOnce) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(is_asked());
    if (i == 2) (void)run(scripts_[0]);  // it was done, and the answer was lost
    watcher_.report(scripts_[0].ticket, Outcome::no_answer, now_);
    scripts_.clear();
    EXPECT_NE(state("hog"), State::lost);
  }
  answers_ = true;
  run_for(20s);
  EXPECT_EQ(count("lost"), 1);
  EXPECT_EQ(state("hog"), State::lost);
}

TEST_F(WatcherTest, WhatMayHaveBeenAnnouncedIsWithdrawnAtTheReturn) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  answers_ = false;
  ASSERT_TRUE(is_asked());
  (void)run(scripts_[0]);
  watcher_.report(scripts_[0].ticket, Outcome::no_answer, now_);
  answers_ = true;
  revive("hog");
  run_for(20s);
  EXPECT_EQ(count("lost"), 1);
  EXPECT_EQ(count("returned"), 1);
  EXPECT_TRUE(dead_.empty());
  // And if both tries come too late, but the first one was done.
  kill("hog");
  run_for(2s);
  answers_ = false;
  scripts_.clear();
  ASSERT_TRUE(is_asked());
  (void)run(scripts_[0]);
  watcher_.report(scripts_[0].ticket, Outcome::no_answer, now_);
  scripts_.clear();
  ASSERT_TRUE(is_asked());
  renew("hog");
  revive("hog");
  watcher_.report(scripts_[0].ticket, run(scripts_[0]), now_);
  answers_ = true;
  run_for(20s);
  EXPECT_EQ(count("lost"), 2);
  EXPECT_EQ(count("returned"), 2);
  EXPECT_TRUE(dead_.empty());
}

TEST_F(WatcherTest, AReturnWhoseAnswerWasLostComesAgain) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("lost hog");
  answers_ = false;
  revive("hog");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(is_asked());
    EXPECT_EQ(scripts_[0].kind, Kind::returned);
    watcher_.report(scripts_[0].ticket, Outcome::no_answer, now_);
    scripts_.clear();
  }
  answers_ = true;
  run_until("returned hog");
  EXPECT_TRUE(dead_.empty());
}

TEST_F(WatcherTest, ANodeThatDiesAgainBeforeItsReturnWasWithdrawnIsAnnouncedAgain) {
  add("hog");
  begin();
  run_for(5s);
  kill("hog");
  run_until("lost hog");
  answers_ = false;
  revive("hog");
  ASSERT_TRUE(is_asked());
  kill("hog");
  run_for(20s);
  answers_ = true;
  watcher_.report(scripts_[0].ticket, run(scripts_[0]), now_);
  run_for(5s);
  EXPECT_EQ(count("lost"), 2);
  EXPECT_EQ(count("returned"), 1);
}

TEST_F(WatcherTest, WhatIsNotTakenWaitsAndIsJudgedAnew) {
  add("hog");
  add("ook", 100ms);
  begin();
  run_for(5s);
  drains_ = false;
  kill("hog");
  kill("ook");
  run_for(10s);
  // In the midst of a look: one of them was found to be back.
  ask();
  renew("hog");
  watcher_.see(watcher_.find("hog"), leases_["hog"], now_);
  drain();
  EXPECT_EQ(count("lost hog"), 0);
  EXPECT_EQ(count("lost ook"), 1);
}

// --- coming and going ---

TEST_F(WatcherTest, ANodeThatComesAndGoesIsRecordedNowAndThenAndTruly) {
  add("hog", 0s, 250ms, 1s);
  add("ook");
  begin();
  for (int i = 0; i < 100; ++i) {
    run_for(500ms);
    kill("hog");
    run_for(1500ms);
    revive("hog");
  }
  run_for(2s);
  EXPECT_EQ(count("lost hog"), 100);
  EXPECT_EQ(count("returned hog"), 100) << "each is said";
  EXPECT_EQ(recorded_.size(), 10u);
  EXPECT_EQ(recorded_.back(), "returned hog");

  kill("hog");
  run_for(3s);
  EXPECT_EQ(count("lost hog"), 101);
  EXPECT_EQ(recorded_.size(), 10u);
  run_for(10min);
  EXPECT_EQ(recorded_.size(), 11u) << "it stays away, which is recorded later";
  EXPECT_EQ(recorded_.back(), "lost hog");
  run_for(30min);
  EXPECT_EQ(recorded_.size(), 11u) << "and once";
  revive("hog");
  run_for(2s);
  EXPECT_EQ(recorded_.back(), "returned hog");
  kill("ook");
  run_for(5s);
  EXPECT_EQ(recorded_.back(), "lost ook") << "each node has its own measure";
}

// --- bounds ---

TEST_F(WatcherTest, TheRegisterHasNamesAndAnEnd) {
  watcher_.begin("self");
  watcher_.begin_register();
  for (const char* bad : {"", "a b", "-x", "\xff", "a/b"}) watcher_.add_node(bad);
  watcher_.add_node(std::string(65, 'x'));
  EXPECT_EQ(watcher_.size(), 0u);
  for (size_t i = 0; i < Watcher::kMostNodes + 7; ++i) {
    watcher_.add_node(name(static_cast<int>(i)));
    watcher_.add_node(name(0));
  }
  watcher_.end_register();
  EXPECT_EQ(watcher_.size(), Watcher::kMostNodes);
  EXPECT_EQ(watcher_.left_out(), 7u);
  for (size_t i = 0; i < watcher_.size(); ++i) EXPECT_EQ(watcher_.find(watcher_.node(i)), i);
}

TEST_F(WatcherTest, AForgottenNodeIsJudgedNoMore) {
  add_many(50);
  begin();
  run_for(5s);
  for (int i = 0; i < 10; ++i) {
    kill(name(i));
    registered_.erase(name(i));
    leases_.erase(name(i));
  }
  run_for(1s);
  read_register();
  run_for(30s);
  EXPECT_EQ(said_, Strings());
  EXPECT_EQ(watcher_.size(), 40u);
  for (size_t i = 0; i < watcher_.size(); ++i) EXPECT_EQ(watcher_.find(watcher_.node(i)), i);
}

TEST_F(WatcherTest, WhoIsInNoListIsForgottenOnceItReturnsStopsOrIsForgotten) {
  add_many(4);
  begin();
  run_for(5s);
  registered_.clear();  // the server has lost it
  begin_again();
  EXPECT_EQ(watcher_.size(), 4u);
  kill(name(0));
  kill(name(1));
  kill(name(2));
  nodes_[name(2)].patience = 0s;  // it stops, and says so
  renew(name(2));
  run_for(30s);
  EXPECT_EQ(count("lost"), 2);
  read_register(true);
  EXPECT_EQ(watcher_.find(name(2)), watcher_.size());
  EXPECT_EQ(watcher_.size(), 3u) << "two are marked, one lives";
  dead_.erase(name(0));  // it was forgotten
  revive(name(1));
  run_for(5s);
  EXPECT_EQ(count("returned"), 1);
  registered_[name(1)] = true;
  read_register(true);
  EXPECT_EQ(watcher_.find(name(0)), watcher_.size());
  EXPECT_EQ(watcher_.size(), 2u);
}

TEST_F(WatcherTest, ALookAllocatesNothing) {
  add_many(500);
  begin();
  run_for(3s);
  long before = 0;
  Watcher::Action action;
  std::string lease = "b1 i1 100 1000 3000";
  for (int i = 0; i < 100; ++i) {
    if (i == 1) before = test::allocations;
    lease[7] = static_cast<char>('0' + i / 10);
    lease[8] = static_cast<char>('0' + i % 10);
    now_ += 250ms;
    watcher_.begin_look(now_);
    for (size_t k = 0; k < watcher_.size(); ++k) watcher_.see(k, lease, now_);
    watcher_.end_look(now_);
    EXPECT_FALSE(watcher_.next(action));
  }
  EXPECT_TRUE(!test::kCountsAllocations || test::allocations == before);
}

}  // namespace
}  // namespace nb::fleet
