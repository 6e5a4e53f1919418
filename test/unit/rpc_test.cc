// JSON-RPC by include/nodebeat/PROTOCOL.md, to the byte.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "json/guard.h"
#include "json/view.h"
#include "rpc/codec.h"

namespace nb::rpc {
namespace {

struct Parsed {
  std::string fault;  // its name and message
  std::string method, params, id;
};

Parsed parse(std::string_view text) {
  EXPECT_EQ(json::Guard().check(text).reason, nullptr) << text;
  std::string scratch;
  RawCall call;
  const auto error = parse_call(json::View::of(text), scratch, call);
  Parsed parsed;
  if (error) parsed.fault = std::string(name_of(error->code)) + ": " + error->message;
  parsed.method = call.method;
  parsed.params = call.params.raw();
  parsed.id = call.id;
  return parsed;
}

TEST(RawCall, IsReadWhateverTheOrderOfItsMembers) {
  const Parsed request =
      parse(R"({ "id" : 7 , "params":{ "a": 1.10 },"method":"robot.update","jsonrpc":"2.0"})");
  EXPECT_EQ(request.fault, "");
  EXPECT_EQ(request.method, "robot.update");
  EXPECT_EQ(request.params, R"({ "a": 1.10 })");
  EXPECT_EQ(request.id, "7");
  const Parsed notification = parse(R"({"jsonrpc":"2.0","method":"a\u002eb"})");
  EXPECT_EQ(notification.fault, "");
  EXPECT_EQ(notification.method, "a.b");
  EXPECT_EQ(notification.params, "");
  EXPECT_EQ(notification.id, "");
}

TEST(RawCall, IdsComeBackByteForByte) {
  const std::string long_text = '"' + std::string(256, 'x') + '"';
  for (const std::string& id :
       {std::string("0"), std::string("-1.50e+3"), std::string("9007199254740993"),
        std::string("null"), std::string("\"\""), std::string(R"("\u0061\n\"")"),
        std::string("\"\xc3\xbc\""), long_text, std::string(64, '1')}) {
    const Parsed call = parse(R"({"jsonrpc":"2.0","method":"m","id":)" + id + "}");
    EXPECT_EQ(call.fault, "") << id;
    EXPECT_EQ(call.id, id);
  }
  for (const std::string& id : {std::string("true"), std::string("{}"), std::string("[1]"),
                                '"' + std::string(257, 'x') + '"', std::string(65, '1')}) {
    const Parsed call = parse(R"({"jsonrpc":"2.0","method":"m","id":)" + id + "}");
    EXPECT_EQ(call.fault,
              "invalid_request: id: expected a text of at most 256 bytes, a number of at most 64, "
              "or null");
    EXPECT_EQ(call.id, "");
  }
}

TEST(RawCall, SaysWhatIsWrongAndKeepsTheIdToAnswerWith) {
  const auto fault = [](std::string_view text) { return parse(text).fault; };
  const std::string no_call =
      R"(invalid_request: a call is an object: {"jsonrpc":"2.0","method":...,"params":{...},"id":...})";
  EXPECT_EQ(fault("1"), no_call);
  EXPECT_EQ(fault("[]"), no_call);
  EXPECT_EQ(fault("\"x\""), no_call);
  EXPECT_EQ(fault("{}"), "invalid_request: jsonrpc: expected \"2.0\"");
  EXPECT_EQ(fault(R"({"jsonrpc":2.0,"method":"m"})"), "invalid_request: jsonrpc: expected \"2.0\"");
  EXPECT_EQ(fault(R"({"jsonrpc":"1.0","method":"m"})"),
            "invalid_request: jsonrpc: expected \"2.0\"");
  EXPECT_EQ(fault(R"({"jsonrpc":"2.0"})"), "invalid_request: method: expected a text");
  EXPECT_EQ(fault(R"({"jsonrpc":"2.0","method":1})"), "invalid_request: method: expected a text");
  for (const char* params : {"[1]", "1", "null", "\"x\""}) {
    const Parsed call =
        parse(R"({"jsonrpc":"2.0","method":"m","params":)" + std::string(params) + ",\"id\":3}");
    EXPECT_EQ(call.fault, "invalid_request: params: expected an object, its members by name");
    EXPECT_EQ(call.id, "3");
  }
  const Parsed misspelt = parse(R"({"jsonrpc":"2.0","method":"m","parms":{},"more":1,"id":"a"})");
  EXPECT_EQ(misspelt.fault,
            "invalid_request: a call has no member 'parms', only jsonrpc, method, params and id");
  EXPECT_EQ(misspelt.id, "\"a\"");
}

TEST(Error, EveryRowOfTheTableIsWrittenAsItSays) {
  const std::vector<std::pair<Error, std::string>> rows = {
      {parse_error("expected a value", 3),
       R"({"code":-32700,"message":"not JSON that is accepted here: expected a value","data":{"name":"parse_error","offset":3}})"},
      {invalid_request("w"), R"({"code":-32600,"message":"w","data":{"name":"invalid_request"}})"},
      {unknown_method("robot.updat", "robot.update"),
       R"({"code":-32601,"message":"no method 'robot.updat'; did you mean 'robot.update'?","data":{"name":"unknown_method","method":"robot.updat","nearest":"robot.update"}})"},
      {unknown_method("\"x", ""),
       R"({"code":-32601,"message":"no method '\"x'","data":{"name":"unknown_method","method":"\"x","nearest":null}})"},
      {invalid_params("joints_l[3]", "expected a number or null"),
       R"({"code":-32602,"message":"joints_l[3]: expected a number or null","data":{"name":"invalid_params","field":"joints_l[3]"}})"},
      {internal("w"), R"({"code":-32603,"message":"w","data":{"name":"internal"}})"},
      {too_large("w", 65536),
       R"({"code":-32000,"message":"w","data":{"name":"too_large","limit_bytes":65536}})"},
      {not_found("w"), R"({"code":-32001,"message":"w","data":{"name":"not_found"}})"},
      {conflict("w", 2, 3),
       R"({"code":-32002,"message":"w","data":{"name":"conflict","expected":2,"actual":3}})"},
      {refused_key("robot:x", "w"),
       R"({"code":-32003,"message":"w","data":{"name":"refused_key","key":"robot:x"}})"},
      {too_many("w", 2), R"({"code":-32004,"message":"w","data":{"name":"queue_full","limit":2}})"},
      {too_many_fields("w", 2),
       R"({"code":-32000,"message":"w","data":{"name":"too_large","limit":2}})"},
      {queue_full("w", 1),
       R"({"code":-32004,"message":"w","data":{"name":"queue_full","limit_bytes":1}})"},
      {not_stored("w", "backoff"),
       R"({"code":-32005,"message":"w","data":{"name":"not_stored","link":"backoff"}})"},
      {busy("w", 64), R"({"code":-32006,"message":"w","data":{"name":"busy","limit":64}})"},
      {timeout("w"), R"({"code":-32007,"message":"w","data":{"name":"timeout"}})"},
      {unavailable("w", "backoff"),
       R"({"code":-32008,"message":"w","data":{"name":"unavailable","link":"backoff"}})"},
      {refused_by_redis("OOM no"),
       R"({"code":-32009,"message":"Redis refused this: OOM no","data":{"name":"refused_by_redis","redis":"OOM no"}})"},
      {wrong_type("w", "zset"),
       R"({"code":-32010,"message":"w","data":{"name":"wrong_type","type":"zset"}})"},
      {forbidden("w"), R"({"code":-32011,"message":"w","data":{"name":"forbidden"}})"},
      {forbidden("a.b", Right::state, "/s"),
       R"({"code":-32011,"message":"a.b needs the right 'state', which this socket does not give; )"
       R"(the socket /s does","data":{"name":"forbidden","right":"state","socket":"/s"}})"},
      {forbidden("a.b", Right::robot, ""),
       R"({"code":-32011,"message":"a.b needs the right 'robot', which this socket does not give",)"
       R"("data":{"name":"forbidden","right":"robot"}})"},
      {rate_limited("calls", std::chrono::microseconds(1500)),
       R"({"code":-32015,"message":"more calls than one client of this socket may have in a second",)"
       R"("data":{"name":"rate_limited","retry_after_ms":2}})"},
      {dropped("w"), R"({"code":-32012,"message":"w","data":{"name":"dropped"}})"},
  };
  for (const auto& [error, expected] : rows) {
    std::string out;
    append_error_object(out, error);
    EXPECT_EQ(out, expected);
    EXPECT_EQ(code_of(name_of(error.code)), error.code);
  }
  EXPECT_EQ(name_of(1), "");
  EXPECT_EQ(code_of("x"), 0);
}

TEST(Error, IsNeverLongWhateverTheClientMadeUp) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "\xc3\xbc\n";
  for (const Error& error : {unknown_method(text, ""), invalid_params(text, "w"),
                             refused_key(text, "w"), refused_by_redis(text)}) {
    std::string out;
    append_error_response(out, "1", error);
    EXPECT_LT(out.size(), 3000u);
    EXPECT_EQ(json::Guard().check(out).reason, nullptr) << out;
  }
}

TEST(RpcResponse, IsOneObjectOfKnownOrder) {
  std::string out;
  append_result_response(out, "\"a\"", R"({"x":1.10})");
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","id":"a","result":{"x":1.10}})");
  out.clear();
  append_error_response(out, "", timeout("w"));
  EXPECT_EQ(
      out,
      R"({"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"w","data":{"name":"timeout"}}})");
  out.clear();
  append_notification(out, "event", R"({"channel":"c"})");
  EXPECT_EQ(out, R"({"jsonrpc":"2.0","method":"event","params":{"channel":"c"}})");
  out.clear();
  append_client_error(out, "m\"", dropped("w"));
  EXPECT_EQ(
      out,
      R"({"jsonrpc":"2.0","method":"client.error","params":{"method":"m\"","error":{"code":-32012,"message":"w","data":{"name":"dropped"}}}})");
}

}  // namespace
}  // namespace nb::rpc
