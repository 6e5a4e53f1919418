// Pipeline: the commands of one connection and the replies they wait for, in order. Pure: bytes
// go in and out, time is handed in; what a reply means is told to a Sink. In steady state neither
// a unit nor its replies cost an allocation.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/delegate.h"
#include "base/ring.h"
#include "outbox/outbox.h"
#include "redis/reply_reader.h"
#include "redis/trouble.h"

namespace nb::redis {

// What is said first on a new connection.
struct Greeting {
  std::string user;      // empty: the default user
  std::string password;  // both empty: no AUTH
  std::string client_name;
  // Every database that units may name. Each is selected once before anything is written: a
  // SELECT that fails later, in mid-pipeline, would let the writes after it land in another one.
  std::vector<int> databases;
};

// Adds AUTH, if there is anything to say. True if that will be answered.
bool authenticate(std::string& output, const Greeting& greeting);

// What is known of a hash slot's key from the transaction that wrote it.
struct SlotEcho {
  bool existed = false;       // the key was there before
  std::string_view previous;  // its first field before; only if SlotUpdate::echo was set
};

// The answer to a query, valid during the call. An error reply of the server is an answer too.
struct QueryReply {
  const redisReply* reply = nullptr;  // null: there was none
  std::string_view words;             // of an error reply, or why there was none
};

class PipelineSink {
 public:
  virtual ~PipelineSink() = default;
  virtual void on_greeted() = 0;
  virtual void on_pong(Duration round_trip) = 0;
  // `subscribers`: PUBLISH's answer, -1 if the unit published nothing.
  virtual void on_stored(const outbox::Unit& unit, const SlotEcho& echo, int64_t subscribers) = 0;
  // The server refused this one unit; it is not retried.
  virtual void on_refused(const outbox::Unit& unit, std::string_view error) = 0;
};

// Why the connection must be given up.
struct Failure {
  Trouble trouble = Trouble::none;
  std::string words;  // the server's own, or ours; never a secret
};

class Pipeline {
 public:
  Pipeline(PipelineSink& sink, size_t max_reply_bytes) : sink_(sink), reader_(max_reply_bytes) {}

  void greet(const Greeting& greeting, MonoTime now);
  void ping(MonoTime now);
  void send(const outbox::Unit& unit, MonoTime now);
  // One command of others. `done` is called once, from feed() or give_up().
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
  bool ping_under_way() const { return pings_ > 0; }

 private:
  enum class Kind : uint8_t { auth, client_name, select, ping, query, unit };
  // One command, or one transaction, that waits for its reply or replies.
  struct Waiting {
    outbox::Unit unit;
    MonoTime sent;
    Kind kind = Kind::ping;
    bool transaction = false;
    int8_t replies = 1;      // that still have to come
    int8_t echo_at = -1;     // index of the HGET in the transaction
    int8_t write_at = -1;    // index of the HSET
    int8_t publish_at = -1;  // index of the PUBLISH
  };
  struct Query {
    uint64_t id = 0;
    Delegate<void(const QueryReply&)> done;
  };

  void expect(Kind kind, MonoTime now);
  void select(int db, MonoTime now);
  void write_slot(const outbox::Slot& slot, MonoTime now);
  void write_entry(outbox::EntryView entry);
  std::optional<Failure> handle(const redisReply& reply, MonoTime now);
  std::optional<Failure> answer_query(const redisReply& reply);
  std::optional<Failure> settle_unit(const redisReply& reply);
  void refuse(std::string_view error);

  PipelineSink& sink_;
  ReplyReader reader_;
  std::string output_;
  Ring<Waiting> waiting_;
  Ring<Query> queries_;  // the details of those in waiting_
  size_t waiting_units_ = 0;
  MonoTime last_reply_{};
  std::string unit_error_;  // the first refusal of a command within the transaction at the front
  int pings_ = 0;
  int db_ = 0;
  bool greeted_ = false;
};

}  // namespace nb::redis
