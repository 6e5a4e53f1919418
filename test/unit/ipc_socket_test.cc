// The socket's file, what the service manager hands over, descriptors that run out, and lines cut
// anywhere.
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "base/line_framer.h"
#include "base/text.h"
#include "ipc/activation.h"
#include "ipc/server.h"
#include "ipc/socket_file.h"
#include "ipc/turns.h"
#include "support/captured_log.h"
#include "support/listener.h"
#include "support/socket_client.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::ipc {
namespace {

using test::Listener;
using test::SocketClient;
using test::TempTree;

std::string failure(const Status& status) {
  return status.ok() ? "" : status.error().message;
}

struct stat status_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// Of the first socket.
Result<int> activated_fd(const Environment& environment, int pid) {
  const auto fds = activated_fds(environment, pid, {"nodebeat", "nodebeat-view"});
  if (!fds) return fds.error();
  return int{fds->front()};
}

TEST(LineFramer, CutsTheSameLinesWhereverTheBytesAreSplit) {
  const std::string text = "one\n\ntwo two\n\nthree\nrest";
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) {
      LineFramer framer(7);
      std::string seen;
      for (const std::string_view part :
           {std::string_view(text).substr(0, a), std::string_view(text).substr(a, b - a),
            std::string_view(text).substr(b)}) {
        framer.feed(part);
        std::string_view line;
        LineFramer::Step step;
        while ((step = framer.next(line)) == LineFramer::Step::line) {
          seen += std::string(line) + "|";
          if (seen.size() % 2 == 0) framer.keep();
        }
        ASSERT_EQ(step, LineFramer::Step::more);
      }
      EXPECT_EQ(seen, "one||two two||three|");
      EXPECT_TRUE(framer.holds_bytes());
    }
  }
}

TEST(LineFramer, ALongLineIsToldOnceAndCostsOnlyItself) {
  const std::string text = "a\n12345678\nb\n123456789012345678901234567890\n\n1234567\n";
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) {
      LineFramer framer(7);
      std::string seen;
      for (const std::string_view part :
           {std::string_view(text).substr(0, a), std::string_view(text).substr(a, b - a),
            std::string_view(text).substr(b)}) {
        framer.feed(part);
        std::string_view line;
        for (LineFramer::Step step; (step = framer.next(line)) != LineFramer::Step::more;) {
          seen += step == LineFramer::Step::line ? std::string(line) + "|" : "!";
          if (seen.size() % 3 == 0) framer.keep();
        }
        EXPECT_LE(framer.capacity(), 64u);
      }
      EXPECT_EQ(seen, "a|!b|!|1234567|") << a << ", " << b;
      EXPECT_FALSE(framer.holds_bytes());
    }
  }
}

TEST(LineFramer, ALineThatIsSkippedEndsAtItsNewline) {
  LineFramer framer(100);
  std::string_view line;
  framer.feed("one\nhalf");
  ASSERT_EQ(framer.next(line), LineFramer::Step::line);
  ASSERT_EQ(framer.next(line), LineFramer::Step::more);
  framer.skip_line();
  EXPECT_FALSE(framer.holds_bytes());
  framer.feed(" and more");
  EXPECT_EQ(framer.next(line), LineFramer::Step::more);
  EXPECT_FALSE(framer.holds_bytes());
  framer.feed(" of it\ntwo\n");
  ASSERT_EQ(framer.next(line), LineFramer::Step::line);
  EXPECT_EQ(line, "two");
}

TEST(LineFramer, HoldsNoMemoryBetweenLines) {
  LineFramer framer(100'000);
  std::string_view line;
  const std::string half(50'000, 'x');
  framer.feed(half);
  EXPECT_EQ(framer.next(line), LineFramer::Step::more);
  EXPECT_GE(framer.capacity(), 50'000u);
  framer.feed("\n");
  EXPECT_EQ(framer.next(line), LineFramer::Step::line);
  EXPECT_EQ(line.size(), 50'000u);
  EXPECT_EQ(framer.next(line), LineFramer::Step::more);
  EXPECT_FALSE(framer.holds_bytes());
  EXPECT_LE(framer.capacity(), 1024u);
}

TEST(SocketFile, HasItsModeAndGroupAndGoesAway) {
  const TempTree tree;
  const std::string path = tree("/run/agent.sock");  // the folder is made
  const mode_t umask_before = ::umask(0077);
  {
    SocketFile file;
    EXPECT_EQ(failure(file.open(path, 0660, ::getgid())), "");
    const struct stat status = status_of(path);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777, 0660u);
    EXPECT_EQ(status.st_gid, ::getgid());
    EXPECT_EQ(status_of(tree("/run")).st_mode & 0777, 0755u);
    EXPECT_TRUE(SocketClient(path).connected());
    EXPECT_TRUE(exists(path + ".lock"));
  }
  ::umask(umask_before);
  EXPECT_FALSE(exists(path));
  EXPECT_FALSE(exists(path + ".lock"));
  EXPECT_EQ(::rmdir(tree("/run").c_str()), 0);  // nothing else was left
}

TEST(SocketFile, NeverStealsALiveSocket) {
  const TempTree tree;
  const std::string path = tree("/agent.sock");
  SocketFile first;
  ASSERT_EQ(failure(first.open(path, 0600, {})), "");
  const ino_t inode = status_of(path).st_ino;
  SocketFile second;
  const std::string pid = std::to_string(::getpid());
  EXPECT_EQ(failure(second.open(path, 0600, {})),
            path + " is in use: process " + pid + " holds " + path + ".lock");
  // The socket of another program, which does not use a lock.
  const std::string other = tree("/other.sock");
  const Listener listener(other);
  EXPECT_EQ(failure(second.open(other, 0600, {})), other + " is in use: process " + pid +
                                                       " (user " + std::to_string(::getuid()) +
                                                       ") listens on it");
  second.close();
  EXPECT_EQ(status_of(path).st_ino, inode);
  EXPECT_TRUE(exists(other));
  EXPECT_TRUE(exists(path + ".lock"));
  EXPECT_FALSE(exists(other + ".lock"));
}

TEST(SocketFile, ReplacesADeadSocketAndALeftLock) {
  const TempTree tree;
  const std::string path = tree("/agent.sock");
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  tree.write("/agent.sock.lock", "1234\n");
  SocketFile file;
  EXPECT_EQ(failure(file.open(path, 0600, {})), "");
  EXPECT_TRUE(SocketClient(path).connected());
}

// nodebeat.socket has its socket elsewhere, and leaves a link to it.
TEST(SocketFile, ReplacesALinkToASocketOnWhichNobodyListens) {
  const TempTree tree;
  const std::string target = tree("/target.sock");
  const std::string path = tree("/agent.sock");
  ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
  SocketFile living;
  EXPECT_EQ(failure(living.open(target, 0600, {})), "");
  SocketFile file;
  EXPECT_NE(failure(file.open(path, 0600, {})).find("is a symbolic link"), std::string::npos)
      << "somebody listens there";
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    target.copy(address.sun_path, sizeof address.sun_path - 1);
    living.close();
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_EQ(failure(file.open(path, 0600, {})), "");
  struct stat status {};
  ASSERT_EQ(::lstat(path.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode)) << "the link itself has been replaced";
  EXPECT_TRUE(SocketClient(path).connected());
  EXPECT_TRUE(exists(target));
}

TEST(SocketFile, LeavesAloneWhatIsNoSocket) {
  const TempTree tree;
  tree.write("/file", "precious");
  tree.write("/folder/file", "x");
  ASSERT_EQ(::symlink(tree("/nowhere").c_str(), tree("/link").c_str()), 0);
  const std::string rest =
      ", and is left alone: remove it, or configure another path for the socket";
  SocketFile file;
  EXPECT_EQ(failure(file.open(tree("/file"), 0600, {})), tree("/file") + " is a file" + rest);
  EXPECT_EQ(failure(file.open(tree("/folder"), 0600, {})), tree("/folder") + " is a folder" + rest);
  EXPECT_EQ(failure(file.open(tree("/link"), 0600, {})),
            tree("/link") + " is a symbolic link" + rest);
  EXPECT_TRUE(exists(tree("/file")));
  EXPECT_EQ(failure(file.open(tree("/file/agent.sock"), 0600, {})),
            tree("/file") + ", where the socket was to be, is no folder");
  const std::string deep = failure(file.open(tree("/a/b/agent.sock"), 0600, {}));
  EXPECT_EQ(deep.find("cannot make the folder " + tree("/a/b") + " for the socket: No such file"),
            0u)
      << deep;
  EXPECT_EQ(failure(file.open("", 0600, {})), "the socket's path '' names no file");
}

TEST(SocketFile, ALongPathIsAClearError) {
  const TempTree tree;
  SocketFile file;
  const std::string base = tree("/");
  const std::string fits = base + std::string(107 - base.size(), 's');
  EXPECT_EQ(failure(file.open(fits, 0600, {})), "");
  EXPECT_TRUE(SocketClient(fits).connected());
  EXPECT_EQ(failure(file.open(fits + "s", 0600, {})),
            "the socket's path is too long: 108 bytes, the system takes 107: " + fits + "s");
  // The name under which it is made counts too.
  const std::string folder = base + std::string(104 - base.size(), 'd');
  EXPECT_EQ(failure(file.open(folder + "/s", 0600, {})),
            "the socket's path is too long: 110 bytes, the system takes 107: " + folder + "/s");
}

TEST(SocketFile, RemovesOnlyWhatItMade) {
  const TempTree tree;
  const std::string path = tree("/agent.sock");
  SocketFile file;
  ASSERT_EQ(failure(file.open(path, 0600, {})), "");
  ASSERT_EQ(::rename(path.c_str(), tree("/moved").c_str()), 0);
  const Listener other(path);
  file.close();
  EXPECT_TRUE(exists(path));
}

TEST(Activation, FindsTheSocketThatIsMeant) {
  EXPECT_EQ(*activated_fd({}, 7), -1);
  EXPECT_EQ(*activated_fd({{"LISTEN_PID", "8"}, {"LISTEN_FDS", "1"}}, 7), -1);
  EXPECT_EQ(*activated_fd({{"LISTEN_PID", "7"}, {"LISTEN_FDS", "0"}}, 7), -1);
  for (const char* wrong : {"", "x", "-1", "65", "99999999999"}) {
    const auto fd = activated_fd({{"LISTEN_PID", "7"}, {"LISTEN_FDS", wrong}}, 7);
    ASSERT_FALSE(fd.ok()) << wrong;
    EXPECT_EQ(fd.error().message,
              "LISTEN_FDS is '" + std::string(wrong) + "', not a number of descriptors");
  }
  const auto unclear =
      activated_fd({{"LISTEN_PID", "7"}, {"LISTEN_FDS", "2"}, {"LISTEN_FDNAMES", "a:b"}}, 7);
  ASSERT_FALSE(unclear.ok());
  EXPECT_EQ(unclear.error().message.find("2 sockets were handed over (LISTEN_FDS), none of them"),
            0u);
}

// Descriptors 3 and 4 are put there in a child process, as the service manager does.
TEST(Activation, TakesTheNamedListeningSocketOnly) {
  const TempTree tree;
  const Listener listener(tree("/s"));
  const Listener tcp;
  const auto in_child = [&](auto check) {
    EXPECT_EXIT(
        {
          const int kept = ::fcntl(listener.fd(), F_DUPFD, 50);
          const int other = ::fcntl(tcp.fd(), F_DUPFD, 50);
          ::dup2(other, 3);
          ::dup2(kept, 4);
          std::_Exit(check() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  };
  in_child([] {
    const auto fd = activated_fd(
        {{"LISTEN_PID", "7"}, {"LISTEN_FDS", "2"}, {"LISTEN_FDNAMES", "web:nodebeat"}}, 7);
    return fd.ok() && *fd == 4 && (::fcntl(4, F_GETFD) & FD_CLOEXEC) != 0 &&
           (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0;
  });
  in_child([] {
    const auto fd = activated_fd({{"LISTEN_PID", "7"}, {"LISTEN_FDS", "1"}}, 7);
    return !fd.ok() && fd.error().message.find("is no Unix stream socket") != std::string::npos;
  });
  in_child([] {
    return !activated_fd(
                {{"LISTEN_PID", "7"}, {"LISTEN_FDS", "2"}, {"LISTEN_FDNAMES", "nodebeat:nodebeat"}},
                7)
                .ok();
  });
}

class SocketServer : public testing::Test {
 protected:
  void on_open(ClientId, const Peer&) { ++opened; }
  void on_line(ClientId client, std::string_view line) {
    if (std::string* out = server->begin_line(client)) {
      *out += line;
      server->end_line(client);
    }
  }
  Status start() {
    server = std::make_unique<Server>(
        loop.loop(), log, options,
        ServerEvents{Delegate<void(ClientId, const Peer&)>::to<&SocketServer::on_open>(this),
                     Delegate<void(ClientId, std::string_view)>::to<&SocketServer::on_line>(this),
                     {}});
    return server->start();
  }

  test::TestLoop loop;
  TempTree tree;
  test::CapturedLog log;
  ServerOptions options{{.path = tree("/agent.sock")}};
  std::unique_ptr<Server> server;
  int opened = 0;
};

TEST_F(SocketServer, ServesAnInheritedSocketAndLeavesItsFile) {
  const Listener listener(tree("/s"));
  options.inherited_fd = ::fcntl(listener.fd(), F_DUPFD_CLOEXEC, 3);
  ASSERT_EQ(failure(start()), "");
  SocketClient client(tree("/s"));
  client.send("hello\n");
  ASSERT_TRUE(loop.run_until([&] { return client.received() == "hello\n"; }));
  server->stop();
  EXPECT_TRUE(exists(tree("/s")));
  EXPECT_FALSE(exists(options.path));
}

TEST_F(SocketServer, RefusesToInheritWhatDoesNotListen) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  options.inherited_fd = fd.get();
  EXPECT_NE(failure(start()).find("does not listen"), std::string::npos);
}

TEST_F(SocketServer, WithoutDescriptorsAClientIsToldAndTheLoopDoesNotSpin) {
  ASSERT_EQ(failure(start()), "");
  SocketClient first(options.path);
  ASSERT_TRUE(loop.run_until([&] { return opened == 1; }));
  SocketClient second(options.path);
  SocketClient third(options.path);
  rlimit limits{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limits), 0);
  // As if all were used up: the lowest free one is not below the limit.
  const int lowest = ::dup(0);
  ASSERT_GE(lowest, 0);
  ::close(lowest);
  const rlimit tight{static_cast<rlim_t>(lowest), limits.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const std::string busy =
      nb::format(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32006,"message":"the agent has no )"
                 R"(descriptors left of the %d that it may have (LimitNOFILE): try again later",)"
                 R"("data":{"name":"busy","limit":%d}}})"
                 "\n",
                 lowest, lowest);
  EXPECT_TRUE(loop.run_until([&] { return second.closed() && third.closed(); }));
  first.send("still here\n");
  EXPECT_TRUE(loop.run_until([&] { return first.received() == "still here\n"; }));
  // Nothing is due: the loop would wait.
  for (int i = 0; i < 4; ++i) loop.loop().run_once(false);
  EXPECT_EQ(uv_backend_timeout(loop.loop().raw()), -1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limits), 0);
  EXPECT_EQ(second.take(), busy);
  EXPECT_EQ(third.take(), busy);
  EXPECT_EQ(server->counters().refused, 2u);
  EXPECT_EQ(log.count(LogLevel::error, "no descriptors left"), 1) << log.text();
  SocketClient fourth(options.path);
  EXPECT_TRUE(loop.run_until([&] { return opened == 2; }));
}

TEST_F(SocketServer, LeaksNoDescriptor) {
  const auto lowest_free = [] {
    const int fd = ::dup(0);
    ::close(fd);
    return fd;
  };
  ASSERT_EQ(failure(start()), "");
  const int before = lowest_free();
  for (int i = 0; i < 50; ++i) {
    SocketClient client(options.path);
    client.send(i % 2 == 0 ? "a\nb" : std::string(70'000, 'x'));
    ASSERT_TRUE(loop.run_until([&] { return opened == i + 1; }));
  }
  ASSERT_TRUE(loop.run_until([&] { return server->clients() == 0 && lowest_free() == before; }));
}

}  // namespace
}  // namespace nb::ipc
