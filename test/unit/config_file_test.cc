// Unit tests of config/: the file, and what is said about mistakes in it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "config/files.h"
#include "config_fixture.h"
#include "rpc/line_limits.h"

namespace nb::config {
namespace {

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

TEST(ConfigFile, ALeaseHasThePatienceOfTwoRenewals) {
  EXPECT_EQ(error_of("[lease]\ninterval = \"2s\"\n"),
            "f.toml:2: key 'lease.interval': lease.patience (\"3s\") has to be at least two "
            "lease.interval (\"2s\"), or a single late renewal makes the node seem dead");
  EXPECT_EQ(error_of("[lease]\ninterval = \"250ms\"\npatience = \"1s\"\n"), "");
  EXPECT_TRUE(contains(error_of("[lease]\npatience = \"900ms\"\n"), "1s to 10min"));
  EXPECT_TRUE(contains(error_of("[lease]\ninterval = \"200ms\"\n"), "250ms to 1min"));
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
  const std::string wanted = "nested more than 16 deep";
  EXPECT_TRUE(contains(error_of(dots + " = 1\n"), "f.toml:1:34: " + wanted));
  EXPECT_TRUE(contains(error_of("[" + dots + "]\n"), wanted));
  EXPECT_TRUE(contains(error_of("a = " + std::string(100000, '[')), wanted));
  std::string tables = "a = ";
  for (int i = 0; i < 20000; ++i) tables += "{a = ";
  EXPECT_TRUE(contains(error_of(tables), wanted));
}

TEST_F(Files, AMissingFileIsAnErrorOnlyIfItWasAskedFor) {
  Sources sources;
  sources.host_name = "hog";
  EXPECT_EQ(loaded(sources).config, default_config("hog"));
  sources.file = dir_ + "/none.toml";
  EXPECT_EQ(loaded(sources).config, default_config("hog"));
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

// --- the folder beside the file ------------------------------------------------------------------

class Folder : public Files {
 protected:
  void SetUp() override {
    Files::SetUp();
    ASSERT_EQ(::mkdir((dir_ + "/cell.d").c_str(), 0755), 0);
    sources_.host_name = "hog";
    sources_.file = dir_ + "/cell.toml";
    sources_.file_required = true;
  }

  std::string path(const std::string& name) const { return dir_ + "/cell.d/" + name; }
  std::string add(const std::string& name, const std::string& text) {
    return write("cell.d/" + name, text);
  }

  Sources sources_;
};

TEST(FilesOf, TheFoldersNameIsTheFilesWithAnotherEnd) {
  EXPECT_EQ(folder_beside("/etc/nodebeat/nodebeat.toml"), "/etc/nodebeat/nodebeat.d");
  EXPECT_EQ(folder_beside("cell"), "cell.d");
}

TEST_F(Folder, LaterFilesGoOverTheOnesBefore) {
  write("cell.toml", "[node]\nname = \"a\"\n[health]\ndisks = [\"/\", \"/data\"]\n");
  add("9.toml", "[health]\ndisks = [\"/home\"]\n");
  const std::string second = add("20-x.toml", "[node]\nname = \"c\"\n");
  const std::string first = add("10-y.toml", "[node]\nname = \"b\"\n[lease]\npatience = \"9s\"\n");
  const Loaded result = loaded(sources_);
  EXPECT_EQ(result.config.node.name, "c");
  EXPECT_EQ(result.origin_of("node.name"), second + ":2");
  EXPECT_EQ(result.origin_of("lease.patience"), first + ":4");
  EXPECT_EQ(result.config.health.disks, std::vector<std::string>{"/home"});
}

TEST_F(Folder, OnlyFilesThatAreMeantAreRead) {
  add("README", "not TOML");
  add(".#cell.toml", "not TOML");
  add("cell.toml~", "not TOML");
  add("cell.toml.dpkg-old", "not TOML");
  EXPECT_EQ(loaded(sources_).config, default_config("hog"));
}

TEST_F(Folder, TheFileItselfMayBeMissingWhereTheFolderIsThere) {
  EXPECT_EQ(loaded(sources_).config, default_config("hog"));
  add("a.toml", "[node]\nname = \"a\"\n");
  EXPECT_EQ(loaded(sources_).config.node.name, "a");
  sources_.file_required = false;
  EXPECT_EQ(loaded(sources_).config.node.name, "a");
}

TEST_F(Folder, AMistakeNamesItsFileAndTheyComeInTheOrderOfReading) {
  const std::string file = write("cell.toml", "\n\n\n[redis]\nurk = 1\n");
  const std::string b = add("b.toml", "[lease]\npatience = 1\n[node]\nnam = 1\n");
  const std::string a = add("a.toml", "\n[hog]\n");
  EXPECT_EQ(error_of(sources_),
            file + ":5: key 'redis.urk': unknown key; did you mean 'url'?\n" + a +
                ":2: section 'hog': unknown section; did you mean 'log'?\n" + b +
                ":2: key 'lease.patience': expected a duration such as \"5s\", got integer 1: "
                "write \"1s\"\n" +
                b + ":4: key 'node.nam': unknown key; did you mean 'name'?");
}

TEST_F(Folder, AFileThatCannotBeReadIsNamed) {
  ASSERT_EQ(::mkdir(path("a.toml").c_str(), 0755), 0);
  EXPECT_EQ(error_of(sources_), path("a.toml") + ": Is a directory");
  add("b.toml", "config_version = 2\n[what]\n");
  EXPECT_TRUE(contains(error_of(sources_), path("b.toml") + ":1: key 'config_version'"));
}

TEST_F(Folder, MoreFilesThanAnybodyMeantAreRefused) {
  for (int i = 0; i < 65; ++i) add(std::to_string(i) + ".toml", "");
  EXPECT_EQ(error_of(sources_), dir_ + "/cell.d: more than 64 files");
}

TEST_F(Folder, AProbeTakesThePlaceOfThatNameInAFileBefore) {
  const std::string probe = "[[probe]]\nname = \"x\"\ntype = \"tcp\"\naddress = \"hog:1\"\n";
  write("cell.toml", probe + "[[probe]]\nname = \"y\"\ntype = \"tcp\"\naddress = \"hog:2\"\n");
  const std::string a = add("a.toml", "[[probe]]\nname = \"x\"\ntype = \"unix\"\npath = \"/s\"\n");
  const Loaded result = loaded(sources_);
  ASSERT_EQ(result.config.probes.size(), 2u);
  EXPECT_EQ(result.config.probes[0].path, "/s");
  EXPECT_EQ(result.probe_origins[0], a + ":1");
  EXPECT_EQ(result.config.probes[1].name, "y");
  const std::string b = add("b.toml", probe + probe);
  EXPECT_EQ(error_of(sources_),
            b + ":5: key 'probe.name': there is already a probe 'x' (" + b + ":1)");
}

TEST_F(Folder, AListOfSocketsTakesThePlaceOfAllBefore) {
  write("cell.toml",
        "[[socket]]\npath = \"/a\"\nmode = \"0600\"\nallow_users = [\"robot\"]\n"
        "[[socket]]\npath = \"/b\"\nrights = [\"read\"]\n");
  EXPECT_EQ(loaded(sources_).config.more_sockets.size(), 1u);
  add("a.toml", "[[socket]]\npath = \"/c\"\n");
  const Loaded result = loaded(sources_);
  EXPECT_EQ(result.config.socket.path, "/c");
  EXPECT_EQ(result.config.socket.mode, 0660u);
  EXPECT_TRUE(result.config.socket.allow_users.empty());
  EXPECT_EQ(result.origin_of("socket.mode"), "default");
  EXPECT_TRUE(result.config.more_sockets.empty());
  // What [socket] says goes over the first of the list.
  add("b.toml", "[socket]\nmode = \"0666\"\n");
  EXPECT_EQ(loaded(sources_).config.socket.path, "/c");
  EXPECT_EQ(loaded(sources_).config.socket.mode, 0666u);
}

TEST_F(Folder, WhatIsNoFolderIsToldOf) {
  write("cell.toml", "");
  ASSERT_EQ(::rmdir((dir_ + "/cell.d").c_str()), 0);
  EXPECT_TRUE(load(sources_).ok());
  write("cell.d", "[node]\nname = \"x\"\n");
  EXPECT_TRUE(load(sources_).error().message.find("/cell.d: Not a directory") != std::string::npos);
  ASSERT_EQ(::unlink((dir_ + "/cell.d").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir_ + "/cell.d").c_str(), 0600), 0);
  EXPECT_TRUE(load(sources_).error().message.find("/cell.d: Not a directory") != std::string::npos);
}

TEST_F(Folder, TheFileWithThePasswordIsTheOneThatIsLookedAt) {
  write("cell.toml", "[redis]\nurl = \"redis://hog.local\"\n");
  const std::string file = add("secret.toml", "[redis]\npassword = \"geheim\"\n");
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  Loaded result = loaded(sources_);
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0],
            file + ": holds a password and may be read by every user of this host");
  EXPECT_TRUE(result.group_readable.empty()) << "it is told once";
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  result = loaded(sources_);
  EXPECT_TRUE(result.warnings.empty());
  ASSERT_EQ(result.group_readable.size(), 1u);
  EXPECT_EQ(result.group_readable[0].path, file);
}

}  // namespace
}  // namespace nb::config
