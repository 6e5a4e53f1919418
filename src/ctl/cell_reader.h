// CellReader: the cell as Redis shows it, without an agent: for a laptop with the password of the
// user `viewer`. It only reads. The agent's own rooms (fleet/, redis/) judge the nodes, in this
// process: so both judge by the same leases, marks and healths.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "config/redis_url.h"
#include "ctl/source.h"
#include "fleet/fleet.h"
#include "redis/link_options.h"
#include "redis/reader.h"
#include "redis/subscriber.h"
#include "uv/loop.h"

namespace nb::ctl {

class CellReader final : public Source {
 public:
  struct Options {
    config::RedisAddress address;
    std::string prefix;  // of the cell's keys and channels (redis.prefix)
    int64_t timeout_ms = 3000;
    EventFn on_event = nullptr;
    void* user = nullptr;
  };

  explicit CellReader(Options options);
  ~CellReader() override;

  // Returns kOk, or kAway with the reason.
  Answer open() override;
  // system.status, agent.stats and client.hello as far as they are possible without an agent;
  // state.list, and state.get of progress.
  Answer call(const std::string& method, const std::string& params = {},
              int64_t timeout_ms = 0) override;
  Answer subscribe(const std::string& channel) override;
  // The connections are made again by themselves, and the answers contain their state.
  bool connected() const override { return true; }
  uint64_t connects() const override { return 1; }
  void wait(std::span<pollfd> more, int timeout_ms) override;

 private:
  // One question to Redis.
  struct Asked {
    bool done = false;
    bool answered = false;
    std::string error;               // of Redis
    std::string text;                // of a string
    std::vector<std::string> items;  // of a page of SCAN
    void on_answer(const redis::ReaderAnswer& answer);
  };
  Asked ask(std::span<const std::string_view> command, int64_t timeout_ms);
  Asked ask_for_watch(int64_t timeout_ms);
  // The fault of a missing or malformed answer.
  Answer fault(const Asked& asked) const;
  // Words about this server.
  Answer failure(ExitCode code, const std::string& words) const;
  template <class Done>
  bool run_until(Done done, int64_t timeout_ms);
  int turn(std::span<pollfd> more, int timeout_ms);

  Answer status(const std::string& cursor, int64_t timeout_ms);
  Answer list(const std::string& prefix, const std::string& cursor, int64_t timeout_ms);
  Answer progress(const std::string& key, int64_t timeout_ms);
  std::string stats() const;
  void look_at_watch(int64_t timeout_ms);

  // For the fleet.
  bool redis_is_there() const { return reader_.words().empty(); }
  uint64_t link_connects() const { return 0; }
  bool is_watched() const { return watched_; }
  std::string_view own_health() const { return {}; }
  bool has_room(uint64_t, size_t) const { return true; }
  size_t page_bytes(uint64_t) const;
  void on_page(uint64_t token, std::string_view page);

  void on_message(std::string_view channel, std::string_view payload, std::string_view pattern);
  void on_gap(WallTime from, WallTime to);

  Options options_;
  std::string place_;
  SystemClock clock_;
  Log log_;  // silent
  uv::Loop loop_;
  redis::Reader reader_;
  redis::Subscriber subscriber_;
  fleet::Fleet fleet_;

  uint64_t token_ = 0;  // of the page that is wanted
  std::optional<std::string> page_;
  std::string watch_;  // the words of the watch, as they were read last
  MonoTime watch_changed_{};
  bool watched_ = false;
};

}  // namespace nb::ctl
