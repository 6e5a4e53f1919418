// A client of the C API and a scripted agent, for the tests of client/.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "nodebeat/client.h"
#include "support/fake_agent.h"

namespace nb::client {

using test::FakeAgent;
using Lines = std::vector<std::string>;

inline const std::string kHello =
    R"({"jsonrpc":"2.0","method":"client.hello","params":{"errors":true,"name":"robot"},"id":0})";
inline const std::string kEnd = R"({"jsonrpc":"2.0","method":"stroke.end"})";

inline std::string robot(const std::string& params) {
  return R"({"jsonrpc":"2.0","method":"robot.update","params":{)" + params + "}}";
}
inline std::string progress(const std::string& params) {
  return R"({"jsonrpc":"2.0","method":"stroke.update","params":{)" + params + "}}";
}
inline std::string note(int i) {
  return R"({"jsonrpc":"2.0","method":"note","params":{"n":)" + std::to_string(i) + "}}";
}

struct Event {
  std::string channel;
  std::string json;
  uint32_t flags;
};

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    char folder[] = "/tmp/nb_client_XXXXXX";
    folder_ = ::mkdtemp(folder);
    options_.size = sizeof options_;
    options_.name = "robot";
    options_.reconnect_ms = 1;
    options_.on_event = [](void* user, const char* channel, const char* json, uint32_t flags) {
      static_cast<ClientTest*>(user)->events_.push_back({channel, json, flags});
    };
    options_.user = this;
  }
  ~ClientTest() override {
    nb_client_close(client_);
    agent_.reset();
    ::rmdir(folder_.c_str());
  }

  std::string path() const { return folder_ + "/agent.sock"; }
  void start_agent() {
    if (agent_ == nullptr) {
      agent_ = std::make_unique<FakeAgent>(path());
    } else {
      agent_->start();
    }
  }
  void open() {
    path_ = path();
    options_.socket_path = path_.c_str();
    char error[256] = "";
    ASSERT_EQ(nb_client_open(&options_, &client_, error, sizeof error), NB_OK) << error;
  }
  // With an agent that has taken the connection and the hello.
  void open_greeted() {
    start_agent();
    open();
    ASSERT_TRUE(agent_->accept());
    ASSERT_EQ(agent_->lines(), Lines{kHello});
  }
  // The agent's answer to the hello.
  void say_limit(size_t bytes) {
    ASSERT_TRUE(agent_->send(R"({"jsonrpc":"2.0","id":0,"result":{"protocol":1,"limits":)"
                             R"({"batch_calls":256,"line_bytes":)" +
                             std::to_string(bytes) + "}}}\n"));
  }
  // Dispatches until connected.
  void reconnect() {
    for (int i = 0; i < 1000 && !agent_->accept(); ++i) {
      nb_client_dispatch(client_);
      if (nb_client_get_fd(client_) < 0) ::poll(nullptr, 0, nb_client_get_timeout(client_));
    }
    ASSERT_TRUE(agent_->connected());
    nb_client_dispatch(client_);
  }

  int push_pose(const char* pose) {
    nb_robot_state state{};
    state.size = sizeof state;
    state.has = NB_ROBOT_CURRENT_POSE;
    state.current_pose = pose;
    return nb_push_robot_state(client_, &state);
  }
  int push_joints(std::vector<double> joints) {
    nb_robot_state state{};
    state.size = sizeof state;
    state.has = NB_ROBOT_JOINTS_L;
    state.joints_l = joints.data();
    state.joints_l_count = static_cast<uint8_t>(joints.size());
    return nb_push_robot_state(client_, &state);
  }
  int push_progress(int64_t pose) {
    nb_stroke stroke{};
    stroke.size = sizeof stroke;
    stroke.has = NB_STROKE_POSE_IDX;
    stroke.pose_idx = pose;
    return nb_stroke_update(client_, &stroke);
  }
  int push_start(int64_t total) {
    nb_stroke stroke{};
    stroke.size = sizeof stroke;
    stroke.has = NB_STROKE_TOTAL_STROKES;
    stroke.total_strokes = total;
    return nb_stroke_start(client_, &stroke);
  }
  int push_note(int i) {
    return nb_notify(client_, "note", ("{\"n\":" + std::to_string(i) + "}").c_str());
  }
  // A note of `size` bytes of text.
  int push_text(size_t size) {
    return nb_notify(client_, "note", ("{\"n\":\"" + std::string(size, 'x') + "\"}").c_str());
  }
  static size_t text_around() { return note(0).size() + 1; }
  nb_client_stats stats() {
    nb_client_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(nb_client_get_stats(client_, &stats), NB_OK);
    return stats;
  }
  std::string last_error(int code = 0) {
    char text[512] = "?";
    EXPECT_EQ(nb_client_last_error(client_, text, sizeof text), code);
    return text;
  }

  std::string folder_;
  std::string path_;
  nb_client_options options_{};
  nb_client* client_ = nullptr;
  std::unique_ptr<FakeAgent> agent_;
  std::vector<Event> events_;
};

}  // namespace nb::client
