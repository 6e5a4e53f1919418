// AgentLink: the only way from nodebeatctl to the agent. All calls go through libnodebeat from
// here, and every outcome becomes an exit code and a sentence.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ctl/source.h"

struct nb_client;

namespace nb::ctl {

using namespace terminal;

class AgentLink final : public Source {
 public:
  struct Options {
    std::string socket;
    int64_t timeout_ms = 3000;
    EventFn on_event = nullptr;
    void* user = nullptr;
  };

  explicit AgentLink(Options options);
  ~AgentLink() override;
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;

  // Returns kOk or kAway.
  Answer open() override;
  Answer call(const std::string& method, const std::string& params = {},
              int64_t timeout_ms = 0) override;
  Answer subscribe(const std::string& channel) override;
  bool connected() const override;
  uint64_t connects() const override;
  void wait(std::span<pollfd> more, int timeout_ms) override;

 private:
  Answer failure(int result) const;
  Answer why_away() const;

  Options options_;
  nb_client* client_ = nullptr;
  std::string result_;  // large, so it is made once
};

}  // namespace nb::ctl
