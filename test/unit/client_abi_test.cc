// What the C ABI of libnodebeat promises to programs of other ages, and to children of fork().
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nodebeat/client.h"
#include "rpc/line_limits.h"
#include "support/fake_agent.h"

namespace nb::client {
namespace {

using test::FakeAgent;
using Lines = std::vector<std::string>;

class ClientAbiTest : public testing::Test {
 protected:
  ClientAbiTest() {
    char folder[] = "/tmp/nb_client_XXXXXX";
    folder_ = ::mkdtemp(folder);
    path_ = folder_ + "/agent.sock";
    agent_ = std::make_unique<FakeAgent>(path_);
    options_.size = sizeof options_;
    options_.socket_path = path_.c_str();
    options_.reconnect_ms = 1;
  }
  ~ClientAbiTest() override {
    nb_client_close(client_);
    agent_.reset();
    ::rmdir(folder_.c_str());
  }

  void open() {
    ASSERT_EQ(nb_client_open(&options_, &client_, nullptr, 0), NB_OK);
    ASSERT_TRUE(agent_->accept());
    ASSERT_EQ(agent_->lines().size(), 1u);  // the hello
  }
  int open_with(const void* options) {
    nb_client* client = nullptr;
    const int result = nb_client_open(static_cast<const nb_client_options*>(options), &client,
                                      error_, sizeof error_);
    nb_client_close(client);
    return result;
  }

  std::string folder_;
  std::string path_;
  nb_client_options options_{};
  std::unique_ptr<FakeAgent> agent_;
  nb_client* client_ = nullptr;
  char error_[256] = "";
  int agent_fd_ = -1;
};

// --- programs that were built with another header -----------------------------------------------

// A struct of `size` bytes in memory of exactly that size: a sanitizer sees what is read beyond it.
template <class T>
std::unique_ptr<char[]> sized(const T& whole, size_t size) {
  auto bytes = std::make_unique<char[]>(size);
  std::memcpy(bytes.get(), &whole, std::min(size, sizeof whole));
  const auto told = static_cast<uint32_t>(size);
  std::memcpy(bytes.get(), &told, sizeof told);
  return bytes;
}

TEST_F(ClientAbiTest, OptionsOfEveryEarlierSizeAreAccepted) {
  for (size_t size = offsetof(nb_client_options, name); size <= sizeof options_;
       size += alignof(nb_client_options)) {
    EXPECT_EQ(open_with(sized(options_, size).get()), NB_OK) << size << error_;
  }
  for (const size_t size : {size_t{0}, size_t{4}, sizeof options_ - 1, sizeof options_ + 1}) {
    auto bytes = sized(options_, std::max(size, sizeof(uint32_t) * 2));
    const auto told = static_cast<uint32_t>(size);
    std::memcpy(bytes.get(), &told, sizeof told);
    EXPECT_EQ(open_with(bytes.get()), NB_ERR_ARGUMENT) << size;
    EXPECT_NE(std::string(error_).find("sizeof(nb_client_options)"), std::string::npos) << error_;
  }
  nb_client_options nobody_set_it = options_;
  nobody_set_it.size = 0xffffffff;
  EXPECT_EQ(open_with(&nobody_set_it), NB_ERR_ARGUMENT);
}

TEST_F(ClientAbiTest, OptionsOfALaterVersionAreAcceptedIfNothingUnknownIsSet) {
  auto later = sized(options_, sizeof options_ + 32);
  EXPECT_EQ(open_with(later.get()), NB_OK) << error_;
  later[sizeof options_ + 31] = 1;
  EXPECT_EQ(open_with(later.get()), NB_ERR_ARGUMENT);
  EXPECT_NE(std::string(error_).find("does not know"), std::string::npos) << error_;
  options_.reserved = 1;
  EXPECT_EQ(open_with(&options_), NB_ERR_ARGUMENT);
  options_.reserved = 0;
  options_.reserved_2 = 1;
  EXPECT_EQ(open_with(&options_), NB_ERR_ARGUMENT);
  options_.reserved_2 = 0;
  for (const uint32_t ms : {1u, 9u, 3'600'001u}) {
    options_.deadline_ms = ms;
    EXPECT_EQ(open_with(&options_), NB_ERR_ARGUMENT) << ms;
    EXPECT_NE(std::string(error_).find("deadline_ms"), std::string::npos) << error_;
  }
  options_.deadline_ms = 0;
  for (const uint32_t bytes : {1u, 65535u, 1048577u}) {
    options_.max_line_bytes = bytes;
    EXPECT_EQ(open_with(&options_), NB_ERR_ARGUMENT) << bytes;
    EXPECT_NE(std::string(error_).find("max_line_bytes"), std::string::npos) << error_;
  }
}

TEST_F(ClientAbiTest, AnErrorNamesTheLimitThatHolds) {
  const std::string line = std::to_string(rpc::kLineBytes);
  const std::string most = std::to_string(rpc::kMostLineBytes);
  const nb_client_options fine = options_;
  const auto words = [&] {
    EXPECT_EQ(open_with(&options_), NB_ERR_ARGUMENT);
    options_ = fine;
    return std::string(error_);
  };
  options_.slot_bytes = rpc::kLineBytes + 1;
  EXPECT_EQ(words(), "slot_bytes must be between 1024 and " + line);
  options_.event_ring_bytes = 1023;
  EXPECT_EQ(words(), "event_ring_bytes must be between 1024 and 16777216");
  options_.max_line_bytes = rpc::kMostLineBytes + 1;
  EXPECT_EQ(words(), "max_line_bytes must be between " + line + " and " + most);
  const std::string longest(107, 'p');
  options_.socket_path = longest.c_str();
  EXPECT_EQ(open_with(&options_), NB_OK) << error_;
  const std::string long_path = longest + 'p';
  options_.socket_path = long_path.c_str();
  EXPECT_NE(words().find("1 to 107 bytes"), std::string::npos) << error_;
  const std::string long_name(65, 'n');
  options_.name = long_name.c_str();
  EXPECT_NE(words().find("1 to 64 bytes"), std::string::npos) << error_;
  const std::string long_will = '[' + std::string(rpc::kLineBytes, ' ') + ']';
  options_.will = long_will.c_str();
  EXPECT_NE(words().find("at most 65024 bytes"), std::string::npos) << error_;
}

TEST_F(ClientAbiTest, StatesOfEverySizeAreAcceptedWithTheMembersThatTheyHave) {
  open();
  const double joints[] = {1, 2};
  nb_robot_state state{};
  state.has = NB_ROBOT_IS_CONNECTED_L | NB_ROBOT_JOINTS_L;
  state.is_connected_l = 1;
  state.joints_l = joints;
  state.joints_l_count = 2;
  const auto push = [&](size_t size) {
    return nb_push_robot_state(client_,
                               reinterpret_cast<const nb_robot_state*>(sized(state, size).get()));
  };
  for (size_t size = offsetof(nb_robot_state, joints_r); size <= sizeof state + 16;
       size += alignof(nb_robot_state)) {
    EXPECT_EQ(push(size), NB_OK) << size;
    EXPECT_EQ(agent_->lines(), Lines{R"({"jsonrpc":"2.0","method":"robot.update","params":)"
                                     R"({"is_connected_l":true,"joints_l":[1.0,2.0]}})"});
  }
  // A bit whose member the struct does not hold.
  EXPECT_EQ(push(offsetof(nb_robot_state, joints_l)), NB_ERR_ARGUMENT);
  state.has = NB_ROBOT_TIMESTAMP;
  EXPECT_EQ(push(offsetof(nb_robot_state, timestamp_us)), NB_ERR_ARGUMENT);
  EXPECT_EQ(push(sizeof state), NB_OK);

  nb_stroke stroke{};
  stroke.has = NB_STROKE_STROKE_IDX | NB_STROKE_TOTAL_STROKES;
  stroke.stroke_idx = 3;
  const auto update = [&](size_t size) {
    return nb_stroke_update(client_, reinterpret_cast<const nb_stroke*>(sized(stroke, size).get()));
  };
  for (size_t size = offsetof(nb_stroke, stroke_length); size <= sizeof stroke + 16;
       size += alignof(nb_stroke)) {
    EXPECT_EQ(update(size), NB_OK) << size;
  }
  EXPECT_EQ(update(offsetof(nb_stroke, total_strokes)), NB_ERR_ARGUMENT);
  stroke.has = NB_STROKE_IS_PAUSED;
  EXPECT_EQ(update(offsetof(nb_stroke, is_executing)), NB_ERR_ARGUMENT);
}

TEST_F(ClientAbiTest, CountersAreHandedToStructsOfEverySize) {
  open();
  ASSERT_EQ(nb_stroke_end(client_), NB_OK);
  for (size_t size = offsetof(nb_client_stats, sent); size <= sizeof(nb_client_stats) + 16;
       size += alignof(nb_client_stats)) {
    auto bytes = std::make_unique<char[]>(size);
    std::memset(bytes.get(), 0x55, size);
    auto* const stats = reinterpret_cast<nb_client_stats*>(bytes.get());
    stats->size = static_cast<uint32_t>(size);
    EXPECT_EQ(nb_client_get_stats(client_, stats), NB_OK);
    EXPECT_EQ(stats->size, size);
    EXPECT_EQ(stats->pushed, 1u);
    for (size_t i = sizeof *stats; i < size; ++i) EXPECT_EQ(bytes[i], 0) << i;
  }
  nb_client_stats stats{};
  stats.size = sizeof stats - 1;
  EXPECT_EQ(nb_client_get_stats(client_, &stats), NB_ERR_ARGUMENT);
}

// --- children -----------------------------------------------------------------------------------

// Runs `what` in a child; the child's exit code.
int in_child(const std::function<int()>& what) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(what());
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ClientAbiTest, AChildThatInheritedAClientIsToldSoAndChangesNothing) {
  open();
  const auto everything = [&]() -> int {
    nb_robot_state state{};
    state.size = sizeof state;
    nb_stroke stroke{};
    stroke.size = sizeof stroke;
    stroke.has = NB_STROKE_TOTAL_STROKES;
    nb_client_stats stats{};
    stats.size = sizeof stats;
    const int results[] = {nb_push_robot_state(client_, &state),
                           nb_stroke_start(client_, &stroke),
                           nb_stroke_update(client_, &stroke),
                           nb_stroke_end(client_),
                           nb_report_error(client_, "c", "m", nullptr),
                           nb_publish(client_, "c", "{}"),
                           nb_notify(client_, "m", nullptr),
                           nb_client_dispatch(client_),
                           nb_call(client_, "m", nullptr, nullptr, 0, 1000),
                           nb_subscribe(client_, "c", 0, 1000),
                           nb_unsubscribe(client_, "c", 0, 1000),
                           nb_client_wait(client_, 1000),
                           nb_client_flush(client_, 1000),
                           nb_client_get_stats(client_, &stats)};
    int number = 1;
    for (const int result : results) {
      if (result != NB_ERR_FORKED) return number;
      ++number;
    }
    char words[128] = "";
    if (nb_client_last_error(client_, words, sizeof words) != 0) return 101;
    if (std::string(words) != nb_result_text(NB_ERR_FORKED)) return 102;
    if (nb_client_get_fd(client_) != -1 || nb_client_get_events(client_) != 0 ||
        nb_client_get_timeout(client_) != -1) {
      return 103;
    }
    const int fd = agent_fd_;
    nb_client_close(client_);
    return ::fcntl(fd, F_GETFD) == -1 ? 0 : 104;  // the child's copy is closed
  };
  agent_fd_ = nb_client_get_fd(client_);
  EXPECT_EQ(in_child(everything), 0);
  EXPECT_TRUE(agent_->lines().empty());
  // The parent's session goes on.
  EXPECT_EQ(nb_stroke_end(client_), NB_OK);
  EXPECT_EQ(agent_->lines(), Lines{R"({"jsonrpc":"2.0","method":"stroke.end"})"});
  nb_client_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(nb_client_get_stats(client_, &stats), NB_OK);
  EXPECT_EQ(stats.disconnects, 0u);
  EXPECT_EQ(stats.pushed, 1u);
}

TEST_F(ClientAbiTest, AChildOpensAClientOfItsOwn) {
  open();
  EXPECT_EQ(in_child([&] {
              nb_client* own = nullptr;
              if (nb_client_open(&options_, &own, nullptr, 0) != NB_OK) return 1;
              if (nb_notify(own, "from.child", nullptr) != NB_OK) return 2;
              nb_client_close(client_);
              if (nb_notify(own, "from.child", nullptr) != NB_OK) return 3;
              // And its own child is told of both.
              const int below =
                  in_child([&] { return nb_notify(own, "m", nullptr) == NB_ERR_FORKED ? 0 : 1; });
              nb_client_close(own);
              return below == 0 ? 0 : 4;
            }),
            0);
  EXPECT_EQ(nb_notify(client_, "from.parent", nullptr), NB_OK);
  EXPECT_EQ(agent_->lines(), Lines{R"({"jsonrpc":"2.0","method":"from.parent"})"});
  ASSERT_TRUE(agent_->accept());
  EXPECT_EQ(agent_->lines().size(), 4u);  // hello, two notes, goodbye
}

TEST_F(ClientAbiTest, AChildsCopyIsClosedAlsoIfThePathIsALinkToTheSocket) {
  const std::string link = path_ + ".link";
  ASSERT_EQ(::symlink(path_.c_str(), link.c_str()), 0);
  options_.socket_path = link.c_str();
  open();
  const int fd = nb_client_get_fd(client_);
  EXPECT_EQ(in_child([&] {
              nb_client_close(client_);
              return ::fcntl(fd, F_GETFD) == -1 ? 0 : 1;
            }),
            0);
  ::unlink(link.c_str());
}

// A child that has closed everything, as daemons do: the number is another file's by then.
TEST_F(ClientAbiTest, AChildsOtherDescriptorsAreLeftAlone) {
  open();
  const int fd = nb_client_get_fd(client_);
  EXPECT_EQ(in_child([&] {
              int pair[2];
              if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
              // The last one has connected to the same agent by itself.
              const int beside = ::socket(AF_UNIX, SOCK_STREAM, 0);
              sockaddr_un address{};
              address.sun_family = AF_UNIX;
              path_.copy(address.sun_path, sizeof address.sun_path - 1);
              if (::connect(beside, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
                return 4;
              }
              for (const int other : {::open("/dev/null", O_RDONLY), pair[0], beside}) {
                if (::dup2(other, fd) != fd) return 2;
                const pid_t grandchild = ::fork();
                if (grandchild == 0) {
                  nb_client_close(client_);
                  ::_exit(::fcntl(fd, F_GETFD) == -1 ? 1 : 0);
                }
                int status = -1;
                ::waitpid(grandchild, &status, 0);
                if (status != 0) return 3;
              }
              return 0;
            }),
            0);
}

TEST_F(ClientAbiTest, DescriptorsAreClosedOnExec) {
  open();
  EXPECT_NE(::fcntl(nb_client_get_fd(client_), F_GETFD) & FD_CLOEXEC, 0);
}

// --- words of strangers -------------------------------------------------------------------------

TEST_F(ClientAbiTest, TheWordsOfTheAgentAreFitForALogAndATerminal) {
  open();
  const auto said = [&](const std::string& message) {
    EXPECT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":")" +
                             message + "\"}}\n"));
    char words[1024] = "";
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(nb_client_last_error(client_, words, sizeof words), -32600);
    }
    return std::string(words);
  };
  EXPECT_EQ(said("a\\u001b[2J\\u009b\\u202e\\n\\u007fz"), "a?[2J???????z");
  EXPECT_EQ(said("\xc2\x9b"
                 "31m"),
            "??31m");
  EXPECT_EQ(said("sch\xc3\xb6n \xf0\x9f\xa4\x96"), "sch\xc3\xb6n \xf0\x9f\xa4\x96");
  // What is long is cut, not within a character.
  std::string many;
  for (int i = 0; i < 500; ++i) many += "\xe2\x82\xac";
  const std::string cut = said("x" + many);
  EXPECT_EQ(cut.size(), 382u);  // of 384: the last character would not be whole
  EXPECT_EQ(cut.substr(0, 4), "x\xe2\x82\xac");
  EXPECT_EQ(cut.substr(379), "\xe2\x82\xac");
}

}  // namespace
}  // namespace nb::client
