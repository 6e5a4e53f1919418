// Pipeline: the commands of one connection and the replies they wait for, in order. Pure: bytes
// go in and out, time is handed in; what a reply means is told to a Sink.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "outbox/outbox.h"
#include "redis/reply_reader.h"
#include "redis/trouble.h"

namespace nb::redis {

// What is said first on a new connection.
struct Greeting {
  std::string user;      // empty: the default user
  std::string password;  // empty: no AUTH
  std::string client_name;
  // Every database that units may name. Each is selected once before anything is written: a
  // SELECT that fails later, in mid-pipeline, would let the writes after it land in another one.
  std::vector<int> databases;
};

// What is known of a slot's key from the transaction that wrote it.
struct SlotEcho {
  bool existed = false;       // the key was there before
  std::string_view previous;  // its first field before; only if SlotWrite::echo was set
};

class PipelineSink {
 public:
  virtual ~PipelineSink() = default;
  virtual void on_greeted() = 0;
  virtual void on_pong(Duration round_trip) = 0;
  virtual void on_stored(const outbox::Unit& unit, const SlotEcho& echo) = 0;
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

  // Takes what the server sent. The sink's methods are called from inside and must not destroy
  // this object.
  std::optional<Failure> feed(std::string_view bytes, MonoTime now);

  // Formatted and not yet written; whoever writes it empties it.
  std::string& output() { return output_; }
  // When the command that has waited longest was sent; nothing if none waits.
  std::optional<MonoTime> oldest_sent() const;
  size_t waiting() const { return waiting_.size(); }
  // Units among them.
  size_t waiting_units() const { return waiting_units_; }
  bool ping_under_way() const { return pings_ > 0; }

 private:
  enum class Kind : uint8_t { auth, client_name, select, ping, unit };
  // One command, or one transaction, that waits for its reply or replies.
  struct Waiting {
    Kind kind;
    MonoTime sent;
    outbox::Unit unit;
    int replies = 1;    // that still have to come
    int echo_at = -1;   // index of the HGET in the transaction
    int write_at = -1;  // index of the HSET
    bool transaction = false;
    std::string error;  // the first refusal of a command within the transaction
  };

  void expect(Kind kind, MonoTime now);
  void select(int db, MonoTime now);
  std::optional<Failure> handle(const redisReply& reply, MonoTime now);
  std::optional<Failure> settle_unit(Waiting& waiting, const redisReply& reply);
  std::optional<Failure> refuse(Waiting& waiting, std::string_view error);

  PipelineSink& sink_;
  ReplyReader reader_;
  std::string output_;
  std::deque<Waiting> waiting_;
  size_t waiting_units_ = 0;
  int pings_ = 0;
  int db_ = 0;
  bool greeted_ = false;
};

}  // namespace nb::redis
