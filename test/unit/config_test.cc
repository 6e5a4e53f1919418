// Unit tests of config/: what a file, the environment and the flags make of a Config.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/assign.h"
#include "config/changes.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/print.h"
#include "config/toml.h"
#include "rpc/line_limits.h"

namespace nb::config {
namespace {

using namespace std::chrono_literals;
using Environment = std::vector<std::pair<std::string, std::string>>;

const std::string kShipped = NODEBEAT_SOURCE_ROOT "/config/nodebeat.toml";

Sources from_text(std::string text) {
  Sources sources;
  sources.file = "f.toml";
  sources.text = std::move(text);
  sources.host_name = "hog.example";
  return sources;
}

Loaded loaded(const Sources& sources) {
  Result<Loaded> result = load(sources);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return result ? std::move(*result) : Loaded{};
}

Config config_of(std::string text) {
  return loaded(from_text(std::move(text))).config;
}

// The whole message, or "" if there was no error.
std::string error_of(const Sources& sources) {
  const Result<Loaded> result = load(sources);
  return result ? "" : result.error().message;
}
std::string error_of(std::string text) {
  return error_of(from_text(std::move(text)));
}

Sources with_environment(Environment environment) {
  Sources sources = from_text("");
  sources.environment = std::move(environment);
  return sources;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A folder of its own for the files that a test writes.
class Files : public testing::Test {
 protected:
  Files() {
    char name[] = "/tmp/nodebeat-config-XXXXXX";
    dir_ = ::mkdtemp(name);
  }
  ~Files() override {
    for (const std::string& path : paths_) std::remove(path.c_str());
    ::rmdir(dir_.c_str());
  }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = dir_ + "/" + name;
    FILE* file = std::fopen(path.c_str(), "w");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    ::chmod(path.c_str(), mode);
    paths_.push_back(path);
    return path;
  }

  std::string dir_;
  std::vector<std::string> paths_;
};

// --- defaults and the table of keys ----------------------------------------------------------

TEST(Defaults, AreThoseOfTheSpecification) {
  const Config c = config_of("");
  EXPECT_EQ(c, default_config("hog"));
  EXPECT_EQ(c.node.name, "hog");
  EXPECT_EQ(c.log.level, LogLevel::info);
  EXPECT_EQ(c.log.lines_per_minute, 20u);
  EXPECT_EQ(c.heartbeat, (HeartbeatConfig{5s, 15s, true, 5000, 30 * 24h}));
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
  EXPECT_EQ(
      c.socket,
      (SocketConfig{
          "/run/nodebeat/agent.sock", 0660, "nodebeat", {}, {}, 64, 0, 64 << 10, 1 << 20, 10s}));
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

// --- files and their errors ------------------------------------------------------------------

TEST(File, SetsEveryKindOfKey) {
  const Config c = config_of(R"(
[node]
name = "ook"
[log]
level = "debug"
[heartbeat]
interval = "250ms"
ttl = "2s"
history = false
history_length = 7
[redis]
url = "unix:///run/r.sock?db=4"
max_reply = "64KiB"
[health]
disks = ["/", "/data"]
gpu = "amd"
network = ["eth0"]
[socket]
mode = "600"
group = ""
)");
  EXPECT_EQ(c.node.name, "ook");
  EXPECT_EQ(c.log.level, LogLevel::debug);
  EXPECT_EQ(c.heartbeat, (HeartbeatConfig{250ms, 2s, false, 7, 30 * 24h}));
  EXPECT_EQ(c.redis.address.unix_path, "/run/r.sock");
  EXPECT_EQ(*c.redis.db_for("health"), 4);
  EXPECT_EQ(c.redis.max_reply, 65536u);
  EXPECT_EQ(c.health, (HealthConfig{{"/", "/data"}, Gpu::amd, {"eth0"}}));
  EXPECT_EQ(c.socket.mode, 0600u);
  EXPECT_EQ(c.socket.group, "");
}

TEST(File, AnUnknownKeyNamesItsPlaceAndTheOneThatWasMeant) {
  EXPECT_EQ(error_of("[heartbeat]\n\nintervall = \"5s\"\n"),
            "f.toml:3: key 'heartbeat.intervall': unknown key; did you mean 'interval'?");
  EXPECT_EQ(error_of("[redis]\nback-off-cap = \"5s\"\n"),
            "f.toml:2: key 'redis.back-off-cap': unknown key; did you mean 'backoff_cap'?");
  EXPECT_EQ(error_of("[heartbeat]\nurl = \"x\"\n"),
            "f.toml:2: key 'heartbeat.url': unknown key; did you mean 'redis.url'?");
  EXPECT_EQ(error_of("[redis]\nzzzzzz = 1\n"), "f.toml:2: key 'redis.zzzzzz': unknown key");
  EXPECT_EQ(error_of("[hartbeat]\ninterval = \"5s\"\n"),
            "f.toml:1: section 'hartbeat': unknown section; did you mean 'heartbeat'?");
  EXPECT_EQ(error_of("ttl = \"5s\"\n"),
            "f.toml:1: key 'ttl': unknown key outside any section; did you mean 'heartbeat.ttl'?");
}

TEST(File, AWrongTypeSaysWhatIsWantedAndWhatIsThere) {
  EXPECT_EQ(
      error_of("[heartbeat]\ninterval = 5\n"),
      "f.toml:2: key 'heartbeat.interval': expected a duration such as \"5s\", got integer 5: "
      "write \"5s\"");
  EXPECT_TRUE(contains(error_of("[heartbeat]\ninterval = \"5\"\n"), "write \"5s\""));
  EXPECT_TRUE(contains(error_of("[heartbeat]\ninterval = true\n"), "got true"));
  EXPECT_TRUE(contains(error_of("[heartbeat]\ninterval = 1979-05-27\n"), "got a date or time"));
  EXPECT_TRUE(
      contains(error_of("[redis]\nmax_reply = 65536\n"), "got integer 65536: write \"65536B\""));
  EXPECT_TRUE(contains(error_of("[heartbeat]\nhistory = \"yes\"\n"),
                       "expected true or false, got \"yes\""));
  EXPECT_TRUE(contains(error_of("[heartbeat]\nhistory_length = 1.5\n"),
                       "expected a whole number, got number 1.5"));
  EXPECT_TRUE(contains(error_of("[health]\ndisks = \"/\"\n"), "expected a list of texts"));
  EXPECT_TRUE(contains(error_of("[health]\ndisks = [1]\n"), "got integer 1"));
  EXPECT_TRUE(contains(error_of("[node]\nname = 7\n"), "expected a text in quotes, got integer 7"));
  EXPECT_TRUE(contains(error_of("[socket]\nmode = 432\n"), "octal mode in quotes"));
  EXPECT_TRUE(contains(error_of("[socket]\nmode = \"1777\"\n"), "at most \"0777\""));
  EXPECT_TRUE(contains(error_of("heartbeat = 5\n"), "expected a table [heartbeat], got integer 5"));
  EXPECT_TRUE(contains(error_of("[[heartbeat]]\n"), "expected a table [heartbeat], got a list"));
  EXPECT_TRUE(contains(error_of("[probe]\nname = \"x\"\n"), "write [[probe]]"));
  EXPECT_TRUE(contains(error_of("probe = [1]\n"), "got integer 1"));
}

TEST(File, AValueOutOfRangeNamesTheRange) {
  EXPECT_EQ(error_of("[heartbeat]\ninterval = \"50ms\"\n"),
            "f.toml:2: key 'heartbeat.interval': \"50ms\" is out of range: allowed is 100ms to 1h");
  EXPECT_TRUE(contains(error_of("[heartbeat]\nhistory_length = 0\n"), "1 to 1000000"));
  EXPECT_TRUE(contains(error_of("[redis]\nmax_output = \"2GiB\"\n"), "64KiB to 1GiB"));
  EXPECT_EQ(
      error_of("[log]\nlevel = \"warn\"\n"),
      "f.toml:2: key 'log.level': expected one of \"error\", \"warning\", \"notice\", \"info\", "
      "\"debug\", got \"warn\"");
  EXPECT_TRUE(contains(error_of("[log]\nlevel = \"waning\"\n"), "did you mean \"warning\"?"));
  EXPECT_TRUE(contains(error_of("[health]\ngpu = \"intel\"\n"), "\"nvidia\", got \"intel\""));
}

// The sizes of a line are written in rpc/line_limits.h, for both ends of the socket.
TEST(File, TheSizesOfALineAreThoseOfTheProtocol) {
  const auto line_of = [](size_t size) {
    return "[socket]\nmax_line = \"" + std::to_string(size) + "B\"";
  };
  EXPECT_EQ(config_of("").socket.max_line, int64_t{rpc::kLineBytes});
  for (const size_t size : {rpc::kLeastLineBytes, rpc::kMostLineBytes}) {
    EXPECT_EQ(config_of(line_of(size)).socket.max_line, static_cast<int64_t>(size));
  }
  for (const size_t size : {rpc::kLeastLineBytes - 1, rpc::kMostLineBytes + 1}) {
    EXPECT_TRUE(contains(error_of(line_of(size)), "out of range"));
  }
}

TEST(File, ImpossibleCombinations) {
  EXPECT_EQ(error_of("[heartbeat]\nttl = \"9s\"\n"),
            "f.toml:2: key 'heartbeat.ttl': heartbeat.ttl (\"9s\") has to be at least two "
            "heartbeat.interval (\"5s\"), or a single late beat makes the node disappear");
  EXPECT_EQ(error_of("[heartbeat]\nttl = \"10s\"\n"), "");
  EXPECT_TRUE(error_of("[heartbeat]\ninterval = \"10s\"\n")
                  .starts_with("f.toml:2: key 'heartbeat.interval': heartbeat.ttl (\"15s\")"));
  EXPECT_TRUE(error_of("[redis]\nbackoff_base = \"6s\"\n")
                  .starts_with("f.toml:2: key 'redis.backoff_base': "));
}

TEST(File, TextsAreCheckedForWhatTheyStandFor) {
  EXPECT_TRUE(contains(error_of("[node]\nname = \"a:b\"\n"), "letters (a-z, A-Z), digits"));
  EXPECT_TRUE(contains(error_of("[node]\nname = \"\"\n"), "the name is empty"));
  EXPECT_TRUE(contains(error_of("[socket]\npath = \"agent.sock\"\n"), "absolute"));
  EXPECT_EQ(error_of("[socket]\npath = \"\"\n"), "");
  EXPECT_EQ(error_of("[socket]\npath = \"/" + std::string(106, 'x') + "\"\n"), "");
  EXPECT_TRUE(contains(error_of("[socket]\npath = \"/" + std::string(107, 'x') + "\"\n"),
                       "at most 107 bytes, this one has 108"));
  EXPECT_TRUE(contains(error_of("[socket]\ngroup = \"a b\"\n"), "a user or group has"));
  EXPECT_TRUE(contains(error_of("[health]\ndisks = [\"data\"]\n"), "absolute"));
  EXPECT_TRUE(contains(error_of("[health]\ndisks = [\"/\", \"/\"]\n"), "\"/\" is there twice"));
  EXPECT_TRUE(contains(error_of("[health]\nnetwork = [\"eth0/1\"]\n"), "an interface has"));
  EXPECT_TRUE(contains(error_of("[redis]\nurl = \"rediss://h\"\n"), "TLS is not supported yet"));
  EXPECT_TRUE(contains(error_of("[node]\nname = \"a\\u0000b\"\n"), "NUL"));
}

TEST(File, AllErrorsComeAtOnceInTheOrderOfTheFile) {
  const std::string message =
      error_of("[redis]\nfoo = 1\n[heartbeat]\ninterval = 5\nbar = 2\n[log]\nlevel = 1\n");
  EXPECT_TRUE(message.starts_with("f.toml:2: key 'redis.foo'"));
  size_t at = 0;
  for (const char* line : {"f.toml:2:", "\nf.toml:4:", "\nf.toml:5:", "\nf.toml:7:"}) {
    at = message.find(line, at);
    EXPECT_NE(at, std::string::npos) << line;
  }
  std::string many = "[redis]\n";
  for (int i = 0; i < 30; ++i) many += "k" + std::to_string(i) + " = 1\n";
  const std::string capped = error_of(many);
  EXPECT_EQ(std::count(capped.begin(), capped.end(), '\n'), 20);
  EXPECT_TRUE(capped.ends_with("\n... and 10 more"));
}

TEST(File, NumbersThatNoDoubleHoldsAreRefused) {
  const auto told = [](const std::string& number) {
    return error_of("[heartbeat]\nhistory_length = " + number + "\n");
  };
  EXPECT_TRUE(contains(told("-1_000.25e+1"), "got number -10002.5"));
  EXPECT_TRUE(contains(told("1.7976931348623157e308"), "got number 1.79769e+308"));
  EXPECT_TRUE(contains(told("0.0e-999"), "got number 0"));
  EXPECT_TRUE(contains(told("1e400"), "f.toml:2:")) << told("1e400");
  EXPECT_TRUE(contains(told("1e400"), "'1e400' is not representable in 64 bits"));
  EXPECT_TRUE(contains(told("1e-400"), "'1e-400' is not representable in 64 bits"));
  EXPECT_TRUE(contains(told("1.2.3"), "expected decimal digit or exponent, saw '.'"));
}

TEST(File, ASyntaxErrorNamesLineAndColumn) {
  EXPECT_TRUE(error_of("[node]\nname = hog\n").starts_with("f.toml:2:"));
  EXPECT_TRUE(error_of("[node\n").starts_with("f.toml:1:"));
  EXPECT_TRUE(error_of("[node]\nname = \"a\"\nname = \"b\"\n").starts_with("f.toml:3:"));
  EXPECT_TRUE(error_of("[log]\n[log]\n").starts_with("f.toml:2:"));
  EXPECT_TRUE(error_of("a = \"\xff\"\n").starts_with("f.toml:1:"));
  EXPECT_FALSE(error_of(std::string("a = 1\0b = 2", 11)).empty());
}

TEST(File, DepthCannotExhaustTheStack) {
  std::string dots = "a";
  for (int i = 0; i < 100000; ++i) dots += ".a";
  EXPECT_TRUE(contains(error_of(dots + " = 1\n"), "dots and brackets"));
  std::string fewer = "a";
  for (int i = 0; i < 7999; ++i) fewer += ".a";
  EXPECT_TRUE(contains(error_of(fewer + " = 1\n"), "nested more than 16 deep"));
  EXPECT_FALSE(error_of("a = " + std::string(7000, '[')).empty());
  EXPECT_FALSE(error_of("a = " + std::string(100000, '{')).empty());
}

TEST_F(Files, AMissingFileIsAnErrorOnlyIfItWasAskedFor) {
  Sources sources;
  sources.host_name = "hog";
  EXPECT_EQ(loaded(sources).config, default_config("hog"));
  sources.file = dir_ + "/none.toml";
  EXPECT_EQ(loaded(sources).config, default_config("hog"));
  EXPECT_EQ(loaded(sources).file, "");
  sources.file_required = true;
  EXPECT_EQ(error_of(sources), dir_ + "/none.toml: No such file or directory");
  sources.file_required = false;
  sources.file = dir_;
  EXPECT_TRUE(contains(error_of(sources), "directory"));
}

TEST_F(Files, TheVariableNamesTheFileUnlessAFlagDid) {
  const std::string a = write("a.toml", "[node]\nname = \"a\"\n");
  const std::string b = write("b.toml", "[node]\nname = \"b\"\n");
  Sources sources;
  sources.host_name = "hog";
  sources.file = a;
  sources.environment = {{"NODEBEAT_CONFIG", b}};
  EXPECT_EQ(loaded(sources).config.node.name, "b");
  EXPECT_EQ(loaded(sources).origin_of("node.name"), b + ":2");
  sources.file_required = true;
  EXPECT_EQ(loaded(sources).config.node.name, "a");
  sources.file_required = false;
  sources.environment = {{"NODEBEAT_CONFIG", dir_ + "/none"}};
  EXPECT_TRUE(contains(error_of(sources), "No such file"));
}

// --- environment, flags, precedence ----------------------------------------------------------

TEST(Precedence, FlagsOverEnvironmentOverFileOverDefaults) {
  Sources sources = from_text("[node]\nname = \"file\"\n");
  EXPECT_EQ(loaded(sources).config.node.name, "file");
  EXPECT_EQ(loaded(sources).origin_of("node.name"), "f.toml:2");
  sources.environment = {{"NODEBEAT_NODE_NAME", "env"}};
  EXPECT_EQ(loaded(sources).config.node.name, "env");
  EXPECT_EQ(loaded(sources).origin_of("node.name"), "NODEBEAT_NODE_NAME");
  sources.flags.node = "flag";
  EXPECT_EQ(loaded(sources).config.node.name, "flag");
  EXPECT_EQ(loaded(sources).origin_of("node.name"), "--node");
  EXPECT_EQ(loaded(sources).origin_of("heartbeat.ttl"), "default");
  EXPECT_EQ(loaded(from_text("")).origin_of("node.name"), "host name");
}

TEST(Precedence, FlagsAreCheckedToo) {
  Sources sources = from_text("");
  sources.flags = {"a b", "http://x", "rel"};
  const std::string message = error_of(sources);
  EXPECT_TRUE(message.starts_with("--node: key 'node.name': "));
  EXPECT_TRUE(contains(message, "\n--redis: key 'redis.url': "));
  EXPECT_TRUE(contains(message, "\n--socket: key 'socket.path': "));
  sources.flags = {"n", "redis://r:7/2", "/s"};
  const Config c = loaded(sources).config;
  EXPECT_EQ(c.redis.address.port, 7);
  EXPECT_EQ(*c.redis.db_for("health"), 2);
  EXPECT_EQ(c.socket.path, "/s");
}

TEST(Environment, SetsEveryKindOfKey) {
  const Config c = loaded(with_environment({{"NODEBEAT_HEARTBEAT_INTERVAL", "1s"},
                                            {"NODEBEAT_HEARTBEAT_HISTORY", "false"},
                                            {"NODEBEAT_HEARTBEAT_HISTORY_LENGTH", "9"},
                                            {"NODEBEAT_REDIS", "redis://r"},
                                            {"NODEBEAT_REDIS_DB", "health=3, sessions=2"},
                                            {"NODEBEAT_REDIS_MAX_REPLY", "1MiB"},
                                            {"NODEBEAT_HEALTH_DISKS", "/, /data"},
                                            {"NODEBEAT_HEALTH_GPU", "none"},
                                            {"NODEBEAT_LOG_LEVEL", "error"},
                                            {"NODEBEAT_SOCKET", "/s"},
                                            {"NODEBEAT_SOCKET_MODE", "0600"},
                                            {"PATH", "/bin"}}))
                       .config;
  EXPECT_EQ(c.heartbeat, (HeartbeatConfig{1s, 15s, false, 9, 30 * 24h}));
  EXPECT_EQ(c.redis.address.host, "r");
  EXPECT_EQ(*c.redis.db_for("health"), 3);
  EXPECT_EQ(*c.redis.db_for("sessions"), 2);
  EXPECT_EQ(c.redis.max_reply, 1u << 20);
  EXPECT_EQ(c.health, (HealthConfig{{"/", "/data"}, Gpu::none, {}}));
  EXPECT_EQ(c.log.level, LogLevel::error);
  EXPECT_EQ(c.socket.path, "/s");
  EXPECT_EQ(c.socket.mode, 0600u);
}

TEST(Environment, AWrongValueNamesTheVariable) {
  EXPECT_TRUE(error_of(with_environment({{"NODEBEAT_HEARTBEAT_INTERVAL", "5"}}))
                  .starts_with("NODEBEAT_HEARTBEAT_INTERVAL: key 'heartbeat.interval': expected a "
                               "duration"));
  for (const auto& [name, text] : Environment{{"NODEBEAT_HEARTBEAT_HISTORY", "1"},
                                              {"NODEBEAT_HEARTBEAT_HISTORY_LENGTH", "many"},
                                              {"NODEBEAT_REDIS_DB", "health"},
                                              {"NODEBEAT_REDIS_DB", "health=x"},
                                              {"NODEBEAT_HEALTH_DISKS", "/,,/data"},
                                              {"NODEBEAT_NODE", "h\xff"},
                                              {"NODEBEAT_SOCKET_MODE", "9"}}) {
    EXPECT_TRUE(error_of(with_environment({{name, text}})).starts_with(name + ": ")) << name;
  }
}

TEST(Environment, TwoNamesForOneKeyMustAgree) {
  const Environment agree = {{"NODEBEAT_NODE", "a"}, {"NODEBEAT_NODE_NAME", "a"}};
  EXPECT_EQ(loaded(with_environment(agree)).config.node.name, "a");
  const Environment differ = {{"NODEBEAT_NODE", "a"}, {"NODEBEAT_NODE_NAME", "b"}};
  EXPECT_EQ(error_of(with_environment(differ)),
            "NODEBEAT_NODE and NODEBEAT_NODE_NAME are both set, and differ");
}

TEST(Environment, UnknownVariablesAreWarnings) {
  const Loaded result = loaded(with_environment({{"NODEBEAT_HEARTBEET_INTERVAL", "1s"},
                                                 {"NODEBEAT_PROBE_NAME", "x"},
                                                 {"NODEBEAT_TEST_UPDATE", "1"},
                                                 {"NODEBEAT_DEV_BUILD", "1"},
                                                 {"NODEBEAT_NODE", ""},
                                                 {"OTHER", "1"}}));
  ASSERT_EQ(result.warnings.size(), 2u);
  EXPECT_EQ(result.warnings[0],
            "NODEBEAT_HEARTBEET_INTERVAL: unknown variable, not used; did you mean "
            "NODEBEAT_HEARTBEAT_INTERVAL?");
  EXPECT_TRUE(result.warnings[1].starts_with("NODEBEAT_PROBE_NAME: unknown variable"));
  EXPECT_EQ(result.config.node.name, "hog") << "an empty variable counts as not set";
}

TEST(HostName, HasToServeAsANodeName) {
  Sources sources = from_text("");
  sources.host_name = "eek.cell.example";
  EXPECT_EQ(loaded(sources).config.node.name, "eek");
  for (const char* bad : {"", ".x", "a b", "(none)"}) {
    sources.host_name = bad;
    EXPECT_TRUE(error_of(sources).starts_with("key 'node.name': not set, and the host name "))
        << bad;
  }
  sources.host_name = "localhost";
  EXPECT_EQ(loaded(sources).warnings.size(), 1u);
}

// --- databases -------------------------------------------------------------------------------

TEST(Databases, AnUndefinedNameIsAnErrorAndNeverDatabaseZero) {
  const Config c = config_of("[redis.db]\nhealth = 1\nsessions = 2\n");
  EXPECT_EQ(*c.redis.db_for("health"), 1);
  EXPECT_EQ(c.redis.address.db, 1);
  EXPECT_EQ(*c.redis.db_for("sessions"), 2);
  const auto missing = c.redis.db_for("session");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message,
            "no database is named 'session' (defined are: health, sessions); is 'sessions' meant; "
            "add session = N to [redis.db]");
  EXPECT_FALSE(c.redis.db_for("").ok());
}

TEST(Databases, TheUrlsDatabaseIsHealthOnlyWithoutTheTable) {
  const Config c = config_of("[redis]\nurl = \"redis://h/5\"\n");
  EXPECT_EQ(*c.redis.db_for("health"), 5);
  EXPECT_FALSE(c.redis.db_for("sessions").ok());
  EXPECT_TRUE(error_of("[redis]\nurl = \"redis://h/5\"\n[redis.db]\nsessions = 2\n")
                  .starts_with("f.toml:3: key 'redis.db': no database is named 'health'"));
  EXPECT_TRUE(contains(error_of("[redis.db]\n"), "no database is named 'health'"));
  EXPECT_TRUE(contains(error_of("[redis.db]\nheath = 0\n"), "is 'heath' meant"));
  const Loaded both = loaded(from_text("[redis]\nurl = \"redis://h/5\"\n[redis.db]\nhealth = 0\n"));
  EXPECT_EQ(*both.config.redis.db_for("health"), 0);
  ASSERT_EQ(both.warnings.size(), 1u);
  EXPECT_TRUE(contains(both.warnings[0], "database is not used"));
}

TEST(Databases, NumbersAreChecked) {
  EXPECT_EQ(*config_of("[redis.db]\nhealth = 16383\n").redis.db_for("health"), 16383);
  for (const char* bad : {"-1", "16384", "\"0\"", "1.0", "true"}) {
    const std::string message = error_of(std::string("[redis.db]\nhealth = ") + bad + "\n");
    EXPECT_TRUE(contains(message, "database \"health\": expected a number from 0 to 16383")) << bad;
  }
  EXPECT_TRUE(contains(error_of("[redis]\ndb = 2\n"), "end of redis.url"));
  EXPECT_TRUE(contains(error_of("[redis.db]\n\"a b\" = 2\n"), "letters"));
}

// --- secrets ---------------------------------------------------------------------------------

TEST_F(Files, PasswordsByPlaceAndThenByKey) {
  const std::string file = write("pw", "from-file\n");
  const std::string other = write("pw2", "from-other-file");
  write("redis-password", "from-credential\n");
  const std::string url_only = "[redis]\nurl = \"redis://u:from-url@h\"\n";
  const auto password = [](const Sources& sources) {
    return loaded(sources).config.redis.address.password;
  };

  Sources sources = from_text(url_only);
  EXPECT_EQ(password(sources), "from-url");
  sources.text = url_only + "password = \"from-key\"\n";
  EXPECT_EQ(password(sources), "from-key");
  sources.text = url_only + "password = \"from-key\"\npassword_file = \"" + file + "\"\n";
  EXPECT_EQ(password(sources), "from-file");
  EXPECT_EQ(loaded(sources).warnings.size(), 1u) << "two in one file";
  EXPECT_EQ(loaded(sources).origin_of("redis.password"), file);
  sources.environment = {{"CREDENTIALS_DIRECTORY", dir_}};
  EXPECT_EQ(password(sources), "from-credential");
  sources.environment.push_back({"NODEBEAT_REDIS_URL", "redis://:from-env-url@h"});
  EXPECT_EQ(password(sources), "from-env-url");
  sources.environment.push_back({"NODEBEAT_REDIS_PASSWORD", "from-env"});
  EXPECT_EQ(password(sources), "from-env");
  sources.environment.push_back({"NODEBEAT_REDIS_PASSWORD_FILE", other});
  EXPECT_EQ(password(sources), "from-other-file");
  sources.flags.redis_url = "redis://h2";
  EXPECT_EQ(password(sources), "from-other-file");
  sources.flags.redis_url = "redis://:from-flag@h2";
  EXPECT_EQ(password(sources), "from-flag");
  EXPECT_EQ(loaded(sources).origin_of("redis.password"), "redis.url");
}

TEST_F(Files, ACredentialsDirectoryWithoutOursIsFine) {
  Sources sources = from_text("[redis]\npassword_file = \"" + write("pw", "secret") + "\"\n");
  sources.environment = {{"CREDENTIALS_DIRECTORY", dir_}};
  EXPECT_EQ(loaded(sources).config.redis.password, "secret");
}

TEST(Secrets, TheUserFollowsTheSameOrder) {
  EXPECT_EQ(config_of("[redis]\nurl = \"redis://u:p@h\"\n").redis.address.user, "u");
  EXPECT_EQ(config_of("[redis]\nurl = \"redis://u:p@h\"\nusername = \"v\"\n").redis.address.user,
            "v");
  Sources sources = from_text("[redis]\nusername = \"v\"\n");
  sources.environment = {{"NODEBEAT_REDIS", "redis://w:p@h"}};
  const Loaded result = loaded(sources);
  EXPECT_EQ(result.config.redis.address.user, "w");
  EXPECT_EQ(result.config.redis.username, "w");
  EXPECT_EQ(result.origin_of("redis.username"), "redis.url");
}

TEST_F(Files, AFileIsThePasswordWithoutItsLastNewline) {
  const auto config = [this](const std::string& content, mode_t mode = 0600) {
    return load(from_text("[redis]\npassword_file = \"" + write("pw", content, mode) + "\"\n"));
  };
  EXPECT_EQ(config("s3cret\n")->config.redis.password, "s3cret");
  EXPECT_EQ(config("s3cret\r\n")->config.redis.password, "s3cret");
  EXPECT_EQ(config("a \"quoted' $word\\")->config.redis.password, "a \"quoted' $word\\");
  EXPECT_TRUE(config("s3cret")->warnings.empty());
  EXPECT_TRUE(contains(config("").error().message, "/pw: the file is empty"));
  EXPECT_TRUE(contains(config("\n").error().message, "the file is empty"));
  const std::string lines = config("s3cret\nmore\n").error().message;
  EXPECT_TRUE(contains(lines, "f.toml:2: ")) << lines;
  EXPECT_TRUE(contains(lines, "several lines"));
  EXPECT_FALSE(contains(lines, "s3cret"));
  EXPECT_TRUE(contains(config("\"s3cret\"\n")->warnings.at(0), "quotes around the password"));
  EXPECT_TRUE(contains(config(" s3cret\n")->warnings.at(0), "blanks around the password"));
  EXPECT_TRUE(contains(config("s3cret\n", 0644)->warnings.at(0), "may be read by every user"));
  EXPECT_TRUE(contains(error_of("[redis]\npassword_file = \"" + dir_ + "/none\"\n"),
                       "f.toml:2: " + dir_ + "/none: No such file"));
}

TEST_F(Files, AConfigurationWithAPasswordThatEveryoneMayReadIsWarnedOf) {
  Sources sources;
  sources.host_name = "hog";
  sources.file = write("f.toml", "[redis]\npassword = \"pw\"\n", 0644);
  ASSERT_EQ(loaded(sources).warnings.size(), 1u);
  sources.file = write("f.toml", "[redis]\nurl = \"redis://:pw@h\"\n", 0644);
  EXPECT_EQ(loaded(sources).warnings.size(), 1u);
  sources.file = write("f.toml", "[redis]\npassword = \"pw\"\n", 0640);
  EXPECT_TRUE(loaded(sources).warnings.empty());
}

TEST(Secrets, AreInNoErrorNoWarningAndNoPrint) {
  for (const char* text :
       {"[redis]\npassword = 5\nurl = \"redis://u:hunter2@h:x\"\n",
        "[redis]\npassword = \"hunter2\\u0000\"\n", "[redis]\nurl = \"unix://u:hunter2/x\"\n",
        "[redis]\npassword = [\"hunter2\"]\n"}) {
    const std::string message = error_of(text);
    EXPECT_FALSE(message.empty()) << text;
    EXPECT_FALSE(contains(message, "hunter2")) << message;
  }
  Sources sources = from_text("[redis]\nurl = \"redis://u:hunter2@h/0\"\n");
  sources.environment = {{"NODEBEAT_REDIS_PASSWORD", "hunter3"}};
  const Loaded result = loaded(sources);
  const std::string text = print(result);
  EXPECT_FALSE(contains(text, "hunter")) << text;
  EXPECT_TRUE(contains(text, "redis://u:***@h:6379/0"));
  EXPECT_TRUE(contains(text, "password = \"***\""));
  EXPECT_FALSE(contains(result.config.redis.url, "hunter"));
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
      "url='redis://:pw@h/3'\n[health]\ndisks=['/d']\n"
      "[[probe]]\nname='x'\ntype='unix'\npath='/z'\n[[probe]]\nname='w'\ntype='unix'\npath='/w'\n");
  EXPECT_EQ(changed_keys(a, b),
            (std::vector<std::string>{"node.name", "heartbeat.interval", "redis.url",
                                      "redis.password", "redis.db", "health.disks", "socket.path",
                                      "socket.mode", "probe.x", "probe.y", "probe.w"}));
  for (const char* key : {"node.name", "socket.path", "socket.mode", "socket.group", "redis.db"}) {
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

TEST(Changes, ANewPasswordIsSeenWhereverItStands) {
  const Config a = config_of("[redis]\nurl = \"redis://:one@h\"\n");
  const Config b = config_of("[redis]\nurl = \"redis://:two@h\"\n");
  EXPECT_EQ(changed_keys(a, b), std::vector<std::string>{"redis.password"});
}

}  // namespace
}  // namespace nb::config
