// What costs a line, what costs a connection, and what costs a last will: malformed lines, floods,
// clients that do not read, connections that are taken, processes that are gone.
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>

#include "ipc/admission.h"
#include "ipc/pending.h"
#include "ipc_fixture.h"

namespace nb::ipc {
namespace {

using IpcFaults = Ipc;

TEST_F(IpcFaults, AMalformedLineCostsThatLineOnly) {
  start();
  auto client = accepted();
  const std::string head = R"({"jsonrpc":"2.0","method":"echo","params":)";
  const std::string no_number =
      "expected a value; JSON has no such number: send null, or leave it out";
  const struct {
    std::string line, error;
  } cases[] = {
      {"hello", parse_error("expected a value", 0)},
      {head + "{\"a\":NaN}}", parse_error(no_number, 47)},
      {head + "{\"a\":[1,nan]}}", parse_error(no_number, 50)},
      {head + "{\"a\":Infinity}}", parse_error(no_number, 47)},
      {head + "{\"a\":-Infinity}}",
       parse_error("expected a digit; JSON has no such number: send null, or leave it out", 48)},
      {head + "{\"a\":None}}", parse_error("expected a value; null is JSON's word for it", 47)},
      {head + "{\"a\":True}}", parse_error("expected a value; JSON has it in small letters", 47)},
      {head + "{'a':1}}",
       parse_error("expected a name in double quotes; JSON has double quotes around a text", 43)},
      {head + "{\"a\":1e999}}", parse_error("a number beyond the range of a double", 47)},
      {head + "{\"a\":\"\xff\"}}", parse_error("not UTF-8", 48)},
      {head + R"({"a":"\u0000"}})", parse_error(R"(\\u0000 is not allowed in text)", 54)},
      {head + R"({"a":"\udc00"}})", parse_error("a low surrogate without a high one", 54)},
      {head + R"({"a":1,"\u0061":2}})", parse_error("a name stands twice in one object", 50)},
      {R"({"id":1,"id":2})", parse_error("a name stands twice in one object", 9)},
      {std::string(65, '[') + std::string(65, ']'), parse_error("nested too deep", 64)},
      {"{\"a\":1", parse_error("ends too early", 6)},
      {std::string("\0", 1), parse_error("expected a value", 0)},
      {"{} true", parse_error("something follows the value", 3)},
  };
  int count = 0;
  for (const auto& c : cases) {
    const std::string id = std::to_string(++count);
    EXPECT_EQ(reply(*client, c.line + "\n" + request("echo", id), 2),
              c.error + result_line(id, "{}"));
  }
  EXPECT_EQ(calls, count);
  EXPECT_EQ(server->counters().errors, static_cast<uint64_t>(count));
  EXPECT_EQ(server->clients()[0].errors, static_cast<uint64_t>(count));
  EXPECT_TRUE(closed.empty());
}

TEST_F(IpcFaults, ALineThatIsTooLongCostsThatLineOnly) {
  start();
  const std::string limit_error = error_line(
      "null", R"({"code":-32000,"message":"a line has at most 65536 bytes; this one is ignored up )"
              R"(to its newline","data":{"name":"too_large","limit_bytes":65536}})");
  const auto line_of = [&](size_t bytes) {
    return request("echo", "1",
                   R"({"a":")" +
                       std::string(bytes + 1 - request("echo", "1", R"({"a":""})").size(), 'x') +
                       "\"}");
  };
  ASSERT_EQ(line_of(65536).size(), 65537u);
  auto client = accepted();
  const std::string answer = reply(*client, line_of(65536));
  EXPECT_EQ(answer.substr(0, 48), R"({"jsonrpc":"2.0","id":1,"result":{"a":"xxxxxxxxx)");
  for (const std::string& line :
       {line_of(65537), std::string(65537, ' ') + "\n", std::string(150'000, 'x') + "\n"}) {
    EXPECT_EQ(reply(*client, line + request("echo", "2"), 2), limit_error + result_line("2", "{}"));
  }
  // Told before it is ended, and not kept while it goes on.
  EXPECT_EQ(reply(*client, std::string(70'000, 'x')), limit_error);
  for (int i = 0; i < 30; ++i) {
    client->send(std::string(100'000, 'y'));
    ASSERT_TRUE(loop.run_until([&] {
      int waiting = 0;
      return ::ioctl(client->fd(), SIOCOUTQ, &waiting) == 0 && waiting == 0;
    }));
  }
  EXPECT_EQ(reply(*client, "\n" + request("echo", "3")), result_line("3", "{}"));
  EXPECT_TRUE(closed.empty());
}

TEST_F(IpcFaults, HalfALineForTooLongCostsThatLineOnly) {
  options.partial_timeout = 30ms;
  start();
  auto client = accepted();
  auto other = accepted();
  const std::string timeout = error_line(
      "null", R"({"code":-32007,"message":"a line was not ended within 30 ms; it is ignored up to )"
              R"(its newline","data":{"name":"timeout"}})");
  EXPECT_EQ(reply(*client, request("echo", "1") + R"({"jsonrpc")", 2),
            result_line("1", "{}") + timeout);
  // Silence is no half line, and the rest of the line is not a line of its own.
  EXPECT_EQ(reply(*other, request("echo", "2")), result_line("2", "{}"));
  client->send(R"(:"2.0","method":"echo","id":7})");
  run_a_few_turns();
  EXPECT_EQ(reply(*client, "\n" + request("echo", "3")), result_line("3", "{}"));
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(closed.empty());
}

std::string flood() {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "x\n";
  return text;
}

TEST_F(IpcFaults, OnlyAFloodOfMalformedLinesClosesTheConnection) {
  start();
  auto client = accepted();
  const auto errors = [&](std::string_view text) {
    client->send(text);
    std::string got;
    EXPECT_TRUE(loop.run_until([&] {
      got += client->take();
      return client->closed() || got.ends_with(result_line("1", "{}"));
    }));
    return got;
  };
  // As many as that in a second are answered each, and again when a second has passed.
  std::string thousand;
  for (int i = 0; i < 999; ++i) thousand += "x\n";
  for (int round = 0; round < 3; ++round) {
    clock.ahead += 1s;
    const std::string got = errors(thousand + request("echo", "1"));
    EXPECT_EQ(std::count(got.begin(), got.end(), '\n'), 1000);
  }
  clock.ahead += 1s;
  const std::string got = errors(flood() + request("echo", "2"));
  const std::string last = error_line(
      "null", R"({"code":-32700,"message":"more than 1000 lines in a second were malformed: the )"
              R"(connection is closed, its last will is not carried out",)"
              R"("data":{"name":"parse_error","limit":1000}})");
  EXPECT_TRUE(got.ends_with(last)) << got.substr(got.size() - std::min<size_t>(got.size(), 400));
  EXPECT_EQ(calls, 3);
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(last_departure, Departure::agent);
  EXPECT_EQ(server->counters().cut_off, 1u);
  EXPECT_EQ(log.count(LogLevel::notice, "more than 1000 malformed lines"), 1) << log.text();
}

TEST_F(IpcFaults, WhatIsUnderWayIsAnsweredThoughTheConnectionIsClosed) {
  start();
  auto client = accepted();
  std::string before;
  for (int i = 0; i < 20; ++i) before += request("later", std::to_string(i));
  client->send(before + flood() + request("echo", "99"));
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    got += client->take();
    return got.find("the connection is closed") != std::string::npos;
  }));
  EXPECT_TRUE(closed.empty());
  EXPECT_FALSE(client->closed());
  EXPECT_TRUE(server->notify(open[0], "{}")) << "it is still there, but gets no events";
  // What comes meanwhile is looked at no more.
  client->send(request("echo", "100"));
  for (int i = 0; i < 20; ++i) {
    run_a_few_turns();
    EXPECT_TRUE(server->answer(tokens[static_cast<size_t>(i)], std::to_string(i)));
  }
  got.clear();
  ASSERT_TRUE(loop.run_until([&] {
    got += client->take();
    return client->closed();
  }));
  std::string answers;
  for (int i = 0; i < 20; ++i) answers += result_line(std::to_string(i), std::to_string(i));
  EXPECT_EQ(got, answers);
  EXPECT_EQ(calls, 20);
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(last_departure, Departure::agent);
}

TEST_F(IpcFaults, WhatRedisDoesNotAnswerInTimeIsToldBeforeTheClose) {
  options.answer_time = 50ms;
  start();
  auto client = accepted();
  client->send(request("later", "7") + flood());
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    got += client->take();
    return client->closed();
  }));
  const std::string last =
      error_line("7", R"({"code":-32007,"message":"the connection is closed before Redis has )"
                      R"(answered","data":{"name":"timeout"}})");
  EXPECT_TRUE(got.ends_with(last)) << got.substr(got.size() - std::min<size_t>(got.size(), 400));
  EXPECT_FALSE(server->answer(tokens[0], "{}"));
}

TEST_F(IpcFaults, OneThatDiesAfterItsFloodIsClosedByTheAgent) {
  start();
  auto client = accepted();
  client->send(request("later", "7") + flood());
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    got += client->take();
    return got.find("the connection is closed") != std::string::npos;
  }));
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(last_departure, Departure::agent);
}

// --- what is not read ----------------------------------------------------------------------------

// Everything that has come to a client, line by line.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

TEST_F(IpcFaults, OneThatDoesNotKeepUpLosesEventsAndIsToldHowMany) {
  start();
  auto slow = accepted();
  auto other = accepted();
  const std::string event = "\"" + std::string(50'000, 'x') + "\"";
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(server->notify(open[0], event));
  EXPECT_LE(server->queued_bytes(open[0]), options.output_bytes / 2);
  run_a_few_turns();
  EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  // It is still read, though it does not read what waits.
  slow->send(request("echo", "2"));
  ASSERT_TRUE(loop.run_until([&] { return calls == 2; }));
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    got += slow->take();
    return got.find("event.gap") != std::string::npos && got.ends_with("\n");
  }));
  server->notify(open[0], "{\"n\":1}");
  ASSERT_TRUE(loop.run_until([&] {
    got += slow->take();
    return got.ends_with("{\"n\":1}\n");
  }));
  const std::vector<std::string> lines = split(got);
  const long whole = std::count(lines.begin(), lines.end(), event);
  EXPECT_GE(whole, 10);
  ASSERT_EQ(lines.size(), static_cast<size_t>(whole) + 3) << "an answer, the gap, what came then";
  EXPECT_TRUE(lines[lines.size() - 2].starts_with(
      R"({"jsonrpc":"2.0","method":"event.gap","params":{"from":")"));
  EXPECT_TRUE(lines[lines.size() - 2].ends_with(R"("lost":)" + std::to_string(40 - whole) + "}}"))
      << lines[lines.size() - 2];
  EXPECT_EQ(server->counters().events_lost, static_cast<uint64_t>(40 - whole));
  EXPECT_TRUE(closed.empty());
}

TEST_F(IpcFaults, AnEventThatItsClientCannotReadIsToldAsLost) {
  start();
  auto client = accepted();
  EXPECT_TRUE(server->notify(open[0], std::string(65'537, ' ')));
  const std::string gap = lines_of(*client, 1);
  EXPECT_TRUE(gap.ends_with(R"(,"lost":1}})"
                            "\n"))
      << gap;
  EXPECT_TRUE(server->notify(open[0], std::string(65'536, ' ')));
  EXPECT_EQ(lines_of(*client, 1).size(), 65'537u);
}

TEST_F(IpcFaults, EventsThatAreNotReadStopNobodysCalls) {
  options.output_bytes = rpc::kLineBytes;  // the least there may be
  start();
  auto lazy = accepted();
  const std::string event = '"' + std::string(20'000, 'x') + '"';
  for (int i = 0; i < 1000 && server->queued_bytes(open[0]) == 0; ++i) {  // the kernel takes some
    server->notify(open[0], event);
    run_a_few_turns();
  }
  for (int i = 0; i < 2; ++i) server->notify(open[0], event);
  ASSERT_GT(server->queued_bytes(open[0]), options.output_bytes / 2);
  EXPECT_EQ(server->counters().events_lost, 0u);
  for (int i = 0; i < 20; ++i) {
    lazy->send(R"({"jsonrpc":"2.0","method":"echo"})"
               "\n");
    ASSERT_TRUE(loop.run_until([&] { return calls == i + 1; }));
  }
}

TEST_F(IpcFaults, AGapWithoutRoomIsToldWithTheNext) {
  start();
  auto slow = accepted();
  const WallTime early = clock.wall_now() - 1h;
  server->notify_gap(open[0], early, early + 1s);
  const std::string first = lines_of(*slow, 1);
  EXPECT_EQ(first.find("lost"), std::string::npos) << first;
  const std::string from = first.substr(0, first.find(",\"to\""));
  const std::string event = "\"" + std::string(50'000, 'x') + "\"";
  for (int i = 0; i < 40; ++i) server->notify(open[0], event);
  server->notify_gap(open[0], early, early + 1s);
  std::string got;
  ASSERT_TRUE(loop.run_until([&] {
    got += slow->take();
    return got.find("event.gap") != std::string::npos && got.ends_with("\n");
  }));
  const std::vector<std::string> lines = split(got);
  EXPECT_TRUE(lines.back().starts_with(from)) << lines.back();
  EXPECT_NE(lines.back().find("\"lost\":"), std::string::npos) << lines.back();
  EXPECT_EQ(std::count_if(lines.begin(), lines.end(),
                          [](const auto& l) { return l.find("event.gap") != l.npos; }),
            1);
}

TEST_F(IpcFaults, OneUsersClientsTogetherHoldABoundedPart) {
  options.max_clients = 64;
  options.max_clients_per_user = 64;
  start();
  std::vector<std::unique_ptr<SocketClient>> deaf;
  for (int i = 0; i < 60; ++i) deaf.push_back(accepted());
  const std::string event = "\"" + std::string(50'000, 'x') + "\"";
  for (int i = 0; i < 20; ++i) {
    for (const ClientId client : open) server->notify(client, event);
  }
  size_t all = 0;
  for (const ClientId client : open) all += server->queued_bytes(client);
  EXPECT_GT(all, 4 * options.output_bytes);
  EXPECT_LT(all, 12 * options.output_bytes) << "of 30 that 60 clients might have";
  // One that reads gets its events all the same.
  auto reader = accepted();
  server->notify(open.back(), event);
  EXPECT_EQ(lines_of(*reader, 1).size(), event.size() + 1);
}

TEST_F(IpcFaults, AnswersWithoutRoomAreShortErrorsAndNobodyIsCutOff) {
  start();
  auto slow = accepted();
  std::string text;
  for (int i = 0; i < 256; ++i) text += request("later", std::to_string(i));
  slow->send(text);
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 256; }));
  const std::string result = "\"" + std::string(60'000, 'x') + "\"";
  for (const Token token : tokens) EXPECT_TRUE(server->answer(token, result));
  EXPECT_LT(server->queued_bytes(open[0]), options.output_bytes + 256 * 512);
  const std::string got = lines_of(*slow, 256);
  for (int i = 0; i < 256; ++i) {
    EXPECT_NE(got.find("\"id\":" + std::to_string(i) + ","), std::string::npos) << i;
  }
  EXPECT_NE(got.find("too_large"), std::string::npos);
  EXPECT_TRUE(closed.empty());
}

TEST_F(IpcFaults, OneThatIsPausedIsReadWhenThereIsRoom) {
  start();
  auto client = accepted();
  auto other = accepted();
  server->pause_reading(open[0], true);
  client->send(request("echo", "1") + request("echo", "2"));
  EXPECT_EQ(reply(*other, request("echo", "3")), result_line("3", "{}"));
  run_a_few_turns();
  EXPECT_EQ(calls, 1);
  server->pause_reading(open[0], false);
  EXPECT_EQ(lines_of(*client, 2), result_line("1", "{}") + result_line("2", "{}"));
  // What one that is gone had sent is still carried out.
  server->pause_reading(open[0], true);
  client->send(request("echo", "4"));
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(last_departure, Departure::client);
}

// --- connections ---------------------------------------------------------------------------------

TEST_F(IpcFaults, ALineThatWasEndedWhileTheAgentWasStoppedIsNoTimeout) {
  options.partial_timeout = 30ms;
  start();
  auto client = accepted();
  const std::string line = request("echo", "1");
  client->send(line.substr(0, 10));
  run_a_few_turns();
  client->send(line.substr(10));
  // As SIGSTOP does.
  const SystemClock real;
  for (const MonoTime end = real.now() + 200ms; real.now() < end;) {
  }
  EXPECT_EQ(lines_of(*client, 1), result_line("1", "{}"));
  EXPECT_EQ(server->counters().errors, 0u);
}

TEST_F(IpcFaults, OneTooManyIsToldThatItIsBusy) {
  options.max_clients = 3;
  start();
  auto a = accepted();
  auto b = accepted();
  auto c = accepted();
  const std::string busy = error_line(
      "null", R"({"code":-32006,"message":"all 3 connections are taken: try again later",)"
              R"("data":{"name":"busy","limit":3}})");
  EXPECT_EQ(last_words(request("echo", "1")), busy);
  // A thousand of them.
  std::vector<std::unique_ptr<SocketClient>> many;
  for (int i = 0; i < 1000; ++i) {
    auto client = std::make_unique<SocketClient>(options.path);
    if (client->connected()) many.push_back(std::move(client));
    if (i % 50 == 0) run_a_few_turns();
  }
  EXPECT_GT(many.size(), 100u);
  for (auto& client : many) {
    ASSERT_TRUE(loop.run_until([&] { return client->closed(); }));
    EXPECT_EQ(client->take(), busy);
  }
  EXPECT_EQ(server->counters().refused, many.size() + 1);
  const auto told = log.count(LogLevel::warning, "connections are taken");
  EXPECT_TRUE(1 <= told && told <= 20) << log.text();
  EXPECT_EQ(reply(*a, request("echo", "2")), result_line("2", "{}"));
  b->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  auto d = accepted();
  EXPECT_EQ(reply(*d, request("echo", "3")), result_line("3", "{}"));
}

TEST_F(IpcFaults, OneThatIsTurnedAwayMayWriteBeforeItReads) {
  options.max_clients = 1;
  start();
  auto a = accepted();
  auto late = connect();
  std::string got;
  ASSERT_TRUE(loop.run_until([&] { return server->counters().refused == 1; }));
  run_a_few_turns();
  for (int i = 0; i < 100; ++i) {
    const std::string line = request("echo", std::to_string(i));
    ASSERT_EQ(late->send_some(line), line.size()) << "it must not get EPIPE before it has read why";
    run_a_few_turns();
  }
  EXPECT_NE(late->take().find("\"name\":\"busy\""), std::string::npos);
  EXPECT_EQ(calls, 0);
}

// How much of what a client says without end is taken.
size_t taken_of(test::TestLoop& loop, SocketClient& client) {
  const std::string text(64 * 1024, 'x');
  size_t taken = 0;
  for (int i = 0; i < 400; ++i) {
    taken += client.send_some(text);
    for (int turn = 0; turn < 3; ++turn) loop.loop().run_once(false);
  }
  return taken;
}

TEST_F(IpcFaults, WhatIsSaidWithoutEndAfterTheEndIsNotReadForEver) {
  options.max_clients = 1;
  start();
  auto a = accepted();
  auto late = connect();
  ASSERT_TRUE(loop.run_until([&] { return server->counters().refused == 1; }));
  EXPECT_LT(taken_of(loop, *late), 2u << 20);
  EXPECT_NE(late->take().find("\"name\":\"busy\""), std::string::npos);
  // Likewise while the agent is closing a connection that is owed an answer.
  a->send(request("later", "7") + flood());
  ASSERT_TRUE(loop.run_until(
      [&] { return a->received().find("the connection is closed") != std::string::npos; }));
  EXPECT_LT(taken_of(loop, *a), 2u << 20);
  EXPECT_TRUE(server->answer(tokens[0], "{}"));
  EXPECT_TRUE(loop.run_until([&] { return a->received().ends_with(result_line("7", "{}")); }));
}

TEST_F(IpcFaults, OneUserCannotTakeAllConnections) {
  options.max_clients = 8;
  start();
  std::vector<std::unique_ptr<SocketClient>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(accepted());
  EXPECT_EQ(last_words(request("echo", "1")),
            error_line("null", format(R"({"code":-32006,"message":"user %u has all 6 connections )"
                                      R"(that one user may have (socket.max_clients_per_user): )"
                                      R"(close one, or try again later",)"
                                      R"("data":{"name":"busy","limit":6}})",
                                      ::getuid())));
  EXPECT_EQ(reply(*clients[0], request("echo", "2")), result_line("2", "{}"));
}

TEST_F(IpcFaults, OfFullConnectionsTheOneThatWasIdleForLongestYields) {
  options.max_clients = 6;
  options.max_clients_per_user = 6;
  start();
  std::vector<std::unique_ptr<SocketClient>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(accepted());
  needed = {open[0]};                       // has a will
  clients[1]->send(request("later", "1"));  // is owed an answer
  clients[2]->send("{");                    // is in the midst of a line
  server->notify(open[3], "1");             // ... has been told, and reads
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 1; }));
  EXPECT_NE(last_words("").find("all 6 connections are taken"), std::string::npos)
      << "none has been idle for long enough";
  clock.ahead += 3s;
  EXPECT_EQ(reply(*clients[4], request("echo", "2")), result_line("2", "{}"));
  clock.ahead += 3s;
  // Of 3 and 5, 3 came first.
  const ClientId third = open[3], fifth = open[5];
  auto next = accepted();
  EXPECT_EQ(reply(*next, request("echo", "3")), result_line("3", "{}"));
  ASSERT_TRUE(loop.run_until([&] { return clients[3]->closed(); }));
  EXPECT_EQ(
      clients[3]->take(),
      "1\n" + error_line("null",
                         R"({"code":-32006,"message":"all 6 connections that you may have are )"
                         R"(taken, and of them this one was idle for the longest time: it is )"
                         R"(closed for a new one; connect again when needed",)"
                         R"("data":{"name":"busy","limit":6}})"));
  auto after = accepted();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 2; }));
  EXPECT_EQ(closed, (std::vector<ClientId>{third, fifth}));
  EXPECT_EQ(last_departure, Departure::agent);
  EXPECT_NE(last_words("").find("all 6 connections are taken"), std::string::npos);
  EXPECT_EQ(server->counters().yielded, 2u);
}

// A connection of any user, as far as the limits on connections can see.
class AdmissionTest : public testing::Test, private SessionOwner {
 public:
  void may_yield(ClientId client, bool& is_needed) { is_needed = client <= needed; }

 protected:
  void add(uint32_t user, MonoTime last_heard) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    others.emplace_back(ends[1]);
    SessionOwner& owner = *this;
    sessions.push_back(std::make_unique<Session>(loop.loop(), owner, pool, UniqueFd(ends[0]),
                                                 sessions.size() + 1, Peer{1, user, user}, 65536));
    sessions.back()->last_heard = last_heard;
  }
  test::TestLoop loop;
  SessionPool pool;
  std::vector<UniqueFd> others;
  std::vector<std::unique_ptr<Session>> sessions;
  ClientId needed = 0;  // up to this one

 private:
  void on_ready(Session&, int) override {}
};

TEST_F(AdmissionTest, OneUserInVainStopsNoOther) {
  const MonoTime now{1000s};
  Admission admission({4, 2, 5s}, Admission::MayYield::to<&AdmissionTest::may_yield>(
                                      static_cast<AdmissionTest*>(this)));
  add(1000, now - 1min);
  add(1000, now - 1min);
  needed = 2;  // the first user's are all in use
  add(1001, now - 10s);
  add(1002, now - 20s);
  const Admission::Verdict first = admission.ask(sessions, Peer{1, 1000, 1000}, now);
  EXPECT_TRUE(first.refusal);
  // In the next moment another one asks: the connection that is idle yields.
  const Admission::Verdict other = admission.ask(sessions, Peer{1, 1003, 1003}, now);
  EXPECT_FALSE(other.refusal);
  EXPECT_EQ(other.yields, sessions[3].get());
}

TEST_F(AdmissionTest, OneThatHasJustSpokenDoesNotYield) {
  const MonoTime now{1000s};
  Admission admission({2, 2, 5s}, Admission::MayYield::to<&AdmissionTest::may_yield>(
                                      static_cast<AdmissionTest*>(this)));
  add(1000, now - 20s);
  add(1000, now - 10s);
  ASSERT_EQ(::send(others[0].get(), "{", 1, 0), 1);
  const Admission::Verdict verdict = admission.ask(sessions, Peer{1, 1000, 1000}, now);
  EXPECT_EQ(verdict.yields, sessions[1].get());
  EXPECT_EQ(verdict.limit, 2u);
  others[1].reset();  // gone, and not noticed yet
  EXPECT_EQ(admission.ask(sessions, Peer{1, 1000, 1000}, now).yields, sessions[1].get());
}

TEST_F(AdmissionTest, TheLimitThatIsNamedIsTheOneThatWasMet) {
  const MonoTime now{1000s};
  Admission admission({32, 32, 5s}, Admission::MayYield::to<&AdmissionTest::may_yield>(
                                        static_cast<AdmissionTest*>(this)));
  for (int i = 0; i < 30; ++i) add(1000, now);
  const Admission::Verdict verdict = admission.ask(sessions, Peer{1, 1001, 1001}, now);
  ASSERT_TRUE(verdict.refusal);
  EXPECT_EQ(verdict.refusal->message, "all 30 connections are taken: try again later");
  EXPECT_FALSE(admission.ask(sessions, Peer{1, 0, 0}, now).refusal) << "two are left for root";
  // One that yields to another of the same user does so for the share, not for all connections.
  Admission of_share({32, 24, 5s}, Admission::MayYield::to<&AdmissionTest::may_yield>(
                                       static_cast<AdmissionTest*>(this)));
  sessions[7]->last_heard = now - 10s;
  const Admission::Verdict of_user = of_share.ask(sessions, Peer{1, 1000, 1000}, now);
  EXPECT_EQ(of_user.yields, sessions[7].get());
  EXPECT_EQ(of_user.limit, 24u);
}

TEST_F(AdmissionTest, ASessionChangesItsStateOnlyAsTheTableSays) {
  using State = Session::State;
  constexpr State kAll[] = {State::open,       State::deaf,     State::orphaned, State::closing,
                            State::explaining, State::draining, State::over};
  // The table of ipc/session.h: from each state, in the order above.
  constexpr const char* kTable[] = {
      ".xxxxxx",  // open
      "..x.x.x",  // deaf
      "....x.x",  // orphaned
      "....x.x",  // closing
      ".....xx",  // explaining
      "......x",  // draining
      ".......",  // over
  };
  // By which way each state is reached.
  const std::vector<State> ways[] = {
      {},
      {State::deaf},
      {State::orphaned},
      {State::closing},
      {State::explaining},
      {State::draining},
      {State::over},
  };
  for (size_t from = 0; from < std::size(kAll); ++from) {
    for (size_t to = 0; to < std::size(kAll); ++to) {
      add(1000, MonoTime{});
      Session& session = *sessions.back();
      for (const State step : ways[from]) ASSERT_TRUE(session.become(step));
      const bool may = kTable[from][to] == 'x';
      EXPECT_EQ(session.become(kAll[to]), may) << from << " to " << to;
      EXPECT_EQ(session.state(), kAll[may ? to : from]);
      sessions.clear();
      others.clear();
    }
  }
}

TEST_F(AdmissionTest, ASessionKnowsWhoHasEndedIt) {
  using State = Session::State;
  const struct {
    std::vector<State> way;
    bool by_agent;
  } ends[] = {
      {{State::draining}, false},
      {{State::deaf, State::over}, false},
      {{State::orphaned, State::over}, false},
      {{State::over}, false},
      {{State::explaining}, true},
      {{State::closing, State::over}, true},
      {{State::closing, State::explaining, State::draining}, true},
  };
  for (const auto& end : ends) {
    add(1000, MonoTime{});
    Session& session = *sessions.back();
    EXPECT_TRUE(session.is_live() && session.is_heard() && !session.is_deaf());
    for (const State step : end.way) ASSERT_TRUE(session.become(step));
    EXPECT_FALSE(session.is_live());
    EXPECT_EQ(session.closed_by_agent(), end.by_agent);
  }
}

TEST(BatchTable, KeepsLittleOfABurst) {
  BatchTable table;
  std::vector<uint32_t> numbers;
  const auto fill = [&] {
    numbers.clear();
    for (int i = 0; i < 2000; ++i) {
      numbers.push_back(table.add(1));
      table[numbers.back()].answers.reserve(4096);
    }
  };
  fill();
  for (const uint32_t number : numbers) table.remove(number);
  size_t kept = 0;
  for (int i = 0; i < 2000; ++i) kept += table[table.add(1)].answers.capacity();
  EXPECT_LT(kept, 64u * 4200 + 2000 * 32);
}

// --- processes -----------------------------------------------------------------------------------

// A process that connects, says something, makes a child that keeps the connection, and waits to be
// killed. The child ends when the connection does.
class Forker {
 public:
  // `childs`: what the child says for ever, as soon as its parent is gone; else it is silent.
  Forker(const std::string& path, const std::string& text, const std::string& childs = {}) {
    EXPECT_EQ(::pipe(said_), 0);
    pid_ = ::fork();
    if (pid_ != 0) return;
    SocketClient client(path);
    if (!client.connected()) ::_exit(1);
    const pid_t parent = ::getpid();
    if (::fork() == 0) {
      while (!childs.empty()) {
        if (::getppid() == parent) {
          ::poll(nullptr, 0, 1);
        } else if (client.send_some(childs) == 0 && errno != EAGAIN) {
          ::_exit(0);
        }
      }
      pollfd end{client.fd(), POLLIN, 0};
      char byte[4096];
      do {
        ::poll(&end, 1, -1);
      } while (::recv(client.fd(), byte, sizeof byte, MSG_DONTWAIT) > 0);
      ::_exit(0);
    }
    if (client.send_some(text) != text.size() || ::write(said_[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  ~Forker() {
    kill();
    ::close(said_[0]);
    ::close(said_[1]);
  }
  // Until all of the text is with the kernel.
  bool has_said_it() const {
    char byte;
    return ::read(said_[0], &byte, 1) == 1;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
  int said_[2] = {-1, -1};
};

bool can_watch_processes() {
  return static_cast<bool>(process_numbered(::getpid()));
}

TEST_F(IpcFaults, AChildThatHoldsTheConnectionDoesNotKeepItsParentAlive) {
  if (!can_watch_processes()) GTEST_SKIP() << "this system has no such descriptors";
  start();
  Forker forker(options.path, request("echo", "1"));
  ASSERT_TRUE(loop.run_until([&] { return calls == 1; }));
  server->watch_process(open[0], true);
  run_a_few_turns();
  EXPECT_TRUE(closed.empty());
  forker.kill();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(last_departure, Departure::client);
}

TEST_F(IpcFaults, AChildThatNeverStopsTalkingDoesNotKeepItsParentAlive) {
  if (!can_watch_processes()) GTEST_SKIP() << "this system has no such descriptors";
  start();
  std::string flood;  // each turn ends in the midst of it
  for (int i = 0; i < 100; ++i)
    flood += R"({"jsonrpc":"2.0","method":"dear","params":{"who":"c"}})"
             "\n";
  Forker forker(options.path, request("echo", "1"), flood);
  ASSERT_TRUE(loop.run_until([&] { return calls == 1; }));
  server->watch_process(open[0], true);
  forker.kill();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(last_departure, Departure::client);
}

TEST_F(IpcFaults, WhatAProcessSaidBeforeItWasGoneIsCarriedOutFirst) {
  if (!can_watch_processes()) GTEST_SKIP() << "this system has no such descriptors";
  start();
  std::string text;
  for (int i = 0; i < 1500; ++i)
    text += request("echo", std::to_string(i), R"({"a":"0123456789"})");
  ASSERT_LT(text.size(), 200'000u);
  Forker forker(options.path, request("echo", "0"));
  ASSERT_TRUE(loop.run_until([&] { return calls == 1; }));
  server->watch_process(open[0], true);
  forker.kill();
  Forker second(options.path, text);
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1 && open.size() == 1; }));
  // It is not read from; all of its text waits when it dies.
  server->watch_process(open[0], true);
  server->pause_reading(open[0], true);
  ASSERT_TRUE(second.has_said_it());
  second.kill();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 2; }));
  EXPECT_EQ(calls, 1501);
}

TEST(ProcessNumbered, IsWatchedAsLongAsItLives) {
  if (!can_watch_processes()) GTEST_SKIP() << "this system has no such descriptors";
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  const UniqueFd process = process_numbered(pid);
  pollfd gone{process.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&gone, 1, 0), 0);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(::poll(&gone, 1, 10'000), 1);
  EXPECT_FALSE(process_numbered(pid)) << "dead, though not waited for";
  ::waitpid(pid, nullptr, 0);
  EXPECT_FALSE(process_numbered(pid)) << "gone";
  EXPECT_FALSE(process_numbered(0)) << "of another pid namespace";
}

// A child that does `act`, and how it has ended: before it was waited for, and after.
template <class Act>
std::pair<ProcessEnd, ProcessEnd> ends_of(Act act) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    act();
    for (;;) ::pause();
  }
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd gone{process.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&gone, 1, 10'000), 1);
  const ProcessEnd before = end_of(process.get());
  ::waitpid(pid, nullptr, 0);
  return {before, end_of(process.get())};
}

TEST(ProcessEnd, IsToldWhenTheProcessWasWaitedFor) {
  if (!can_watch_processes()) GTEST_SKIP() << "this system has no such descriptors";
  using How = ProcessEnd::How;
  const auto [before, exited] = ends_of([] { ::_exit(7); });
  EXPECT_EQ(before.how, How::ended) << "it has, and more is not known";
  if (exited.how == How::ended) GTEST_SKIP() << "this kernel does not tell (before Linux 6.15)";
  EXPECT_EQ(exited.how, How::exited);
  EXPECT_EQ(exited.number, 7);
  const auto killed = ends_of([] { ::raise(SIGKILL); }).second;
  EXPECT_EQ(killed.how, How::killed);
  EXPECT_EQ(killed.number, SIGKILL);
  EXPECT_FALSE(killed.dumped_core);
  const UniqueFd own = process_numbered(::getpid());
  EXPECT_EQ(end_of(own.get()).how, How::lives);
}

}  // namespace
}  // namespace nb::ipc
