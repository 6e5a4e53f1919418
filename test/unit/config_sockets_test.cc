// [[socket]]: several sockets, and the one that is there without it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/changes.h"
#include "config/print.h"
#include "config_fixture.h"

namespace nb::config {
namespace {

const std::string kTwo =
    "[[socket]]\npath='/a'\nmax_line='1MiB'\n"
    "[[socket]]\npath='/b'\nmode='0666'\ngroup='g'\nallow_users=['u']\nrights=['state','read']\n"
    "max_clients=5\ncalls_per_second=7\nevents_per_second=8\n";

TEST(Sockets, EachHasRightsAndLimitsOfItsOwn) {
  const Loaded two = loaded(from_text(kTwo));
  const Config& c = two.config;
  EXPECT_EQ(c.socket.path, "/a");
  EXPECT_EQ(c.socket.rights.size(), 5u);
  EXPECT_EQ(c.socket.max_line, 1u << 20);
  ASSERT_EQ(c.more_sockets.size(), 1u) << "there is no view where the sockets are listed";
  const SocketConfig& b = c.more_sockets[0];
  EXPECT_EQ(b.path, "/b");
  EXPECT_EQ(b.mode, 0666u);
  EXPECT_EQ(b.group, "g");
  EXPECT_EQ(b.allow_users, std::vector<std::string>{"u"});
  EXPECT_EQ(b.rights, (std::vector<std::string>{"state", "read"}));
  EXPECT_EQ(b.max_clients, 5u);
  EXPECT_EQ(b.calls_per_second, 7u);
  EXPECT_EQ(b.events_per_second, 8u);
  EXPECT_EQ(b.max_line, 64u << 10) << "a default";
  EXPECT_FALSE(b.is_view);
  EXPECT_EQ(two.warnings,
            std::vector<std::string>{
                "f.toml:4: key 'socket.mode': every user of this host may reach the agent"});
}

TEST(Sockets, TheViewIsBesideTheFirst) {
  const auto view_of = [](const std::string& path) {
    const Config c = config_of("[socket]\npath='" + path + "'\nmode='0600'\n");
    return c.more_sockets.size() == 1 ? c.more_sockets[0].path : "none";
  };
  EXPECT_EQ(view_of("/x/agent.sock"), "/x/view.sock");
  EXPECT_EQ(view_of("/agent.sock"), "/view.sock");
  EXPECT_EQ(view_of("/x/left.sock"), "/x/left.sock.view") << "two agents in one folder";
  EXPECT_EQ(view_of("/" + std::string(101, 'a')), "/" + std::string(101, 'a') + ".view");
  EXPECT_EQ(view_of("/" + std::string(102, 'a')), "none") << "too long for the system";
  EXPECT_EQ(view_of(""), "none");
  EXPECT_TRUE(config_of("[[socket]]\npath='/a'\n").more_sockets.empty());
  Sources sources = with_environment({{"NODEBEAT_SOCKET", "/e/agent.sock"}});
  EXPECT_EQ(loaded(sources).config.more_sockets[0].path, "/e/view.sock");
}

TEST(Sockets, TheEnvironmentIsForTheFirst) {
  Sources sources = from_text(kTwo);
  sources.environment = {{"NODEBEAT_SOCKET_RIGHTS", "read,event"}};
  sources.flags.socket_path = "/flag";
  const Config c = loaded(sources).config;
  EXPECT_EQ(c.socket.path, "/flag");
  EXPECT_EQ(c.socket.rights, (std::vector<std::string>{"read", "event"}));
  EXPECT_EQ(c.more_sockets[0].path, "/b");
}

TEST(Sockets, WhatIsWrongIsNamedWithWhatWouldBeRight) {
  const std::string a = "[[socket]]\npath='/a'\n";
  EXPECT_EQ(error_of("[socket]\nrights=['raed']\n"),
            "f.toml:2: key 'socket.rights': expected one of \"read\", \"robot\", \"state\", "
            "\"event\", \"session\", got \"raed\"; did you mean \"read\"?");
  EXPECT_EQ(error_of("[socket]\nrights=[]\n"),
            "f.toml:2: key 'socket.rights': the list is empty: expected one or more of "
            "read|robot|state|event|session");
  EXPECT_EQ(error_of("[socket]\nrights=['read','read']\n"),
            "f.toml:2: key 'socket.rights': \"read\" is there twice");
  EXPECT_EQ(error_of("[socket]\nrights='read'\n"),
            "f.toml:2: key 'socket.rights': expected a list of texts, such as [\"a\", \"b\"], got "
            "\"read\"");
  EXPECT_EQ(error_of("[socket]\ncalls_per_second=-1\n"),
            "f.toml:2: key 'socket.calls_per_second': integer -1 is out of range: allowed is 0 to "
            "10000000");
  EXPECT_EQ(error_of(a + "[[socket]]\nrights=['read']\n"),
            "f.toml:3: a further [[socket]] needs 'path', which is not empty");
  EXPECT_EQ(error_of(a + "[[socket]]\npath=''\nrights=['read']\n"),
            "f.toml:3: a further [[socket]] needs 'path', which is not empty");
  EXPECT_EQ(error_of(a + "[[socket]]\npath='/b'\n"),
            "f.toml:3: a further [[socket]] needs 'rights': one or more of "
            "read|robot|state|event|session");
  EXPECT_EQ(error_of(a + "[[socket]]\npath='/b'\nrights=['read']\nmax_line='1MiB'\n"),
            "f.toml:6: key 'socket.max_line': belongs to the first [[socket]]: it holds for all of "
            "them");
  EXPECT_EQ(error_of(a + "[[socket]]\npath='/b'\nright=['read']\nrights=['read']\n"),
            "f.toml:5: key 'socket.right': unknown key; did you mean 'rights'?");
  EXPECT_EQ(error_of(a + "[[socket]]\npath='/a'\nrights=['read']\n"),
            "f.toml:3: key 'socket.path': there is already a socket at /a (f.toml:2)");
  EXPECT_EQ(error_of(kTwo + "[[socket]]\npath='/b'\nrights=['read']\n"),
            "f.toml:13: key 'socket.path': there is already a socket at /b (f.toml:4)");
  Sources flag = from_text(kTwo);
  flag.flags.socket_path = "/b";
  EXPECT_EQ(error_of(flag),
            "f.toml:4: key 'socket.path': there is already a socket at /b (--socket)");
  flag.flags.socket_path = "";
  EXPECT_EQ(error_of(flag),
            "--socket: key 'socket.path': is empty, so there are no sockets, but there are further "
            "[[socket]]s: give it a path, or remove them");
  EXPECT_EQ(error_of("socket = 5\n"),
            "f.toml:1: section 'socket': expected a table [socket], got integer 5");
  EXPECT_EQ(error_of("socket = [5]\n"),
            "f.toml:1: section 'socket': expected tables [[socket]], got integer 5");
  std::string many = a;
  for (int i = 0; i < 16; ++i) many += "[[socket]]\npath='/" + std::to_string(i) + "'\n";
  EXPECT_EQ(error_of(many), "f.toml:1: section 'socket': at most 16 sockets");
}

TEST(Sockets, WhatIsPrintedGivesThemAgain) {
  for (const std::string& text :
       {std::string(), kTwo, std::string("[[socket]]\npath='/a'\n"),
        std::string("[socket]\npath=''\n"), std::string("[socket]\npath='/agent.sock'\n")}) {
    const Loaded first = loaded(from_text(text));
    EXPECT_EQ(config_of(print(first)), first.config) << print(first);
  }
  EXPECT_TRUE(contains(print(loaded(from_text(""))),
                       "\n[socket]\n# and a socket with which one can only read: "
                       "/run/nodebeat/view.sock\npath = "));
  EXPECT_TRUE(
      contains(print(loaded(from_text(kTwo))),
               "\n[[socket]]                                # from f.toml:4\npath = \"/b\"\n"));
}

TEST(Sockets, AreOfTheNextStart) {
  const Config one = config_of("[socket]\npath='/x/agent.sock'\n");
  const Config two = config_of(kTwo);
  const Config other = config_of(kTwo + "[[socket]]\npath='/c'\nrights=['read']\n");
  EXPECT_EQ(changed_keys(one, config_of("[socket]\npath='/y/agent.sock'\n")),
            std::vector<std::string>{"socket.path"})
      << "the view goes with it";
  EXPECT_EQ(changed_keys(two, other), std::vector<std::string>{"socket"});
  EXPECT_TRUE(needs_restart("socket"));
  EXPECT_FALSE(needs_restart("probe"));
  Config running = two;
  Config next = other;
  keep_until_restart(running, next);
  EXPECT_EQ(next, two);
}

}  // namespace
}  // namespace nb::config
