// Unit tests of the pure parts of probe/: what is read from bytes and files, without a loop.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "probe/dbus_message.h"
#include "probe/http_exchange.h"
#include "probe/hysteresis.h"
#include "probe/mcp_message.h"
#include "probe/process_look.h"
#include "probe/sse.h"
#include "probe/words.h"
#include "support/json_document.h"
#include "support/listener.h"

namespace nb::probe {
namespace {

using namespace std::string_literals;

// 'u' and 'd' are tries, the second text is the verdict after each ('?': none).
std::string verdicts(unsigned up_after, unsigned down_after, const char* tries) {
  Hysteresis hysteresis(up_after, down_after);
  std::string out;
  std::optional<bool> before;
  for (const char* t = tries; *t != '\0'; ++t) {
    const bool changed = hysteresis.add(*t == 'u');
    EXPECT_EQ(changed, hysteresis.verdict() != before);
    before = hysteresis.verdict();
    out += before ? (*before ? 'u' : 'd') : '?';
  }
  return out;
}

TEST(Hysteresis, NeedsSoManyInARow) {
  EXPECT_EQ(verdicts(1, 1, "uddu"), "uddu");
  EXPECT_EQ(verdicts(1, 2, "ududduu"), "uuuuduu");
  EXPECT_EQ(verdicts(1, 2, "ddu"), "?du");
  EXPECT_EQ(verdicts(2, 3, "uduudduddduuu"), "???uuuuuudduu");
  EXPECT_EQ(verdicts(3, 3, "ududududuu"), "??????????");
  EXPECT_EQ(verdicts(0, 0, "ud"), "ud");
}

// Fed in pieces of `size` bytes, then closed if `close`. What came out, in words.
std::string read_response(const std::string& wire, size_t size, bool close) {
  HttpResponse response;
  for (size_t at = 0; at < wire.size(); at += size) {
    const Status status = response.feed(std::string_view(wire).substr(at, size));
    if (!status) return status.error().message;
  }
  if (close && !response.complete()) {
    const Status status = response.end();
    if (!status) return status.error().message;
  }
  if (!response.complete()) return response.progress();
  return std::to_string(response.status()) + " " + response.content_type() + " [" +
         response.body() + "]" + (response.truncated() ? " truncated" : "");
}

struct HttpCase {
  const char* name;
  std::string wire;
  bool close;
  const char* result;
};

class Http : public testing::TestWithParam<HttpCase> {};

TEST_P(Http, ReadsTheSameFromAnyPieces) {
  for (const size_t size : {size_t{1}, size_t{2}, size_t{7}, size_t{100000}}) {
    EXPECT_EQ(read_response(GetParam().wire, size, GetParam().close), GetParam().result)
        << "in pieces of " << size;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Responses, Http,
    testing::Values(
        HttpCase{"length",
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
                 false, "200 text/plain [hello]"},
        HttpCase{"chunked",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0"
                 "\r\nX: y\r\n\r\n",
                 false, "200  [hello]"},
        HttpCase{"until_close", "HTTP/1.0 200 OK\r\ncontent-TYPE:a/b\r\n\r\nhello", true,
                 "200 a/b [hello]"},
        HttpCase{"no_body", "HTTP/1.1 204 No Content\r\n\r\n", false, "204  []"},
        HttpCase{"interim",
                 "HTTP/1.1 100 Continue\r\nContent-Type: x/y\r\n\r\nHTTP/1.1 103 Early\r\nLink: "
                 "a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                 false, "200  [hi]"},
        HttpCase{"more_than_said", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", false,
                 "200  [he]"},
        HttpCase{"a_second_response",
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 No\r\n\r\n", false,
                 "200  []"},
        HttpCase{"bare_newlines", "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", false, "200  [hi]"}),
    [](const auto& c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Lies, Http,
    testing::Values(
        HttpCase{"less_than_said", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhello", true,
                 "the server closed the connection after only 5 of 200 bytes"},
        HttpCase{"stalled", "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhello", false,
                 "only 5 of 200 bytes"},
        HttpCase{"stalled_in_the_head", "HTTP/1.1 200 OK\r\nContent-", false,
                 "only 25 bytes of the head"},
        HttpCase{"closed_in_a_chunk",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", true,
                 "the server closed the connection after only 2 bytes of a body without end"},
        HttpCase{"negative", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", false,
                 "answer is not HTTP: invalid character in content-length header"},
        HttpCase{"beyond_64_bits",
                 "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello", false,
                 "answer is not HTTP: invalid character in content-length header"},
        HttpCase{"two_lengths",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi", false,
                 "answer is not HTTP: unexpected content-length header"},
        HttpCase{"chunk_size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
                 "answer is not HTTP: invalid character in chunk size header"},
        HttpCase{"interim_with_a_body",
                 "HTTP/1.1 199 Odd\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\n", true,
                 "answer is not HTTP: an interim answer with a body"},
        HttpCase{"switching", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
                 false, "the server switched protocols, which was not asked for"},
        HttpCase{"rubbish", "\x16\x03\x01\x02 certainly not", false,
                 "answer is not HTTP: invalid constant string"},
        HttpCase{"nothing", "", true, "the server closed the connection without an answer"}),
    [](const auto& c) { return c.param.name; });

TEST(HttpResponse, BoundsWhatItTakes) {
  const std::string endless = "HTTP/1.1 200 OK\r\n" + std::string(100000, 'x');
  EXPECT_EQ(read_response(endless, 1000, false), "the head of the answer is longer than 16 KiB");
  std::string many = "HTTP/1.1 200 OK\r\n";
  while (many.size() < 100000) many += "X: y\r\n";
  EXPECT_EQ(read_response(many, 1000, false), "the head of the answer is longer than 16 KiB");
  std::string interims;
  while (interims.size() < 100000) interims += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(read_response(interims, 1000, false), "the head of the answer is longer than 16 KiB");

  const std::string long_body = "HTTP/1.1 200 OK\r\n\r\n" + std::string(100000, 'x');
  EXPECT_EQ(read_response(long_body, 1000, false),
            "200  [" + std::string(HttpResponse::kMaxBody, 'x') + "] truncated");

  // Chunk extensions and trailers are neither head nor body.
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_FALSE(read_response(chunked + "1;" + std::string(1000000, 'x'), 1000, false).empty());
  HttpResponse response;
  ASSERT_TRUE(response.feed(chunked));
  Status status;
  size_t fed = 0;
  while (status && fed < 2 * HttpResponse::kMaxWire) {
    status = response.feed("1;x=" + std::string(100, 'y') + "\r\nz\r\n");
    fed += 100;
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "the answer does not end");
}

TEST(HttpResponse, KnowsATypeByItsNameAlone) {
  HttpResponse response;
  ASSERT_TRUE(
      response.feed("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream ; charset=x\r\n"
                    "Content-Length: 0\r\n\r\n"));
  EXPECT_TRUE(response.is_type("text/event-stream"));
  EXPECT_FALSE(response.is_type("text/event"));
  response.reset();
  EXPECT_FALSE(response.is_type("text/event-stream"));
  EXPECT_EQ(response.progress(), "nothing");
}

std::vector<std::string> read_events(const std::string& stream, size_t size) {
  SseParser parser;
  std::vector<std::string> events;
  for (size_t at = 0; at < stream.size(); at += size) {
    std::string_view bytes = std::string_view(stream).substr(at, size);
    while (parser.next(bytes)) {
      if (parser.is_message()) events.push_back(parser.data());
    }
    EXPECT_TRUE(bytes.empty());
  }
  return events;
}

TEST(Sse, ReadsEventsFromAnyPiecesAndAnyLineEnds) {
  const std::string lines[] = {"\xEF\xBB\xBF: a comment",
                               "event: message",
                               "data: one",
                               "",
                               "event: ping",
                               "data: 2026-11-20T14:03:07Z",
                               "",
                               "event:endpoint",
                               "",
                               "event: other",
                               "event",
                               "event: message",
                               "data: three",
                               "",
                               "",
                               "id: 7",
                               "data:two",
                               "data: lines",
                               "data",
                               "retry: 10",
                               "",
                               "data:  {\"a\": 1} ",
                               "database: no",
                               "",
                               "id: 8",
                               "",
                               "data: never ended"};
  const std::vector<std::string> expected = {"one", "three", "two\nlines\n", " {\"a\": 1} "};
  for (const char* end : {"\n", "\r", "\r\n"}) {
    std::string stream;
    for (const std::string& line : lines) stream += line + end;
    for (size_t size = 1; size <= stream.size(); ++size) {
      EXPECT_EQ(read_events(stream, size), expected) << "in pieces of " << size;
    }
  }
}

TEST(Sse, BoundsLinesAndEvents) {
  SseParser parser;
  std::string line = "data: " + std::string(SseParser::kMaxEvent, 'x');
  std::string_view bytes = line;
  EXPECT_FALSE(parser.next(bytes));
  EXPECT_TRUE(parser.overflowed());
  parser.reset();
  line = "data: " + std::string(SseParser::kMaxEvent / 4, 'x') + "\n";
  for (int i = 0; i < 5; ++i) {
    bytes = line;
    EXPECT_FALSE(parser.next(bytes));
  }
  EXPECT_TRUE(parser.overflowed());
}

// The verdict on a complete answer.
McpVerdict judge(McpAsk ask, const std::string& head, const std::string& body) {
  HttpResponse response;
  McpReader reader;
  reader.reset(ask, 1);
  const std::string wire =
      "HTTP/1.1 " + head + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  // Byte by byte, as an event stream may come.
  for (const char c : wire) {
    EXPECT_TRUE(response.feed(std::string_view(&c, 1)));
    if (response.complete()) break;
    if (auto verdict = reader.look(response, false)) return *verdict;
  }
  EXPECT_TRUE(response.complete());
  return *reader.look(response, true);
}

constexpr const char* kJson = "200 OK\r\nContent-Type: application/json";
constexpr const char* kSse = "200 OK\r\nContent-Type: text/event-stream";
constexpr const char* kInitialized =
    R"({"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{},)"
    R"("serverInfo":{"name":"cell\ntools","version":"1.4.2"}}})";
constexpr const char* kDiscovered =
    R"({"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2027-01-01","2026-07-28"],)"
    R"("capabilities":{},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"cell-tools",)"
    R"("version":"2.0.1"}}}})";

TEST(Mcp, NamesTheServerInBothErasAndBothForms) {
  const McpVerdict old = judge(McpAsk::initialize, kJson, kInitialized);
  EXPECT_TRUE(old.up);
  EXPECT_EQ(old.detail, "cell\\x0atools 1.4.2, MCP 2025-06-18");
  EXPECT_EQ(old.protocol, "2025-06-18");
  const McpVerdict current = judge(McpAsk::discover, kJson, kDiscovered);
  EXPECT_TRUE(current.up);
  EXPECT_EQ(current.detail, "cell-tools 2.0.1, MCP 2026-07-28");

  const std::string stream =
      ": hello\n\nid: 1\ndata:\n\n"
      "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n"
      "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\"}\n\n"
      "data: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\n"
      "event: message\ndata: "s +
      kInitialized + "\n\n";
  EXPECT_EQ(judge(McpAsk::initialize, kSse, stream).detail, old.detail);
  EXPECT_EQ(judge(McpAsk::initialize, kJson,
                  "[{\"jsonrpc\":\"2.0\",\"method\":\"x\"},"s + kInitialized + "]")
                .detail,
            old.detail);
  EXPECT_EQ(judge(McpAsk::discover, kJson,
                  R"({"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}})")
                .detail,
            "unnamed server, MCP 2026-07-28");
  // Names and texts mean what their escapes stand for.
  EXPECT_EQ(
      judge(McpAsk::initialize, kJson,
            R"( {"\u006asonrpc":"\u0032.0","id":1.0,"result":{"server\u0049nfo":)"
            R"({"name":"\"gr\u00fcn\"","version":"\t1"},"protocolVersion":"2025\u002d11-25"}} )")
          .detail,
      "\"gr\xc3\xbcn\" \\x091, MCP 2025-11-25");
}

TEST(Mcp, SaysInWordsWhatIsWrongAndWhetherTheOtherEraMayHelp) {
  const struct {
    McpAsk ask;
    const char* head;
    std::string body;
    const char* detail;
    bool other_question;
  } cases[] = {
      {McpAsk::initialize, "503 No", "", "HTTP 503, expected 200", false},
      {McpAsk::initialize, "404 No", "", "HTTP 404, expected 200", true},
      {McpAsk::initialize, "307 Away\r\nLocation: http://h/mcp/\xE2\x80\xAE", "",
       "HTTP 307 to http://h/mcp/\\u202e, which is not followed: the probe's url has to name it",
       false},
      {McpAsk::initialize, "304 Away", "", "HTTP 304, expected 200", false},
      {McpAsk::initialize, "421 No\r\nContent-Type: text/plain", "Invalid Host header\n",
       "HTTP 421: Invalid Host header (the probe's key 'host' sets the Host header)", false},
      {McpAsk::initialize, "429 No\r\nContent-Type: application/json",
       R"({"detail":"one a minute"})", "HTTP 429: one a minute", false},
      {McpAsk::initialize, "200 OK\r\nContent-Encoding: gzip\r\nContent-Type: application/json",
       "\x1f\x8b", "answer is not MCP: it is compressed, which was not asked for", false},
      {McpAsk::ping, "404 No\r\nContent-Type: application/json",
       R"({"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}})",
       "HTTP 404: MCP error -32001: Session not found", true},
      {McpAsk::ping, kJson,
       R"({"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"out of order"}})",
       "MCP error -32603: out of order", false},
      {McpAsk::initialize, "202 Accepted", "", "answer is not MCP: no Content-Type", true},
      {McpAsk::initialize, "200 OK\r\nContent-Type: text/html", "<html>",
       "answer is not MCP: Content-Type text/html", true},
      {McpAsk::initialize, kJson, "{\"jsonrpc\":\x01}",
       "answer is not MCP: not valid JSON: expected a value (at byte 11)", false},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":2,"i\u0064":1})",
       "answer is not MCP: not valid JSON: a name stands twice in one object (at byte 25)", false},
      {McpAsk::initialize, kJson, std::string(65, '[') + std::string(65, ']'),
       "answer is not MCP: not valid JSON: nested too deep (at byte 64)", false},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":1e999})",
       "answer is not MCP: not valid JSON: a number beyond the range of a double (at byte 22)",
       false},
      {McpAsk::initialize, kJson, "[]", "answer is not MCP: it answers another request", false},
      {McpAsk::initialize, kJson, "17", "answer is not MCP: not JSON-RPC 2.0", true},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":2,"result":{}})",
       "answer is not MCP: it answers another request", false},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":"1","result":{}})",
       "answer is not MCP: it answers another request", false},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":1})",
       "answer is not MCP: neither a result nor an error", true},
      {McpAsk::initialize, kJson, R"({"jsonrpc":"2.0","id":1,"result":{}})",
       "answer is not MCP: no protocolVersion", true},
      {McpAsk::initialize, kJson,
       R"({"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"newest"}})",
       "answer is not MCP: no protocolVersion", true},
      {McpAsk::initialize, kJson,
       R"({"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","serverInfo":[]}})",
       "answer is not MCP: no serverInfo", true},
      {McpAsk::discover, kJson, R"({"jsonrpc":"2.0","id":1,"result":{}})",
       "answer is not MCP: no supportedVersions", true},
      {McpAsk::discover, kJson,
       R"({"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2099-01-01"]}})",
       "the server does not support MCP 2026-07-28", true},
      {McpAsk::discover, "400 Bad\r\nContent-Type: application/json; charset=utf-8",
       R"({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Server not initialized"}})",
       "HTTP 400: MCP error -32000: Server not initialized", true},
      {McpAsk::discover, kJson,
       R"({"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}})",
       "MCP error -32601: Method not found", true},
      {McpAsk::discover, kJson,
       R"({"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"out of\u0007 order"}})",
       "MCP error -32603: out of\\x07 order", false},
      {McpAsk::discover, kJson, R"({"jsonrpc":"2.0","id":1,"error":"no"})",
       "answer is not MCP: an error without code and message", true},
      {McpAsk::initialize, kSse, "data: nonsense\n\n",
       "answer is not MCP: not valid JSON: expected a value (at byte 0)", false},
      {McpAsk::initialize, kSse, ": only a comment\n\n",
       "answer is not MCP: the event stream ended without it", false},
      {McpAsk::initialize, kSse, ": " + std::string(70000, 'x'),
       "answer is not MCP: 64 KiB of events without an answer", false},
      {McpAsk::initialize, kJson, "\"" + std::string(70000, 'x') + "\"",
       "answer is not MCP: longer than 64 KiB", false},
  };
  for (const auto& c : cases) {
    const McpVerdict verdict = judge(c.ask, c.head, c.body);
    EXPECT_FALSE(verdict.up) << c.detail;
    EXPECT_EQ(verdict.detail, c.detail);
    EXPECT_EQ(verdict.other_question, c.other_question) << c.detail;
  }
}

// Somebody is there, and says no.
TEST(Mcp, ARefusalMeansAlive) {
  const struct {
    const char* head;
    std::string body;
    const char* detail;
  } cases[] = {
      {"401 No", "", "HTTP 401, so it is alive"},
      {"401 No\r\nWWW-Authenticate: Bearer realm=\"cell\"", "",
       "HTTP 401, so it is alive: Bearer realm=\"cell\""},
      {"401 No\r\nContent-Type: application/json",
       R"({"error":"invalid_token","error_description":"Missing Authorization header"})",
       "HTTP 401, so it is alive: Missing Authorization header"},
      {"403 No\r\nContent-Type: application/json",
       R"({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Invalid Host: h"}})",
       "HTTP 403, so it is alive: MCP error -32000: Invalid Host: h"},
      {"403 No\r\nContent-Type: text/html", "<html>", "HTTP 403, so it is alive"},
  };
  for (const McpAsk ask : {McpAsk::discover, McpAsk::initialize, McpAsk::ping}) {
    for (const auto& c : cases) {
      const McpVerdict verdict = judge(ask, c.head, c.body);
      EXPECT_TRUE(verdict.up && verdict.refused) << c.detail;
      EXPECT_EQ(verdict.detail, c.detail);
    }
  }
}

TEST(Mcp, WhatIsNoMessageOnAStreamIsSkipped) {
  const std::string stream =
      ": ping - 2026-11-20 14:03:07\n\n"
      "event: ping\ndata: 2026-11-20T14:03:07Z\n\n"
      "event: endpoint\ndata: /messages?session=1\n\n"
      "data: keep-alive\n\n"
      "data: {\"type\":\"ping\"}\n\n"
      "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"roots/list\"}\n\n";
  EXPECT_EQ(judge(McpAsk::initialize, kSse, stream + "data: "s + kInitialized + "\n\n").detail,
            "cell\\x0atools 1.4.2, MCP 2025-06-18");
  EXPECT_TRUE(
      judge(McpAsk::ping, kSse, stream + R"(data: {"jsonrpc":"2.0","id":1,"result":{}})" + "\n\n")
          .up);
  EXPECT_EQ(judge(McpAsk::ping, kSse, stream).detail, "answer is not MCP: not JSON-RPC 2.0");
}

TEST(Mcp, APingIsAnsweredByAnyResultAndByNotKnowingIt) {
  EXPECT_TRUE(judge(McpAsk::ping, kJson, R"({"jsonrpc":"2.0","id":1,"result":{}})").up);
  EXPECT_TRUE(
      judge(McpAsk::ping, "404 No\r\nContent-Type: application/json",
            R"({"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}})")
          .up);
  EXPECT_FALSE(judge(McpAsk::ping, kJson, R"({"jsonrpc":"2.0","id":1,"result":7})").up);
}

TEST(Mcp, AsksAsEachEraWants) {
  ProbeSpec spec;
  spec.target = {"fe80::1%eth0", 8080, ""};
  spec.http_path = "/mcp?a=b";
  const McpSession session{"abc", "2025-11-25"};
  const struct {
    McpAsk ask;
    const char* method;
    const char* headers;
  } cases[] = {
      {McpAsk::initialize, "initialize", "event-stream\r\nContent-Length: "},
      {McpAsk::discover, "server/discover",
       "event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: server/discover\r\nCont"},
      {McpAsk::ping, "ping",
       "event-stream\r\nMcp-Session-Id: abc\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-"},
  };
  for (const auto& c : cases) {
    const std::string request = mcp_request(c.ask, 17, spec, "0.1", session);
    EXPECT_TRUE(request.starts_with("POST /mcp?a=b HTTP/1.1\r\nHost: [fe80::1]:8080\r\n"));
    EXPECT_NE(request.find("\r\nAccept: application/json, text/event-stream\r\n"),
              std::string::npos);
    EXPECT_NE(request.find("\r\nAccept-Encoding: identity\r\n"), std::string::npos);
    EXPECT_NE(request.find(c.headers), std::string::npos) << request;
    const size_t head = request.find("\r\n\r\n");
    const std::string body = request.substr(head + 4);
    EXPECT_NE(request.find("\r\nContent-Length: " + std::to_string(body.size()) + "\r\n"),
              std::string::npos);
    const auto document = test::JsonDocument::parse(body);
    ASSERT_TRUE(document);
    const test::Json root = document->root();
    EXPECT_EQ(root["method"].string(), c.method);
    EXPECT_EQ(root["id"].integer(), 17);
    const test::Json meta = root["params"]["_meta"];
    if (c.ask == McpAsk::discover) {
      EXPECT_EQ(meta["io.modelcontextprotocol/protocolVersion"].string(), "2026-07-28");
    }
    if (c.ask == McpAsk::initialize) {
      EXPECT_EQ(root["params"]["protocolVersion"].string(), "2025-11-25");
    }
  }
  spec.http_path = "/mcp";
  spec.http_host = "tools.example";
  const std::string head =
      " /mcp HTTP/1.1\r\nHost: tools.example\r\nUser-Agent: nodebeat/0.1\r\n"
      "Accept-Encoding: identity\r\nConnection: close\r\n";
  EXPECT_EQ(mcp_goodbye(spec, "0.1", session),
            "DELETE" + head + "Mcp-Session-Id: abc\r\nMCP-Protocol-Version: 2025-11-25\r\n\r\n");
  EXPECT_EQ(mcp_goodbye(spec, "0.1", {"", "2025-11-25"}), "");
  const std::string initialized = mcp_initialized(spec, "0.1", session);
  EXPECT_TRUE(initialized.starts_with("POST" + head));
  EXPECT_TRUE(initialized.ends_with(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"));
}

TEST(Mcp, OnlyAVisibleIdIsASession) {
  const auto id_of = [](const std::string& id) {
    HttpResponse response;
    EXPECT_TRUE(response.feed("HTTP/1.1 200 OK\r\nMcp-Session-Id: " + id + "\r\n\r\n"));
    return mcp_session(response, "2025-11-25").id;
  };
  EXPECT_EQ(id_of("1868a90c-7e2f"), "1868a90c-7e2f");
  for (const std::string& bad : {""s, "a b"s, "a\tb"s, "\xC3\xA4"s, std::string(2000, 'x')}) {
    EXPECT_EQ(id_of(bad), "");
  }
}

TEST(Dbus, WritesWhatItCanRead) {
  std::string out = "before";
  const size_t start = out.size();
  append_dbus_call(out, 7, {"org.a", "/org/a", "org.a.I", "Get"}, {"first", "second"});
  const std::string bytes = out.substr(start);
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto size = dbus_message_size(std::string_view(bytes).substr(0, n));
    ASSERT_TRUE(size);
    EXPECT_EQ(*size, n < 16 ? 0 : bytes.size());
    EXPECT_FALSE(parse_dbus_message(std::string_view(bytes).substr(0, n))) << n;
  }
  const auto message = parse_dbus_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->is_return);
  EXPECT_EQ(message->text, "first");
}

TEST(Dbus, ReadsRepliesInBothByteOrders) {
  // A return of serial 5 with the variant "ok", written out by hand.
  const std::string little =
      "l\x02\x01\x01\x0b\0\0\0\x09\0\0\0\x0f\0\0\0"
      "\x05\x01u\0\x05\0\0\0"
      "\x08\x01g\0\x01v\0\0"
      "\x01s\0\0\x02\0\0\0ok\0"s;
  std::string big =
      "B\x02\x01\x01\0\0\0\x0b\0\0\0\x09\0\0\0\x0f"
      "\x05\x01u\0\0\0\0\x05"
      "\x08\x01g\0\x01v\0\0"
      "\x01s\0\0\0\0\0\x02ok\0"s;
  for (const std::string& bytes : {little, big}) {
    ASSERT_TRUE(dbus_message_size(bytes));
    EXPECT_EQ(*dbus_message_size(bytes), bytes.size());
    const auto message = parse_dbus_message(bytes);
    ASSERT_TRUE(message);
    EXPECT_TRUE(message->is_return);
    EXPECT_EQ(message->reply_serial, 5u);
    EXPECT_EQ(message->text, "ok");
  }
  EXPECT_FALSE(dbus_message_size("HTTP/1.1 400 Bad Request"));
  big[12] = '\x7f';
  EXPECT_FALSE(dbus_message_size(big));
}

TEST(Dbus, EscapesUnitNamesAsSystemdDoes) {
  EXPECT_EQ(unit_object_path("redis-server.service"),
            "/org/freedesktop/systemd1/unit/redis_2dserver_2eservice");
  EXPECT_EQ(unit_object_path("7up@a.service"),
            "/org/freedesktop/systemd1/unit/_37up_40a_2eservice");
}

TEST(Words, AreCleanAndShort) {
  EXPECT_EQ(one_line("a\r\nb\x1b[1m\xC2\x9B\xFF"), "a\\x0d\\x0ab\\x1b[1m\\u009b\\xff");
  EXPECT_EQ(one_line(std::string(500, 'x')).size(), 120u);
}

// A recorded-looking /proc of its own in a temporary folder.
class ProcTree : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/nodebeat-probe-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    root_ = path;
  }
  void TearDown() override {
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) ::remove(it->c_str());
    ::rmdir(root_.c_str());
  }
  void write(const std::string& name, const std::string& text) {
    const std::string path = root_ + "/" + name;
    const size_t slash = name.find('/');
    if (slash != std::string::npos) {
      const std::string folder = root_ + "/" + name.substr(0, slash);
      if (::mkdir(folder.c_str(), 0755) == 0) made_.push_back(folder);
    }
    std::FILE* file = std::fopen(path.c_str(), "w");
    ASSERT_NE(file, nullptr);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    made_.push_back(path);
  }
  void process(int pid, const std::string& command, char state = 'S', int start = 100) {
    write(std::to_string(pid) + "/cmdline", command);
    write(std::to_string(pid) + "/stat", std::to_string(pid) + " (odd) name) " + state +
                                             " 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " +
                                             std::to_string(start) + " 1 2 3\n");
  }
  std::string root_;
  std::vector<std::string> made_;
};

TEST_F(ProcTree, FindsAProcessByItsCommandLine) {
  process(1, "/sbin/init\0"s);
  process(2, "");  // a kernel thread
  process(40, "robot_main\0--arm\0left\0"s);
  process(7, "/usr/bin/robot_main\0--arm\0left\0"s);
  process(50, std::string(20000, 'j') + "\0-cp\0Main\0"s);
  write("version", "Linux");
  const auto found = find_by_command(root_, "robot_main --arm left");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->pid, 7);
  EXPECT_EQ(found->start_ticks, 100u);
  EXPECT_EQ(find_by_command(root_, "-cp Main")->pid, 50);
  EXPECT_TRUE(same_process(root_, *found));
  // The one that is known stays the one, until an exec().
  EXPECT_EQ(find_by_command(root_, "robot_main", {40, 100})->pid, 40);
  process(40, "other_main\0"s);
  EXPECT_EQ(find_by_command(root_, "robot_main", {40, 100})->pid, 7);
  // The same number, started later; and one that has ended.
  process(7, "something\0else\0"s, 'S', 101);
  EXPECT_FALSE(same_process(root_, *found));
  process(7, "", 'Z');
  EXPECT_FALSE(same_process(root_, *found));
  EXPECT_FALSE(same_process(root_, {1234, 100}));

  const auto none = find_by_command(root_, "robot_main --arm right");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message, "no process has \"robot_main --arm right\" in its command line");
  EXPECT_NE(none.error().fault, Fault::blind);
}

TEST_F(ProcTree, ANumberThatIsNotSeenIsNotGone) {
  const auto nowhere = find_by_command(root_ + "/nowhere", "x");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().message, root_ + "/nowhere cannot be read: No such file or directory");
  EXPECT_EQ(nowhere.error().fault, Fault::blind);
  // hidepid=2: the first process lives, and /proc does not show it.
  process(40, "robot_main\0"s);
  const auto hidden = find_by_command(root_, "vision_main");
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().message,
            root_ + " shows the agent's own processes only (hidepid, ProtectProc=)");
  EXPECT_EQ(hidden.error().fault, Fault::blind);
  EXPECT_TRUE(find_by_command(root_, "robot_main")) << "what is seen counts";
}

TEST_F(ProcTree, WithoutADescriptorNoProcessIsGone) {
  process(1, "/sbin/init\0"s);
  write("pid", std::to_string(::getpid()));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);  // the lowest number that is free
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto by_file = find_by_pidfile("/proc", root_ + "/pid");
  const auto by_command = find_by_command(root_, "vision_main");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(by_file);
  EXPECT_EQ(by_file.error().message, root_ + "/pid: Too many open files");
  EXPECT_EQ(by_file.error().fault, Fault::blind);
  ASSERT_FALSE(by_command);
  EXPECT_EQ(by_command.error().fault, Fault::blind);
}

TEST_F(ProcTree, ReadsAPidfile) {
  const std::string pidfile = root_ + "/pid";
  const auto detail = [&](const std::string& text) {
    write("pid", text);
    const auto found = find_by_pidfile("/proc", pidfile);
    return found ? "process " + std::to_string(found->pid) : found.error().message;
  };
  const std::string self = std::to_string(::getpid());
  EXPECT_EQ(detail(self), "process " + self);
  EXPECT_EQ(detail(" " + self + " \n/var/lib/data\n"), "process " + self);
  EXPECT_EQ(detail("1\n"), "process 1");  // perhaps somebody else's
  for (const char* text : {"", "-1", "0", "12a", "31415926", "s3cret", "\nfoo"}) {
    EXPECT_EQ(detail(text), pidfile + " holds no process id in its first line");
  }

  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  // Waits for its end, but leaves it a zombie.
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const std::string number = std::to_string(child);
  EXPECT_EQ(detail(number), "process " + number + " of " + pidfile +
                                " has ended and its parent has not noticed (zombie)");
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(detail(number), "the process of " + pidfile + " is gone");

  const auto missing = find_by_pidfile("/proc", root_ + "/none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, root_ + "/none: No such file or directory");
  EXPECT_NE(missing.error().fault, Fault::blind);
}

// Whatever lies at the path of a pidfile, nothing of it is told and nothing is waited for.
TEST_F(ProcTree, WhatIsNoPlainFileIsNotRead) {
  const std::string link = root_ + "/link";
  write("secret", "hunter2\n");
  ASSERT_EQ(::symlink((root_ + "/secret").c_str(), link.c_str()), 0);
  const auto linked = find_by_pidfile("/proc", link);
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().message,
            link + " is a symbolic link, which is not followed: name the file itself");
  EXPECT_EQ(linked.error().fault, Fault::blind);
  // The password itself, under the pidfile's name.
  const auto itself = find_by_pidfile("/proc", root_ + "/secret");
  ASSERT_FALSE(itself);
  EXPECT_EQ(itself.error().message, root_ + "/secret holds no process id in its first line");

  const std::string fifo = root_ + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const std::string socket = root_ + "/socket";
  const test::Listener listener(socket);
  for (const std::string& path : {fifo, socket, root_}) {
    const auto found = find_by_pidfile("/proc", path);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().message, path + " is no regular file");
    EXPECT_EQ(found.error().fault, Fault::blind);
  }
}

}  // namespace
}  // namespace nb::probe
