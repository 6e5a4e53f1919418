// Unit tests of redis/pipeline: bytes go in and out, time is handed in.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "redis/pipeline.h"
#include "support/pipeline_wire.h"
#include "support/resp_commands.h"
#include "support/updates.h"

namespace nb::redis {
namespace {

using namespace std::chrono_literals;
using outbox::Outbox;
using outbox::Unit;
using test::commands;
using test::PipelineWire;
using test::put_health;

const MonoTime kNow{1000s};

// Collects what a pipeline tells.
struct Sink {
  void on_settled(const Unit& unit, const UnitResult& result) {
    log += "settled:" + std::string(unit.slot != nullptr ? unit.slot->key : "event");
    if (result.subscribers >= 0) log += ":heard_by=" + std::to_string(result.subscribers);
    if (result.echo.existed) log += ":existed";
    if (!result.echo.previous.empty()) log += ":was=" + std::string(result.echo.previous);
    const outbox::Refusals& refusals = result.refusals;
    if (!refusals.value.empty()) log += ":no value=" + std::string(refusals.value);
    if (!refusals.entry.empty()) log += ":no entry=" + std::string(refusals.entry);
    if (!refusals.message.empty()) log += ":no message=" + std::string(refusals.message);
    if (tells_entries && result.entry_ms > 0) log += ":entry=" + std::to_string(result.entry_ms);
    if (result.id_refused) log += ":id refused";
    if (!result.no_transaction.empty()) log += ":apart=" + std::string(result.no_transaction);
    log += " ";
  }
  void on_aborted(const Unit& unit) {
    log += "aborted:" + std::string(unit.slot != nullptr ? unit.slot->key : "event") + " ";
  }
  std::string log;
  bool tells_entries = false;
};

class PipelineUnit : public testing::Test {
 protected:
  PipelineUnit() {
    outbox_.connection_opened();
    put_health(outbox_, "{1}", true);
    EXPECT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
    pipeline_.send(unit_, kNow);
  }
  const std::string queued_ = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n";
  Outbox outbox_{{"hog", "hog-1", {}}};
  Sink sink_;
  PipelineWire pipeline_{sink_, 1000};
  Unit unit_;
};

TEST_F(PipelineUnit, IsOneTransaction) {
  EXPECT_EQ(commands(pipeline_.output()),
            "MULTI; HGET node:health:hog health; HSET node:health:hog health {1}; "
            "PEXPIRE node:health:hog 15000; "
            "XADD stream:node_metrics:hog MAXLEN ~ 5000 * health {}; "
            "PUBLISH node:events:hog {\"type\":\"x\"}; EXEC");
  const std::string queued = "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n";
  EXPECT_FALSE(pipeline_.feed(queued, kNow).has_value());
  EXPECT_EQ(pipeline_.waiting_units(), 1u);
  EXPECT_FALSE(
      pipeline_.feed("*5\r\n$3\r\n{0}\r\n:0\r\n:1\r\n$3\r\n1-0\r\n:2\r\n", kNow).has_value());
  EXPECT_EQ(sink_.log, "settled:node:health:hog:heard_by=2:existed:was={0} ");
  EXPECT_EQ(pipeline_.waiting(), 0u);
}

TEST_F(PipelineUnit, HasThePrefixBeforeEachKeyAndChannel) {
  PipelineWire prefixed{sink_, 1000, 0, "p:"};
  prefixed.send(unit_, kNow);
  EXPECT_EQ(commands(prefixed.output()),
            "MULTI; HGET p:node:health:hog health; HSET p:node:health:hog health {1}; "
            "PEXPIRE p:node:health:hog 15000; "
            "XADD p:stream:node_metrics:hog MAXLEN ~ 5000 * health {}; "
            "PUBLISH p:node:events:hog {\"type\":\"x\"}; EXEC");
}

TEST_F(PipelineUnit, OneBadCommandCostsItsPartAlone) {
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                         "*5\r\n$-1\r\n-WRONGTYPE bad\r\n:0\r\n$3\r\n1-0\r\n:2\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(sink_.log, "settled:node:health:hog:heard_by=2:no value=WRONGTYPE bad ");
}

TEST_F(PipelineUnit, AValueThatWasWrittenIsNotRefusedForTheEntryBehindIt) {
  EXPECT_FALSE(pipeline_
                   .feed(queued_ + "*5\r\n$3\r\n{0}\r\n:0\r\n:1\r\n-WRONGTYPE bad\r\n"
                                   "-NOPERM no channel\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:existed:was={0}:no entry=WRONGTYPE bad:no message=NOPERM no "
            "channel ");
}

// Nothing of it was carried out. It goes again, each part for itself; only the bad one is refused.
TEST_F(PipelineUnit, ACommandThatWasNotQueuedCostsItsPartAlone) {
  pipeline_.output().clear();
  const std::string unknown = "-ERR unknown command 'XADD'\r\n";
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n" + unknown +
                             "+QUEUED\r\n-EXECABORT Transaction discarded because of previous "
                             "errors.\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""), "aborted:node:health:hog ");
  EXPECT_EQ(pipeline_.waiting_units(), 0u);

  outbox_.aborted(unit_);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  EXPECT_TRUE(unit_.apart);
  pipeline_.send(unit_, kNow);
  EXPECT_EQ(commands(pipeline_.output()),
            "MULTI; HGET node:health:hog health; HSET node:health:hog health {1}; "
            "PEXPIRE node:health:hog 15000; EXEC; "
            "XADD stream:node_metrics:hog MAXLEN ~ 5000 * health {}; "
            "PUBLISH node:events:hog {\"type\":\"x\"}");
  EXPECT_FALSE(
      pipeline_
          .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$3\r\n{0}\r\n:0\r\n:1\r\n", kNow)
          .has_value());
  EXPECT_EQ(sink_.log, "") << "not before all parts have their answer";
  EXPECT_FALSE(pipeline_.feed(unknown + ":2\r\n", kNow).has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:heard_by=2:existed:was={0}:no entry=ERR unknown command "
            "'XADD' ");
  EXPECT_EQ(pipeline_.waiting(), 0u);
}

// Then nothing of it is there, as the answer says.
TEST_F(PipelineUnit, WithoutItsMainPartNothingOfAUnitIsSent) {
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n-NOPERM no hset\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                         "-EXECABORT Transaction discarded because of previous errors.\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""),
            "settled:node:health:hog:no value=NOPERM no hset:no entry=NOPERM no hset:no "
            "message=NOPERM no hset ");
  outbox_.refused(unit_, "NOPERM no hset");

  // Of an event the message is its main part, the entry is not.
  const std::string begin = "+OK\r\n";
  const std::string end = "-EXECABORT Transaction discarded because of previous errors.\r\n";
  for (const std::string& answers : {std::string("+QUEUED\r\n-NOPERM no channel\r\n"),
                                     std::string("-ERR unknown command 'XADD'\r\n+QUEUED\r\n")}) {
    test::Filler{outbox_, kNow}.event("h", "m");
    ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
    pipeline_.send(unit_, kNow);
    EXPECT_FALSE(pipeline_.feed(begin + answers + end, kNow).has_value());
  }
  EXPECT_EQ(sink_.log,
            "settled:event:no entry=NOPERM no channel:no message=NOPERM no channel aborted:event ");
}

class PipelineEntry : public testing::Test {
 protected:
  PipelineEntry() {
    sink_.tells_entries = true;
    outbox_.connection_opened();
    test::Filler{outbox_, kNow}.event("v");
    send();
    again();
  }
  void send() {
    EXPECT_TRUE(outbox_.next(unit_, kNow, WallTime{1s}));
    pipeline_.send(unit_, kNow);
  }
  // As on a new connection.
  void again() {
    outbox_.connection_lost();
    outbox_.connection_opened();
    first_ = std::exchange(pipeline_.output(), "");
    pipeline_.drop();
    send();
  }
  static constexpr const char* kNotAbove =
      "-ERR The ID specified in XADD is equal or smaller than the target stream top item\r\n";
  // What becomes of the entry where XREVRANGE and XADD are answered so.
  std::string with(const std::string& found, const std::string& added) {
    EXPECT_FALSE(
        pipeline_.feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n" + found + added, kNow).has_value());
    EXPECT_EQ(pipeline_.waiting(), 0u);
    return std::exchange(sink_.log, "");
  }

  Outbox outbox_{{"hog", "hog-1", {}}};
  Sink sink_;
  PipelineWire pipeline_{sink_, 1000};
  Unit unit_;
  std::string first_;
};

TEST_F(PipelineEntry, InDoubtIsLookedForInTheTransactionThatAddsIt) {
  EXPECT_EQ(commands(first_), "XADD s MAXLEN ~ 100 1000-1 f v");
  EXPECT_EQ(commands(pipeline_.output()),
            "MULTI; XREVRANGE s 1000-1 1000-1 COUNT 1; XADD s MAXLEN ~ 100 1000-1 f v; EXEC");
}

// A reader of the entry knows by the blank that this may be its message once more.
TEST_F(PipelineEntry, InDoubtMarksItsMessage) {
  pipeline_.drop();
  outbox_.settled(unit_, kNow, -1, {}, true);
  pipeline_.output().clear();
  test::Filler{outbox_, kNow}.event("w", "{}");
  send();
  EXPECT_TRUE(commands(pipeline_.output()).ends_with("PUBLISH c {}; EXEC"));
  again();
  EXPECT_TRUE(commands(pipeline_.output()).ends_with("PUBLISH c {} ; EXEC"));
}

TEST_F(PipelineEntry, ThatIsThereIsStored) {
  EXPECT_EQ(with("*1\r\n*2\r\n$6\r\n1000-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", kNotAbove),
            "settled:event ");
}

TEST_F(PipelineEntry, ThatIsNotThereIsStoredNow) {
  EXPECT_EQ(with("*0\r\n", "$6\r\n1000-1\r\n"), "settled:event:entry=1000 ");
}

TEST_F(PipelineEntry, ThatIsNotThereAndMayNotBeAddedGoesAgain) {
  EXPECT_EQ(with("*0\r\n", kNotAbove), "settled:event:id refused ");
}

// Another writer of the stream has used the id.
TEST_F(PipelineEntry, IsNotTakenForAnotherOne) {
  for (const char* texts : {"*2\r\n$1\r\nf\r\n$1\r\nx\r\n", "*2\r\n$1\r\ng\r\n$1\r\nv\r\n",
                            "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\nf\r\n$1\r\nv\r\n", "*0\r\n"}) {
    EXPECT_EQ(with("*1\r\n*2\r\n$6\r\n1000-1\r\n" + std::string(texts), kNotAbove),
              "settled:event:id refused ")
        << texts;
    again();
  }
}

// Without that right the entry goes as one that is not there.
TEST_F(PipelineEntry, ThatMayNotBeLookedForIsNotRefused) {
  EXPECT_EQ(with("-NOPERM no permissions to run the 'xrevrange' command\r\n", "$6\r\n1000-1\r\n"),
            "settled:event:entry=1000 ");
}

// Redis looks at that right when it queues a command, and carries out nothing of the transaction.
TEST_F(PipelineEntry, ThatMayNotBeLookedForGoesAgainWithoutATransaction) {
  const std::string no_right = "-NOPERM no permissions to run the 'xrevrange' command\r\n";
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n" + no_right +
                             "+QUEUED\r\n-EXECABORT Transaction discarded because of previous "
                             "errors.\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""), "aborted:event ");
  outbox_.aborted(unit_);
  pipeline_.output().clear();
  send();
  EXPECT_EQ(commands(pipeline_.output()),
            "XREVRANGE s 1000-1 1000-1 COUNT 1; XADD s MAXLEN ~ 100 1000-1 f v");
  EXPECT_FALSE(pipeline_.feed(no_right + "$6\r\n1000-1\r\n", kNow).has_value());
  EXPECT_EQ(sink_.log, "settled:event:entry=1000 ");
}

TEST_F(PipelineUnit, AServerThatTakesNoTransactionOverSeveralKeysGetsThePartsOneByOne) {
  const std::string crossslot = "CROSSSLOT Keys in request don't hash to the same slot";
  EXPECT_FALSE(pipeline_.feed(queued_ + "-" + crossslot + "\r\n", kNow).has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""), "aborted:node:health:hog ");
  outbox_.aborted(unit_);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  pipeline_.send(unit_, kNow);
  EXPECT_FALSE(pipeline_
                   .feed("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$-1\r\n:1\r\n:1\r\n"
                         "$3\r\n1-0\r\n:2\r\n",
                         kNow)
                   .has_value());
  EXPECT_EQ(std::exchange(sink_.log, ""),
            "settled:node:health:hog:heard_by=2:apart=" + crossslot + " ");
  outbox_.stored(unit_, kNow);
  // It is not asked again on this connection.
  put_health(outbox_, "{2}", true);
  ASSERT_TRUE(outbox_.next(unit_, kNow, WallTime{}));
  EXPECT_FALSE(unit_.apart);
  pipeline_.output().clear();
  pipeline_.send(unit_, kNow);
  EXPECT_NE(commands(pipeline_.output()).find("EXEC; XADD"), std::string::npos);
}

TEST_F(PipelineUnit, WithoutMultiEachCommandIsAnsweredForItself) {
  const std::string_view answers =
      "-NOPERM this user has no permissions to run the 'multi' command\r\n$-1\r\n:1\r\n:1\r\n"
      "$3\r\n1-0\r\n:2\r\n-ERR EXEC without MULTI\r\n";
  EXPECT_FALSE(pipeline_.feed(answers, kNow).has_value());
  EXPECT_EQ(sink_.log,
            "settled:node:health:hog:heard_by=2:apart=NOPERM this user has no permissions to run "
            "the 'multi' command ");
}

TEST_F(PipelineUnit, AnUnknownErrorEndsTheConnectionWhereverItComes) {
  for (const std::string& answers : std::vector<std::string>{
           "-\r\n", queued_ + "-\r\n", queued_ + "*5\r\n$-1\r\n-\r\n:1\r\n:1\r\n:2\r\n",
           "-upstream failure\r\n", "+OK\r\n-ERR Host is down\r\n", queued_ + "-ERR x\r\n",
           queued_ + "*5\r\n$-1\r\n:1\r\n:1\r\n-ERR Host is down\r\n:2\r\n",
           queued_ + "-EXECABORT Transaction discarded because of previous errors.\r\n"}) {
    Outbox outbox{{"hog", "hog-1", {}}};
    outbox.connection_opened();
    put_health(outbox, "{1}", true);
    Sink sink;
    PipelineWire pipeline(sink, 1000);
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    pipeline.send(unit, kNow);
    const auto failure = pipeline.feed(answers, kNow);
    ASSERT_TRUE(failure.has_value()) << answers;
    EXPECT_EQ(failure->trouble, Trouble::server_error) << answers;
    EXPECT_EQ(sink.log, "") << "nothing is given up: " << answers;
  }
}

TEST_F(PipelineUnit, WhatConcernsTheServerEndsTheConnection) {
  const auto failure = pipeline_.feed("+OK\r\n+QUEUED\r\n-OOM command not allowed\r\n", kNow);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->trouble, Trouble::out_of_memory);
  EXPECT_EQ(failure->words, "OOM command not allowed");
}

// Whatever is not the reply of Redis to this very command acknowledges nothing.
const std::vector<std::string> kReplies = {
    "+OK\r\n",      "+QUEUED\r\n",    "+PONG\r\n",     ":0\r\n",        ":1\r\n",
    ":-1\r\n",      "$-1\r\n",        "$2\r\nOK\r\n",  "$3\r\n1-0\r\n", "+1-0\r\n",
    "*0\r\n",       "*-1\r\n",        "*1\r\n+OK\r\n", "$1\r\n1\r\n",   "$2\r\n1-\r\n",
    "$2\r\n-1\r\n", "$4\r\n1-0x\r\n", "*1\r\n:1\r\n",  "+ok\r\n",       "$6\r\nQUEUED\r\n"};

class ForeignForms : public testing::Test {
 protected:
  // What becomes of what `fill` has put in, answered so.
  template <class Fill>
  void expect(Fill fill, const std::string& answer, bool is_right, const std::string& where = "") {
    Outbox outbox{{"hog", "hog-1", {}}};
    outbox.connection_opened();
    Sink sink;
    PipelineWire pipeline(sink, 100'000);
    fill(test::Filler{outbox, kNow});
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    pipeline.send(unit, kNow);
    const auto failure = pipeline.feed(answer, kNow);
    EXPECT_EQ(failure.has_value(), !is_right) << where << " " << answer;
    EXPECT_EQ(sink.log.starts_with("settled"), is_right) << where << " " << answer;
    if (failure) {
      EXPECT_EQ(failure->trouble, Trouble::rubbish) << where << " " << answer;
    }
  }
  // A unit of one command takes these replies and no other.
  template <class Fill>
  void expect_only(std::vector<std::string> right, const char* command, Fill fill) {
    for (const std::string& reply : kReplies) {
      expect(fill, reply, std::ranges::count(right, reply) > 0, command);
    }
  }
};

TEST_F(ForeignForms, OfEachCommandOnlyItsOwnIsAnAcknowledgement) {
  expect_only({"+OK\r\n"}, "SET", [](test::Filler filler) { filler.string("k", "v"); });
  expect_only({":0\r\n", ":1\r\n"}, "HSET", [](test::Filler filler) { filler.hash("k", "v"); });
  expect_only({":0\r\n", ":1\r\n"}, "DEL", [](test::Filler filler) { filler.remove("k"); });
  expect_only({":0\r\n", ":1\r\n"}, "PUBLISH", [](test::Filler filler) { filler.event("", "m"); });
  expect_only({"$3\r\n1-0\r\n"}, "XADD", [](test::Filler filler) { filler.event("e"); });
}

TEST_F(ForeignForms, OfATransactionToo) {
  const auto fill = [](test::Filler filler) { put_health(filler.outbox, "{1}", true); };
  const std::vector<std::string> queued = {"+OK\r\n",     "+QUEUED\r\n", "+QUEUED\r\n",
                                           "+QUEUED\r\n", "+QUEUED\r\n", "+QUEUED\r\n"};
  const std::vector<std::string> done = {"$-1\r\n", ":1\r\n", ":1\r\n", "$3\r\n1-0\r\n", ":0\r\n"};
  const auto joined = [](const std::vector<std::string>& replies) {
    std::string out;
    for (const std::string& reply : replies) out += reply;
    return out;
  };
  for (size_t i = 0; i < queued.size(); ++i) {
    for (const std::string& reply : kReplies) {
      std::vector<std::string> some = queued;
      some[i] = reply;
      expect(fill, joined(some) + "*5\r\n" + joined(done), reply == queued[i],
             "queued " + std::to_string(i));
    }
  }
  const std::vector<std::vector<std::string>> right = {
      {"$-1\r\n", "*-1\r\n", "$2\r\nOK\r\n", "$3\r\n1-0\r\n", "$1\r\n1\r\n", "$2\r\n1-\r\n",
       "$2\r\n-1\r\n", "$4\r\n1-0x\r\n", "$6\r\nQUEUED\r\n"},
      {":0\r\n", ":1\r\n"},
      {":0\r\n", ":1\r\n"},
      {"$3\r\n1-0\r\n"},
      {":0\r\n", ":1\r\n"}};
  for (size_t i = 0; i < done.size(); ++i) {
    for (const std::string& reply : kReplies) {
      std::vector<std::string> some = done;
      some[i] = reply;
      expect(fill, joined(queued) + "*5\r\n" + joined(some),
             std::ranges::count(right[i], reply) > 0, "EXEC " + std::to_string(i));
    }
  }
  for (const std::string& exec : kReplies) expect(fill, joined(queued) + exec, false, "EXEC");
  expect(fill, joined(queued) + "*4\r\n" + joined({done.begin(), done.end() - 1}), false);
  expect(fill, joined(queued) + "*6\r\n" + joined(done) + ":1\r\n", false);
  const std::string no_multi = "-NOPERM no multi\r\n" + joined(done);
  expect(fill, no_multi + "-ERR EXEC without MULTI\r\n", true);
  expect(fill, no_multi + "*5\r\n" + joined(done), false);
}

TEST_F(ForeignForms, ASetThatIsOnlyForAMissingKeyMayFindOne) {
  for (const std::string& reply : kReplies) {
    Outbox outbox{{"hog", "hog-1", {}}};
    outbox.connection_opened();
    const outbox::FieldView field{"", "v"};
    const outbox::SlotUpdate slot{
        .key = "k", .kind = outbox::SlotKind::string, .fields = {&field, 1}, .shared = true};
    (void)outbox.put(&slot, nullptr, nullptr, kNow, WallTime{});
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    outbox.stored(unit, kNow);
    outbox.rewrite_all();
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    Sink sink;
    PipelineWire pipeline(sink, 1000);
    pipeline.send(unit, kNow);
    EXPECT_EQ(commands(pipeline.output()), "SET k v NX");
    EXPECT_EQ(!pipeline.feed(reply, kNow),
              reply == "+OK\r\n" || reply == "$-1\r\n" || reply == "*-1\r\n")
        << reply;
  }
}

struct Asker {
  void on_reply(const QueryReply& reply) {
    heard += reply.reply ? "[" + std::string(reply.reply.text()) + "]" : "none";
  }
  std::string heard;
};

// A value that is not known must not pass for one that is not there.
TEST(Pipeline, AQuestionForAKeyTakesOnlyAValueNilOrARefusal) {
  const auto ask = [](const char* word, const std::string& answer) {
    Sink sink;
    PipelineWire pipeline(sink, 1000);
    Asker asker;
    pipeline.query(1, 0, std::vector<std::string_view>{word, "k", "f"},
                   Delegate<void(const QueryReply&)>::to<&Asker::on_reply>(&asker));
    const auto failure = pipeline.feed(answer, kNow);
    return failure ? std::string(name(failure->trouble)) : asker.heard;
  };
  EXPECT_EQ(ask("HGET", "$1\r\nv\r\n"), "[v]");
  EXPECT_EQ(ask("HGET", "$-1\r\n"), "[]");
  EXPECT_EQ(ask("HGET", "-WRONGTYPE x\r\n"), "[WRONGTYPE x]");
  EXPECT_EQ(ask("HGET", "-NOPERM x\r\n"), "[NOPERM x]");
  EXPECT_EQ(ask("HGET", "-upstream failure\r\n"), "server-error");
  EXPECT_EQ(ask("HGET", "-LOADING x\r\n"), "loading");
  for (const char* form : {"+OK\r\n", ":1\r\n", "*0\r\n"}) {
    EXPECT_EQ(ask("HGET", form), "rubbish") << form;
  }
  EXPECT_EQ(ask("INFO", "-no INFO here\r\n"), "[no INFO here]");
  EXPECT_EQ(ask("INFO", "+OK\r\n"), "[OK]");
  EXPECT_EQ(ask("INFO", "-LOADING x\r\n"), "loading");
}

TEST(Pipeline, ASelectThatIsRefusedIsNamedAsWhatItIs) {
  const auto trouble = [](const char* error) {
    Outbox outbox{{"hog", "hog-1", {}}};
    outbox.connection_opened();
    const outbox::FieldView field{"f", "v"};
    const outbox::EntryUpdate entry{3, "s", 100, {&field, 1}};
    const outbox::SlotUpdate slot{.key = "k", .fields = {&field, 1}};
    (void)outbox.put(&slot, &entry, nullptr, kNow, WallTime{});
    Unit unit;
    EXPECT_TRUE(outbox.next(unit, kNow, WallTime{}));
    Sink sink;
    PipelineWire pipeline(sink, 1000);
    pipeline.send(unit, kNow);
    const auto failure = pipeline.feed(format("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                                              "*4\r\n:1\r\n-%s\r\n$3\r\n1-0\r\n+OK\r\n",
                                              error),
                                       kNow);
    return failure ? failure->trouble : Trouble::none;
  };
  EXPECT_EQ(trouble("ERR DB index is out of range"), Trouble::no_database);
  EXPECT_EQ(trouble("NOPERM no select"), Trouble::no_permission);
  EXPECT_EQ(trouble("MOVED 1 10.0.0.1:6379"), Trouble::server_error);
  EXPECT_EQ(trouble("LOADING x"), Trouble::loading);
}

TEST(Pipeline, AUnitInAnotherDatabaseIsPrecededByItsSelect) {
  Outbox outbox{{"hog", "hog-1", {}}};
  outbox.connection_opened();
  Sink sink;
  PipelineWire pipeline(sink, 1000);
  for (const int db : {0, 3, 3}) {
    const outbox::FieldView field{"f", "v"};
    const outbox::SlotUpdate slot{.db = db, .key = "k", .fields = {&field, 1}};
    (void)outbox.put(&slot, nullptr, nullptr, kNow, WallTime{});
    Unit unit;
    ASSERT_TRUE(outbox.next(unit, kNow, WallTime{}));
    pipeline.send(unit, kNow);
  }
  EXPECT_EQ(commands(pipeline.output()), "HSET k f v; SELECT 3; HSET k f v; HSET k f v");
  EXPECT_EQ(pipeline.waiting(), 4u) << "one answer for each command";
}

}  // namespace
}  // namespace nb::redis
