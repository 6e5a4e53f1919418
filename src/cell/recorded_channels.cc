#include "cell/recorded_channels.h"

#include <algorithm>

#include "wire/keys.h"

namespace nb::cell {
namespace {

// Of the channels, one client may take one of so many parts, the programs of one user this many.
constexpr size_t kParts = 4;
constexpr size_t kUserParts = 3;

}  // namespace

RecordedChannels::RecordedChannels(std::string_view node, Limits limits)
    : others_(wire::other_events_stream(node)), limits_(limits) {}

std::string_view RecordedChannels::stream_of(std::string_view channel, outbox::Owner owner,
                                             uint32_t user, MonoTime now) {
  const size_t prefix = others_.size() + 1;
  const auto is_it = [&](const Channel& known) {
    return std::string_view(known.stream).substr(prefix) == channel;
  };
  // Mostly the one that was asked for last: events come many at a time.
  if (last_ >= channels_.size() || !is_it(channels_[last_])) {
    const auto at = std::find_if(channels_.begin(), channels_.end(), is_it);
    last_ = static_cast<size_t>(at - channels_.begin());
  }
  if (last_ < channels_.size()) {
    channels_[last_].used = now;
    return channels_[last_].stream;
  }
  std::erase_if(channels_, [&](const Channel& known) { return now - known.used > limits_.ttl; });
  size_t of_owner = 0, of_user = 0;
  for (const Channel& known : channels_) {
    of_owner += known.owner == owner;
    of_user += known.user == user;
  }
  const size_t part = std::max<size_t>(limits_.channels / kParts, 1);
  if (channels_.size() >= limits_.channels || of_owner >= part || of_user >= kUserParts * part) {
    return others_;
  }
  Channel added;
  added.stream.append(others_).append(":").append(channel);
  added.owner = owner;
  added.user = user;
  added.used = now;
  channels_.push_back(std::move(added));
  last_ = channels_.size() - 1;
  return channels_.back().stream;
}

}  // namespace nb::cell
