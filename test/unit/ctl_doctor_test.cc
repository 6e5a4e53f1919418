// Doctor's rules.
#include <gtest/gtest.h>

#include <string>

#include "ctl/check_config.h"
#include "ctl/doctor_rules.h"
#include "ctl/link_words.h"
#include "redis/trouble.h"
#include "terminal/text.h"
#include "unit/ctl_fixture.h"

namespace nb::ctl {
namespace {

Findings from(Findings (*rule)(Json), const char* json) {
  const JsonDocument document(json);
  return rule(document.root());
}

Findings outbox_of(Json stats) {
  return outbox_findings(stats, 0);
}

Findings server_of(Json inspect) {
  return server_findings(facts_of(inspect));
}

Findings clock_of(Json inspect) {
  return clock_findings(facts_of(inspect));
}

// The one finding of that check; fails if there is none or more.
Finding only(const Findings& findings, std::string_view check) {
  Finding found;
  int count = 0;
  for (const Finding& finding : findings) {
    if (finding.check != check) continue;
    found = finding;
    ++count;
  }
  EXPECT_EQ(count, 1) << check;
  return found;
}

TEST(Doctor, ConfigurationWithTheEyesOfTheCaller) {
  ConfigCheck check;
  EXPECT_EQ(config_findings(check)[0].level, Level::warning);  // no nodebeatd
  check.found = true;
  check.user = "ann";
  EXPECT_EQ(config_findings(check)[0].level, Level::ok);
  EXPECT_EQ(config_findings(check)[0].text, "no file, so the defaults hold");
  check.file = "/etc/nodebeat/nodebeat.toml";
  // Nobody is told that all is well who has not seen all.
  EXPECT_NE(config_findings(check)[0].text.find("is right as ann reads it"), std::string::npos);
  check.readable = false;
  EXPECT_EQ(config_findings(check)[0].level, Level::warning);
  EXPECT_NE(config_findings(check)[0].advice.find("sudo -u nodebeat nodebeatd"), std::string::npos);
  EXPECT_EQ(config_findings(check)[0].advice.find("start the agent"), std::string::npos)
      << "it may run: this user may not ask it";
  check.readable = true;
  check.exit = 78;
  check.lines = {"nodebeatd: a:1: no such key", "nodebeatd: a:2: /p: Permission denied"};
  const Findings wrong = config_findings(check);
  ASSERT_EQ(wrong.size(), 2u);
  EXPECT_EQ(wrong[0].text, "a:1: no such key");
  EXPECT_EQ(wrong[0].level, Level::problem);
  EXPECT_EQ(wrong[1].level, Level::warning) << "the agent may be allowed what ann is not";
  EXPECT_EQ(section_of(wrong[1]), "configuration-unseen");
  check.lines.clear();
  EXPECT_EQ(config_findings(check)[0].level, Level::problem);
  check.exit = 0;
  check.lines = {"nodebeatd: /p holds a password and may be read by every user of this host"};
  EXPECT_EQ(config_findings(check)[0].level, Level::problem);
}

TEST(Doctor, ConfigurationWithTheEyesOfTheAgent) {
  const auto found = [](const char* json) { return config_findings(JsonDocument(json).root()); };
  Findings findings = found(R"({"files":["/etc/nodebeat/arm.toml"],"faults":[],"warnings":[]})");
  EXPECT_EQ(only(findings, "configuration").text,
            "/etc/nodebeat/arm.toml is right, as the agent reads it");
  findings = found(R"({"files":[],"faults":["a:3: no such key"],"warnings":[]})");
  EXPECT_EQ(only(findings, "configuration").level, Level::problem);
  findings = found(
      R"({"files":["/a"],"faults":[],"warnings":["/p holds a password and may be read by all","odd"]})");
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(section_of(findings[0]), "configuration-password");
  EXPECT_EQ(findings[1].level, Level::warning);
}

TEST(Doctor, EventsThatWereLostHaveTheirReasons) {
  constexpr int64_t kMinute = 60'000'000;
  const int64_t last = moment("2026-11-20T14:03:07.0");
  const auto found = [&](const char* link, const char* counts, int64_t now) {
    const JsonDocument stats(std::string(R"({"link":{"state":")") + link + R"("},"outbox":{)" +
                             counts + R"(,"event_bytes":0,"event_bytes_limit":1000,)" +
                             R"("last_dropped":"2026-11-20T14:03:07.0"}})");
    return outbox_findings(stats.root(), now);
  };
  const auto has = [](const Finding& finding, const char* words) {
    return finding.text.find(words) != std::string::npos;
  };
  Findings both = found("waiting", R"("dropped":9,"dropped_old":4)", last + kMinute);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_TRUE(has(both[0], "4 events were dropped: they had waited")) << both[0].text;
  EXPECT_EQ(section_of(both[0]), "queue-age");
  EXPECT_TRUE(has(both[1], "5 events were dropped: there was no room")) << both[1].text;
  EXPECT_EQ(section_of(both[1]), "queue-room");
  Findings over = found("steady", R"("dropped":4,"dropped_old":4)", last + kMinute);
  EXPECT_TRUE(has(over[0], "that is over, and they are lost")) << over[0].text;
  EXPECT_EQ(section_of(over[0]), "queue-outage-over");
  over = found("steady", R"("dropped":4,"dropped_old":4)", last + 90 * kMinute);
  EXPECT_EQ(over[0].level, Level::ok) << "it is history";
  over = found("waiting", R"("dropped":4,"dropped_old":4)", last + 90 * kMinute);
  EXPECT_EQ(over[0].level, Level::warning) << "it goes on";
}

TEST(Doctor, EachFindingNamesItsSection) {
  EXPECT_EQ(section_of(warning("redis eviction", "x", "y")), "redis-eviction");
  EXPECT_EQ(section_of(warning("user nodebeat-hog", "x", "y")), "users");
  EXPECT_EQ(section_of(warning("queue", "x", "y", "queue-age")), "queue-age");
  EXPECT_EQ(section_of(fine("queue", "x")), "");
  EXPECT_NE(findings_text({warning("clock", "x", "y")}, plain()).find("[#clock]"),
            std::string::npos);
  EXPECT_NE(findings_json({warning("clock", "x", "y")}).find("troubleshooting.md#clock"),
            std::string::npos);
  Style narrow = plain(60);
  const std::string long_words(200, 'x');
  std::string text = findings_text({warning("clock", long_words, "y")}, narrow);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    EXPECT_LE(width(rest.substr(0, end)), 75u);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

TEST(Doctor, Socket) {
  SocketLook look;
  look.state = SocketState::missing;
  look.path = "/run/nodebeat/agent.sock";
  EXPECT_EQ(socket_findings(look)[0].text,
            "no agent listens at /run/nodebeat/agent.sock: is nodebeat running? systemctl status "
            "nodebeat");
  look.state = SocketState::not_permitted;
  look.owner = "root";
  look.group = "nodebeat";
  look.mode = 0660;
  EXPECT_NE(words(look).find("you are not in the group nodebeat"), std::string::npos);
  look.user_will_be_in_group = true;
  EXPECT_NE(words(look).find("log in again"), std::string::npos);
  look.state = SocketState::listening;
  EXPECT_EQ(socket_findings(look)[0].level, Level::ok);
  look.mode = 0666;
  EXPECT_EQ(socket_findings(look)[0].level, Level::warning);
}

TEST(Doctor, EveryReasonWhyASocketCannotBeUsedIsASentence) {
  for (const SocketState state :
       {SocketState::missing, SocketState::not_permitted, SocketState::no_socket, SocketState::dead,
        SocketState::overrun, SocketState::too_long, SocketState::other}) {
    SocketLook look;
    look.state = state;
    look.path = "/x/\033y";
    const std::string said = words(look);
    EXPECT_NE(said.find("/x/?y"), std::string::npos) << said;
    EXPECT_EQ(said.find('\033'), std::string::npos);
  }
}

TEST(Doctor, WhoWatches) {
  const auto watch = [](const char* members) {
    return from(watch_findings, (std::string(R"({"watch":{)") + members + "}}").c_str());
  };
  EXPECT_EQ(only(watch(R"("role":"watching","nodes":12)"), "watch").text,
            "this agent watches 12 nodes");
  EXPECT_EQ(only(watch(R"("role":"watched","node":"hog")"), "watch").text,
            "node hog watches the cell");
  EXPECT_EQ(doctor_code(watch(R"("role":"unknown")")), 0);
  EXPECT_EQ(only(watch(R"("role":"nobody","enabled":true)"), "watch").level, Level::problem);
  EXPECT_NE(
      only(watch(R"("role":"nobody","enabled":false)"), "watch").advice.find("[watch] enabled"),
      std::string::npos);
  const Findings refused =
      watch(R"("role":"unknown","lease_trouble":"NOPERM","trouble":"NOPERM x")");
  EXPECT_EQ(only(refused, "lease").level, Level::problem);
  EXPECT_NE(refused[1].text.find("NOPERM x"), std::string::npos);
  EXPECT_NE(refused[1].advice.find("redis setup --force"), std::string::npos);
  EXPECT_TRUE(from(watch_findings, "{}").empty()) << "an agent of an earlier version says nothing";
}

TEST(Doctor, Link) {
  Findings findings =
      from(link_findings, R"({"link":{"state":"steady","trouble":null,"ping_ms":0.21,
    "target":"127.0.0.1:6379"}})");
  EXPECT_EQ(only(findings, "link").text, "connected to Redis at 127.0.0.1:6379, 210 us");
  EXPECT_EQ(doctor_code(findings), 0);
  findings = from(link_findings,
                  R"_({"link":{"state":"waiting","cause":"wrong-password",
    "trouble":"the server does not accept the user or password (it said no)","target":"r"}})_");
  EXPECT_EQ(doctor_code(findings), 2);
  EXPECT_EQ(only(findings, "link").text,
            "not connected to Redis at r: the server does not accept the user or password "
            "(it said no); waits for the next try");
  EXPECT_NE(only(findings, "link").advice.find("password_file"), std::string::npos);
  for (const auto& [target, command] :
       {std::pair{"cell:6379", "redis-cli -h cell -p 6379 ping"},
        std::pair{"[fd00::1]:7", "redis-cli -h fd00::1 -p 7 ping"},
        std::pair{"/run/r.sock", "redis-cli -s /run/r.sock ping"}}) {
    const JsonDocument document(std::string(R"({"state":"waiting","cause":"silent","target":")") +
                                target + "\"}");
    EXPECT_NE(link_advice(document.root()).find(command), std::string::npos) << target;
  }
  findings = from(link_findings,
                  R"({"link":{"state":"waiting","cause":"brand-new","trouble":"brand-new"}})");
  EXPECT_NE(findings[0].text.find("brand-new"), std::string::npos);
  EXPECT_FALSE(findings[0].advice.empty());
  // Connected, and yet the node's own health is refused.
  findings = from(link_findings, R"({"link":{"state":"degraded","cause":"no-permission","target":
      "10.0.0.2:6379","trouble":"NOPERM no rights for node:health:hog","ping_ms":0.2}})");
  EXPECT_EQ(findings[0].level, Level::problem);
  EXPECT_EQ(findings[0].text,
            "degraded: connected to Redis at 10.0.0.2:6379, which refuses this node's data: "
            "NOPERM no rights for node:health:hog");
  EXPECT_NE(findings[0].advice.find("nodebeatctl redis check"), std::string::npos);
  // Between two tries of a server that refuses all writes.
  findings = from(link_findings, R"json({"link":{"state":"replaying","cause":"read-only","target":
      "h:1","trouble":"the server is a read-only replica (READONLY x)"}})json");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].level, Level::warning);
  EXPECT_EQ(findings[0].text,
            "connected to Redis at h:1; writing what waited, after: the server is "
            "a read-only replica (READONLY x)");
  findings = from(link_findings, R"({"link":{"state":"steady","ping_ms":80}})");
  EXPECT_EQ(doctor_code(findings), 1);
  findings = from(link_findings, R"({"uptime_s":7200,"link":{"state":"steady","failures":21}})");
  EXPECT_EQ(only(findings, "link history").level, Level::warning);
  findings = from(link_findings, R"({"uptime_s":7200,"link":{"state":"steady","failures":20}})");
  EXPECT_EQ(doctor_code(findings), 0);
}

TEST(Doctor, EveryCauseOfTheLinkHasAnAdvice) {
  using redis::Trouble;
  for (auto i = static_cast<int>(Trouble::none) + 1; i <= static_cast<int>(Trouble::refused); ++i) {
    const std::string cause(name(static_cast<Trouble>(i)));
    const JsonDocument link("{\"cause\":\"" + cause + "\"}");
    EXPECT_NE(link_advice(link.root()), "") << cause;
  }
}

TEST(Doctor, Eviction) {
  const auto level = [](const char* json) {
    return only(from(server_of, json), "redis eviction").level;
  };
  EXPECT_EQ(level(R"({"maxmemory_policy":"noeviction","maxmemory_bytes":1})"), Level::ok);
  EXPECT_EQ(level(R"({"maxmemory_policy":"allkeys-lru","maxmemory_bytes":1000})"), Level::problem);
  EXPECT_EQ(level(R"({"maxmemory_policy":"allkeys-lfu","maxmemory_bytes":0})"), Level::warning);
  EXPECT_EQ(level(R"({"maxmemory_policy":"volatile-ttl","maxmemory_bytes":1000})"), Level::warning);
  EXPECT_EQ(level(R"({"maxmemory_policy":"volatile-ttl","maxmemory_bytes":0})"), Level::ok);
}

TEST(Doctor, Memory) {
  const auto level = [](const char* json) {
    return only(from(server_of, json), "redis memory").level;
  };
  EXPECT_EQ(level(R"({"used_memory_bytes":500,"maxmemory_bytes":0})"), Level::ok);
  EXPECT_EQ(level(R"({"used_memory_bytes":799,"maxmemory_bytes":1000})"), Level::ok);
  EXPECT_EQ(level(R"({"used_memory_bytes":800,"maxmemory_bytes":1000})"), Level::warning);
  EXPECT_EQ(level(R"({"used_memory_bytes":1000,"maxmemory_bytes":1000})"), Level::problem);
}

TEST(Doctor, AccessPersistenceRoleLoading) {
  EXPECT_EQ(
      only(from(server_of, R"({"protected_mode":false,"has_password":false})"), "redis access")
          .level,
      Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"protected_mode":true,"has_password":false})"), "redis access")
                .level,
            Level::ok);
  EXPECT_EQ(only(from(server_of, R"({"protected_mode":false,"has_password":true})"), "redis access")
                .level,
            Level::ok);
  EXPECT_EQ(only(from(server_of, R"({"aof_enabled":false})"), "redis persistence").level,
            Level::warning);
  EXPECT_EQ(only(from(server_of, R"({"aof_enabled":true})"), "redis persistence").level, Level::ok);
  EXPECT_EQ(
      only(from(server_of, R"({"aof_enabled":true,"rdb_last_save_ok":false})"), "redis persistence")
          .level,
      Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"version":"7","role":"slave"})"), "redis").level,
            Level::problem);
  EXPECT_EQ(only(from(server_of, R"({"version":"7","role":"master"})"), "redis").level, Level::ok);
  EXPECT_EQ(doctor_code(from(server_of, R"({"version":"7","role":"master","loading":true})")), 2);
}

TEST(Doctor, WhatAServerDoesNotSayIsNoFinding) {
  const Findings findings = from(server_of, R"({"version":null,"role":null,"maxmemory_policy":null,
    "used_memory_bytes":null,"protected_mode":null,"has_password":null,"aof_enabled":null})");
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].level, Level::warning);
  EXPECT_NE(findings[0].advice.find("+info"), std::string::npos);
}

TEST(Doctor, Clock) {
  EXPECT_TRUE(from(clock_of, R"({"clock_offset_ms":null})").empty());
  EXPECT_EQ(from(clock_of, R"({"clock_offset_ms":3.2})")[0].level, Level::ok);
  EXPECT_EQ(from(clock_of, R"({"clock_offset_ms":-250})")[0].level, Level::warning);
  const Finding far = from(clock_of, R"({"clock_offset_ms":-7200000})")[0];
  EXPECT_EQ(far.level, Level::problem);
  EXPECT_EQ(far.text, "Redis' clock is 2 h behind this node's");
}

TEST(Doctor, QueuesProbesClients) {
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"dropped":0}})")), 0);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"dropped":37}})")), 1);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"outbox":{"refused":1}})")), 1);
  EXPECT_EQ(
      doctor_code(from(outbox_of, R"({"outbox":{"event_bytes":900,"event_bytes_limit":1000}})")),
      1);
  EXPECT_EQ(doctor_code(from(outbox_of, R"({"latency_us":{"store":{"p99":600000}}})")), 1);
  EXPECT_TRUE(from(probe_findings, R"({"probes":[]})").empty());
  EXPECT_EQ(
      from(probe_findings, R"({"probes":[{"name":"a","up":true},{"name":"b","up":null}]})")[0].text,
      "all up (1)");
  const Finding down =
      from(probe_findings,
           R"({"probes":[{"name":"vision","type":"mcp","up":false,"detail":"refused"}]})")[0];
  EXPECT_EQ(down.level, Level::problem);
  EXPECT_EQ(down.text, "vision (mcp) is down: refused");
  const Finding unknown =
      from(probe_findings,
           R"({"probes":[{"name":"robot","type":"systemd","up":null,"detail":"no bus"}]})")[0];
  EXPECT_EQ(unknown.level, Level::warning);
  EXPECT_EQ(unknown.text, "robot (systemd) is unknown: no bus");
  EXPECT_EQ(doctor_code(from(client_findings, R"({"socket":{"clients":3,"clients_limit":64}})")),
            0);
  EXPECT_EQ(doctor_code(from(client_findings, R"({"socket":{"clients":60,"clients_limit":64}})")),
            1);
  EXPECT_EQ(doctor_code(from(client_findings,
                             R"({"socket":{"clients":3,"clients_limit":64,"cut_off":1}})")),
            1);
  EXPECT_EQ(
      doctor_code(from(client_findings, R"({"clients":[{"name":"robot","pid":7,"errors":4}]})")),
      1);
  EXPECT_EQ(from(client_findings, R"({"subscriptions":{"lost":7}})")[0].text,
            "7 messages were lost by subscribers that did not keep up");
}

TEST(Doctor, TwoAgentsOfOneName) {
  const JsonDocument stats(R"({"node_id":"hog","instance_id":"a"})");
  const JsonDocument ours(R"({"instance_id":"a"})");
  const JsonDocument other(R"({"instance_id":"b"})");
  const JsonDocument gone(R"({"instance_id":"b","is_reachable":false})");
  const JsonDocument nothing("null");
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), ours.root()})[0].level, Level::ok);
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), other.root()})[0].level, Level::problem);
  EXPECT_EQ(name_findings(stats.root(), {ours.root(), gone.root()})[0].level, Level::ok);
  EXPECT_TRUE(name_findings(stats.root(), {nothing.root(), nothing.root()}).empty());
  const JsonDocument told(R"({"node_id":"hog","instance_id":"a","conflict":"b"})");
  EXPECT_EQ(name_findings(told.root(), {ours.root(), ours.root()})[0].text,
            "two agents beat as node hog: this one (a) and b");
  const JsonDocument nameless(R"({"node_id":"hog","instance_id":"a","conflict":"unknown"})");
  EXPECT_EQ(name_findings(nameless.root(), {nothing.root()})[0].level, Level::problem);
}

TEST(Doctor, TheWorstFindingDecides) {
  EXPECT_EQ(doctor_code({}), 0);
  EXPECT_EQ(doctor_code({{Level::ok, "", "", ""}, {Level::warning, "", "", ""}}), 1);
  EXPECT_EQ(doctor_code({{Level::problem, "", "", ""}, {Level::warning, "", "", ""}}), 2);
}

}  // namespace
}  // namespace nb::ctl
