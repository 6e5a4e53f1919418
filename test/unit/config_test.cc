// Unit tests of config/: the table of keys, the shipped files, probes, print, what a reload
// changes.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/assign.h"
#include "config/changes.h"
#include "config/keys.h"
#include "config/print.h"
#include "config_fixture.h"

namespace nb::config {
namespace {

const std::string kShipped = NODEBEAT_SOURCE_ROOT "/config/nodebeat.toml";

// --- defaults and the table of keys ----------------------------------------------------------

TEST(Defaults, AreThoseOfTheSpecification) {
  const Config c = config_of("");
  EXPECT_EQ(c, default_config("hog"));
  EXPECT_EQ(c.node.name, "hog");
  EXPECT_EQ(c.log.level, LogLevel::info);
  EXPECT_EQ(c.log.lines_per_minute, 20u);
  EXPECT_EQ(c.heartbeat, (HeartbeatConfig{5s, 15s, true, 5000, 30 * 24h}));
  EXPECT_EQ(c.lease, (LeaseConfig{1s, 3s}));
  EXPECT_EQ(c.watch, (WatchConfig{true}));
  EXPECT_EQ(c.redis.address, (RedisAddress{.host = "127.0.0.1", .port = 6379, .db_given = true}));
  EXPECT_EQ(c.redis.connect_timeout, 2s);
  EXPECT_EQ(c.redis.command_timeout, 1900ms);
  EXPECT_EQ(c.redis.ping_after, 1s);
  EXPECT_EQ(c.redis.backoff_base, 100ms);
  EXPECT_EQ(c.redis.backoff_cap, 5s);
  EXPECT_EQ(c.redis.stable_after, 10s);
  EXPECT_EQ(c.redis.max_reply, 16u << 20);
  EXPECT_EQ(c.redis.max_output, 16u << 20);
  EXPECT_EQ(*c.redis.db_for("health"), 0);
  EXPECT_EQ(c.health, (HealthConfig{{"/"}, Gpu::automatic, {}}));
  SocketConfig socket{
      "/run/nodebeat/agent.sock", 0660, "nodebeat", {}, {}, 64, 0, 64 << 10, 1 << 20, 10s};
  socket.rights = {"read", "robot", "state", "event", "session"};
  socket.calls_per_second = socket.events_per_second = 5'000'000;
  EXPECT_EQ(c.socket, socket);
  socket.path = "/run/nodebeat/view.sock";
  socket.group = "nodebeat-view";
  socket.rights = {"read"};
  socket.max_clients = 32;
  socket.calls_per_second = 10'000;
  socket.is_view = true;
  EXPECT_EQ(c.more_sockets, std::vector{socket});
  EXPECT_EQ(c.robot,
            (RobotConfig{100ms, 0s, 5000, 24h, 256 << 20, 10000, 5000, 1200, 1200, 128 << 20}));
  EXPECT_EQ(c.outbox, (OutboxConfig{4 << 20, 1 << 20, 16 << 20, 1 << 20, 512 << 10, 512 << 10,
                                    10min, 5s, 16 << 20, 128, 1000, 1 << 20, 24h}));
  EXPECT_TRUE(c.probes.empty());
}

TEST(Keys, EveryDefaultAndExampleIsAcceptedByItsKey) {
  for (const Key& key : all_keys()) {
    Config config;
    ProbeConfig probe;
    for (const char* text : {key.fallback, key.example == nullptr ? "" : key.example}) {
      if (*text == '\0') continue;
      const bool in_probe = std::string_view(key.section) == kProbeSection;
      const Field field = in_probe ? field_of(key, probe) : field_of(key, config);
      const Status status = assign(key, value_from_text(field.type, text), field);
      EXPECT_TRUE(status.ok()) << key.path() << ": " << status.error().message;
    }
  }
}

TEST(Keys, AreUniqueAndSoAreTheirVariables) {
  std::set<std::string> paths;
  std::set<std::string> variables;
  for (const Key& key : all_keys()) {
    EXPECT_TRUE(paths.insert(key.path()).second) << key.path();
    const std::string variable = environment_name(key);
    EXPECT_EQ(variable.empty(), std::string(key.section) == kProbeSection);
    if (!variable.empty()) {
      EXPECT_TRUE(variables.insert(variable).second) << variable;
    }
    if (key.short_env != nullptr) {
      EXPECT_TRUE(variables.insert(key.short_env).second) << key.short_env;
    }
  }
  EXPECT_EQ(environment_name(*find_key("heartbeat", "interval")), "NODEBEAT_HEARTBEAT_INTERVAL");
}

// --- the shipped files -----------------------------------------------------------------------

TEST(Shipped, TheReferenceIsMadeFromTheTable) {
  if (std::getenv("NODEBEAT_TEST_UPDATE") != nullptr) {
    FILE* file = std::fopen(kShipped.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fputs(reference().c_str(), file);
    std::fclose(file);
  }
  const auto text = read_small_file(kShipped);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text, reference()) << "run this test with NODEBEAT_TEST_UPDATE=1 to write it anew";
}

TEST(Shipped, TheReferenceIsTheDefaultsWithItsLinesCommentedOutOrNot) {
  Sources sources;
  sources.file = kShipped;
  sources.file_required = true;
  sources.host_name = "hog";
  const Loaded as_shipped = loaded(sources);
  EXPECT_EQ(as_shipped.config, default_config("hog"));
  EXPECT_TRUE(as_shipped.warnings.empty());

  // Every "#key = value" before the probes without its '#'; the node's name is the only example.
  const std::string text = *read_small_file(kShipped);
  std::string active;
  size_t keys = 0;
  for (size_t at = 0; at < text.find("#[[probe]]");) {
    const size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("#") && !line.starts_with("# ") && line.size() > 1) {
      line.erase(0, 1);
      ++keys;
    }
    active += line + "\n";
  }
  size_t expected = 1;  // the table and the one database in it are two lines
  for (const Key& key : all_keys()) expected += std::string(key.section) != kProbeSection;
  EXPECT_EQ(keys, expected);
  EXPECT_EQ(config_of(active), default_config("hog"));
}

TEST(Shipped, EveryKeyStandsInTheReference) {
  const std::string text = *read_small_file(kShipped);
  for (const Key& key : all_keys()) {
    const std::string line =
        key.path() == "redis.db" ? "\n#[redis.db]\n" : std::string("\n#") + key.name + " = ";
    EXPECT_TRUE(contains(text, line)) << key.path();
    if (const std::string name = environment_name(key); !name.empty()) {
      EXPECT_TRUE(contains(text, name)) << name;
    }
  }
  for (size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    EXPECT_LE(end - at, 100u) << text.substr(at, end - at);
  }
}

TEST(Shipped, TheExamplesLoad) {
  const auto example = [](const std::string& name) {
    Sources sources;
    sources.file = NODEBEAT_SOURCE_ROOT "/config/examples/" + name + ".toml";
    sources.file_required = true;
    sources.host_name = "pi-7.local";
    Loaded result = loaded(sources);
    for (const std::string& warning : result.warnings) ADD_FAILURE() << warning;
    return result.config;
  };
  const Config hog = example("hog");
  EXPECT_EQ(hog.node.name, "hog");
  EXPECT_EQ(hog.probes.size(), 2u);
  const Config ook = example("ook");
  EXPECT_EQ(ook.node.name, "ook");
  EXPECT_EQ(*ook.redis.db_for("sessions"), 2);
  EXPECT_EQ(ook.redis.address.host, "hog.local");
  EXPECT_EQ(ook.probes[0].type, ProbeType::process);
  const Config eek = example("eek");
  EXPECT_EQ(eek.node.name, "eek");
  EXPECT_EQ(eek.health.gpu, Gpu::jetson);
  const Config pi = example("raspberry-pi");
  EXPECT_EQ(pi.node.name, "pi-7");
  EXPECT_EQ(pi.heartbeat.interval, 10s);
}

// --- probes ----------------------------------------------------------------------------------

TEST(Probes, EachTypeWithItsKeys) {
  const Config c = config_of(R"(
[[probe]]
name = "m"
type = "mcp"
url = "http://127.0.0.1:8080/mcp"
host = "tools.example:8080"
start_timeout = "1min"
era = "2026"
[[probe]]
name = "h"
type = "http"
url = "http://[::1]/healthz"
expect_status = [200, "3xx"]
expect_text = "ok"
interval = "1s"
[[probe]]
name = "t"
type = "tcp"
address = "db:5432"
timeout = "5s"
up_after = 3
down_after = 1
[[probe]]
name = "u"
type = "unix"
path = "/run/x.sock"
[[probe]]
name = "p"
type = "process"
command = "robot --left"
[[probe]]
name = "s"
type = "systemd"
unit = "redis-server"
)");
  ASSERT_EQ(c.probes.size(), 6u);
  ProbeConfig m{.name = "m",
                .type = ProbeType::mcp,
                .interval = 5s,
                .timeout = 2s,
                .up_after = 1,
                .down_after = 2};
  m.url = {{"127.0.0.1", 8080}, "/mcp"};
  m.host = "tools.example:8080";
  m.start_timeout = 1min;
  m.era = McpEra::stateless_2026;
  EXPECT_EQ(c.probes[0], m);
  EXPECT_EQ(c.probes[1].url, (HttpUrl{{"::1", 80}, "/healthz"}));
  EXPECT_EQ(c.probes[1].expect_status, (std::vector<StatusRange>{{200, 200}, {300, 399}}));
  EXPECT_EQ(c.probes[1].expect_text, "ok");
  EXPECT_EQ(c.probes[1].timeout, 1s) << "the default gives way to a shorter interval";
  EXPECT_EQ(c.probes[2].address, (Endpoint{"db", 5432}));
  EXPECT_EQ(c.probes[2].timeout, 5s);
  EXPECT_EQ(c.probes[2].up_after, 3u);
  EXPECT_EQ(c.probes[2].down_after, 1u);
  EXPECT_EQ(c.probes[3].path, "/run/x.sock");
  EXPECT_EQ(c.probes[4].command, "robot --left");
  EXPECT_EQ(c.probes[5].unit, "redis-server.service");
  EXPECT_EQ(config_of("[[probe]]\nname='h'\ntype='http'\nurl='http://a'\n").probes[0].expect_status,
            (std::vector<StatusRange>{{200, 200}}));
  EXPECT_EQ(config_of("[[probe]]\nname='h'\ntype='http'\nurl='http://a'\nexpect_status='2xx'\n")
                .probes[0]
                .expect_status,
            (std::vector<StatusRange>{{200, 299}}));
}

TEST(Probes, Errors) {
  const auto tcp = [](const std::string& more) {
    return error_of("[[probe]]\nname = \"a\"\ntype = \"tcp\"\n" + more);
  };
  EXPECT_EQ(tcp("address = \"h:1\"\n"), "");
  EXPECT_EQ(tcp(""), "f.toml:1: probe 'a' of type tcp needs 'address'");
  EXPECT_EQ(tcp("address = \"h:1\"\nunit = \"x\"\n"),
            "f.toml:5: key 'probe.unit': belongs to probes of type systemd, not to type tcp");
  EXPECT_EQ(tcp("address = \"h:1\"\nurl = \"http://h\"\n"),
            "f.toml:5: key 'probe.url': belongs to probes of type mcp and http, not to type tcp");
  EXPECT_EQ(tcp("adress = \"h:1\"\n"),
            "f.toml:4: key 'probe.adress': unknown key; did you mean 'address'?");
  EXPECT_TRUE(contains(tcp("address = \"h\"\n"), "write host:port (got \"h\")"));
  EXPECT_TRUE(contains(tcp("address = \"h:1\"\ninterval = \"1s\"\ntimeout = \"2s\"\n"),
                       "f.toml:6: key 'probe.timeout': must not be longer than the interval"));
  EXPECT_TRUE(contains(tcp("address = \"h:1\"\nup_after = 0\n"), "1 to 1000"));
  EXPECT_TRUE(contains(tcp("address = \"h:1\"\ndown_after = -1\n"), "1 to 1000"));
  EXPECT_TRUE(
      contains(tcp("address = \"h:1\"\n[[probe]]\nname = \"a\"\ntype = \"unix\"\npath = \"/x\"\n"),
               "f.toml:5: key 'probe.name': there is already a probe 'a' (f.toml:1)"));
  const std::string nameless = error_of("[[probe]]\nfoo = 1\n");
  EXPECT_TRUE(contains(nameless, "f.toml:1: a probe needs 'type'"));
  EXPECT_TRUE(contains(nameless, "f.toml:1: a probe needs 'name'"));
  EXPECT_TRUE(contains(nameless, "f.toml:2: key 'probe.foo': unknown key"));
  EXPECT_TRUE(contains(error_of("[[probe]]\nname = \"a:b\"\ntype = \"tcp\"\naddress = \"h:1\"\n"),
                       "letters"));
  EXPECT_TRUE(
      contains(error_of("[[probe]]\nname = \"a\"\ntype = \"htp\"\n"), "did you mean \"http\"?"));
  for (const char* type : {"mcp", "http", "unix", "systemd", "process"}) {
    EXPECT_TRUE(
        contains(error_of(std::string("[[probe]]\nname = \"a\"\ntype = \"") + type + "\"\n"),
                 std::string("of type ") + type + " needs "))
        << type;
  }
  EXPECT_TRUE(contains(error_of("[[probe]]\nname='a'\ntype='process'\npidfile='/p'\ncommand='c'\n"),
                       "not both"));
  EXPECT_TRUE(contains(error_of("[[probe]]\nname='a'\ntype='process'\ncommand=''\n"), "1 to 4096"));
  EXPECT_TRUE(contains(error_of("[[probe]]\nname='a'\ntype='process'\npidfile=''\n"), "empty"));
  EXPECT_TRUE(
      contains(error_of("[[probe]]\nname='a'\ntype='systemd'\nunit='a b'\n"), "a unit has"));
  EXPECT_TRUE(contains(error_of("[[probe]]\nname='a'\ntype='mcp'\nurl='https://h'\n"), "TLS"));
  EXPECT_TRUE(contains(error_of("[[probe]]\nname='a'\ntype='mcp'\nurl='http://h'\nera=2025\n"),
                       "\"2025\", \"2026\", got integer 2025"));
  for (const char* status : {"99", "600", "\"6xx\"", "\"200\"", "[]", "[200, \"x\"]", "true"}) {
    EXPECT_TRUE(contains(error_of(std::string("[[probe]]\nname='a'\ntype='http'\nurl='http://h'\n"
                                              "expect_status=") +
                                  status + "\n"),
                         "a status from 100 to 599"))
        << status;
  }
}

// --- print, changes --------------------------------------------------------------------------

TEST(Print, SaysWhereEachValueCameFrom) {
  Sources sources = from_text(
      "[log]\nlevel = \"debug\"\n\n[[probe]]\nname = \"p\"\ntype = \"tcp\"\naddress = "
      "\"[::1]:5\"\n");
  sources.environment = {{"NODEBEAT_REDIS_PING_AFTER", "3s"}};
  sources.flags.socket_path = "/s";
  const std::string text = print(loaded(sources));
  const auto line = [&text](const std::string& key) {
    const size_t at = text.find("\n" + key + " = ") + 1;
    return text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_TRUE(line("level").starts_with("level = \"debug\" "));
  EXPECT_TRUE(line("level").ends_with("  # from f.toml:2"));
  EXPECT_TRUE(line("interval").ends_with("  # from default"));
  EXPECT_TRUE(line("name").ends_with("  # from host name"));
  EXPECT_TRUE(line("ping_after").ends_with("  # from NODEBEAT_REDIS_PING_AFTER"));
  EXPECT_TRUE(line("path").ends_with("  # from --socket"));
  EXPECT_TRUE(line("db").starts_with("db = { health = 0 }"));
  EXPECT_TRUE(
      contains(text, "[[probe]]                                 # from f.toml:4\nname = \"p\"\n"));
  EXPECT_TRUE(contains(text, "address = \"[::1]:5\"\n"));
  EXPECT_FALSE(contains(text, "expect_status"));
}

TEST(Print, CanBeLoadedAgain) {
  for (const char* name :
       {"nodebeat", "examples/hog", "examples/ook", "examples/eek", "examples/raspberry-pi"}) {
    const std::string path = NODEBEAT_SOURCE_ROOT "/config/" + std::string(name) + ".toml";
    const Loaded first = loaded(from_text(*read_small_file(path)));
    EXPECT_EQ(config_of(print(first)), first.config) << name;
  }
}

TEST(Changes, NameWhatDiffersAndWhatNeedsARestart) {
  const Config a = config_of(
      "[[probe]]\nname='x'\ntype='unix'\npath='/x'\n[[probe]]\nname='y'\ntype='unix'\npath='/y'\n");
  EXPECT_TRUE(changed_keys(a, a).empty());
  const Config b = config_of(
      "[node]\nname='n'\n[heartbeat]\ninterval='2s'\n[socket]\npath='/s'\nmode='0600'\n[redis]\n"
      "url='redis://:pw@h/3'\nprefix='a:'\n[health]\ndisks=['/d']\n"
      "[[probe]]\nname='x'\ntype='unix'\npath='/z'\n[[probe]]\nname='w'\ntype='unix'\npath='/w'\n");
  EXPECT_EQ(changed_keys(a, b), (std::vector<std::string>{
                                    "node.name", "heartbeat.interval", "redis.url", "redis.prefix",
                                    "redis.password", "redis.db", "health.disks", "socket.path",
                                    "socket.mode", "probe.x", "probe.y", "probe.w"}));
  for (const char* key :
       {"node.name", "socket.path", "socket.mode", "socket.group", "redis.db", "redis.prefix"}) {
    EXPECT_TRUE(needs_restart(key)) << key;
  }
  for (const char* key : {"heartbeat.interval", "redis.url", "redis.password", "health.disks",
                          "log.level", "outbox.max_age", "probe.x", "probe.name", "nonsense"}) {
    EXPECT_FALSE(needs_restart(key)) << key;
  }
  Config running = a;
  Config now = b;
  keep_until_restart(running, now);
  EXPECT_EQ(now.heartbeat, b.heartbeat);
  EXPECT_EQ(now.redis.address.password, "pw");
  EXPECT_EQ(now.redis.address.db, 0);
  for (const std::string& key : changed_keys(a, now)) EXPECT_FALSE(needs_restart(key)) << key;
  for (const std::string& key : changed_keys(now, b)) EXPECT_TRUE(needs_restart(key)) << key;
}

TEST(Prefix, IsANameAndAColon) {
  const auto reads = [](std::string_view prefix) {
    Sources sources = from_text("");
    sources.environment.emplace_back("NODEBEAT_REDIS_PREFIX", prefix);
    return load(sources);
  };
  for (const char* prefix : {"cellA:", "{cellA}:", "a.b-c_1:", "{node}:"}) {
    const auto got = reads(prefix);
    ASSERT_TRUE(got.ok()) << prefix;
    EXPECT_EQ(got->config.redis.prefix, prefix);
  }
  for (const char* prefix : {"cellA", ":",   "a:b:", "a*:", "a?:",  "[a]:",      "a b:",  "a\\:",
                             "{:",    "}:",  "{}:",  "{a:", "a}:",  "{a}b:",     "a{b}:", "{{a}}:",
                             "{a}",   "-a:", "~a:",  "&a:", "\"a:", "\xc3\xa4:", "node:", "cv:"}) {
    const auto got = reads(prefix);
    ASSERT_FALSE(got.ok()) << prefix;
    EXPECT_TRUE(contains(got.error().message, "NODEBEAT_REDIS_PREFIX")) << got.error().message;
  }
}

TEST(Changes, ANewPasswordIsSeenWhereverItStands) {
  const Config a = config_of("[redis]\nurl = \"redis://:one@h\"\n");
  const Config b = config_of("[redis]\nurl = \"redis://:two@h\"\n");
  EXPECT_EQ(changed_keys(a, b), std::vector<std::string>{"redis.password"});
}

}  // namespace
}  // namespace nb::config
