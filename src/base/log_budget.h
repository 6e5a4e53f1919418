// LogBudget: how many lines of each kind a log takes, so that no cause of lines (a client, Redis, a
// probe, a file) can fill the log or hide other lines in it. A kind is one call in
// the source. A kind's lines may further be told apart by what they are about (LogAbout): each
// client or probe then has a share of its own.
//
// Lines that are left out are counted. A later line tells their number and how the first began.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace nb {

// The subject of a line, such as a client. Lines about different subjects have different shares.
struct LogAbout {
  uint64_t id = 0;  // 0: nothing in particular

  LogAbout() = default;
  // A number that the system has given, such as the peer's process id.
  explicit LogAbout(uint64_t number) : id(number + 1) {}
  // A name: of a probe, a file, a channel.
  explicit LogAbout(std::string_view name);
};

// A token bucket: `per_minute` lines a minute, and as many at once after a quiet minute.
class LogLimit {
 public:
  // Whether a line may be written now. If so, one token is taken. 0 a minute: always.
  bool take(MonoTime now, uint64_t per_minute);
  // As take(), but takes nothing.
  bool has_room(MonoTime now, uint64_t per_minute);
  MonoTime last_asked() const { return asked_; }

 private:
  void refill(MonoTime now, uint64_t per_minute);

  MonoTime asked_{};
  double tokens_ = -1;  // negative: not asked yet
};

class LogBudget {
 public:
  // Lines of one kind about one subject, a minute. All lines of one kind together may be four times
  // as many.
  static constexpr uint64_t kDefaultPerMinute = 20;
  static constexpr uint64_t kAllTogether = 4;
  static constexpr size_t kMaxShares = 128;
  static constexpr size_t kSampleBytes = 96;

  // The lines of one share that were left out since the last line that reported their number.
  struct Share {
    const char* kind = nullptr;
    uint64_t about = 0;
    uint64_t factor = 1;  // times the lines a minute
    LogLimit limit;
    uint64_t left_out = 0;
    int level = 0;
    uint8_t sample_size = 0;
    char sample[kSampleBytes];  // the beginning of the first line that was left out

    std::string_view beginning() const { return {sample, sample_size}; }
  };

  // 0: every line is taken.
  void set_per_minute(uint64_t lines) { per_minute_ = lines; }

  // The share that a line counts in, or null if the line is not counted. The share is valid until
  // the next ask(). If `taken` is false, leave the line out: the share has counted it.
  Share* ask(const char* kind, LogAbout about, MonoTime now, bool& taken);
  // A share that has left out lines and has room again (`all`: or has no room), or null.
  Share* next_told(MonoTime now, bool all);

 private:
  Share& share_of(const char* kind, uint64_t about);
  Share& make_room();

  uint64_t per_minute_ = kDefaultPerMinute;
  std::vector<Share> shares_;
};

}  // namespace nb
