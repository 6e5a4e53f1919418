#include "cell/replay.h"

#include <algorithm>

#include "base/name.h"
#include "base/timestamp.h"
#include "redis/forms.h"
#include "rpc/method.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

constexpr size_t kMostSources = 4096;
constexpr size_t kMostChannels = 1024;
constexpr size_t kMostNodes = 1024;  // for which a client can name its position
// About the size of a page, so that no other client waits long while it is delivered.
constexpr size_t kPageBytes = 64 * 1024;
constexpr size_t kPageEntries = 128;
// Behind these times the next try comes.
constexpr Duration kNoRoom = std::chrono::milliseconds(2);
constexpr Duration kNoRoomMost = std::chrono::milliseconds(640);
constexpr Duration kSecondLook = std::chrono::milliseconds(100);
constexpr Duration kNoRedis = std::chrono::milliseconds(50);
constexpr Duration kNoRedisMost = std::chrono::seconds(2);
constexpr Duration kRefused = std::chrono::seconds(30);

constexpr rpc::Param kLast{"last", rpc::ParamKind::integer, false, 1, 10'000};
constexpr rpc::Param kSince{"since", rpc::ParamKind::plain, false, 1, 64};
constexpr rpc::Param kAfter{"after", rpc::ParamKind::object};
constexpr rpc::Param kMark{"mark", rpc::ParamKind::plain, false, 1, 64};
constexpr auto kReplayParams = rpc::takes(kLast, kSince, kAfter, kMark);

wire::StreamId id_of(redis::Reply entry) {
  return wire::parse_stream_id(entry[0].text()).value_or(wire::StreamId{});
}

int64_t number_in(redis::Reply info, std::string_view name) {
  for (size_t i = 0; i + 1 < info.size(); i += 2) {
    if (info[i].text() == name) return info[i + 1].integer().value_or(0);
  }
  return 0;
}

wire::StreamId id_in(redis::Reply info, std::string_view name) {
  return wire::parse_stream_id(redis::field_of(info, name)).value_or(wire::StreamId{});
}

bool is_no_stream(redis::Reply info) {
  return info.error().starts_with("ERR no such key"sv);
}

// Errors, and starts and ends of stroke sessions, have a stream of their node's.
bool is_of_node(std::string_view channel) {
  return channel == wire::kStrokeSessionChannel || channel.starts_with("error:events:"sv);
}

}  // namespace

std::optional<rpc::Error> read_replay(json::View value, ReplayStart& start) {
  json::View values[kReplayParams.size()];
  if (auto error = rpc::check_params(value, kReplayParams, values)) {
    rpc::add_place(*error, "replay.");
    return error;
  }
  if (values[0].exists() == values[1].exists()) {
    return rpc::invalid_params("replay", "expected either last or since");
  }
  std::string scratch;
  start.mark = values[3].string(scratch).value_or(""sv);
  if (values[0].exists()) {
    if (values[2].exists()) {
      return rpc::invalid_params("replay.after", "expected only with since");
    }
    start.last = static_cast<uint64_t>(*values[0].integer());
    return std::nullopt;
  }
  std::string name_scratch;
  for (const json::Member& member : values[2].members()) {
    const auto text = member.value.string(scratch);
    const auto id = text ? wire::parse_stream_id(*text) : std::nullopt;
    const std::string_view node = member.name(name_scratch);
    if (!id || !is_name(node)) {
      return rpc::invalid_params("replay.after",
                                 "expected names of nodes, each with the id of an event");
    }
    start.after.insert_or_assign(std::string(node), *id);
    if (start.after.size() > kMostNodes) {
      return rpc::invalid_params("replay.after",
                                 "at most " + std::to_string(kMostNodes) + " nodes");
    }
  }
  const std::string_view since = *values[1].string(scratch);
  if (const auto time = parse_timestamp(since); time && time->time_since_epoch().count() >= 0) {
    start.since.ms = static_cast<uint64_t>(
        std::chrono::floor<std::chrono::milliseconds>(time->time_since_epoch()).count());
  } else if (const auto id = wire::parse_stream_start(since)) {
    start.since = *id;
    start.after_it = since.find('-') != since.npos;
  } else {
    return rpc::invalid_params(
        "replay.since", "expected the id of an event, such as 1700000000000-0, or a timestamp");
  }
  return std::nullopt;
}

Replay::Replay(const Parts& parts, rpc::ClientId client, ReplayStart start)
    : parts_(parts),
      client_(client),
      start_(std::move(start)),
      mark_(std::move(start_.mark)),
      timer_(parts.loop, Delegate<void()>::to<&Replay::on_time>(this)) {}

Replay::~Replay() {
  parts_.reader.cancel(question_);
}

Replay::Channel* Replay::find(std::string_view channel) {
  const auto at = std::find_if(channels_.begin(), channels_.end(),
                               [&](const Channel& one) { return one.name == channel; });
  if (at != channels_.end()) return &*at;
  if (patterns_.empty() || channel.size() > GlobText::kMaxBytes) return nullptr;
  channel_text_.set(channel);
  const auto pattern = std::find_if(patterns_.begin(), patterns_.end(),
                                    [&](const auto& one) { return channel_text_.matches(one); });
  if (pattern == patterns_.end()) return nullptr;
  if (channels_.size() >= kMostChannels) {
    parts_.log.error("a replay of '%s' would bring more than %zu channels: others are left out",
                     pattern->c_str(), kMostChannels);
    return nullptr;
  }
  channels_.push_back({std::string(channel), *pattern, false});
  return &channels_.back();
}

void Replay::add(std::string_view text, bool is_pattern) {
  if (is_pattern) {
    patterns_.emplace_back(text);
  } else {
    channels_.push_back({std::string(text), {}, false});
  }
}

bool Replay::remove(std::string_view text, bool is_pattern) {
  if (is_pattern) std::erase(patterns_, text);
  const auto is_it = [&](const Channel& one) {
    return is_pattern ? one.pattern == text : one.pattern.empty() && one.name == text;
  };
  for (Source& source : sources_) {
    const auto is_of = [&](const Channel& one) {
      return is_it(one) && source.stream == wire::channel_events_stream(source.node, one.name);
    };
    if (std::none_of(channels_.begin(), channels_.end(), is_of)) continue;
    source.skipped = true;
    source.again_at = MonoTime::max();
  }
  std::erase_if(channels_, is_it);
  channels_asked_ = std::min(channels_asked_, channels_.size());
  const auto is_named = [](const Channel& one) { return one.pattern.empty(); };
  return patterns_.empty() && std::none_of(channels_.begin(), channels_.end(), is_named);
}

bool Replay::records(std::string_view channel) const {
  return std::any_of(channels_.begin(), channels_.end(),
                     [&](const Channel& one) { return one.recorded && one.name == channel; });
}

void Replay::wake() {
  wanted_ = true;
  go();
}

void Replay::wake(std::string_view channel) {
  find(channel);
  wake();
}

void Replay::wake_after_gap() {
  look_around_ = true;
  match_.on_recovery(parts_.loop.now());
  wake();
}

void Replay::on_live(std::string_view channel, std::string_view payload, bool repeated) {
  if (!begun_) return;  // no client expects this message yet
  find(channel);
  if (!match_.hold(channel, payload, asked_, parts_.loop.now(), repeated)) return;
  if (match_.has_given_up() && !gave_up_) gave_up_ = parts_.loop.clock().wall_now();
  wake();
}

// --- asking

void Replay::go() {
  if (question_ != 0 || waits_ || !(wanted_ || more_)) return;
  if (!parts_.host.has_room(*this)) return wait(kNoRoom, kNoRoomMost);
  const bool new_channels = channels_asked_ < channels_.size();
  if (step_ == Step::page && !in_round_ && (look_around_ || new_channels)) step_ = Step::nodes;
  switch (step_) {
    case Step::nodes: {
      const std::string_view command[] = {"HGETALL"sv, wire::kNodesKey};
      nodes_asked_ = asked_ + 1;
      if (std::exchange(look_around_, false)) scanned_ = false;
      return ask(Step::nodes, command);
    }
    case Step::scan: {
      const std::string cursor = std::to_string(scan_);
      const std::string_view command[] = {"SCAN"sv,  cursor,  "MATCH"sv, "stream:events:*"sv,
                                          "COUNT"sv, "1000"sv};
      return ask(Step::scan, command);
    }
    case Step::begin:
      return ask_where_to_begin();
    case Step::vanished: {
      const std::string_view command[] = {"XINFO"sv, "STREAM"sv, sources_[at_].stream};
      return ask(Step::vanished, command);
    }
    case Step::page:
      return ask_page();
  }
}

void Replay::ask(Step step, std::span<const std::string_view> command) {
  step_ = step;
  ++asked_;
  question_ = parts_.reader.ask(
      command, Delegate<void(const redis::ReaderAnswer&)>::to<&Replay::on_answer>(this));
  if (question_ != 0) return;
  parts_.host.on_begun(*this);
  wait(kNoRedis, kNoRedisMost);
}

void Replay::on_answer(const redis::ReaderAnswer& answer) {
  question_ = 0;
  const redis::Reply reply = answer.reply;
  more_ = true;  // unless all is read
  if (answer.limit) {
    on_too_large();
  } else if (!reply) {
    parts_.host.on_begun(*this);
    return wait(kNoRedis, kNoRedisMost);
  } else if (step_ == Step::nodes) {
    on_nodes(reply);
  } else if (step_ == Step::scan) {
    on_scan(reply);
  } else if (step_ == Step::begin && start_.last == 0) {
    Source& source = sources_[at_];
    source.begun = begin(source, reply);
  } else if (step_ == Step::vanished) {
    if (look_for_another(sources_[at_], reply)) step_ = Step::page;
  } else if (reply.is_error()) {
    on_refused(reply.text());
  } else if (step_ == Step::begin) {
    on_last(reply);
  } else {
    on_page(reply);
  }
  go();
}

void Replay::wait(Duration least, Duration most) {
  pause_ = std::clamp(2 * pause_, least, most);
  waits_ = true;
  timer_.start(pause_);
}

void Replay::on_time() {
  if (!std::exchange(waits_, false)) wanted_ = second_ = true;
  go();
}

// --- the streams

// Without the right to see the list, this node is known at least.
void Replay::on_nodes(redis::Reply reply) {
  sources_before_ = sources_.size();
  for (const std::string& node : nodes_) {
    for (size_t i = channels_asked_; i < channels_.size(); ++i) {
      add_source(wire::channel_events_stream(node, channels_[i].name), node);
    }
  }
  add_node(parts_.own_node);
  for (size_t i = 0; i + 1 < reply.size(); i += 2) add_node(reply[i].text());
  channels_asked_ = channels_.size();
  if (patterns_.empty() || scanned_) return end_of_sources();
  step_ = Step::scan;
  scan_ = 0;
}

void Replay::add_node(std::string_view node) {
  if (!is_name(node) || std::find(nodes_.begin(), nodes_.end(), node) != nodes_.end()) return;
  if (sources_.size() + channels_.size() + 2 > kMostSources) {
    return parts_.log.error(
        LogAbout(node),
        "a replay would read more than %zu streams: those of node %.*s are left out", kMostSources,
        static_cast<int>(node.size()), node.data());
  }
  nodes_.emplace_back(node);
  for (const Channel& channel : channels_) {
    add_source(wire::channel_events_stream(node, channel.name), node);
  }
  add_source(wire::other_events_stream(node), node);
  const auto of_node = [](const Channel& channel) { return is_of_node(channel.name); };
  if (!patterns_.empty() || std::any_of(channels_.begin(), channels_.end(), of_node)) {
    add_source(wire::node_events_stream(node), node);
  }
}

// No list has the channels of which there are streams.
void Replay::on_scan(redis::Reply reply) {
  const auto page = redis::read_scan_page(reply);
  for (size_t i = 0; page && i < page->elements.size(); ++i) {
    const auto name = redis::behind("stream:events:"sv, page->text(i)).value_or(""sv);
    const std::string_view node = name.substr(0, name.find(':'));
    if (node.size() == name.size() || !is_name(node)) continue;
    if (find(name.substr(node.size() + 1)) == nullptr) continue;
    add_node(node);
    add_source(std::string(page->text(i)), node);
  }
  scan_ = page ? page->cursor : 0;
  if (scan_ != 0) return;
  scanned_ = true;
  end_of_sources();
}

void Replay::end_of_sources() {
  step_ = sources_before_ < sources_.size() ? Step::begin : Step::page;
  at_ = 0;
  if (step_ == Step::page) on_all_read();
}

void Replay::add_source(std::string stream, std::string_view node) {
  // Only a stream that matches a pattern may be found twice.
  const auto is_it = [&](const Source& source) { return source.stream == stream; };
  if (!patterns_.empty() && std::any_of(sources_.begin(), sources_.end(), is_it)) return;
  if (sources_.size() >= kMostSources) {
    return parts_.log.error(LogAbout(node),
                            "a replay would read more than %zu streams: %s is left out",
                            kMostSources, stream.c_str());
  }
  Source source;
  source.stream = std::move(stream);
  source.node = node;
  sources_.push_back(std::move(source));
}

// --- where it begins

// In one stream after the other: backwards through its last events, or by Redis' report about it.
void Replay::ask_where_to_begin() {
  const auto is_done = [](const Source& source) { return source.begun || source.skipped; };
  while (at_ < sources_.size() && is_done(sources_[at_])) ++at_;
  if (at_ == sources_.size()) {
    if (start_.last > 0) end_search();
    step_ = Step::page;
    begun_ = true;
    parts_.host.on_begun(*this);
    return ask_page();
  }
  const std::string& stream = sources_[at_].stream;
  if (start_.last == 0) {
    const std::string_view command[] = {"XINFO"sv, "STREAM"sv, stream};
    return ask(Step::begin, command);
  }
  const std::string count = std::to_string(page_entries_);
  const std::string_view end = search_end_.empty() ? "+"sv : std::string_view(search_end_);
  const std::string_view command[] = {"XREVRANGE"sv, stream, end, "-"sv, "COUNT"sv, count};
  ask(Step::begin, command);
}

// The places of the newest events are kept.
void Replay::on_last(redis::Reply reply) {
  if (!redis::is_entries(reply)) return on_refused("XREVRANGE is answered by something else");
  Source& source = sources_[at_];
  source.begun = reply.size() < page_entries_;
  const MonoTime now = parts_.loop.now();
  const auto newer = [](const auto& a, const auto& b) { return a > b; };
  for (const redis::Reply entry : reply.elements()) {
    const std::pair place(id_of(entry), at_);
    search_end_ = "(" + place.first.text();
    if (!source.proof) source.place = place.first;  // the newest of this stream
    source.proof = true;
    const std::string_view channel = redis::field_of(entry[1], "channel");
    if (find(channel) == nullptr) continue;
    // Its message may be on its way, and is no unrecorded one.
    if (source.node != parts_.own_node) {
      match_.on_entry(channel, redis::field_of(entry[1], "event"), age_of(place.first, now), now);
    }
    if (newest_.size() == start_.last) {
      if (newest_.front() > place) {
        source.begun = true;
        break;
      }
      std::pop_heap(newest_.begin(), newest_.end(), newer);
      newest_.pop_back();
    }
    newest_.push_back(place);
    std::push_heap(newest_.begin(), newest_.end(), newer);
  }
  if (source.begun) search_end_.clear();
}

void Replay::end_search() {
  // Streams that are found later have nothing older than the events that were found here.
  start_ = {};
  for (const Source& source : sources_) start_.since = std::max(start_.since, source.place);
  for (const auto& [id, at] : newest_) {
    Source& source = sources_[at];
    if (id.before() >= source.place) continue;
    source.place = id.before();
    source.proof = false;
  }
  newest_ = {};
}

bool Replay::begin(Source& source, redis::Reply info) {
  // Entries of the same millisecond come from all streams; but a node's own ids rise across its
  // streams. If the stream has nothing so late, its next entries may have a lower id: the server's
  // clock was set back.
  const auto after = start_.after.find(source.node);
  const StreamId start = after != start_.after.end() ? after->second : start_.since;
  source.place = after != start_.after.end() ? start : StreamId{start.ms, 0}.before();
  if (!info.is_error() || info.text().starts_with("ERR no such key"sv)) {
    const StreamId last = id_in(info, "last-generated-id");
    // One that was found later has at least one event that is new.
    source.place = std::min(source.place, begun_ ? last.before() : last);
  }
  const StreamId first = id_in(info, "recorded-first-entry-id");
  const bool trimmed = number_in(info, "entries-added") > number_in(info, "length");
  return !trimmed || first <= start || tell_missed(source, start, first);
}

// --- pages

void Replay::ask_page() {
  if (!in_round_) {
    at_ = 0;
    in_round_ = one_by_one_;
    // A channel may have come up while it was asked where streams begin: its streams are not read
    // by this page.
    wanted_ = channels_asked_ < channels_.size();
    page_asked_ = asked_ + 1;
    for (Source& source : sources_) {
      if (parts_.loop.now() < source.again_at) continue;
      source.again_at = MonoTime::max();
      source.skipped = false;
    }
  }
  more_ = false;
  while (one_by_one_ && at_ < sources_.size() && sources_[at_].skipped) ++at_;
  const std::string count = std::to_string(page_entries_ + 1);
  const std::string_view command[] = {"XREAD"sv, "COUNT"sv, count, "STREAMS"sv};
  std::vector<std::string_view> words(std::begin(command), std::end(command));
  std::vector<std::string> places;
  const size_t end = one_by_one_ ? std::min(at_ + 1, sources_.size()) : sources_.size();
  for (size_t i = at_; i < end; ++i) {
    const Source& source = sources_[i];
    if (source.skipped) continue;
    words.push_back(source.stream);
    places.push_back((source.proof ? source.place.before() : source.place).text());
  }
  if (places.empty()) {
    in_round_ = false;
    on_all_read();
    return go();
  }
  for (const std::string& place : places) words.push_back(place);
  ask(Step::page, words);
}

void Replay::on_page(redis::Reply reply) {
  if (!reply.is_array() && !reply.is_nil()) {
    return on_refused("XREAD is answered by something else");
  }
  Entries entries;
  size_t next = 0;  // in the reply, which has the streams in the order in which they were asked for
  size_t bytes = 0, active = 0;
  for (size_t i = at_; i < (one_by_one_ ? at_ + 1 : sources_.size()); ++i) {
    Source& source = sources_[i];
    std::span<const redis::Reply> of_source;
    const bool answered = reply[next][0].is_string() && reply[next][0].text() == source.stream;
    const redis::Reply list = answered ? reply[next++][1] : redis::Reply();
    if (source.skipped) continue;  // perhaps since it was asked for
    if (answered) {
      if (!redis::is_entries(list)) return on_refused("XREAD is answered by something else");
      of_source = list.elements();
    }
    if (!check(source, of_source)) {
      if (step_ == Step::vanished) at_ = i;
      return;
    }
    source.refused = false;
    source.has_more = of_source.size() > page_entries_;
    active += of_source.size() > 1;
    for (const redis::Reply entry : of_source) {
      const std::string_view channel = redis::field_of(entry[1], "channel");
      const std::string_view payload = redis::field_of(entry[1], "event");
      bytes += channel.size() + payload.size() + 64;
      if (id_of(entry) > source.place) entries.push_back({id_of(entry), i, channel, payload});
    }
  }
  const size_t count = std::max<size_t>(entries.size(), 1);
  const size_t mean = std::max<size_t>(bytes / count, 1);
  if (bytes > 0) {
    page_entries_ =
        std::clamp<size_t>(kPageBytes / mean / std::max<size_t>(active, 1), 1, kPageEntries);
  }
  if (!deliver(entries)) return wait(kNoRoom, kNoRoomMost);
  pause_ = {};
  const auto has_more = [](const Source& source) { return source.has_more && !source.skipped; };
  if (one_by_one_) {
    if (!has_more(sources_[at_])) ++at_;
  } else if (std::none_of(sources_.begin(), sources_.end(), has_more)) {
    const bool second = std::exchange(second_, false);
    const bool comes_soon = timer_.active() && timer_.due() <= parts_.loop.now() + kSecondLook;
    if (entries.empty() && !second && !comes_soon) timer_.start(kSecondLook);
    on_all_read();
  }
}

bool Replay::check(Source& source, std::span<const redis::Reply> entries) {
  if (!source.proof) {
    if (!start_.after_it || entries.empty() || source.place >= start_.since ||
        start_.after.count(source.node) != 0) {
      return true;
    }
    // If the event is in this stream, the replay goes on behind it.
    for (const redis::Reply entry : entries) {
      if (id_of(entry) != start_.since) continue;
      source.place = start_.since;
      source.proof = true;
    }
    return true;
  }
  if (!entries.empty() && id_of(entries[0]) == source.place) return true;
  // The entry that was delivered last is gone. Its stream was trimmed, or has expired or was lost
  // as a whole: then another stream may begin at any id.
  const StreamId before = entries.empty() ? StreamId{} : id_of(entries[0]);
  const bool missed = !entries.empty() || source.has_more;
  if (missed && !tell_missed(source, source.place, before)) return false;
  source.proof = false;
  source.has_more = false;
  if (!entries.empty()) {
    source.place = before.before();
    return true;
  }
  step_ = Step::vanished;
  return false;
}

bool Replay::look_for_another(Source& source, redis::Reply info) {
  const StreamId last = id_in(info, "last-generated-id");
  if (is_no_stream(info)) {
    source.place = {};  // all of the next one is new
  } else if (!info.is_error() && last < source.place) {
    if (!tell_missed(source, source.place, {})) return false;
    source.place = last;
  }
  return true;
}

bool Replay::deliver(Entries& entries) {
  // If a stream has more, its next entry is unknown: nothing of the other streams may be newer.
  StreamId bound{UINT64_MAX, UINT64_MAX};
  std::vector<StreamId> last(sources_.size());
  for (const Entry& entry : entries) last[entry.source] = std::max(last[entry.source], entry.id);
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].has_more && last[i] != StreamId{}) bound = std::min(bound, last[i]);
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.id, a.source) < std::pair(b.id, b.source);
  });
  const MonoTime now = parts_.loop.now();
  bool has_room = true;
  for (const Entry& entry : entries) {
    Source& source = sources_[entry.source];
    Channel* channel = find(entry.channel);
    const bool is_due = has_room && entry.id <= bound && channel != nullptr;
    // It came as a message while its stream could not be read.
    const bool told = is_due && match_.take_told(entry.channel, entry.payload);
    if (is_due && !told) {
      const ReplayHost::Event event{entry.channel, entry.payload, source.node, channel->pattern,
                                    entry.id};
      has_room = parts_.host.on_recorded(*this, event);
    }
    if (!has_room || entry.id > bound) {
      source.has_more = true;
      continue;
    }
    if (channel != nullptr) {
      channel->recorded = true;
      // Live messages of this node itself are known as echoes.
      if (source.node != parts_.own_node && !told) {
        match_.on_entry(entry.channel, entry.payload, age_of(entry.id, now), now);
      }
    }
    source.place = entry.id;
    source.proof = true;
  }
  return has_room;
}

// The live messages that wait are in no stream of the known nodes. An unknown node may have begun
// to publish meanwhile.
void Replay::on_all_read() {
  more_ = begun_ && !mark_.empty() && !parts_.host.on_past_told(*this, mark_);
  if (more_) return wait(kNoRoom, kNoRoomMost);
  if (begun_) mark_.clear();
  while (const LiveMatch::Message* message = match_.unrecorded(page_asked_, parts_.loop.now())) {
    if (message->look >= nodes_asked_) {
      step_ = Step::nodes;
      more_ = true;
      return;
    }
    const Channel* channel = find(message->channel);
    parts_.host.on_unrecorded(*this, {message->channel,
                                      message->payload,
                                      {},
                                      channel != nullptr ? channel->pattern : std::string_view(),
                                      {}});
    if (misses_a_stream()) match_.remember_told(*message);
    match_.pop(*message);
  }
  if (!misses_a_stream()) match_.forget_told();
  look_again();
  if (!gave_up_) return;
  if (match_.take_lost(page_asked_)) parts_.host.on_lost(*this, *gave_up_);
  if (!match_.has_given_up()) gave_up_.reset();
}

bool Replay::misses_a_stream() const {
  return std::any_of(sources_.begin(), sources_.end(),
                     [](const Source& source) { return source.again_at != MonoTime::max(); });
}

// Although no message announces anything new: for a message that waits for its entry, or for a
// stream that could not be read.
void Replay::look_again() {
  MonoTime due = match_.next_due();
  for (const Source& source : sources_) due = std::min(due, source.again_at);
  if (due == MonoTime::max() || timer_.active()) return;
  timer_.start(std::max(due - parts_.loop.now(), Duration::zero()));
}

// --- faults

Duration Replay::age_of(StreamId id, MonoTime now) const {
  const auto time = parts_.clock.now(now);
  return time ? *time - id.time() : Duration{};
}

bool Replay::tell_missed(const Source& source, StreamId after, StreamId before) {
  if (parts_.host.on_missed(*this, source.stream, after, before)) return true;
  wait(kNoRoom, kNoRoomMost);
  return false;
}

void Replay::on_refused(std::string_view words) {
  // Asking each stream alone shows which one it is.
  if (step_ == Step::page && !one_by_one_) {
    one_by_one_ = true;
    return;
  }
  Source& source = sources_[at_];
  if (!source.refused && !tell_missed(source, source.place, {})) return;
  source.refused = true;
  parts_.log.error(LogAbout(source.stream), "events of %s are not replayed: %.*s",
                   source.stream.c_str(), static_cast<int>(words.size()), words.data());
  source.skipped = true;
  // Without its beginning it would come as a whole.
  if (step_ == Step::page) source.again_at = parts_.loop.now() + kRefused;
  search_end_.clear();
}

void Replay::on_too_large() {
  if (step_ == Step::nodes) return on_nodes({});
  if (step_ == Step::scan) return on_scan({});
  const bool sized = step_ == Step::page || start_.last > 0;
  if (sized && page_entries_ > 1) {
    page_entries_ = (page_entries_ + 3) / 4;
  } else {
    on_refused("an entry is too large");
  }
}

}  // namespace nb::cell
