// Any lines of an MCP client, of whatever revision: each that comes back is one line of JSON by
// JSON-RPC, and a request is answered once at most.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "fake_toolbox.h"
#include "json/guard.h"
#include "mcp/session.h"
#include "require.h"

namespace {

using namespace nb;
using namespace nb::mcp;
using nb::fuzz::require;

class FixedClock final : public Clock {
 public:
  MonoTime now() const override { return MonoTime(time); }
  WallTime wall_now() const override { return {}; }
  Duration time{};
};

class Client {
 public:
  void receive(std::string_view line) {
    ++lines_in_;
    session_.receive(line);
    clock_.time += std::chrono::milliseconds(30);
    if (box_.watches > 0) box_.changed();
    session_.tick();
  }
  void end() {
    session_.end_subscriptions();
    require(answers_ <= lines_in_ + 16);  // a listen is answered at the end
  }

 private:
  void on_line(const Outgoing& out) {
    const std::string_view line = out.line;
    require(line.find('\n') == line.npos);
    require(line.size() < 2 * Session::kMaxResultBytes + 4096);
    require(guard_.check(line).reason == nullptr);
    const json::View message = guard_.view();
    require(message["jsonrpc"].string_is("2.0"));
    const bool answers = message["id"].exists();
    require(answers != message["method"].exists() && answers == out.is_answer);
    require(message["error"]["code"].integer().value_or(0) == out.error);
    if (answers) require(out.request.empty() || out.request == message["id"].raw());
    require(!answers || message["result"].exists() != message["error"].exists());
    answers_ += answers;
  }
  void on_wait(Duration time) { require(time > Duration::zero()); }

  fuzz::FakeToolbox box_;
  FixedClock clock_;
  json::Guard guard_;
  size_t lines_in_ = 0, answers_ = 0;
  Session session_{box_,
                   clock_,
                   {Delegate<void(const Outgoing&)>::to<&Client::on_line>(this),
                    Delegate<void(Duration)>::to<&Client::on_wait>(this)},
                   {.page = 1}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Client client;
  while (!input.empty()) {
    const size_t end = std::min(input.find('\n'), input.size());
    client.receive(input.substr(0, end));
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  client.end();
  return 0;
}
