// Pipeline: the units and questions of the link on one connection, and the replies that they wait
// for, in order. Pure: commands go out as bytes, replies come in, time is handed in; what a reply
// means is told by events. In steady state neither a unit nor its replies cost an allocation.
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
#include "redis/command.h"
#include "redis/greeting.h"
#include "redis/reply.h"
#include "redis/resp_writer.h"
#include "redis/trouble.h"

namespace nb::redis {

// What the transaction that wrote a hash slot tells of its key.
struct SlotEcho {
  bool existed = false;       // the key was there before
  std::string_view previous;  // the first field before; only if SlotUpdate::echo was set
};

// The answer to a query, valid during the call. An error reply of the server is an answer too.
struct QueryReply {
  Reply reply;             // of the kind `none` if there was no answer
  std::string_view words;  // of an error reply, or why there was none
};

// What became of a unit. The texts are valid during the call.
struct UnitResult {
  outbox::Refusals refusals;
  Command value_command{};  // that was refused
  // Why the parts do not go as one transaction; empty if they do.
  std::string_view no_transaction;
  SlotEcho echo;             // if the value was stored
  int64_t subscribers = -1;  // PUBLISH's answer; -1 if nothing was published
  uint64_t entry_ms = 0;     // the first half of the entry's id; 0 if none was stored
  // The stream has an entry with a higher id, and does not have this one.
  bool id_refused = false;
};

struct PipelineEvents {
  // Each part was carried out, or refused in a way that will not change.
  Delegate<void(const outbox::Unit&, const UnitResult&)> on_settled;
  // The server has carried out nothing of the unit, because it refuses one part of the unit or a
  // transaction over these keys: the unit is to be sent again `apart`.
  Delegate<void(const outbox::Unit&)> on_aborted;
};

class Pipeline {
 public:
  // `db`: the database that the greeting has selected last. `prefix`: of the keys.
  Pipeline(PipelineEvents events, int db, std::string_view prefix = {})
      : events_(events), prefix_(prefix), db_(db) {}

  // Both add commands to `output`, and return how many replies these will have.
  uint32_t send(const outbox::Unit& unit, std::string& output, MonoTime now);
  // A command of another part of the agent. `done` is called once, from on_reply() or give_up(). If
  // the command is HGET, a reply that Redis does not have for HGET ends the connection. Its reply
  // must not name keys: here they would come with their prefix.
  uint32_t query(uint64_t id, int db, std::span<const std::string_view> command,
                 Delegate<void(const QueryReply&)> done, std::string& output);
  // The answer is no longer wanted.
  void cancel_query(uint64_t id);

  // Takes the next reply; a failure ends the connection. The events and the queries' answers are
  // called from inside; they may send more, but must not destroy this object.
  std::optional<Failure> on_reply(Reply reply, MonoTime now);
  // The connection is over: tells the queries that still wait.
  void give_up(std::string_view words);

  // Units, and queries, that wait for replies.
  size_t waiting_units() const { return waiting_units_; }
  size_t waiting_queries() const { return queries_.size(); }
  // How long the unit that was settled last had been under way. Told once.
  std::optional<Duration> take_last_unit_time() { return std::exchange(last_unit_time_, {}); }

 private:
  enum class Kind : uint8_t { select, query, unit };
  // HGET, HSET, PEXPIRE, SELECT, XREVRANGE, XADD, PEXPIRE, SELECT, PUBLISH.
  static constexpr size_t kMaxCommands = 9;
  // A command that waits for its reply, or a unit that waits for several. The first `queued`
  // commands of a unit stand between MULTI and EXEC, the others behind EXEC.
  struct Waiting {
    outbox::Unit unit;
    MonoTime sent;
    Kind kind = Kind::unit;
    uint8_t queued = 0;
    uint8_t commands = 0;
    std::array<Command, kMaxCommands> command{};

    void add(Command c) { command[commands++] = c; }
    uint32_t replies() const { return commands + (queued > 0 ? 2u : 0u); }
  };
  // What the replies so far have told of the unit at the front.
  struct Progress {
    size_t replies = 0;
    bool no_multi = false;    // MULTI itself was refused, so each command is carried out at once
    bool not_queued = false;  // a command was refused before EXEC, so nothing is carried out
    bool aborted = false;     // the unit is to be sent again apart
    SlotEcho echo;
    int64_t subscribers = -1;
    uint64_t entry_ms = 0;
    bool entry_found = false;  // an entry in doubt is in its stream
    bool id_refused = false;
    std::array<std::string, 3> refused;  // Redis' words by part
    std::array<Command, 3> refused_command{};

    void reset();
  };
  struct Query {
    uint64_t id = 0;
    Delegate<void(const QueryReply&)> done;
    bool of_a_key = false;  // HGET
  };

  bool select(int db, std::string& output);
  static void write_slot(const outbox::Slot& slot, RespWriter& resp, MonoTime now);
  static void write_entry(const outbox::Unit& unit, RespWriter& resp);
  std::optional<Failure> answer_query(Reply reply);
  std::optional<Failure> take_unit_reply(Reply reply, MonoTime now);
  std::optional<Failure> take_queued(Command command, Reply reply);
  std::optional<Failure> take_exec(Reply reply);
  std::optional<Failure> take_result(Command command, Reply reply);
  // The failure, if the error is not a refusal of this one command.
  std::optional<Failure> note_refusal(Command command, std::string_view error);
  static bool has_parts(const outbox::Unit& unit);
  void settle_unit(MonoTime now);
  void abort_unit(MonoTime now);
  outbox::Unit pop_unit(MonoTime now);

  PipelineEvents events_;
  std::string prefix_;
  Ring<Waiting> waiting_;
  Ring<Query> queries_;  // the details of those in waiting_
  size_t waiting_units_ = 0;
  std::optional<Duration> last_unit_time_;
  Progress progress_;
  std::string previous_;        // the echo's, where further replies come after it
  std::string no_transaction_;  // why this server takes none over several keys; empty: it does
  int db_;
};

}  // namespace nb::redis
