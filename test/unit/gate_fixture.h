// An agent that a test scripts line by line.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "support/captured_log.h"
#include "support/listener.h"
#include "support/temp_tree.h"
#include "support/test_loop.h"

namespace nb::gate {

class FakeAgent {
 public:
  explicit FakeAgent(std::string path) : path_(std::move(path)) { open(); }

  const std::string& path() const { return path_; }
  void open() { listener_ = std::make_unique<test::Listener>(path_); }
  void close() { listener_.reset(); }
  bool has_caller() const { return listener_ && listener_->ready(); }
  void accept() {
    peer_ = listener_->accept();
    received_.clear();
  }
  void hang_up() { peer_.reset(); }
  void send(std::string_view text) {
    EXPECT_EQ(::send(peer_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What has come since the connection was accepted.
  const std::string& received() {
    char buffer[64 * 1024];
    for (ssize_t n; (n = ::recv(peer_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) {
      received_.append(buffer, static_cast<size_t>(n));
    }
    return received_;
  }
  bool has(std::string_view part) { return received().find(part) != std::string::npos; }
  // The id of the last call of this method.
  std::string id_of(std::string_view method) {
    const std::string& text = received();
    const size_t at = text.rfind("\"method\":\"" + std::string(method) + '"');
    const size_t id = text.find("\"id\":", at) + 5;
    return at == std::string::npos ? "" : text.substr(id, text.find('}', id) - id);
  }
  void answer(std::string_view method, std::string_view result) {
    send(R"({"jsonrpc":"2.0","id":)" + id_of(method) + R"(,"result":)" + std::string(result) +
         "}\n");
  }

 private:
  std::string path_;
  std::unique_ptr<test::Listener> listener_;
  UniqueFd peer_;
  std::string received_;
};

inline constexpr char kHelloResult[] =
    R"({"protocol":1,"client_id":3,"node_id":"hog","instance_id":"i-1","agent_version":"1.2",)"
    R"("rights":["read","state"],"limits":{"line_bytes":4096}})";

class WithAgent : public testing::Test {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }
  bool run_until(const std::function<bool()>& condition) { return loop.run_until(condition); }
  void greet() {
    ASSERT_TRUE(run_until([&] { return fake.has_caller(); }));
    fake.accept();
    ASSERT_TRUE(run_until([&] { return fake.has("client.hello"); }));
    fake.answer("client.hello", kHelloResult);
  }

  test::TestLoop loop;
  test::TempTree tree;
  test::CapturedLog log;
  FakeAgent fake{tree("/agent.sock")};
};

}  // namespace nb::gate
