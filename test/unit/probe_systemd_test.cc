// Unit tests of probe/: units of a systemd behind a bus that is made up.
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include "probe/dbus_message.h"
#include "probe/system_bus.h"
#include "probe_fixture.h"

namespace nb::probe {
namespace {

// A system bus that is scripted by the test: `say` is what it answers to what it hears.
class FakeBus {
 public:
  explicit FakeBus(const std::string& path) : listener_(path) {}

  void pump() {
    if (listener_.ready()) {
      fd_ = listener_.accept();
      ++connections;
      heard.clear();
    }
    char buffer[4096];
    ssize_t n;
    while (fd_ && (n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      heard.append(buffer, static_cast<size_t>(n));
    }
  }
  void say(const std::string& text) { ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  void hang_up() { fd_.reset(); }

  std::string heard;
  int connections = 0;

 private:
  Listener listener_;
  UniqueFd fd_;
};

// A method return with a variant string.
std::string bus_reply(uint8_t serial, const std::string& text) {
  std::string out("l\x02\x01\x01", 4);
  const auto u32 = [&](size_t value) {
    out += std::string{static_cast<char>(value), '\0', '\0', '\0'};
  };
  u32(8 + text.size() + 1);
  u32(1);
  u32(15);
  out += std::string("\x05\x01u\0", 4);
  u32(serial);
  out += std::string("\x08\x01g\0\x01v\0\0", 8);
  out += std::string("\x01s\0\0", 4);
  u32(text.size());
  return out + text + '\0';
}

class Systemd : public testing::Test {
 protected:
  std::string path_ = "/tmp/nodebeat-probe-bus-" + std::to_string(::getpid());
  TestLoop loop_;
  Probes probes_{loop_, {.version = "0.1", .proc_root = "/proc", .system_bus = path_}};

  static ProbeSpec unit(const std::string& name, Duration timeout = 10s) {
    ProbeSpec spec = once(ProbeType::systemd, 0, timeout);
    spec.target = {};
    spec.name = name;
    spec.unit = name;
    return spec;
  }
};

TEST_F(Systemd, AsksOverOneConnectionAndReadsSplitReplies) {
  FakeBus bus(path_);
  probes_->set({unit("one"), unit("two.socket"), unit("three")});
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.heard.find("three_2eservice") != std::string::npos;
  }));
  EXPECT_TRUE(bus.heard.starts_with(std::string(1, '\0') + "AUTH EXTERNAL "));
  EXPECT_NE(bus.heard.find("two_2esocket"), std::string::npos);
  // Serial 1 was Hello; the answers come in another order than the questions.
  std::string replies = "OK 0123\r\n" + bus_reply(1, ":1.7") + bus_reply(4, "inactive") +
                        bus_reply(2, "active") + bus_reply(3, "failed");
  size_t said = 0;
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    if (said < replies.size()) bus.say(replies.substr(said++, 1));
    return probes_.changes().size() == 2 && said == replies.size();
  }));
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.heard.find("LoadState") != std::string::npos;
  }));
  bus.say(bus_reply(5, "not-found"));
  ASSERT_TRUE(probes_.wait(3));
  EXPECT_EQ(probes_.report(0).up, true);
  EXPECT_EQ(probes_.report(0).detail, "one.service is active");
  EXPECT_EQ(probes_.report(1).detail, "two.socket is failed");
  EXPECT_EQ(probes_.report(2).detail, "there is no unit three.service");
  EXPECT_EQ(bus.connections, 1);
}

TEST_F(Systemd, SaysWhatIsWrongWithTheBus) {
  const auto detail = [&](const std::function<void(FakeBus&)>& act) {
    FakeBus bus(path_);
    probes_->set({});
    probes_->set({unit("one")});
    const size_t before = probes_.changes().size();
    bool acted = false;
    EXPECT_TRUE(loop_.run_until([&] {
      bus.pump();
      if (!acted && bus.heard.find("one_2eservice") != std::string::npos) {
        acted = true;
        act(bus);
      }
      return !probes_.report().detail.empty();
    }));
    EXPECT_EQ(probes_.changes().size(), before) << "no bus says nothing of a unit";
    EXPECT_EQ(probes_.report().up, std::nullopt);
    return probes_.report().detail;
  };
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say("REJECTED EXTERNAL\r\n"); }),
            "system bus: refused the agent: REJECTED EXTERNAL");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.hang_up(); }), "system bus: closed the connection");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say("OK 1\r\nHTTP/1.1 400 Bad Request\r\n"); }),
            "system bus: answer is not D-Bus");
  EXPECT_EQ(detail([](FakeBus& bus) { bus.say(std::string(5000, 'x')); }),
            "system bus: answer is not D-Bus");
  probes_->set({});
  probes_->set({unit("one")});
  ASSERT_TRUE(loop_.run_until([&] { return !probes_.report().detail.empty(); }));
  EXPECT_EQ(probes_.report().up, std::nullopt);
  EXPECT_EQ(probes_.report().detail, "system bus: " + path_ + ": no such file or directory");
}

TEST_F(Systemd, ASilentBusCostsAProbeItsDeadlineAndIsDialledAgainForTheOthers) {
  FakeBus bus(path_);
  probes_->set({unit("hasty", 50ms), unit("patient")});
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return probes_.report(0).detail == "no answer from systemd within 50 ms";
  }));
  EXPECT_EQ(probes_.report(0).up, std::nullopt);
  ASSERT_TRUE(loop_.run_until([&] {
    bus.pump();
    return bus.connections == 2 && bus.heard.find("patient_2eservice") != std::string::npos;
  }));
  bus.say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(probes_.wait(1));
  EXPECT_EQ(probes_.report(1).up, true);
}

TEST_F(Systemd, ABusThatGoesChangesNothingThatWasKnown) {
  ProbeSpec spec = unit("one");
  spec.interval = 5ms;
  std::optional<FakeBus> bus(std::in_place, path_);
  probes_->set({spec});
  ASSERT_TRUE(loop_.run_until([&] {
    bus->pump();
    return bus->heard.find("one_2eservice") != std::string::npos;
  }));
  bus->say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(probes_.wait(1, [&] { bus->pump(); }));
  EXPECT_EQ(probes_.report().up, true);
  bus.reset();
  ASSERT_TRUE(loop_.run_until([&] { return probes_.report().up == std::nullopt; }));
  EXPECT_EQ(probes_.report().last_known, true);
  EXPECT_TRUE(probes_.report().detail.starts_with("system bus: ")) << probes_.report().detail;
  EXPECT_EQ(probes_.log().count(LogLevel::warning, "probe one (systemd) is unknown: system bus"),
            1);
  // Back again, and as it was: no news, but a line in the log.
  bus.emplace(path_);
  ASSERT_TRUE(loop_.run_until([&] {
    bus->pump();
    return bus->heard.find("one_2eservice") != std::string::npos;
  }));
  bus->say("OK 1\r\n" + bus_reply(1, ":1.1") + bus_reply(2, "active"));
  ASSERT_TRUE(loop_.run_until([&] { return bus->pump(), probes_.report().up == true; }));
  EXPECT_EQ(probes_.report().detail, "one.service is active");
  EXPECT_EQ(probes_.changes().size(), 1u);
  EXPECT_EQ(probes_.log().count(LogLevel::warning), 1) << probes_.log().text();
  EXPECT_EQ(probes_.log().count(LogLevel::info, "is still up"), 1) << probes_.log().text();
}

}  // namespace
}  // namespace nb::probe
