// RecordedChannels: which channels have a stream of their own, so that no channel pushes another
// one's events out of a stream. They are bounded in number. Each client has a share of them, and so
// have the programs of one user together, since a client may connect several times. Events of
// further channels go into one stream that these channels share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "outbox/update.h"

namespace nb::cell {

class RecordedChannels {
 public:
  struct Limits {
    size_t channels = 0;
    uint64_t length = 0;  // of each stream, in entries
    uint64_t bytes = 0;
    // this time after the last event the stream is gone, and its channel's place is free
    Duration ttl{};
  };
  RecordedChannels(std::string_view node, Limits limits);

  void set_limits(Limits limits) { limits_ = limits; }
  // The one that channels without a stream share.
  std::string_view shared() const { return others_; }
  // The stream for an event that `owner`, a program of `user`, publishes now; valid until the next
  // call.
  std::string_view stream_of(std::string_view channel, outbox::Owner owner, uint32_t user,
                             MonoTime now);

 private:
  struct Channel {
    std::string stream;
    outbox::Owner owner = 0;  // the first that published on it
    uint32_t user = 0;        // the user of that program
    MonoTime used{};
  };

  std::string others_;  // the shared stream; with a colon and a channel one of its own
  Limits limits_;
  std::vector<Channel> channels_;
  size_t last_ = 0;
};

}  // namespace nb::cell
