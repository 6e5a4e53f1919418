// The local socket's JSON-RPC: real sockets, every rule of PROTOCOL.md's sections 1, 2 and 5 that
// needs no method, and what bad clients get, to the byte.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "ipc_fixture.h"
#include "json/scan.h"
#include "support/count_allocations.h"

namespace nb::ipc {
namespace {

TEST_F(Ipc, AnswersRequestsInOrderAndToTheLastDigit) {
  start();
  auto client = accepted();
  EXPECT_EQ(last_peer.pid, ::getpid());
  EXPECT_EQ(last_peer.uid, ::getuid());
  EXPECT_EQ(reply(*client,
                  request("echo", "1", R"({"a":[1.10,9007199254740993]})") + "\n\r\n  \n" +
                      request("echo", R"("x\u0041")") + R"({"jsonrpc":"2.0","method":"echo"})" +
                      "\r\n" + request("echo", "null"),
                  3),
            result_line("1", R"({"a":[1.10,9007199254740993]})") +
                result_line(R"("x\u0041")", "{}") + result_line("null", "{}"));
  EXPECT_EQ(calls, 4);
  const RpcCounters counters = server->counters();
  EXPECT_EQ(counters.requests, 3u);
  EXPECT_EQ(counters.notifications, 1u);
  EXPECT_EQ(counters.errors, 0u);
  EXPECT_EQ(counters.accepted, 1u);
  ASSERT_EQ(server->clients().size(), 1u);
  EXPECT_EQ(server->clients()[0].calls, 4u);
  EXPECT_EQ(server->clients()[0].queued_bytes, 0u);
}

TEST_F(Ipc, ALineOneByteAtATimeIsALine) {
  start();
  auto client = accepted();
  const std::string text = request("echo", "1", "{\"\xc3\xbc\":[1]}") + request("echo", "2");
  for (const char c : text) {
    client->send(std::string_view(&c, 1));
    run_a_few_turns();
  }
  EXPECT_EQ(lines_of(*client, 2), result_line("1", "{\"\xc3\xbc\":[1]}") + result_line("2", "{}"));
}

TEST_F(Ipc, NoTimerRunsAtRest) {
  start();
  auto client = accepted();
  const auto timeout = [&] {
    loop.loop().run_once(false);
    return uv_backend_timeout(loop.loop().raw());
  };
  EXPECT_EQ(reply(*client, request("echo", "1")), result_line("1", "{}"));
  run_a_few_turns();
  EXPECT_EQ(timeout(), -1);
  client->send("{");
  run_a_few_turns();
  EXPECT_GT(timeout(), 1000);
  client->send("}\n");
  (void)lines_of(*client, 1);
  run_a_few_turns();
  EXPECT_EQ(timeout(), -1);
}

TEST_F(Ipc, EndOfFileWithHalfALineIgnoresIt) {
  start();
  auto client = accepted();
  client->send(request("echo", "1") + R"({"jsonrpc":"2.0","method":"echo","id":2})");
  client->end_sending();
  ASSERT_TRUE(loop.run_until([&] { return client->closed(); }));
  EXPECT_EQ(client->take(), result_line("1", "{}"));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(closed.size(), 1u);
}

TEST_F(Ipc, AClientKilledAtAnyByteHarmsNobody) {
  start();
  auto other = accepted();
  const std::string text = request("echo", "1", R"({"a":"b"})");
  for (size_t n = 0; n <= text.size(); ++n) {
    auto client = connect();
    client->send(text.substr(0, n));
    client->close();
  }
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == text.size() + 1; }));
  EXPECT_EQ(calls, 1);  // the one with its newline
  EXPECT_EQ(reply(*other, request("echo", "2")), result_line("2", "{}"));
  EXPECT_EQ(server->client_count(), 1u);
}

TEST_F(Ipc, WhatIsNoCallIsRefusedAndTheConnectionLives) {
  start();
  auto client = accepted();
  const auto invalid = [](std::string_view id, std::string_view words) {
    return error_line(id, R"({"code":-32600,"message":")" + std::string(words) +
                              R"(","data":{"name":"invalid_request"}})");
  };
  const std::string no_call = invalid(
      "null",
      R"(a call is an object: {\"jsonrpc\":\"2.0\",\"method\":...,\"params\":{...},\"id\":...})");
  EXPECT_EQ(reply(*client, "1\n"), no_call);
  EXPECT_EQ(reply(*client, "\"x\"\n"), no_call);
  EXPECT_EQ(reply(*client, "{}\n"), invalid("null", R"(jsonrpc: expected \"2.0\")"));
  EXPECT_EQ(reply(*client, R"({"jsonrpc":"2.0","method":7,"id":"a"})"
                           "\n"),
            invalid("\"a\"", "method: expected a text"));
  EXPECT_EQ(
      reply(*client, R"({"jsonrpc":"2.0","method":"echo","id":{}})"
                     "\n"),
      invalid("null", "id: expected a text of at most 256 bytes, a number of at most 64, or null"));
  EXPECT_EQ(reply(*client, R"({"jsonrpc":"2.0","method":"echo","params":[1],"id":3})"
                           "\n"),
            invalid("3", "params: expected an object, its members by name"));
  EXPECT_EQ(reply(*client, R"({"jsonrpc":"2.0","method":"echo","parms":{},"id":4})"
                           "\n"),
            invalid("4", "a call has no member 'parms', only jsonrpc, method, params and id"));
  EXPECT_EQ(reply(*client, request("nope", "5")),
            error_line("5", R"({"code":-32601,"message":"no method 'nope'",)"
                            R"("data":{"name":"unknown_method","method":"nope","nearest":null}})"));
  EXPECT_EQ(reply(*client, request("bad", "6")),
            error_line("6", R"({"code":-32602,"message":"x: expected a text",)"
                            R"("data":{"name":"invalid_params","field":"x"}})"));
  EXPECT_EQ(reply(*client, request("echo", "7")), result_line("7", "{}"));
  EXPECT_EQ(server->counters().errors, 9u);
  EXPECT_EQ(server->clients()[0].errors, 9u);
}

TEST_F(Ipc, AForgottenAnswerIsAnErrorOfTheAgent) {
  start();
  auto client = accepted();
  EXPECT_EQ(reply(*client, request("nothing", "1")),
            error_line("1", R"({"code":-32603,"message":"the agent has no answer to this; it is a )"
                            R"(fault of its own","data":{"name":"internal"}})"));
  EXPECT_EQ(log.count(LogLevel::error, "'nothing' was not answered"), 1) << log.text();
}

TEST_F(Ipc, ANotificationIsNeverAnsweredButMayBeReported) {
  start();
  auto client = accepted();
  const std::string bad = R"({"jsonrpc":"2.0","method":"bad"})"
                          "\n";
  EXPECT_EQ(reply(*client, bad + request("echo", "1")), result_line("1", "{}"));
  EXPECT_EQ(reply(*client, request("errors", "2") + bad, 2),
            result_line("2", "{}") +
                R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"bad","error":)"
                R"({"code":-32602,"message":"x: expected a text","data":{"name":"invalid_params",)"
                R"("field":"x"}}}})"
                "\n");
  EXPECT_EQ(server->counters().errors, 2u);
  client->send(R"({"jsonrpc":"2.0","method":"later"})"
               "\n");
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 1; }));
  EXPECT_EQ(tokens[0], 0u);
  EXPECT_FALSE(server->answer(tokens[0], "{}"));
}

TEST_F(Ipc, EventsToTheCallerComeBeforeItsAnswer) {
  start();
  auto client = accepted();
  auto other = accepted();
  EXPECT_EQ(reply(*client, request("event", "1"), 2),
            R"({"jsonrpc":"2.0","method":"event","params":{}})"
            "\n" +
                result_line("1", "{}"));
  EXPECT_EQ(reply(*client, request("all", "2"), 2), "{\"n\":1}\n" + result_line("2", "{}"));
  EXPECT_EQ(lines_of(*other, 1), "{\"n\":1}\n");
  EXPECT_FALSE(server->notify(999, "{}"));
}

TEST_F(Ipc, DeferredAnswersComeWhenTheyComeAndGoWithTheirClient) {
  start();
  auto client = accepted();
  client->send(request("later", "1") + request("later", "2") + request("echo", "3"));
  EXPECT_EQ(lines_of(*client, 1), result_line("3", "{}"));
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_TRUE(server->answer(tokens[1], "[2]"));
  EXPECT_FALSE(server->answer(tokens[1], "[2]"));
  EXPECT_TRUE(server->refuse(tokens[0], rpc::not_stored("not yet", "backoff")));
  EXPECT_EQ(lines_of(*client, 2),
            result_line("2", "[2]") +
                error_line("1", R"({"code":-32005,"message":"not yet",)"
                                R"("data":{"name":"not_stored","link":"backoff"}})"));
  client->send(request("later", "4"));
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 3; }));
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_FALSE(server->answer(tokens[2], "{}"));
  auto next = accepted();
  next->send(request("later", "5"));
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 4; }));
  EXPECT_NE(tokens[3], tokens[2]);  // the place is used again, the token is not
  EXPECT_FALSE(server->refuse(tokens[2], rpc::internal("")));
  EXPECT_TRUE(server->answer(tokens[3], "{}"));
  EXPECT_EQ(lines_of(*next, 1), result_line("5", "{}"));
}

TEST_F(Ipc, TooManyDeferredCallsHoldTheirClientOnly) {
  start();
  auto client = accepted();
  auto other = accepted();
  std::string text;
  for (int i = 0; i < 1000; ++i) text += request("later", std::to_string(i));
  client->send(text);
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == RpcServer::kMaxPending; }));
  EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  EXPECT_EQ(tokens.size(), RpcServer::kMaxPending);
  for (size_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(loop.run_until([&] { return tokens.size() > i; })) << i;
    ASSERT_TRUE(server->answer(tokens[i], "{}"));
  }
  const std::string answers = lines_of(*client, 1000);
  EXPECT_TRUE(answers.ends_with(result_line("999", "{}")));
  EXPECT_EQ(calls, 1001);
}

TEST_F(Ipc, WhatBatchesHoldBackHoldsTheirClient) {
  start();
  auto client = accepted();
  std::string batch = request("later", "1");
  batch.back() = ',';
  batch = '[' + batch + request("big", "2", R"({"bytes":50000})");
  batch.back() = ']';
  batch += '\n';
  for (int i = 0; i < 100; ++i) client->send(batch);
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() >= 6; }));
  run_a_few_turns();
  EXPECT_EQ(tokens.size(), 7u) << "a quarter of what may wait for a client, and one more";
  for (size_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(loop.run_until([&] {
      (void)client->received();  // it reads
      return tokens.size() > i;
    })) << i;
    ASSERT_TRUE(server->answer(tokens[i], "{}"));
  }
  EXPECT_EQ(lines_of(*client, 100).size(), 100u * 50'076);
}

std::string batch_of(int count, std::string_view method, std::string_view params = "{}") {
  std::string text = "[";
  for (int i = 0; i < count; ++i) {
    text += request(method, std::to_string(i), params);
    text.back() = ',';
  }
  text.back() = ']';
  return text + "\n";
}

TEST_F(Ipc, ABatchBeginsNoMoreReadsThanSingleLinesDo) {
  start();
  auto client = accepted();
  auto other = accepted();
  client->send(batch_of(20, "read") + request("echo", "20"));
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() >= 4; }));
  run_a_few_turns();
  EXPECT_EQ(tokens.size(), 4u);
  EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(loop.run_until([&] { return tokens.size() > i; })) << i;
    EXPECT_EQ(calls, static_cast<int>(tokens.size() + 1)) << "the line behind it waits";
    ASSERT_LE(tokens.size(), i + 4);
    ASSERT_TRUE(server->answer(tokens[i], "{}"));
  }
  const std::string answers = lines_of(*client, 2);
  EXPECT_TRUE(answers.starts_with(R"([{"jsonrpc":"2.0","id":0,"result":{}},)")) << answers;
  EXPECT_TRUE(answers.ends_with(R"({"jsonrpc":"2.0","id":19,"result":{}}])"
                                "\n" +
                                result_line("20", "{}")))
      << answers;
}

TEST_F(Ipc, TheRestOfABatchEndsWithItsClientButWhatItWritesIsDone) {
  start();
  auto client = accepted();
  client->send(batch_of(10, "read"));
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() >= 4; }));
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(calls, 10) << "as notifications, of which none is deferred";
  for (size_t i = 4; i < tokens.size(); ++i) EXPECT_EQ(tokens[i], 0u);
  EXPECT_FALSE(server->answer(tokens[0], "{}"));
  auto next = accepted();
  EXPECT_EQ(reply(*next, batch_of(1, "echo")), R"([{"jsonrpc":"2.0","id":0,"result":{}}])"
                                               "\n");
}

TEST_F(Ipc, ABatchWaitsForAClientThatDoesNotRead) {
  start();
  auto client = accepted();
  client->send(batch_of(200, "big", R"({"bytes":60000})"));
  ASSERT_TRUE(loop.run_until([&] { return calls > 3; }));
  run_a_few_turns();
  EXPECT_LT(calls, 20) << "it has 12 MB coming, of which half a megabyte may wait";
  EXPECT_LE(server->queued_bytes(last_client), options.output_bytes * 3 / 4);
  EXPECT_GT(lines_of(*client, 200).size(), 200u * 60'000);
  EXPECT_EQ(calls, 200);
}

TEST_F(Ipc, ABatchIsAnsweredByOneArray) {
  start();
  auto client = accepted();
  const std::string note = R"({"jsonrpc":"2.0","method":"echo"})";
  const auto one = [](std::string_view method, std::string_view id) {
    std::string text = request(method, id);
    text.pop_back();
    return text;
  };
  EXPECT_EQ(reply(*client, "[" + one("echo", "1") + " , " + note + ",7," + one("bad", "2") + "]\n"),
            R"([{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":null,"error":)"
            R"({"code":-32600,"message":"a call is an object: {\"jsonrpc\":\"2.0\",\"method\":...,)"
            R"(\"params\":{...},\"id\":...}","data":{"name":"invalid_request"}}},)"
            R"({"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"x: expected a text",)"
            R"("data":{"name":"invalid_params","field":"x"}}}])"
            "\n");
  // Notifications only: no answer. A deferred call holds its batch, and nothing else.
  client->send("[" + note + "," + note + "]\n" + "[" + one("later", "3") + "," + one("echo", "4") +
               "]\n" + request("echo", "5"));
  EXPECT_EQ(lines_of(*client, 1), result_line("5", "{}"));
  EXPECT_TRUE(server->answer(tokens[0], "[]"));
  EXPECT_EQ(lines_of(*client, 1),
            R"([{"jsonrpc":"2.0","id":4,"result":{}},{"jsonrpc":"2.0","id":3,"result":[]}])"
            "\n");
}

TEST_F(Ipc, ABatchHasOneTo256Calls) {
  start();
  auto client = accepted();
  const auto refusal = [](int count) {
    return error_line("null",
                      R"({"code":-32600,"message":"a batch has 1 to 256 calls, this one has )" +
                          std::to_string(count) + R"(","data":{"name":"invalid_request"}})");
  };
  EXPECT_EQ(reply(*client, "[]\n"), refusal(0));
  std::string many = "[";
  for (int i = 0; i < 256; ++i) many += R"({"jsonrpc":"2.0","method":"echo","id":1},)";
  many.back() = ']';
  const std::string answers = reply(*client, many + "\n");
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 1);
  EXPECT_EQ(calls, 256);
  many.back() = ',';
  EXPECT_EQ(reply(*client, many + "{}]\n"), refusal(257));
  EXPECT_EQ(calls, 256);  // none of it was carried out
}

TEST_F(Ipc, ALongAnswerToABatchComesInSeveralArrays) {
  start();
  auto client = accepted();
  std::string many = "[";
  for (int i = 0; i < 5; ++i) {
    std::string one = request("big", std::to_string(i), R"({"bytes":20000})");
    one.pop_back();
    many += one + ",";
  }
  many.back() = ']';
  const std::string answers = reply(*client, many + "\n", 2);
  const size_t first = answers.find('\n');
  EXPECT_LE(first, options.line_bytes);
  EXPECT_EQ(answers.substr(0, 24), R"([{"jsonrpc":"2.0","id":0)");
  EXPECT_EQ(answers.substr(first + 1, 24), R"([{"jsonrpc":"2.0","id":3)");
  EXPECT_EQ(json::scan(answers.substr(0, first)).reason, nullptr);
  EXPECT_TRUE(answers.ends_with("\"}]\n"));
}

TEST_F(Ipc, WhatCanNeverBeDeliveredIsRefused) {
  start();
  auto client = accepted();
  EXPECT_EQ(reply(*client, request("big", "1", R"({"bytes":1048576})")),
            error_line("1", R"({"code":-32000,"message":"the answer has 1048578 bytes, more than )"
                            R"(fit into the line of 65536 bytes that this client reads: ask for )"
                            R"(less, or name a larger max_line_bytes in client.hello",)"
                            R"("data":{"name":"too_large","limit_bytes":65536}})"));
  server->set_max_line_bytes(open[0], rpc::kMostLineBytes);
  const std::string answer = reply(*client, request("big", "1", R"({"bytes":1048530})"));
  EXPECT_NE(answer.find("more than may wait for a client"), std::string::npos)
      << answer.substr(0, 200);
}

TEST_F(Ipc, AnAnswerIsAsLongAsItsClientReadsAndNoLonger) {
  start();
  auto client = accepted();
  for (const size_t most : {rpc::kLineBytes, 2 * rpc::kLineBytes}) {
    server->set_max_line_bytes(open[0], most);
    EXPECT_EQ(server->max_line_bytes(open[0]), most);
    const auto answer = [&](size_t bytes, bool in_batch) {
      std::string text = request("big", "1", R"({"bytes":)" + std::to_string(bytes - 2) + "}");
      if (in_batch) text = "[" + text.substr(0, text.size() - 1) + "]\n";
      return reply(*client, text);
    };
    for (const bool in_batch : {false, true}) {
      const std::string longest = answer(most - 36, in_batch);
      EXPECT_EQ(longest.size() - 1, in_batch ? most : most - 2);
      const std::string refused = answer(most - 35, in_batch);
      EXPECT_NE(refused.find("too_large"), std::string::npos) << refused.substr(0, 100);
    }
    // Whatever its id.
    EXPECT_LT(rpc::result_bytes(server->max_line_bytes(open[0])), most - 36);
  }
  EXPECT_EQ(server->max_line_bytes(0), rpc::kLineBytes);
}

TEST_F(Ipc, OneWhoDoesNotReadIsPausedAndNobodyElse) {
  start();
  auto slow = accepted();
  auto other = accepted();
  // 100 answers of 20 KB, which it does not read: far more than may wait.
  std::string text;
  for (int i = 0; i < 100; ++i) text += request("big", std::to_string(i), R"({"bytes":20000})");
  slow->send(text);
  ASSERT_TRUE(loop.run_until([&] { return calls >= 10; }));
  run_a_few_turns();
  const int carried_out = calls;
  EXPECT_LT(carried_out, 60);
  EXPECT_LT(server->clients()[0].queued_bytes, options.output_bytes * 3 / 4);
  EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  EXPECT_EQ(server->counters().cut_off, 0u);
  // Once it reads, it gets all of it.
  const std::string answers = lines_of(*slow, 100);
  EXPECT_EQ(calls, 101);
  EXPECT_NE(answers.find(R"("id":99,)"), std::string::npos);
}

TEST_F(Ipc, AMillionTinyLinesKeepNobodyWaiting) {
  start();
  auto flooder = accepted();
  auto other = accepted();
  const std::string lines(60'000, '\n');
  size_t sent = 0;
  for (int round = 0; round < 20; ++round) {
    sent += flooder->send_some(lines);
    EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  }
  EXPECT_GT(sent, 500'000u);
  // "1" is no call: each gets its error, until enough waits.
  std::string ones;
  for (int i = 0; i < 30'000; ++i) ones += "1\n";
  size_t given = flooder->send_some(ones);
  EXPECT_EQ(reply(*other, request("echo", "2")), result_line("2", "{}"));
  EXPECT_EQ(server->counters().cut_off, 0u);
  ASSERT_TRUE(loop.run_until([&] {
    given += flooder->send_some(ones.substr(given));
    flooder->take();
    return server->counters().errors == 30'000;
  }));
}

// Each call takes half a turn, by the clock that the server sees.
TEST_F(Ipc, WhoAsksForLittleComesBeforeThoseWhoAskForAllTheyCan) {
  start();
  std::vector<std::unique_ptr<SocketClient>> flooders;
  std::string flood;
  for (int i = 0; i < 100; ++i) flood += request("dear", std::to_string(i), R"({"who":"f"})");
  for (int i = 0; i < 5; ++i) flooders.push_back(accepted());
  auto other = accepted();
  for (auto& flooder : flooders) flooder->send(flood);
  ASSERT_TRUE(loop.run_until([&] { return order.size() >= 50; }));
  order.clear();
  other->send(request("dear", "1", R"({"who":"o"})"));
  ASSERT_TRUE(loop.run_until([&] { return order.find('o') != order.npos; }));
  // One round was under way, at most.
  EXPECT_LE(order.find('o'), 2u * (kRound + kTurn) / (kTurn / 2)) << order;
  EXPECT_EQ(lines_of(*other, 1), result_line("1", "{}"));
  for (auto& flooder : flooders) {
    const std::string answers = lines_of(*flooder, 100);
    EXPECT_NE(answers.find(result_line("99", "{}")), std::string::npos);
  }
}

// A program that connects anew for each few calls is a stranger each time. The client that is there
// has taken a little more than a stranger counts for.
TEST_F(Ipc, ClientsThatComeAndGoComeBehindThoseWhoAskForLittle) {
  start();
  auto other = accepted();
  const std::string dear = request("dear", "1", R"({"who":"o"})");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(reply(*other, dear), result_line("1", "{}"));
  const auto send_newcomers = [&] {
    for (int i = 0; i < 8; ++i) {
      auto newcomer = connect();
      newcomer->send(request("dear", "1", R"({"who":"n"})") +
                     request("dear", "2", R"({"who":"n"})"));
    }
  };
  while (order.size() < 400) {  // 200 ms: until they count as what they are
    send_newcomers();
    loop.loop().run_once(false);
  }
  for (int i = 0; i < 5; ++i) {
    order.clear();
    other->send(dear);
    for (int turn = 0; turn < 100 && order.find('o') == order.npos; ++turn) {
      send_newcomers();
      loop.loop().run_once(false);
    }
    EXPECT_LE(order.find('o'), 2u) << order;
    EXPECT_EQ(lines_of(*other, 1), result_line("1", "{}"));
  }
}

TEST_F(Ipc, ABatchIsInterruptedAndGoesOnWhereItWas) {
  start();
  auto client = accepted();
  auto other = accepted();
  std::string batch = "[";
  for (int i = 0; i < 200; ++i) {
    batch += request("dear", std::to_string(i), R"({"who":"b"})");
    batch.back() = ',';
  }
  batch.back() = ']';
  client->send(batch + "\n" + request("dear", "200", R"({"who":"l"})"));
  ASSERT_TRUE(loop.run_until([&] { return order.size() >= 20; }));
  ASSERT_LT(order.size(), 200u);
  EXPECT_EQ(reply(*other, request("echo", "1")), result_line("1", "{}"));
  EXPECT_LT(order.size(), 200u) << "the other one did not wait for the whole batch";
  const std::string answers = lines_of(*client, 2);
  EXPECT_EQ(order, std::string(200, 'b') + 'l') << "each once, and the next line after them";
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '['), 1);
  EXPECT_NE(answers.find(R"({"jsonrpc":"2.0","id":199,"result":{}}])"), std::string::npos);
  // It goes on for one that has left, too; and ends with the server.
  order.clear();
  client->send(batch + "\n");
  client.reset();
  EXPECT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(order, std::string(200, 'b'));
  other->send(batch + "\n");
  order.clear();
  ASSERT_TRUE(loop.run_until([&] { return order.size() >= 20; }));
  server->stop();
  EXPECT_LT(order.size(), 500u);
}

TEST_F(Ipc, WhoMayNotConnectIsTold) {
  options.allow_users = {::getuid() + 1};
  start();
  const std::string forbidden = error_line(
      "null",
      format(R"({"code":-32011,"message":"user %u may not connect: the agent's configuration )"
             R"(names who may","data":{"name":"forbidden"}})",
             ::getuid()));
  EXPECT_EQ(last_words(request("echo", "1")), forbidden);
  EXPECT_EQ(last_words(""), forbidden);
  EXPECT_EQ(server->counters().refused, 2u);
  EXPECT_EQ(log.count(LogLevel::warning, "may not connect"), 2) << log.text();
  EXPECT_TRUE(open.empty());
}

TEST_F(Ipc, SeveralWhoMayNotConnectDoNotFillTheLog) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be several users";
  options.allow_users = {54321};
  options.mode = 0666;
  start();
  ::chmod(tree("").c_str(), 0755);
  for (int i = 0; i < 60; ++i) {
    ASSERT_EQ(::seteuid(i % 2 == 0 ? 1000 : 1001), 0);
    SocketClient client(options.path);
    ASSERT_EQ(::seteuid(0), 0);
    if (!client.connected()) GTEST_SKIP() << "other users cannot come here";
    EXPECT_TRUE(loop.run_until([&] { return client.closed(); }));
    EXPECT_NE(client.take().find("forbidden"), std::string::npos);
  }
  const auto told = static_cast<uint64_t>(log.count(LogLevel::warning, "may not connect"));
  EXPECT_LE(told, 2 * LogBudget::kDefaultPerMinute + 2) << log.text();
  EXPECT_GE(told, 2u);
}

TEST_F(Ipc, TheRightGroupMayConnect) {
  options.allow_users = {::getuid() + 1};
  options.allow_groups = {::getgid()};
  start();
  auto client = accepted();
  EXPECT_EQ(reply(*client, request("echo", "1")), result_line("1", "{}"));
}

TEST_F(Ipc, AClientGoneWhileItIsAnsweredIsNoTrouble) {
  start();
  auto client = accepted();
  auto other = accepted();
  // Both are there at once: the calls are carried out, the answers reach nobody.
  client->send(request("echo", "1") + request("all", "2") + request("later", "3"));
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(lines_of(*other, 1), "{\"n\":1}\n");
  EXPECT_FALSE(server->answer(tokens[0], "{}"));
}

TEST_F(Ipc, OneWhoIsGoneIsHeardToItsEndBeforeWhoCameLater) {
  start();
  auto client = accepted();
  server->watch_process(open[0], true);
  // Each takes a turn. No turn counts as more than kLongestTurn, so the client is not busy, however
  // slow this machine is.
  constexpr int kCalls = kBusy / kLongestTurn / 2;
  std::string text;
  for (int i = 0; i < kCalls; ++i) text += request("dear", "1", R"({"who":"g"})");
  client->send(text);
  client->close();
  auto next = connect();
  next->send(request("echo", "2"));
  EXPECT_EQ(lines_of(*next, 1), result_line("2", "{}"));
  EXPECT_EQ(closed_at_last_call, 1u);
  EXPECT_EQ(calls, kCalls + 1);
}

TEST_F(Ipc, ThoseWhoComeAndGoDoNotKeepANewcomerWaiting) {
  start();
  std::vector<std::unique_ptr<SocketClient>> gone;
  for (int i = 0; i < 40; ++i) {
    gone.push_back(connect());
    std::string text;
    for (int n = 0; n < 50; ++n) text += request("dear", "1", R"({"who":"x"})");
    gone.back()->send(text);
    gone.back()->close();
  }
  auto next = connect();
  next->send(request("echo", "2"));
  EXPECT_EQ(lines_of(*next, 1), result_line("2", "{}"));
  // Each of them had a turn or two, and not all that it asked for.
  EXPECT_LT(order.size(), 500u);
  ASSERT_TRUE(loop.run_until([&] { return order.size() == 2000; }));
}

TEST_F(Ipc, OneWhoDiesWhilePausedIsSeenAtOnce) {
  start();
  auto client = accepted();
  std::string text;
  for (int i = 0; i < 300; ++i) text += request("later", std::to_string(i));
  client->send(text);
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == RpcServer::kMaxPending; }));
  const auto died = std::chrono::steady_clock::now();
  client->close();
  ASSERT_TRUE(loop.run_until([&] { return closed.size() == 1; }));
  EXPECT_LT(std::chrono::steady_clock::now() - died, 100ms);
  EXPECT_EQ(calls, 300);  // what it had sent was carried out
}

TEST_F(Ipc, MayBeStoppedFromWithinACallAndStartedAgain) {
  start();
  auto client = accepted();
  client->send(request("stop", "1") + request("echo", "2"));
  ASSERT_TRUE(loop.run_until([&] { return client->closed(); }));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(closed.empty());  // stopping tells nobody
  EXPECT_EQ(::access(options.path.c_str(), F_OK), -1);
  open.clear();
  ASSERT_TRUE(server->start().ok());
  auto next = accepted();
  EXPECT_EQ(reply(*next, request("echo", "3")), result_line("3", "{}"));
  EXPECT_NE(open[0], last_client - 1);
  server.reset();
  EXPECT_TRUE(next->closed());
}

TEST_F(Ipc, StoppingSendsWhatIsOwed) {
  start();
  auto client = accepted();
  client->send(request("later", "1"));
  ASSERT_TRUE(loop.run_until([&] { return tokens.size() == 1; }));
  EXPECT_TRUE(server->answer(tokens[0], "{}"));
  server->stop();
  server.reset();
  EXPECT_TRUE(client->closed());
  EXPECT_EQ(client->take(), result_line("1", "{}"));
}

TEST_F(Ipc, AllocatesNothingPerMessage) {
  if (!test::kCountsAllocations) GTEST_SKIP() << "the sanitizer allocates for itself";
  start();
  auto client = accepted();
  const std::string text =
      R"({"jsonrpc":"2.0","method":"echo","params":{"joints_l":[1,2,3],"current_pose":"home"}})"
      "\n" +
      request("echo", "12345", R"({"a":[1,2,3],"b":"\u00fc"})") + request("event", "\"id\"");
  char buffer[4096];
  size_t received = 0;
  const auto round = [&] {
    client->send(text);
    for (int i = 0; i < 4; ++i) loop.loop().run_once(false);
    const ssize_t n = ::recv(client->fd(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) received += static_cast<size_t>(n);
  };
  for (int i = 0; i < 10; ++i) round();
  const long before = test::allocations;
  const size_t received_before = received;
  for (int i = 0; i < 500; ++i) round();
  // Of 1500. Where the machine takes the time of a turn away, the rest of a line is put aside.
  EXPECT_LE(test::allocations - before, 4);
  EXPECT_EQ(received - received_before, 50 * received_before);
}

}  // namespace
}  // namespace nb::ipc
