// Replay: the result of an event.subscribe with `replay`: the recorded events of some channels and
// patterns, out of the streams of all nodes, first those of the past, then the present ones, each
// once.
//
// All of them are read from the streams, in order, so none is left out or comes twice, whatever
// happens to the connections. A live message only says that there is something to read; one that is
// in no stream is delivered as it came (LiveMatch).
//
// A replay keeps a position in each stream, and no events: a page is read when the client has room
// for it, and events without room are read again later.
//
// A read begins at the entry that was delivered last. If that entry is no longer there, the stream
// was trimmed behind it, and the client is told which entries it may have missed.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/glob.h"
#include "base/log.h"
#include "cell/live_match.h"
#include "json/view.h"
#include "redis/reader.h"
#include "redis/server_clock.h"
#include "rpc/call.h"
#include "rpc/error.h"
#include "uv/loop.h"
#include "uv/timer.h"
#include "wire/stream_id.h"

namespace nb::cell {

// Where a replay begins.
struct ReplayStart {
  uint64_t last = 0;      // at the last events, so many of them; 0:
  wire::StreamId since;   // at this id; and if it is that of an event,
  bool after_it = false;  // behind that event
  // Of these nodes it begins behind this id instead: all up to it was delivered.
  std::map<std::string, wire::StreamId, std::less<>> after;
  std::string mark;  // the client's mark for the end of the past; or empty
};

// Reads the `replay` of a call; an error says what is wrong with it.
std::optional<rpc::Error> read_replay(json::View value, ReplayStart& start);

class Replay;

// Receives the results of a replay.
class ReplayHost {
 public:
  struct Event {
    std::string_view channel, payload, node;
    std::string_view pattern;  // by which it comes; empty: by its channel
    wire::StreamId id;
  };
  // The replay knows where it begins, or cannot find out now: every event from now on will come.
  virtual void on_begun(Replay& replay) = 0;
  virtual bool has_room(const Replay& replay) = 0;
  // False: the client has no room now.
  virtual bool on_recorded(const Replay& replay, const Event& event) = 0;
  // Entries of this stream behind `after`, and before `before` if that is not 0-0, are gone.
  virtual bool on_missed(const Replay& replay, std::string_view stream, wire::StreamId after,
                         wire::StreamId before) = 0;
  // All that was recorded up to now has come. False: the client has no room now.
  virtual bool on_past_told(const Replay& replay, std::string_view mark) = 0;
  // A live message that is not recorded.
  virtual void on_unrecorded(const Replay& replay, const Event& event) = 0;
  // Such messages may have been lost since then.
  virtual void on_lost(const Replay& replay, WallTime since) = 0;

 protected:
  ~ReplayHost() = default;
};

class Replay {
 public:
  struct Parts {
    uv::Loop& loop;
    const Log& log;
    redis::Reader& reader;
    const redis::ServerClock& clock;
    std::string_view own_node;
    ReplayHost& host;
  };

  // The references of `parts` must outlive it.
  Replay(const Parts& parts, rpc::ClientId client, ReplayStart start);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  rpc::ClientId client() const { return client_; }
  void add(std::string_view text, bool is_pattern);
  // True if it was the last one.
  bool remove(std::string_view text, bool is_pattern);
  bool has_begun() const { return begun_; }
  // In `after`.
  size_t nodes_named() const { return start_.after.size(); }
  // Whether an event of this channel was ever recorded, as far as it has read.
  bool records(std::string_view channel) const;

  rpc::Token call = 0;  // that it came with, answered when it has begun

  // There may be something to read.
  void wake();
  // Likewise, on this channel.
  void wake(std::string_view channel);
  // Likewise, and perhaps for nodes or channels that were not known before.
  void wake_after_gap();
  // Live messages do not come any more, until wake_after_gap().
  void on_outage() { match_.on_outage(); }
  // A live message of one of its channels came from Redis.
  void on_live(std::string_view channel, std::string_view payload, bool repeated);

 private:
  using StreamId = wire::StreamId;
  struct Channel {
    std::string name;
    std::string pattern = {};  // that it matches; empty: it was named itself
    bool recorded = false;
  };
  struct Source {
    std::string stream;
    std::string node;
    StreamId place;      // everything up to it is delivered
    bool proof = false;  // there was an entry at `place`: it must be there still
    bool begun = false;  // `place` is known
    bool has_more = false;
    bool skipped = false;
    bool refused = false;                 // and this was reported to the client
    MonoTime again_at = MonoTime::max();  // when it is tried again, if it was refused
  };
  struct Entry {
    StreamId id;
    size_t source;
    std::string_view channel, payload;
  };
  using Entries = std::vector<Entry>;
  // Nodes; streams whose channels match patterns; of each new stream, where the replay begins in
  // it; pages, and between them what has become of a stream whose entries are gone.
  enum class Step : uint8_t { nodes, scan, begin, vanished, page };

  void go();
  void ask(Step step, std::span<const std::string_view> command);
  void on_answer(const redis::ReaderAnswer& answer);
  void on_nodes(redis::Reply reply);
  void on_scan(redis::Reply reply);
  void end_of_sources();
  void add_node(std::string_view node);
  void add_source(std::string stream, std::string_view node);
  void ask_where_to_begin();
  void on_last(redis::Reply reply);
  void end_search();
  bool begin(Source& source, redis::Reply info);
  bool look_for_another(Source& source, redis::Reply info);
  void ask_page();
  void on_page(redis::Reply reply);
  // False: not all is in order with this source, and something else has to be done first.
  bool check(Source& source, std::span<const redis::Reply> entries);
  bool deliver(Entries& entries);
  void on_all_read();
  // Some stream is refused, and will be read again.
  bool misses_a_stream() const;
  void look_again();
  void on_refused(std::string_view words);
  void on_too_large();
  Duration age_of(StreamId id, MonoTime now) const;
  bool tell_missed(const Source& source, StreamId after, StreamId before);
  void wait(Duration least, Duration most);
  void on_time();
  // Null: it is none of its channels. One that matches a pattern becomes one.
  Channel* find(std::string_view channel);

  Parts parts_;
  rpc::ClientId client_;
  ReplayStart start_;
  std::string mark_;  // to be sent; empty: it was sent, or the client has given none
  std::vector<Channel> channels_;
  std::vector<std::string> patterns_;
  GlobText channel_text_;
  std::vector<std::string> nodes_;
  size_t channels_asked_ = 0;  // of so many channels the streams of all these nodes are sources
  std::vector<Source> sources_;

  uint64_t question_ = 0;
  Step step_ = Step::nodes;    // of that question, or the next one
  uint64_t asked_ = 0;         // the number of questions
  uint64_t nodes_asked_ = 0;   // when the nodes were asked for last
  uint64_t page_asked_ = 0;    // when the read began that has read all streams, or is about to
  size_t sources_before_ = 0;  // the nodes were asked for last
  uint64_t scan_ = 0;          // its cursor
  bool scanned_ = false;
  bool look_around_ = false;  // for nodes, and streams of patterns
  bool begun_ = false;
  bool wanted_ = false;     // there may be more than the present read finds
  bool waits_ = false;      // for room, or for Redis
  bool second_ = false;     // the present read is a second one
  bool more_ = false;       // the present read goes on
  bool in_round_ = false;   // likewise, of streams that are read one by one
  size_t at_ = 0;           // the source that is searched, asked about, or read alone
  std::string search_end_;  // where the next page of a search ends
  // the ids that were found: a heap, the oldest on top
  std::vector<std::pair<StreamId, size_t>> newest_;
  size_t page_entries_ = 64;  // at most, of each stream
  bool one_by_one_ = false;   // pages of all streams at once are too large
  LiveMatch match_;
  std::optional<WallTime> gave_up_;  // since when match_ has given up messages
  Duration pause_{};
  uv::Timer timer_;
};

}  // namespace nb::cell
