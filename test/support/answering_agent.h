// An agent that answers from a thread of its own, and the lines of its answers.
#pragma once

#include <poll.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/fake_agent.h"

namespace nb::test {

// Of a hello it is none: its answer is nothing that these tests are about.
inline std::string id_of(const std::string& line) {
  if (line.find("\"client.hello\"") != line.npos) return "";
  const size_t at = line.rfind("\"id\":");
  return at == line.npos ? "" : line.substr(at + 5, line.size() - at - 6);
}

// The answer to `line`; nothing if it wants none.
inline std::string result(const std::string& line, const std::string& json) {
  if (id_of(line).empty()) return "";
  return "{\"jsonrpc\":\"2.0\",\"id\":" + id_of(line) + ",\"result\":" + json + "}\n";
}

inline std::string failure(const std::string& line, int code, const std::string& message,
                           const std::string& data = "{}") {
  if (id_of(line).empty()) return "";
  return "{\"jsonrpc\":\"2.0\",\"id\":" + id_of(line) +
         ",\"error\":{\"code\":" + std::to_string(code) + ",\"message\":\"" + message +
         "\",\"data\":" + data + "}}\n";
}

// Answers what `reply` says to each line; an answer that ends with "close" ends the connection.
class AnsweringAgent {
 public:
  using Reply = std::function<std::string(const std::string& line)>;

  AnsweringAgent(const std::string& path, Reply reply) : agent_(path), reply_(std::move(reply)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~AnsweringAgent() {
    stop_ = true;
    thread_.join();
  }

  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  void serve() {
    while (!stop_) {
      agent_.accept();
      if (agent_.connected()) {
        for (const std::string& line : agent_.lines()) {
          {
            const std::lock_guard lock(mutex_);
            lines_.push_back(line);
          }
          std::string answer = reply_(line);
          const bool close = answer.ends_with("close");
          if (close) answer.resize(answer.size() - 5);
          if (!answer.empty()) agent_.send_all(answer);
          if (close) {
            agent_.close();
            break;
          }
        }
      }
      pollfd entry{agent_.connected() ? agent_.fd() : -1, POLLIN, 0};
      ::poll(&entry, 1, 1);
    }
  }

  FakeAgent agent_;
  Reply reply_;
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace nb::test
