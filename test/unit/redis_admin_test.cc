// nodebeatctl redis: the pure parts of setup and check.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "redis_admin/needs.h"
#include "redis_admin/rules.h"
#include "redis_admin/secret_files.h"
#include "redis_admin/server.h"
#include "redis_admin/sha256.h"
#include "redis_admin/store_files.h"
#include "support/listener.h"

namespace nb::redis_admin {

using namespace terminal;
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// FIPS 180-4's examples, and the lengths at which padding takes a block of its own.
TEST(Sha256, KnownDigests) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(55, 'a')),
            "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  EXPECT_EQ(sha256_hex(std::string(64, 'a')),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(RedisFiles, PasswordsNeedNoQuotes) {
  const std::string password = new_password();
  EXPECT_EQ(password.size(), 32u);
  EXPECT_EQ(password.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_"),
            std::string::npos);
  EXPECT_NE(password, new_password());
}

TEST(RedisFiles, FaultsAreNamed) {
  EXPECT_EQ(node_name_fault("robot-1.left_arm"), "");
  for (const char* name : {"", "-a", "a b", "ä", "a/b", "a*"})
    EXPECT_NE(node_name_fault(name), "") << name;
  EXPECT_EQ(address_fault("10.0.0.2"), "");
  EXPECT_EQ(address_fault("fd00::1"), "");
  for (const char* address : {"", "cell", "10.0.0", "10.0.0.2:6379", "*"})
    EXPECT_NE(address_fault(address), "") << address;
  for (const char* address : {"0.0.0.0", "::", "0:0::0"})
    EXPECT_TRUE(contains(address_fault(address), "every address")) << address;
  for (const char* address : {"224.0.0.1", "0.1.2.3", "255.255.255.255", "ff02::1"})
    EXPECT_TRUE(contains(address_fault(address), "no address of one computer")) << address;
  EXPECT_TRUE(contains(address_fault("fe80::1"), "link-local"));
  EXPECT_TRUE(contains(address_fault("::ffff:10.0.0.2"), "write 10.0.0.2"));
  for (const char* host : {"cell.local", "10.0.0.2", "fd00::1", "127.0.0.1", "localhost", "a_b-1"})
    EXPECT_EQ(host_fault(host), "") << host;
  for (const char* host : {"", "a b", "a\"b", "a'b", "a/b", "a@b", "cell:6379", "[fd00::1]",
                           "0.0.0.0", "::", "10.0.0", "-a", "fe80::1%eth0", "a\n"})
    EXPECT_NE(host_fault(host), "") << host;
  EXPECT_EQ(key_pattern_fault("recipe:*"), "");
  EXPECT_EQ(key_pattern_fault("node"), "");  // reserved is what has the colon
  EXPECT_TRUE(contains(key_pattern_fault("st*"), "stroke:"));
  EXPECT_TRUE(contains(key_pattern_fault("a b"), "write ? for it"));
  EXPECT_NE(key_pattern_fault("a)"), "");
  EXPECT_EQ(channel_pattern_fault("robot:*"), "");
  EXPECT_TRUE(contains(channel_pattern_fault("n*"), "node:events:"));
  EXPECT_EQ(size_fault("256mb"), "");
  for (const char* size : {"", "mb", "0mb", "256", "1tb", "-1mb", "1.5gb"})
    EXPECT_NE(size_fault(size), "") << size;
  EXPECT_EQ(size_fault("17179869183gb"), "");
  EXPECT_TRUE(contains(size_fault("999999999999gb"), "64 bits"));
}

TEST(RedisFiles, SizesAsRedisReadsThem) {
  EXPECT_EQ(size_bytes("0"), 0u);
  EXPECT_EQ(size_bytes("64mb"), 67108864u);
  EXPECT_EQ(size_bytes("1k"), 1000u);
  EXPECT_EQ(size_bytes("17179869183gb"), 18446744072635809792u);
  for (const char* size : {"", "mb", "25%", "1tb", "-1", "17179869184gb", "99999999999999999999"})
    EXPECT_FALSE(size_bytes(size)) << size;
}

TEST(RedisFiles, ConfReadsBackWhatItWasMadeWith) {
  StoreOptions options;
  options.binds = {"10.0.0.2", "::1", "fd00::2"};
  options.port = 7000;
  options.maxmemory = "1gb";
  const std::string conf = redis_conf(options);
  EXPECT_TRUE(contains(conf, "\nbind 127.0.0.1 -::1 10.0.0.2 fd00::2\n"));
  const StoreOptions again = read_redis_conf(conf);
  EXPECT_EQ(again.binds, (std::vector<std::string>{"10.0.0.2", "fd00::2"}));
  EXPECT_EQ(again.port, 7000);
  EXPECT_EQ(again.maxmemory, "1gb");
  EXPECT_EQ(again.server, "redis");
  EXPECT_EQ(redis_conf(again), conf);
  options.server = "valkey";
  EXPECT_EQ(read_redis_conf(redis_conf(options)).server, "valkey");
  EXPECT_TRUE(contains(redis_conf(options), "\naclfile /etc/valkey/users.acl\n"));
}

TEST(RedisFiles, AnAddressStandsOnce) {
  StoreOptions options;
  options.binds = {"10.0.0.2", "127.0.0.1", "fd00::2", "-10.0.0.2",
                   "0:0::1",   "fd00:0::2", "*",       "-::"};
  EXPECT_TRUE(contains(redis_conf(options), "\nbind 127.0.0.1 -::1 10.0.0.2 fd00::2\n"));
}

TEST(RedisFiles, BindLinesOfOthers) {
  EXPECT_EQ(read_redis_conf("bind 127.0.0.1 -10.0.0.2\n").binds,
            (std::vector<std::string>{"-10.0.0.2"}));
  EXPECT_EQ(read_redis_conf("bind 10.0.0.2\nbind 10.0.0.3\n").binds,
            (std::vector<std::string>{"10.0.0.3"}));  // the last one holds
  EXPECT_EQ(read_redis_conf("port 6379\n").binds, (std::vector<std::string>{"*"}));
  EXPECT_EQ(host_of_bind("-10.0.0.2"), "10.0.0.2");
  EXPECT_EQ(host_of_bind("cell.local"), "cell.local");
  for (const char* bound : {"*", "-::*", "0.0.0.0", "::", "127.0.0.2", "-::1", "localhost",
                            "\"10.0.0.2\"", "fe80::1%eth0"})
    EXPECT_EQ(host_of_bind(bound), "") << bound;
}

TEST(SecretFiles, TheSecondProgramWaitsAndIsTold) {
  char folder[] = "/tmp/redis_admin_test.XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  {
    FolderLock first;
    ASSERT_EQ(first.take(folder, 0), "");
    FolderLock second;
    EXPECT_TRUE(contains(second.take(folder, 40), "another setup is still at work there"));
  }
  FolderLock third;
  EXPECT_EQ(third.take(folder, 0), "");
  FolderLock nowhere;
  ::rmdir(folder);
  EXPECT_TRUE(contains(nowhere.take(folder, 0), "No such file"));
}

TEST(RedisFiles, LinesOfUsers) {
  StoreOptions options;
  const std::string line = acl_line(options, "nodebeat-hog", {"#1", "#2"});
  EXPECT_TRUE(line.starts_with("user nodebeat-hog on resetpass #1 #2 resetchannels -@all "));
  EXPECT_TRUE(contains(line, " ~node:health:hog "));
  EXPECT_TRUE(contains(line, "~cell:*)"));
  EXPECT_FALSE(contains(line, "NODE"));
  options.keys = {"NODE:*", "a*"};  // a pattern is not the template's text
  EXPECT_TRUE(contains(acl_line(options, "nodebeat-hog", {}), "(-@all +set +del ~NODE:* ~a*)"));
  EXPECT_TRUE(acl_line(options, "default", {}).starts_with("user default off "));
  EXPECT_EQ(acl_line(options, "someone", {}), "");

  const auto parsed = parse_acl(line + "\n\nuser other on nopass\n");
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->size(), 2u);
  EXPECT_EQ((*parsed)[0].user, "nodebeat-hog");
  EXPECT_EQ((*parsed)[0].hashes, (std::vector<std::string>{"#1", "#2"}));
  EXPECT_EQ((*parsed)[0].text, line);
  EXPECT_TRUE((*parsed)[0].on && !(*parsed)[0].nopass);
  EXPECT_TRUE((*parsed)[1].on && (*parsed)[1].nopass);
  EXPECT_FALSE(parse_acl("user a on nopass resetpass #1\n")->front().nopass);
  EXPECT_FALSE(parse_acl("user a on nopass off\n")->front().on);
  EXPECT_FALSE(parse_acl("# a comment\n"));
  EXPECT_FALSE(parse_acl("user\n"));
}

TEST(RedisFiles, EachCellHasUsersOfItsOwn) {
  for (const std::string prefix : {"", "cellA:", "{cellA}:", "NODE:"}) {
    const std::string user = user_of_node("hog", prefix);
    EXPECT_EQ(user, "nodebeat-" + prefix + "hog");
    EXPECT_EQ(node_of_user(user), "hog");
    EXPECT_EQ(prefix_of_user(user), prefix);
    const std::string line = acl_line({}, user, {});
    EXPECT_TRUE(line.starts_with("user " + user + " on "));
    for (const char* word : {"~node:health:hog ", "%R~* ", "&node:events:hog ", "~cell:*)"}) {
      std::string within = word;
      within.insert(within[0] == '%' ? 3 : 1, prefix);
      EXPECT_TRUE(contains(line, " " + within)) << within << " in " << line;
    }
    const std::string audit = user_of_audit(prefix);
    EXPECT_TRUE(is_user_of_audit(audit) && node_of_user(audit).empty());
    EXPECT_EQ(prefix_of_user(audit), prefix);
    EXPECT_TRUE(contains(acl_line({}, audit, {}), " ~" + prefix + "nodebeat:sessions:audit "));
    StoreOptions options;
    options.keys = {"a*", "~b"};
    options.channels = {"c*"};
    StoreOptions again;
    read_free_patterns({user, acl_line(options, user, {}), {}}, again);
    EXPECT_EQ(again.keys, options.keys);
    EXPECT_EQ(again.channels, options.channels);
  }
  for (const char* user : {"auditor", "audit-x", "viewer", "nodebeat", "someone:else"}) {
    EXPECT_FALSE(is_user_of_audit(user)) << user;
    EXPECT_EQ(prefix_of_user(user), "") << user;
  }
}

TEST(RedisFiles, FreePatternsReadBack) {
  StoreOptions options;
  options.keys = {"a*", "b:*"};
  options.channels = {"c*", "robot:*"};
  StoreOptions again;
  read_free_patterns({"nodebeat-hog", acl_line(options, "nodebeat-hog", {}), {}}, again);
  EXPECT_EQ(again.keys, options.keys);
  EXPECT_EQ(again.channels, options.channels);
  StoreOptions usual;
  read_free_patterns({"nodebeat-hog", acl_line({}, "nodebeat-hog", {}), {}}, usual);
  EXPECT_EQ(usual.keys, (std::vector<std::string>{"cell:*"}));
  EXPECT_EQ(usual.channels, (std::vector<std::string>{"cell:*"}));
  read_free_patterns({"nodebeat-hog", "user nodebeat-hog on nopass ~* &* +@all", {}}, usual);
  EXPECT_EQ(usual.keys, (std::vector<std::string>{"cell:*"}));  // tells nothing
}

TEST(RedisFiles, KnowsTheUsersThatMayAdminister) {
  for (const char* line :
       {"user x on nopass ~* &* +@all", "user x ON ALLKEYS ALLCOMMANDS",
        "user x on -@all +config|set", "user x on +@read +ACL", "user x on -@all +get (~* +@admin)",
        "user x on +@all -@write", "user x on +@slow", "user x on (+@all ~a) (-@all +get ~b)"}) {
    EXPECT_TRUE(may_administer(line)) << line;
  }
  for (const char* line : {"user x on nopass ~* +@read", "user x on -@all +config|get +acl|whoami",
                           "user x on", "user x on +@all -@all +get",
                           "user x on +@all -@admin -@dangerous", "user +@ll on +acls"}) {
    EXPECT_FALSE(may_administer(line)) << line;
  }
  for (const char* user : {"viewer", "audit", "nodebeat-hog"}) {
    StoreOptions options;
    options.nodes = {"hog"};
    EXPECT_FALSE(may_administer(acl_line(options, user, {}))) << user;
  }
  EXPECT_TRUE(may_administer(acl_line({}, "admin", {})));
  EXPECT_TRUE(parse_acl("user x ON NOPASS")->front().nopass);
  EXPECT_TRUE(parse_acl("user x ON NOPASS")->front().on);
}

TEST(RedisRules, AStreamWhoseIdsAreAtTheirEndIsAProblem) {
  const auto level_of = [](std::vector<StreamLook> streams) {
    ServerLook look;
    look.streams = std::move(streams);
    for (const Finding& finding : redis_findings(look)) {
      if (finding.check == "streams") return std::pair(finding.level, finding.text);
    }
    return std::pair(Level::ok, std::string());
  };
  EXPECT_EQ(
      level_of({{"stream:a", "1795183387123-7"}, {"stream:b", "0-0"}, {"stream:c", "?"}}).first,
      Level::ok);
  const std::string highest = "18446744073709551615-18446744073709551615";
  const auto ended = level_of({{"stream:a", "1795183387123-7"}, {"stream:b\n", highest}});
  EXPECT_EQ(ended.first, Level::problem);
  EXPECT_NE(ended.second.find(highest), std::string::npos);
  EXPECT_EQ(ended.second.find('\n'), std::string::npos);
  EXPECT_EQ(ended.second.find("stream:a"), std::string::npos);
  const auto ahead = level_of({{"stream:a", "17951833871230000-0"}});
  EXPECT_EQ(ahead.first, Level::warning);
  EXPECT_NE(ahead.second.find("stream:a"), std::string::npos);
}

// A session of a node whose name begins alike must not fit: "ook" and "ook_2", "ook_1700000000".
TEST(RedisFiles, ASessionBelongsToOneNode) {
  const std::string line = acl_line({}, "nodebeat-ook", {});
  std::string digits;
  for (int i = 0; i < 16; ++i) digits += i == 10 ? "_[0-9]" : "[0-9]";
  EXPECT_TRUE(contains(line, "~stroke:progress:stroke_ook_" + digits + ")"));
  EXPECT_TRUE(contains(line, "~stream:stroke_history:stroke_ook_" + digits + ")"));
}

TEST(Server, APlaceIsNamedWithoutItsPassword) {
  const auto place = [](std::string_view url) { return place_of(*config::parse_redis_url(url)); };
  EXPECT_EQ(place("redis://u:p@cell.local:7000/3"), "cell.local:7000");
  EXPECT_EQ(place("redis://[fd00::1]"), "[fd00::1]:6379");
  EXPECT_EQ(place("unix://admin@/run/redis.sock?db=2"), "/run/redis.sock");
}

// As a host of which one address is silent and the next one answers.
TEST(Server, WhatWentWrongIsOverWhenTheNextTryGoesWell) {
  const test::Listener listener;
  std::thread answering([&] {
    const UniqueFd peer = listener.accept();
    char question[64];
    EXPECT_GT(::recv(peer.get(), question, sizeof question, 0), 0);
    EXPECT_EQ(::send(peer.get(), "+PONG\r\n", 7, MSG_NOSIGNAL), 7);
  });
  RedisAddress address;
  address.host = "127.0.0.1";
  // Nobody listens there any more.
  address.port = static_cast<uint16_t>(test::Listener().port());
  Server server(Deadline(10'000));
  EXPECT_EQ(server.open(address), Server::Opened::unreachable);
  EXPECT_NE(server.fault(), "");
  address.port = static_cast<uint16_t>(listener.port());
  EXPECT_EQ(server.open(address), Server::Opened::open);
  EXPECT_EQ(server.fault(), "");
  answering.join();
}

// --- replies of a stranger -----------------------------------------------------------------------

ReplyState state_of(std::string_view bytes) {
  Reply reply;
  size_t used = 0;
  return read_reply(bytes, reply, used);
}

TEST(Reply, EveryForm) {
  const std::string bytes =
      "*6\r\n+OK\r\n-NOPERM a\x1b[2J\r\n:-17\r\n$4\r\na\r\nb\r\n$-1\r\n*1\r\n$0\r\n\r\n";
  Reply reply;
  size_t used = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(state_of(bytes.substr(0, size)), ReplyState::more) << size;
  }
  ASSERT_EQ(read_reply(bytes + "+next", reply, used), ReplyState::whole);
  EXPECT_EQ(used, bytes.size());
  ASSERT_EQ(reply.items.size(), 6u);
  EXPECT_EQ(reply.items[0].text, "OK");
  EXPECT_TRUE(reply.items[1].denied());
  EXPECT_EQ(reply.items[1].text, "NOPERM a\\x1b[2J");
  EXPECT_EQ(reply.items[2].text, "-17");
  EXPECT_EQ(reply.items[3].text, "a\r\nb");
  EXPECT_EQ(reply.items[0].kind, Reply::Kind::status);
  EXPECT_EQ(reply.items[4].kind, Reply::Kind::nil);
  EXPECT_EQ(reply.items[5].items[0].kind, Reply::Kind::text);
}

TEST(Reply, WhatIsAnnouncedBeyondTheBoundsIsRefusedAtOnce) {
  for (const char* announced : {"$17179869184\r\n", "$4194305\r\n", "*16385\r\n",
                                "*9223372036854775807\r\n", "*9000\r\n*8000\r\n"}) {
    EXPECT_EQ(state_of(announced), ReplyState::too_large) << announced;
  }
  EXPECT_EQ(state_of("*1\r\n*16384\r\n"), ReplyState::too_large) << "all items together";
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "*1\r\n";
  EXPECT_EQ(state_of(deep), ReplyState::too_large);
  EXPECT_EQ(state_of("+" + std::string(70000, 'x')), ReplyState::too_large) << "has no end";
  std::string many = "*16\r\n";
  for (int i = 0; i < 16; ++i) many += "$1000000\r\n" + std::string(1000000, 'x') + "\r\n";
  EXPECT_EQ(state_of(std::string_view(many).substr(0, kMostReplyBytes + 1)), ReplyState::too_large);
}

Reply reply_of(std::string_view bytes) {
  Reply reply;
  size_t used = 0;
  EXPECT_EQ(read_reply(bytes, reply, used), ReplyState::whole) << bytes;
  return reply;
}

TEST(RedisForms, AnErrorAnswersEveryQuestion) {
  for (const Form form : {Form::ok, Form::pong, Form::queued, Form::name, Form::info, Form::setting,
                          Form::time, Form::page, Form::stream, Form::users, Form::permission}) {
    EXPECT_TRUE(has_form(form, {"PING"}, reply_of("-NOPERM no\r\n")));
    EXPECT_FALSE(has_form(form, {"PING"}, reply_of("+\r\n")));
    EXPECT_FALSE(has_form(form, {"PING"}, reply_of("$-1\r\n")));
    EXPECT_FALSE(has_form(form, {"PING"}, reply_of("*-1\r\n")));
    EXPECT_FALSE(has_form(form, {"PING"}, reply_of(":0\r\n")));
    EXPECT_FALSE(has_form(form, {"PING"}, Reply{}));
  }
}

TEST(RedisForms, AServerMayHaveNoSuchSettingAndNoUsers) {
  EXPECT_TRUE(has_form(Form::setting, {"CONFIG", "GET", "save"}, reply_of("*0\r\n")));
  EXPECT_TRUE(has_form(Form::users, {"ACL", "LIST"}, reply_of("*0\r\n")));
  EXPECT_FALSE(has_form(Form::page, {"SCAN", "0"}, reply_of("*0\r\n")));
  EXPECT_FALSE(has_form(Form::stream, {"XINFO"}, reply_of("*0\r\n")));
  EXPECT_FALSE(has_form(Form::time, {"TIME"}, reply_of("*0\r\n")));
}

TEST(RedisForms, IdsOfStreams) {
  for (const char* id : {"0-0", "1700000000000-17", "18446744073709551615-18446744073709551615"})
    EXPECT_TRUE(is_stream_id(id)) << id;
  for (const char* id :
       {"", "-", "1", "1-", "-1", "1-1-1", "-1-1", "18446744073709551616-0", "a-b"})
    EXPECT_FALSE(is_stream_id(id)) << id;
}

TEST(Reply, WhatIsNoneIsMalformed) {
  for (const char* other :
       {"HTTP/1.1 400 Bad Request\r\n", "<!DOCTYPE HTML>\n", "\r\n", "$x\r\n", "$-2\r\n", "*\r\n",
        ":1x\r\n", "$99999999999999999999\r\n", "$1\r\nabc\r\n", "%1\r\n"}) {
    EXPECT_EQ(state_of(other), ReplyState::malformed) << other;
  }
}

// --- check ---------------------------------------------------------------------------------------

constexpr char kInfo[] =
    "# Server\r\nredis_version:7.2.4\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"
    "maxmemory:268435456\r\nused_memory:1000000\r\nloading:0\r\naof_enabled:1\r\n"
    "rdb_last_bgsave_status:ok\r\n# Keyspace\r\ndb0:keys=12,expires=3,avg_ttl=0\r\n"
    "db2:keys=1,expires=0,avg_ttl=0\r\n";

ServerLook good() {
  ServerLook look;
  look.user = "admin";
  look.info = kInfo;
  for (const auto& [name, value] : recommended_settings()) {
    std::string& all = look.config[name];
    all += (all.empty() ? "" : " ") + value;
  }
  look.config["bind"] = "127.0.0.1 -::1 10.0.0.2";
  look.config["maxmemory"] = "268435456";
  look.acl = {"user default off sanitize-payload resetchannels -@all",
              "user admin on sanitize-payload #12 ~* &* +@all",
              "user viewer on sanitize-payload #34 %R~* resetchannels -@all +@read",
              "user nodebeat-hog on sanitize-payload #56 resetchannels -@all +ping (-@all +get)"};
  look.anonymous = false;
  look.clock_offset_ms = 1;
  look.ping_us = {100, 120, 90};
  look.users = {{.user = "nodebeat-hog", .node = "hog"}};
  look.all_users = true;
  return look;
}

// The level of the findings of that check, the worst; ok if there is none.
Level level(const ServerLook& look, std::string_view check) {
  Level worst = Level::ok;
  for (const Finding& finding : redis_findings(look)) {
    if (finding.check == check) worst = std::max(worst, finding.level);
  }
  return worst;
}

TEST(RedisCheck, AllIsWell) {
  const Findings findings = redis_findings(good());
  EXPECT_EQ(doctor_code(findings), 0);
  bool keys = false;
  for (const Finding& finding : findings) {
    EXPECT_EQ(finding.level, Level::ok) << finding.check;
    keys = keys || (finding.check == "keys" && finding.text == "db0: 12, db2: 1");
  }
  EXPECT_TRUE(keys);
}

TEST(RedisCheck, InfoByName) {
  EXPECT_EQ(info_value(kInfo, "role"), "master");
  EXPECT_EQ(info_value(kInfo, "maxmemory"), "268435456");
  EXPECT_FALSE(info_value(kInfo, "max"));
  EXPECT_FALSE(info_value("", "role"));
}

TEST(RedisCheck, FindsTheUsersThatGetIn) {
  ServerLook look = good();
  look.anonymous = true;
  EXPECT_EQ(level(look, "access"), Level::warning);
  look.config["protected-mode"] = "no";
  EXPECT_EQ(level(look, "access"), Level::problem);
  EXPECT_EQ(level(look, "protected mode"), Level::warning);
  look.config["bind"] = "127.0.0.1 -::1";
  EXPECT_EQ(level(look, "access"), Level::warning);
  for (const char* bind : {"", "*", "* -::*", "0.0.0.0", "127.0.0.1 ::"}) {
    look.config["bind"] = bind;
    EXPECT_EQ(level(look, "addresses"), Level::warning) << bind;
  }
}

TEST(RedisCheck, Settings) {
  ServerLook look = good();
  look.config["maxmemory"] = "0";
  EXPECT_EQ(level(look, "redis memory"), Level::warning);
  look = good();
  look.config["aclfile"] = "";
  EXPECT_EQ(level(look, "users"), Level::warning);
  look = good();
  look.config.clear();
  EXPECT_EQ(level(look, "settings"), Level::warning);
  look = good();
  look.ping_us = {60'000, 70'000, 10};
  EXPECT_EQ(level(look, "latency"), Level::warning);
  look = good();
  look.info = "redis_version:6.2.14\r\nrole:master\r\n";
  EXPECT_EQ(level(look, "redis version"), Level::problem);
}

// The text and advice of the warnings about settings, a line each.
std::string differences(const ServerLook& look) {
  std::string out;
  for (const Finding& finding : redis_findings(look)) {
    if (finding.check == "settings") out += finding.text + " -> " + finding.advice + '\n';
  }
  return out;
}

TEST(RedisCheck, EachSettingIsCompared) {
  ServerLook look = good();
  look.config["timeout"] = "2";
  EXPECT_EQ(differences(look),
            "timeout is 2, recommended is 0: a subscriber may receive nothing for days -> "
            "redis-cli CONFIG SET timeout 0, and the same in redis.conf\n");
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, const char*>>{{"maxclients", "20"},
                                                        {"tcp-keepalive", "0"},
                                                        {"maxmemory-clients", "0"},
                                                        {"appendfsync", "always"},
                                                        {"appendfsync", "no"},
                                                        {"acllog-max-len", "0"},
                                                        {"latency-monitor-threshold", "0"},
                                                        {"loglevel", "debug"},
                                                        {"unixsocketperm", "777"},
                                                        {"save", "60 1"}}) {
    look = good();
    look.config[name] = value;
    const std::string said = differences(look);
    EXPECT_TRUE(said.starts_with(std::string(name) + " is ")) << name << ": " << said;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  }
  EXPECT_TRUE(contains(differences(look), "save is \"60 1\", recommended is \"\": snapshots"));
  // No way in that could be too wide.
  look = good();
  look.config["unixsocket"] = "";
  look.config["unixsocketperm"] = "0";
  EXPECT_EQ(differences(look), "");
  // Another server's or the operator's own.
  look = good();
  look.config.erase("maxmemory-clients");
  look.config["port"] = "7000";
  look.config["dir"] = "/data";
  look.config["supervised"] = "systemd";
  EXPECT_EQ(differences(look), "");
}

TEST(RedisCheck, LimitsOfBuffers) {
  ServerLook look = good();
  std::string& limits = look.config["client-output-buffer-limit"];
  limits = "normal 67108864 33554432 60 slave 1 2 3 pubsub 33554432 8388608 60";
  EXPECT_EQ(differences(look), "");
  limits = "normal 1024 1024 1 slave 1 2 3 pubsub 33554432 8388608 60";
  const std::string said = differences(look);
  EXPECT_TRUE(
      said.starts_with("client-output-buffer-limit is \"normal 1024 1024 1\", recommended "
                       "is \"normal 64mb 32mb 60\": a client"))
      << said;
  EXPECT_TRUE(contains(said, "CONFIG SET client-output-buffer-limit \"normal 64mb 32mb 60\""));
  EXPECT_FALSE(contains(said, "pubsub"));
}

TEST(RedisCheck, FindsTheUsersThatCanLogIn) {
  ServerLook look = good();
  look.acl.emplace_back("user robot-lab on nopass sanitize-payload ~* &* +@all");
  EXPECT_EQ(level(look, "user robot-lab"), Level::problem);
  for (const Finding& finding : redis_findings(look)) {
    EXPECT_NE(finding.text, "every user needs a password");
  }
  look.acl.back() = "user robot-lab off nopass ~* &* +@all";
  EXPECT_EQ(level(look, "user robot-lab"), Level::ok);
  look.acl.front() = "user default on #78 ~* &* +@all";
  EXPECT_EQ(level(look, "user default"), Level::warning);
  look.acl.front() = "user default on nopass ~* &* +@all";  // though it may not PING
  EXPECT_EQ(level(look, "user default"), Level::problem);
  look.anonymous = true;
  EXPECT_EQ(level(look, "user default"), Level::ok);
  EXPECT_EQ(level(look, "access"), Level::warning);
  for (const char* line : {"user nodebeat-hog off #56 -@all", "user nodebeat-hog on -@all"}) {
    look = good();
    look.acl.back() = line;
    EXPECT_EQ(level(look, "user nodebeat-hog"), Level::problem) << line;
  }
  look = good();
  look.viewer_excess = {{.command = "SET x", .what_for = "write keys"}};
  EXPECT_EQ(level(look, "user viewer"), Level::warning);
}

TEST(RedisCheck, Users) {
  ServerLook look = good();
  look.users[0].missing = {
      {.command = "HSET node:health:hog", .what_for = "beats", .words = "NOPERM no"}};
  EXPECT_EQ(level(look, "user nodebeat-hog"), Level::problem);
  look.users[0].missing[0].optional = true;
  EXPECT_EQ(level(look, "user nodebeat-hog"), Level::warning);
  look.users[0].missing.clear();
  look.users[0].excess = {{.command = "KEYS a", .what_for = "stop the server"}};
  EXPECT_EQ(level(look, "user nodebeat-hog"), Level::warning);
  look.users[0] = {.user = "nodebeat-hog", .node = "hog", .exists = false};
  EXPECT_EQ(level(look, "user nodebeat-hog"), Level::problem);
  look.users[0] = {.user = "nodebeat-hog", .node = "hog", .unknown = "no answer in time"};
  EXPECT_EQ(level(look, "user nodebeat-hog"), Level::warning);
  for (const Finding& finding : redis_findings(look)) {
    EXPECT_FALSE(contains(finding.text, "may do what an agent does"));
  }
  look.users.clear();
  EXPECT_EQ(level(look, "users"), Level::warning);
  look.all_users = false;  // it may not see them
  EXPECT_EQ(level(look, "users"), Level::ok);
}

TEST(RedisCheck, WhatCouldNotBeLookedAtIsNotWell) {
  ServerLook look = good();
  look.anonymous.reset();
  look.anonymous_unknown = "ERR max number of clients reached";
  EXPECT_EQ(level(look, "access"), Level::warning);
  look = good();
  look.users_unknown = "NOPERM no";
  EXPECT_EQ(level(look, "users"), Level::warning);
  look = good();
  look.lost = "no answer in time";
  EXPECT_EQ(level(look, "connection"), Level::warning);
  look.config.clear();  // refused by nobody
  EXPECT_EQ(level(look, "settings"), Level::ok);
}

// A check as an agent's user queues these: none may be of a kind that cannot be queued.
TEST(RedisCheck, NothingThatEndsATransactionIsAsked) {
  for (auto list : {needs_of("hog", ""), excesses_of("hog", "a:")}) {
    EXPECT_FALSE(list.empty());
    for (const Need& need : list) {
      for (const char* never : {"EXEC", "DISCARD", "MULTI", "WATCH", "RESET", "QUIT", "SHUTDOWN",
                                "FLUSHALL", "FLUSHDB"}) {
        EXPECT_NE(need.command.front(), never);
      }
    }
  }
}

}  // namespace
}  // namespace nb::redis_admin
