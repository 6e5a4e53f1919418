// Unit tests of fleet/known_node: how a node is, by what was read of it.
#include <gtest/gtest.h>

#include "fleet/known_node.h"

namespace nb::fleet {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kLease = "boot eek-1 7 1000 3000";
constexpr std::string_view kHealth =
    R"({"is_reachable":true,"last_heartbeat":"2026-11-20T14:03:07.000000"})";

class KnownNodeTest : public testing::Test {
 protected:
  // A look at `at`, that takes 10 ms.
  static KnownNode look(Duration at, std::string_view lease, std::string_view health,
                        uint64_t mark = 0) {
    KnownNode node;
    node.asked = MonoTime(at);
    node.answered = MonoTime(at + 10ms);
    take_lease(node, lease, mark);
    if (!health.empty()) {
      EXPECT_TRUE(take_health(node, health));
    }
    return node;
  }
  // As JSON, without its age.
  static std::string words(const KnownNode& node) {
    std::string out;
    json::Writer json(out);
    json.begin_object();
    append_standing(node, std::nullopt, std::nullopt, json);
    json.end_object();
    return out;
  }
  Circumstances now{true, WallTime(1'700'000'000s)};
};

TEST_F(KnownNodeTest, AtTheFirstLookTheWatcherIsBelieved) {
  KnownNode node = look(1s, kLease, kHealth);
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"up","since":null,"source":"lease"})");
  node = look(1s, kLease, "");
  judge(node, nullptr, now);
  EXPECT_EQ(node.state, NodeState::up) << "whether it has a health or not";
}

TEST_F(KnownNodeTest, WhereNobodyWatchesALeaseThatWasSeenOnceTellsNothing) {
  now.is_watched = false;
  KnownNode node = look(1s, kLease, kHealth);
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"up","since":null,"source":"health"})")
      << "a health expires, a lease does not";
  node = look(1s, kLease, "");
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"unknown","since":null,"source":"lease",)"
                         R"("cause":"nobody is known to watch the cell"})");
  KnownNode later = look(2s, "boot eek-1 8 1000 3000", "");
  judge(later, &node, now);
  EXPECT_EQ(later.state, NodeState::up) << "it has changed";
  EXPECT_EQ(later.since, now.wall);
}

TEST_F(KnownNodeTest, SilenceIsFromTheFirstAnswerToTheLastQuestion) {
  KnownNode first = look(1s, kLease, kHealth);
  judge(first, nullptr, now);
  KnownNode second = look(3s, kLease, kHealth);  // 1.99 s later
  judge(second, &first, now);
  EXPECT_EQ(second.state, NodeState::up);
  KnownNode third = look(3s + 10ms, kLease, kHealth);
  judge(third, &second, now);
  EXPECT_EQ(words(third), R"({"state":"suspect","since":"2023-11-14T22:13:20.000000",)"
                          R"("source":"lease","cause":"lease not renewed for 2 s"})");
  KnownNode fourth = look(60s, kLease, kHealth);
  judge(fourth, &third, now);
  EXPECT_EQ(fourth.state, NodeState::suspect) << "the watcher decides";
  EXPECT_EQ(fourth.since, third.since);
  now.is_watched = false;
  judge(fourth = look(60s, kLease, kHealth), &third, now);
  EXPECT_EQ(fourth.state, NodeState::down);
}

TEST_F(KnownNodeTest, AnotherServerMayHaveAnOlderLease) {
  KnownNode first = look(1s, kLease, kHealth);
  judge(first, nullptr, now);
  KnownNode second = look(60s, kLease, kHealth);
  second.server = 1;
  judge(second, &first, now);
  EXPECT_EQ(second.state, NodeState::up) << "its patience begins anew";
  EXPECT_FALSE(second.has_changed);
  KnownNode third = look(62s + 20ms, kLease, kHealth);
  third.server = 1;
  judge(third, &second, now);
  EXPECT_EQ(third.state, NodeState::suspect);
}

TEST_F(KnownNodeTest, AMarkCountsForTheLeaseThatItNames) {
  KnownNode node = look(1s, kLease, R"({"is_reachable":false,"reason":"silent","timestamp":"x"})",
                        digest_of(kLease));
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"down","since":null,"source":"lease","cause":"silent"})");
  node = look(1s, kLease, "", digest_of(kLease));
  judge(node, nullptr, now);
  EXPECT_EQ(node.cause, "lease not renewed");
  node = look(1s, kLease, kHealth, digest_of("boot eek-1 6 1000 3000"));
  judge(node, nullptr, now);
  EXPECT_EQ(node.state, NodeState::up);
  node = look(1s, "rubbish", kHealth, digest_of("rubbish"));
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"up","since":null,"source":"health"})");
}

TEST_F(KnownNodeTest, WithoutALeaseItsHealthTells) {
  KnownNode node = look(1s, "", kHealth);
  judge(node, nullptr, now);
  EXPECT_EQ(words(node), R"({"state":"up","since":null,"source":"health"})");
  KnownNode gone = look(20s, "", "");
  gone.last_seen = node.last_seen;
  judge(gone, &node, now);
  EXPECT_EQ(words(gone), R"({"state":"down","since":"2023-11-14T22:13:20.000000",)"
                         R"("source":"health","cause":"its health has expired"})");
  KnownNode never = look(1s, "", "");
  judge(never, nullptr, now);
  EXPECT_EQ(never.state, NodeState::unknown);
  KnownNode off = look(1s, "", R"({"is_reachable":false})");
  judge(off, nullptr, now);
  EXPECT_EQ(off.cause, "not reachable");
}

TEST_F(KnownNodeTest, AReasonIsForeignText) {
  KnownNode node =
      look(1s, "", R"({"is_reachable":false,"reason":"\u001b[31m)" + std::string(500, 'x') + "\"}");
  judge(node, nullptr, now);
  EXPECT_TRUE(node.cause.starts_with("\\x1b[31mxxx")) << node.cause;
  EXPECT_LE(node.cause.size(), 160u);
}

}  // namespace
}  // namespace nb::fleet
