#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "audit/database.h"
#include "audit/entry.h"
#include "audit/gap.h"
#include "audit/options.h"
#include "audit/stream.h"
#include "base/file.h"
#include "config/assign.h"

namespace nb::audit {
namespace {

using redis_admin::Reply;
using Kind = Reply::Kind;

Reply text(std::string words) {
  return {Kind::text, std::move(words), {}};
}

Reply number(uint64_t value) {
  return {Kind::integer, std::to_string(value), {}};
}

Reply list(std::vector<Reply> items) {
  return {Kind::list, {}, std::move(items)};
}

Reply texts(std::initializer_list<std::string> words) {
  std::vector<Reply> items;
  for (const std::string& word : words) items.push_back(text(word));
  return list(std::move(items));
}

std::vector<std::string> fields() {
  return {"op",          "update", "session_id",  "s", "timestamp", "2026-11-20T14:03:07.123Z",
          "old_version", "1",      "new_version", "2", "sequence",  "7",
          "client",      "robot",  "uid",         "0", "node",      "ook",
          "instance",    "ook-1",  "state",       "{}"};
}

Reply item(const std::string& id, const std::vector<std::string>& words) {
  std::vector<Reply> items;
  for (const std::string& word : words) items.push_back(text(word));
  return list({text(id), list(std::move(items))});
}

// Why an entry with these fields is odd; empty: it is none.
std::string oddness(const std::vector<std::string>& words, const std::string& id = "5-0") {
  Batch batch;
  EXPECT_TRUE(add_item(batch, item(id, words)));
  EXPECT_EQ(batch.ids, std::vector<std::string>{id});
  EXPECT_EQ(batch.entries.size() + batch.odd.size(), 1u);
  return batch.odd.empty() ? "" : batch.odd[0].reason;
}

std::string oddness_with(const std::string& name, const std::string& value) {
  auto words = fields();
  for (size_t i = 0; i < words.size(); i += 2) {
    if (words[i] == name) words[i + 1] = value;
  }
  return oddness(words);
}

TEST(AuditEntry, OfAnAgent) {
  Batch batch;
  ASSERT_TRUE(add_item(batch, item("1795183387123-4", fields())));
  ASSERT_EQ(batch.entries.size(), 1u);
  const auto& columns = batch.entries[0].columns;
  EXPECT_EQ(columns[kId], "1795183387123-4");
  EXPECT_EQ(columns[kWrittenAt], "2026-11-20T14:03:07.123Z");
  EXPECT_EQ(columns[kOp], "update");
  EXPECT_EQ(columns[kSessionId], "s");
  EXPECT_EQ(columns[kOldVersion], "1");
  EXPECT_EQ(columns[kNewVersion], "2");
  EXPECT_EQ(columns[kClient], "robot");
  EXPECT_EQ(columns[kUid], "0");
  EXPECT_EQ(columns[kNode], "ook");
  EXPECT_EQ(columns[kInstance], "ook-1");
  EXPECT_EQ(columns[kSequence], "7");
  EXPECT_EQ(columns[kState], "{}");
}

TEST(AuditEntry, WhatMayBeMissing) {
  auto words = fields();
  words.resize(words.size() - 2);
  Batch batch;
  ASSERT_TRUE(add_item(batch, item("5-0", words)));
  EXPECT_EQ(batch.entries.at(0).columns[kState], std::nullopt);
  for (const char* name : {"old_version", "new_version", "uid", "client", "state"}) {
    EXPECT_EQ(oddness_with(name, ""), "") << name;
  }
}

TEST(AuditEntry, WhatIsNone) {
  EXPECT_EQ(oddness({}), "it lacks timestamp");
  EXPECT_EQ(oddness_with("sequence", ""), "sequence is no number");
  EXPECT_EQ(oddness_with("new_version", "-1"), "new_version is no number");
  EXPECT_EQ(oddness_with("new_version", "9223372036854775808"), "new_version is no number");
  EXPECT_EQ(oddness_with("new_version", "9223372036854775807"), "");
  EXPECT_EQ(oddness_with("timestamp", "2026-11-20 14:03:07.123Z"),
            "timestamp is not as agents write it");
  EXPECT_EQ(oddness_with("session_id", std::string("a\0b", 3)), "session_id holds a zero byte");
  EXPECT_EQ(oddness_with("state", "\xed\xa0\x80"), "state is no UTF-8");
  EXPECT_EQ(oddness_with("node", std::string(256, 'n')), "");
  EXPECT_EQ(oddness_with("node", std::string(257, 'n')), "node is longer than 256 bytes");
  EXPECT_EQ(oddness_with("state", std::string(1 << 20, 'n')), "");
  auto twice = fields();
  twice.insert(twice.end(), {"op", "create"});
  EXPECT_EQ(oddness(twice), "it has op twice");
  auto more = fields();
  more.insert(more.end(), {"more", ""});
  EXPECT_EQ(oddness(more), "it has a field that agents do not write");
  EXPECT_EQ(oddness(fields(), "253402300800000-0"), "its id is no time");
  EXPECT_EQ(oddness(fields(), "253402300799999-0"), "");
}

TEST(AuditEntry, AnOddOneIsKeptAsItCame) {
  Batch batch;
  ASSERT_TRUE(add_item(batch, item("5-0", {"a", std::string("\0\xff", 2), "", "b"})));
  ASSERT_EQ(batch.odd.size(), 1u);
  using namespace std::string_literals;
  EXPECT_EQ(batch.odd[0].bytes, "*4\r\n$1\r\na\r\n$2\r\n\0\xff\r\n$0\r\n\r\n$1\r\nb\r\n"s);
}

TEST(AuditEntry, ARefusedOneIsKeptWhole) {
  Batch batch;
  ASSERT_TRUE(add_item(batch, item("5-0", fields())));
  const OddEntry odd = refused(batch.entries[0], "why");
  EXPECT_EQ(odd.id, "5-0");
  EXPECT_EQ(odd.reason, "why");
  EXPECT_TRUE(
      odd.bytes.starts_with("*22\r\n$9\r\ntimestamp\r\n$24\r\n2026-11-20T14:03:07.123Z\r\n"));
  EXPECT_TRUE(odd.bytes.ends_with("$5\r\nstate\r\n$2\r\n{}\r\n"));
}

TEST(AuditEntry, WhatWasTrimmed) {
  Batch batch;
  EXPECT_TRUE(add_item(batch, list({text("5-1"), {Kind::nil, {}, {}}})));
  EXPECT_EQ(batch.gone, std::vector<std::string>{"5-1"});
  EXPECT_EQ(batch.ids, std::vector<std::string>{"5-1"});
}

TEST(AuditEntry, WhatRedisDoesNotAnswer) {
  Batch batch;
  EXPECT_FALSE(add_item(batch, text("5-1")));
  EXPECT_FALSE(add_item(batch, list({text("five"), list({})})));
  EXPECT_FALSE(add_item(batch, list({text("5-1"), texts({"a"})})));
  EXPECT_FALSE(add_item(batch, list({text("5-1"), list({number(1), number(2)})})));
  EXPECT_FALSE(add_item(batch, list({text("5-1")})));
  EXPECT_FALSE(add_answer(batch, text("OK")));
  EXPECT_FALSE(add_answer(batch, list({list({text("stream")})})));
  EXPECT_TRUE(add_answer(batch, {Kind::nil, {}, {}}));
  EXPECT_TRUE(batch.is_empty());
}

TEST(AuditEntry, AnArrayForPostgreSQL) {
  std::vector<Entry> entries(4);
  entries[0].columns[kState] = R"({"a":"\n"})";
  entries[2].columns[kState] = "";
  entries[3].columns[kState] = "NULL";
  EXPECT_EQ(array_text(entries, kState), R"({"{\"a\":\"\\n\"}",NULL,"","NULL"})");
  EXPECT_EQ(array_text({}, kState), "{}");
}

TEST(AuditStreamId, Text) {
  EXPECT_EQ(wire::parse_stream_id("17-4"), (wire::StreamId{17, 4}));
  EXPECT_EQ(wire::parse_stream_id("18446744073709551615-18446744073709551615")->text(),
            "18446744073709551615-18446744073709551615");
  for (const char* wrong : {"", "17", "17-", "-4", "17-4 ", "18446744073709551616-0", "a-b"}) {
    EXPECT_EQ(wire::parse_stream_id(wrong), std::nullopt) << wrong;
  }
  EXPECT_LT((wire::StreamId{9, 9}), (wire::StreamId{10, 0}));
  EXPECT_LT((wire::StreamId{10, 0}), (wire::StreamId{10, 1}));
}

// A stream whose entries have the ids 1-0, 2-0, ...: `trimmed` of them are gone.
StreamFacts stream_of(uint64_t added, uint64_t trimmed, uint64_t delivered) {
  return {.added = added,
          .length = added - trimmed,
          .first = trimmed < added ? wire::StreamId{trimmed + 1, 0} : wire::StreamId(),
          .last = {added, 0},
          .delivered = {delivered, 0}};
}

Place place(uint64_t id, std::optional<uint64_t> count) {
  return {{id, 0}, count};
}

TEST(AuditGap, NothingWasTrimmed) {
  const Progress whole = look_for_gap(place(0, 0), stream_of(5, 0, 0), 5, {5, 0}, true);
  EXPECT_EQ(whole.gap, std::nullopt);
  EXPECT_EQ(whole.place, place(5, 5));
  const Progress part = look_for_gap(place(0, 0), stream_of(5, 0, 0), 2, {2, 0}, false);
  EXPECT_EQ(part.place, place(2, 2));
  const Progress next = look_for_gap(part.place, stream_of(5, 0, 2), 2, {4, 0}, false);
  EXPECT_EQ(next.gap, std::nullopt);
  EXPECT_EQ(next.place, place(4, 4));
}

TEST(AuditGap, WhatWasReadMayBeTrimmed) {
  EXPECT_EQ(look_for_gap(place(5, 5), stream_of(9, 5, 5), 4, {9, 0}, true).gap, std::nullopt);
  EXPECT_EQ(look_for_gap(place(5, 5), stream_of(5, 5, 5), 0, {}, true).gap, std::nullopt);
}

TEST(AuditGap, WhatWasNotReadIsCounted) {
  const Progress progress = look_for_gap(place(5, 5), stream_of(20, 12, 5), 3, {15, 0}, false);
  EXPECT_EQ(progress.gap, (Gap{{5, 0}, {13, 0}, 7}));
  EXPECT_EQ(progress.place, place(15, 15));
  // All of it is gone.
  const Progress empty = look_for_gap(place(5, 5), stream_of(20, 20, 5), 0, {}, true);
  EXPECT_EQ(empty.gap, (Gap{{5, 0}, {}, 15}));
  EXPECT_EQ(empty.place, place(20, 20));
  EXPECT_EQ(look_for_gap(empty.place, stream_of(20, 20, 5), 0, {}, true).gap, std::nullopt);
  // From the first reading on.
  EXPECT_EQ(look_for_gap(place(0, 0), stream_of(20, 12, 0), 8, {20, 0}, true).gap,
            (Gap{{}, {13, 0}, 12}));
}

TEST(AuditGap, AGroupThatIsMadeAnewReadsOnceMore) {
  const Progress first = look_for_gap(place(15, 15), stream_of(20, 12, 0), 2, {14, 0}, false);
  EXPECT_EQ(first.gap, std::nullopt);
  EXPECT_EQ(first.place, place(15, 15));
  const Progress next = look_for_gap(first.place, stream_of(20, 12, 14), 3, {17, 0}, false);
  EXPECT_EQ(next.gap, std::nullopt);
  EXPECT_EQ(next.place.id, (wire::StreamId{17, 0}));
  EXPECT_EQ(look_for_gap(place(5, 5), stream_of(20, 12, 0), 8, {20, 0}, true).gap,
            (Gap{{5, 0}, {13, 0}, 7}));
}

TEST(AuditGap, AnotherStream) {
  // Emptied, and made anew by the group; the ids may be lower than before.
  const Progress empty = look_for_gap(place(50, 50), stream_of(0, 0, 0), 0, {}, true);
  EXPECT_EQ(empty.gap, std::nullopt);
  EXPECT_EQ(empty.place, place(0, 0));
  StreamFacts later = stream_of(9, 4, 0);
  later.first.ms += 100;
  later.last.ms += 100;
  EXPECT_EQ(look_for_gap(place(50, 50), later, 5, {109, 0}, true).gap, (Gap{{}, {105, 0}, 4}));
}

TEST(AuditGap, AnotherConsumerHasReadOn) {
  // It stands in the stream still.
  const Progress progress = look_for_gap(place(5, 5), stream_of(20, 8, 10), 2, {12, 0}, false);
  EXPECT_EQ(progress.place.id, (wire::StreamId{12, 0}));
  StreamFacts behind = stream_of(20, 12, 10);
  EXPECT_EQ(look_for_gap(place(5, 5), behind, 2, {14, 0}, false).gap,
            (Gap{{10, 0}, {13, 0}, std::nullopt}));
  EXPECT_EQ(look_for_gap(place(5, 5), behind, 2, {14, 0}, false).place, place(14, 14));
  behind = stream_of(20, 10, 10);
  behind.read = 10;
  EXPECT_EQ(look_for_gap(place(5, 5), behind, 2, {12, 0}, false).gap, std::nullopt);
}

TEST(AuditStream, Facts) {
  const auto group = [](const std::string& name) {
    return list({text("name"), text(name), text("last-delivered-id"), text("4-1"),
                 text("entries-read"), number(9), text("pending"), list({})});
  };
  const auto answer = [&](uint64_t length, uint64_t added, const std::string& first) {
    return list({text("length"), number(length), text("last-generated-id"), text("7-0"),
                 text("entries-added"), number(added), text("recorded-first-entry-id"), text(first),
                 text("groups"), list({group("other"), group(kGroup)})});
  };
  const auto facts = stream_facts(answer(3, 12, "2-0"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->added, 12u);
  EXPECT_EQ(facts->length, 3u);
  EXPECT_EQ(facts->first, (wire::StreamId{2, 0}));
  EXPECT_EQ(facts->last, (wire::StreamId{7, 0}));
  EXPECT_EQ(facts->delivered, (wire::StreamId{4, 1}));
  EXPECT_EQ(facts->read, 9u);
  EXPECT_EQ(stream_facts(answer(0, 12, "2-0"))->first, wire::StreamId());
  EXPECT_FALSE(stream_facts(answer(13, 12, "2-0")));
  EXPECT_FALSE(stream_facts(answer(3, 12, "")));
  EXPECT_FALSE(stream_facts(list({text("length"), number(3)})));  // Redis 6
  EXPECT_FALSE(stream_facts(text("no")));
}

// --- the file ------------------------------------------------------------------------------------

std::string error_of(std::string_view toml) {
  const auto loaded = parse_options(toml, "audit.toml", "store", "");
  return loaded ? "" : loaded.error().message;
}

TEST(AuditOptions, Defaults) {
  const auto loaded = parse_options("", "audit.toml", "store", "");
  ASSERT_TRUE(loaded);
  const Options& options = loaded->options;
  EXPECT_EQ(options.redis.host, "127.0.0.1");
  EXPECT_EQ(options.redis.port, 6379);
  EXPECT_EQ(options.conninfo, "dbname=nodebeat");
  EXPECT_EQ(options.consumer, "store");
  EXPECT_EQ(options.batch, 500u);
  EXPECT_EQ(options.takeover_after, std::chrono::minutes(1));
  EXPECT_EQ(options.level, LogLevel::info);
  EXPECT_TRUE(loaded->warnings.empty());
}

TEST(AuditOptions, EveryMistakeIsNamed) {
  EXPECT_EQ(error_of("[audit]\nbatch = 0\nbathc = 5\n[reddis]\n[log]\nlevel = \"loud\"\n"),
            "audit.toml:2: key 'audit.batch': integer 0 is out of range: allowed is 1 to 2000\n"
            "audit.toml:3: key 'audit.bathc': unknown key; did you mean 'batch'?\n"
            "audit.toml:4: section 'reddis': unknown here: this file has [redis], [postgresql], "
            "[audit] and [log]; did you mean 'redis'?\n"
            "audit.toml:6: key 'log.level': expected one of \"error\", \"warning\", \"notice\", "
            "\"info\", \"debug\", got \"loud\"");
}

TEST(AuditOptions, APasswordHasNoPlaceInTheFile) {
  const std::string redis = error_of("[redis]\nurl = \"redis://audit:geheim@db:1\"\n");
  EXPECT_EQ(redis,
            "audit.toml:2: key 'redis.url': a password has no place here: put it into a file, and "
            "that file's name into redis.password_file");
  const std::string database = error_of("[postgresql]\nconninfo = \"host=db password=geheim\"\n");
  EXPECT_EQ(database,
            "audit.toml:2: key 'postgresql.conninfo': a password has no place here: put it into a "
            "file, and that file's name into postgresql.password_file");
  EXPECT_EQ(error_of("[redis]\nusername = \"audit\"\n"),
            "audit.toml: key 'redis.password_file': not set, but redis.url or redis.username names "
            "a user: that user needs a password");
}

TEST(AuditOptions, WhatLibpqDoesNotKnowIsNamed) {
  EXPECT_EQ(error_of("[postgresql]\nconninfo = \"hots=db\"\n"),
            "audit.toml:2: key 'postgresql.conninfo': invalid connection option \"hots\" (expected "
            "such as \"host=db.local dbname=nodebeat user=audit\")");
  EXPECT_EQ(conninfo_fault("postgresql://audit@db.local/nodebeat"), "");
  // Nor may a piece of a password be repeated.
  for (const char* text :
       {"password=ge heim", "postgresql://audit:ge heim@[db", "hots=x password=heim"}) {
    EXPECT_EQ(
        conninfo_fault(text),
        "libpq cannot read it (expected such as \"host=db.local dbname=nodebeat user=audit\")");
  }
}

TEST(AuditOptions, PasswordsComeFromFiles) {
  const std::string folder = ::testing::TempDir();
  std::ofstream(folder + "/postgresql-password") << "geheim\n";
  std::ofstream(folder + "/of-redis") << "auch\n";
  const auto loaded =
      parse_options("[redis]\nusername = \"audit\"\npassword_file = \"" + folder + "/of-redis\"\n",
                    "audit.toml", "", folder);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->options.redis.user, "audit");
  EXPECT_EQ(loaded->options.redis.password, "auch");
  EXPECT_EQ(loaded->options.database_password, "geheim");
  EXPECT_EQ(loaded->options.consumer, "audit");
  EXPECT_EQ(error_of("[redis]\npassword_file = \"/nowhere/at/all\"\n"),
            "audit.toml:2: key 'redis.password_file': /nowhere/at/all: there is no such file");
}

TEST(AuditOptions, FilesOfTheFolderGoOverTheFile) {
  const std::string folder = ::testing::TempDir() + "/audit-files";
  std::filesystem::create_directories(folder + "/audit.d");
  const std::string file = folder + "/audit.toml";
  std::filesystem::remove(file);
  std::ofstream(folder + "/audit.d/a.toml") << "[audit]\nbatch = 7\nconsumer = \"a\"\n";
  auto loaded = load_options(file, "store", "");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->options.consumer, "a");
  std::ofstream(folder + "/audit.d/b.toml") << "\n[audit]\nconsumer = \"b\"\n";
  std::ofstream(file) << "[audit]\nbatch = 8\n";
  loaded = load_options(file, "store", "");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->options.consumer, "b");
  EXPECT_EQ(loaded->options.batch, 7u);
  std::ofstream(folder + "/audit.d/b.toml") << "[audit]\nbatch = 0\n";
  std::ofstream(file) << "[redis]\nusername = \"x\"\nurk = 1\n";
  EXPECT_EQ(load_options(file, "store", "").error().message,
            file +
                ": key 'redis.password_file': not set, but redis.url or redis.username names a "
                "user: that user needs a password\n" +
                file + ":3: key 'redis.urk': unknown key; did you mean 'url'?\n" + folder +
                "/audit.d/b.toml:2: key 'audit.batch': integer 0 is out of range: allowed is 1 to "
                "2000");
  std::filesystem::remove_all(folder);
  EXPECT_EQ(load_options(file, "store", "").error().message, file + ": No such file or directory");
}

// config/audit.toml describes each key, with its default.
TEST(AuditOptions, TheShippedFileIsTheDefaults) {
  const std::string path = std::string(NODEBEAT_SOURCE_ROOT) + "/config/audit.toml";
  const auto text = read_small_file(path);
  ASSERT_TRUE(text);
  EXPECT_TRUE(parse_options(*text, path, "", ""));
  for (const config::Key& key : option_keys()) {
    std::string line = std::string("\n#") + key.name + " = ";
    const bool is_bare = key.type == config::Field::Type::integer;
    if (*key.fallback != '\0') {
      line += is_bare ? key.fallback : '"' + std::string(key.fallback) + '"';
    }
    const size_t section = text->find("\n[" + std::string(key.section) + "]\n");
    ASSERT_NE(section, std::string::npos) << key.path();
    const size_t end = text->find("\n[", section + 1);
    EXPECT_NE(text->substr(section, end - section).find(line), std::string::npos) << key.path();
  }
}

}  // namespace
}  // namespace nb::audit
