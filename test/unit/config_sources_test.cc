// Unit tests of config/: which of file, environment, flags and credentials wins; databases;
// secrets.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/print.h"
#include "config_fixture.h"

namespace nb::config {
namespace {

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
  EXPECT_TRUE(config("s3cret\n", 0644)->group_readable.empty()) << "it is told once";
  EXPECT_EQ(config("s3cret\n", 0640)->group_readable.size(), 1u);
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

}  // namespace
}  // namespace nb::config
