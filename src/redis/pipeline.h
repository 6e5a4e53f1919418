// Pipeline: the commands of one connection and the replies they wait for, in order. Pure: bytes
// go in and out, time is handed in; what a reply means is told to a Sink. In steady state neither
// a unit nor its replies cost an allocation.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/delegate.h"
#include "base/ring.h"
#include "outbox/outbox.h"
#include "redis/greeting.h"
#include "redis/reply_reader.h"
#include "redis/trouble.h"

namespace nb::redis {

// What a unit is made of.
enum class Command : uint8_t {
  ping,
  multi,
  hget,
  hset,
  pexpire,
  set,
  set_if_missing,
  del,
  select,
  xadd,
  expire_stream,
  publish
};
inline constexpr size_t kCommands = 12;
// "XADD": for a person.
std::string_view name(Command command);

// What is known of a hash slot's key from the transaction that wrote it.
struct SlotEcho {
  bool existed = false;       // the key was there before
  std::string_view previous;  // its first field before; only if SlotUpdate::echo was set
};

// The answer to a query, valid during the call. An error reply of the server is an answer too.
struct QueryReply {
  Reply reply;             // none: there was none
  std::string_view words;  // of an error reply, or why there was none
};

// What became of a unit. The texts are valid during the call.
struct UnitResult {
  outbox::Refusals refusals;
  Command value_command{};  // that was refused
  // Why what belongs together does not go as one transaction; empty where it does.
  std::string_view no_transaction;
  SlotEcho echo;             // if the value was stored
  int64_t subscribers = -1;  // PUBLISH's answer; -1 if nothing was published
};

class PipelineSink {
 public:
  virtual ~PipelineSink() = default;
  virtual void on_greeted() = 0;
  virtual void on_pong(Duration round_trip) = 0;
  // Each part was carried out, or refused in a way that will not change.
  virtual void on_settled(const outbox::Unit& unit, const UnitResult& result) = 0;
  // The server has carried out nothing of the unit because it refuses one part of it, or because it
  // wants no transaction over these keys: the unit is to be sent again `apart`.
  virtual void on_aborted(const outbox::Unit& unit) = 0;
};

class Pipeline {
 public:
  Pipeline(PipelineSink& sink, size_t max_reply_bytes) : sink_(sink), reader_(max_reply_bytes) {}

  void greet(const Greeting& greeting, MonoTime now);
  void ping(MonoTime now);
  void send(const outbox::Unit& unit, MonoTime now);
  // One command of others. `done` is called once, from feed() or give_up(). Of HGET, an answer that
  // Redis does not have to it ends the connection.
  void query(uint64_t id, int db, std::span<const std::string_view> command,
             Delegate<void(const QueryReply&)> done, MonoTime now);
  // Its answer is of no interest any more.
  void cancel_query(uint64_t id);

  // Takes what the server sent. The sink's methods and the queries' are called from inside; they
  // may send more, but must not destroy this object.
  std::optional<Failure> feed(std::string_view bytes, MonoTime now);
  // The connection is over: tells the queries that still wait.
  void give_up(std::string_view words);

  // Formatted and not yet written; whoever writes it empties it.
  std::string& output() { return output_; }
  // Since when the next answer is waited for, nothing if none is: since its command was sent, or
  // the answer before it came. A slow line has many behind one another, and is not silent.
  std::optional<MonoTime> waiting_since() const;
  size_t waiting() const { return waiting_.size(); }
  // Units among them, and queries.
  size_t waiting_units() const { return waiting_units_; }
  size_t waiting_queries() const { return queries_.size(); }
  // How long the unit that was answered last had been under way; once, after feed().
  std::optional<Duration> take_last_unit_time() { return std::exchange(last_unit_time_, {}); }
  bool ping_under_way() const { return pings_ > 0; }

 private:
  enum class Kind : uint8_t { auth, client_name, select, ping, query, unit };
  // HGET, HSET, PEXPIRE, SELECT, XADD, SELECT, PUBLISH.
  static constexpr size_t kMaxCommands = 8;
  // One command that waits for its reply, or a unit. Its first `queued` commands stand between
  // MULTI and EXEC, the rest behind.
  struct Waiting {
    outbox::Unit unit;
    MonoTime sent;
    Kind kind = Kind::ping;
    uint8_t queued = 0;
    uint8_t commands = 0;
    std::array<Command, kMaxCommands> command{};

    void add(Command c) { command[commands++] = c; }
    size_t replies() const { return commands + (queued > 0 ? size_t{2} : size_t{0}); }
  };
  // What is known of the unit at the front from the replies that have come.
  struct Progress {
    size_t replies = 0;
    bool no_multi = false;    // MULTI itself was refused, so each command is carried out at once
    bool not_queued = false;  // a command was, and so nothing is carried out
    bool aborted = false;     // and the unit is to be sent again apart
    SlotEcho echo;
    int64_t subscribers = -1;
    std::array<std::string, 3> refused;  // Redis' words by part
    std::array<Command, 3> refused_command{};
  };
  struct Query {
    uint64_t id = 0;
    Delegate<void(const QueryReply&)> done;
    bool of_a_key = false;  // HGET
  };

  void expect(Kind kind, MonoTime now);
  void select(int db, MonoTime now);
  void write_slot(const outbox::Slot& slot, MonoTime now);
  void write_entry(outbox::EntryView entry, uint64_t max_length);
  std::optional<Failure> handle(Reply reply, MonoTime now);
  std::optional<Failure> answer_query(Reply reply);
  std::optional<Failure> take_unit_reply(Reply reply);
  std::optional<Failure> take_queued(Command command, Reply reply);
  std::optional<Failure> take_exec(Reply reply);
  std::optional<Failure> take_result(Command command, Reply reply);
  // The failure, if the error is not a refusal of this one command.
  std::optional<Failure> note_refusal(Command command, std::string_view error);
  static bool has_parts(const outbox::Unit& unit);
  void settle_unit();
  void abort_unit();
  outbox::Unit pop_unit();

  PipelineSink& sink_;
  ReplyReader reader_;
  std::string output_;
  Ring<Waiting> waiting_;
  Ring<Query> queries_;  // the details of those in waiting_
  size_t waiting_units_ = 0;
  MonoTime last_reply_{};
  std::optional<Duration> last_unit_time_;
  Progress progress_;
  std::string previous_;        // the echo's, where further replies come after it
  std::string no_transaction_;  // why this server takes none over several keys; empty: it does
  int pings_ = 0;
  int db_ = 0;
  bool greeted_ = false;
};

}  // namespace nb::redis
