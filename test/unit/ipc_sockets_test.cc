// Several sockets of one server, each with rights and limits of its own; and notifications that are
// refused again and again.
#include <sys/stat.h>

#include "ipc_fixture.h"

namespace nb::ipc {
namespace {

class IpcSockets : public Ipc {
 protected:
  IpcSockets() {
    SocketOptions view;
    view.path = tree("/view.sock");
    view.mode = 0600;
    view.max_clients = 2;
    view.max_clients_per_user = 2;
    view.rights = rpc::Rights().with(rpc::Right::read);
    view.calls_per_second = 3;
    options.further = {view};
  }
  const std::string& view() const { return options.further[0].path; }
  std::unique_ptr<SocketClient> accepted_at(const std::string& path) {
    const size_t before = open.size();
    auto client = connect(path);
    EXPECT_TRUE(loop.run_until([&] { return open.size() > before; }));
    return client;
  }
};

TEST_F(IpcSockets, RightsAreThoseOfTheSocket) {
  start();
  auto all = accepted();
  auto reader = accepted_at(view());
  EXPECT_EQ(reply(*reader, request("echo", "1")), result_line("1", "{}"));
  EXPECT_TRUE(last_rights.has(rpc::Right::read));
  EXPECT_FALSE(last_rights.has(rpc::Right::robot));
  EXPECT_EQ(&server->socket_of(last_client), &server->options().further[0]);
  EXPECT_EQ(reply(*all, request("echo", "1")), result_line("1", "{}"));
  EXPECT_TRUE(last_rights.has(rpc::Right::robot));
  EXPECT_EQ(&server->socket_of(last_client), &server->options());
  EXPECT_EQ(server->client_count(), 2u);
}

TEST_F(IpcSockets, EachHasItsFileAndAllGoAtTheStop) {
  start();
  struct stat status {};
  ASSERT_EQ(::stat(view().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  server->stop();
  EXPECT_NE(::access(view().c_str(), F_OK), 0);
  EXPECT_NE(::access(options.path.c_str(), F_OK), 0);
}

TEST_F(IpcSockets, WhoFillsOneKeepsNobodyFromTheOther) {
  start();
  auto one = accepted_at(view());
  auto two = accepted_at(view());
  auto third = connect(view());
  EXPECT_TRUE(loop.run_until([&] { return third->closed(); }));
  EXPECT_NE(third->take().find(R"("name":"busy","limit":2)"), std::string::npos);
  auto all = accepted();
  EXPECT_EQ(reply(*all, request("echo", "1")), result_line("1", "{}"));
}

TEST_F(IpcSockets, IdleOnesYieldOnlyToThoseOfTheirSocket) {
  start();
  auto all = accepted();
  auto one = accepted_at(view());
  auto two = accepted_at(view());
  clock.ahead += 10s;
  auto third = accepted_at(view());
  EXPECT_TRUE(loop.run_until([&] { return one->closed(); }));
  EXPECT_FALSE(all->closed()) << "it has been idle for longer";
  EXPECT_FALSE(two->closed());
}

TEST_F(IpcSockets, ALimitIsOfOneClientAndEndsWithIt) {
  start();
  auto one = accepted_at(view());
  const auto ask = [&](SocketClient& client) { return reply(client, request("counted", "1")); };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(*one), result_line("1", "{}"));
  EXPECT_NE(ask(*one).find(R"("name":"rate_limited","retry_after_ms":)"), std::string::npos);
  auto two = accepted_at(view());
  EXPECT_EQ(ask(*two), result_line("1", "{}"));
  clock.ahead += 1s;
  EXPECT_EQ(ask(*one), result_line("1", "{}"));
  auto all = accepted();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(*all), result_line("1", "{}"));
  EXPECT_EQ(server->counters().rate_limited, 1u);
}

TEST_F(IpcSockets, OneThatIsNotNamedTwiceIsRefusedAsAWhole) {
  options.further[0].path = tree("/nowhere/else/view.sock");
  server = std::make_unique<RpcServer>(loop.loop(), log, options, RpcEvents{});
  const Status status = server->start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("/nowhere/else"), std::string::npos);
  EXPECT_NE(::access(options.path.c_str(), F_OK), 0) << "the first is taken back";
}

TEST_F(IpcSockets, OneThatNobodyAskedForMayBeMissing) {
  options.further[0].path = tree("/nowhere/else/view.sock");
  options.further[0].may_be_missing = true;
  start();
  EXPECT_EQ(log.count(LogLevel::warning, "the agent works without this socket"), 1) << log.text();
  auto all = accepted();
  EXPECT_EQ(reply(*all, request("echo", "1")), result_line("1", "{}"));
}

// Less access than was meant, never more.
TEST_F(IpcSockets, WithoutItsGroupItIsForItsOwnerOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  constexpr uid_t kUser = 54321;
  ASSERT_EQ(::chown(tree("").c_str(), kUser, kUser), 0);
  ASSERT_EQ(::seteuid(kUser), 0);
  options.further[0].mode = 0660;
  options.further[0].group = 54322;
  options.further[0].may_be_missing = true;
  start();
  ASSERT_EQ(::seteuid(0), 0);
  struct stat status {};
  ASSERT_EQ(::stat(view().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(log.count(LogLevel::notice, "only the agent's own user may use this socket"), 1)
      << log.text();
}

// As systemd/nodebeat.tmpfiles makes it: the sandbox of the unit does not let the agent chown.
TEST_F(IpcSockets, AFolderWithTheGroupGivesItToTheSocket) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be another user";
  constexpr uid_t kUser = 54321;
  constexpr gid_t kGroup = 54322;
  const std::string folder = view() + ".group";
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  ASSERT_EQ(::chown(folder.c_str(), kUser, kGroup), 0);
  ASSERT_EQ(::chmod(folder.c_str(), 02700), 0);
  ASSERT_EQ(::chown(tree("").c_str(), kUser, kUser), 0);
  ASSERT_EQ(::seteuid(kUser), 0);
  options.further[0].mode = 0660;
  options.further[0].group = kGroup;
  start();
  ASSERT_EQ(::seteuid(0), 0);
  struct stat status {};
  ASSERT_EQ(::stat(view().c_str(), &status), 0);
  EXPECT_EQ(status.st_gid, kGroup);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  server->stop();
  EXPECT_NE(::access(view().c_str(), F_OK), 0);
  ASSERT_EQ(::rmdir(folder.c_str()), 0) << "nothing is left in it";
}

// --- notifications that are refused --------------------------------------------------------------

constexpr const char* kForbidden = R"({"jsonrpc":"2.0","method":"forbidden"})"
                                   "\n";
std::string told(int count) {
  return R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"forbidden","error":)"
         R"({"code":-32011,"message":"forbidden needs the right 'state', which this socket does )"
         R"(not give; the socket /s does","data":{"name":"forbidden","right":"state",)"
         R"("socket":"/s","count":)" +
         std::to_string(count) + "}}}}\n";
}

TEST_F(Ipc, NotificationsThatAreForbiddenAreCountedAndToldOnce) {
  start();
  auto client = accepted();
  EXPECT_EQ(reply(*client, request("errors", "1")), result_line("1", "{}"));
  std::string many;
  for (int i = 0; i < 5; ++i) many += kForbidden;
  EXPECT_EQ(reply(*client, many), told(5));
  // Within the second nothing more is told; then all of it at once.
  client->send(many + many);
  EXPECT_EQ(reply(*client, request("echo", "2")), result_line("2", "{}"));
  clock.ahead += 1s;
  EXPECT_EQ(lines_of(*client, 1), told(10));
  EXPECT_EQ(server->counters().forbidden, 15u);
  EXPECT_EQ(server->counters().errors, 15u);
  EXPECT_EQ(log.count(LogLevel::notice, "notifications of client 1"), 2) << log.text();
}

TEST_F(Ipc, ARequestThatIsForbiddenIsAnsweredEachTimeInABatchToo) {
  start();
  auto client = accepted();
  const std::string answers = reply(
      *client, R"([{"jsonrpc":"2.0","method":"forbidden","id":1},{"jsonrpc":"2.0","method":"echo",)"
               R"("id":2},{"jsonrpc":"2.0","method":"forbidden"}])"
               "\n");
  EXPECT_NE(answers.find(R"("id":1,"error":{"code":-32011,)"), std::string::npos) << answers;
  EXPECT_NE(answers.find(R"("id":2,"result":{}})"), std::string::npos) << answers;
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 1);
}

TEST_F(Ipc, WhoDoesNotAskForErrorsIsNotTold) {
  options.calls_per_second = 2;
  start();
  auto client = accepted();
  std::string many;
  for (int i = 0; i < 10; ++i)
    many += R"({"jsonrpc":"2.0","method":"counted"})"
            "\n";
  client->send(many + kForbidden);
  clock.ahead += 2s;
  EXPECT_EQ(reply(*client, request("echo", "1")), result_line("1", "{}"));
  EXPECT_EQ(server->counters().rate_limited, 8u);
  EXPECT_EQ(server->counters().forbidden, 1u);
}

TEST_F(Ipc, NotificationsAboveTheLimitAreDroppedCountedAndToldOnce) {
  options.calls_per_second = 2;
  start();
  auto client = accepted();
  EXPECT_EQ(reply(*client, request("errors", "1")), result_line("1", "{}"));
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many += R"({"jsonrpc":"2.0","method":"counted"})"
            "\n";
  const std::string words = reply(*client, many);
  EXPECT_TRUE(words.starts_with(
      R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"counted","error":)"
      R"({"code":-32015,"message":"more calls than one client of this socket may have in a second",)"
      R"("data":{"name":"rate_limited","retry_after_ms":)"))
      << words;
  EXPECT_EQ(std::count(words.begin(), words.end(), '\n'), 1) << words;
  EXPECT_TRUE(loop.run_until([&] { return server->counters().rate_limited >= 990u; }));
}

TEST_F(Ipc, WhoHasGoneIsNotToldAndNothingIsLeftOfIt) {
  start();
  auto client = accepted();
  reply(*client, request("errors", "1"));
  client->send(std::string(kForbidden) + kForbidden);
  client.reset();
  EXPECT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  clock.ahead += 2s;
  run_a_few_turns();
  EXPECT_EQ(server->counters().forbidden, 2u);
  auto next = accepted();
  EXPECT_EQ(reply(*next, request("echo", "1")), result_line("1", "{}"));
}

}  // namespace
}  // namespace nb::ipc
