// The stream of the audit, read as one consumer of a group. Every call has a deadline, and ends at
// once when the program is to end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"
#include "audit/gap.h"
#include "audit/options.h"
#include "base/log.h"
#include "base/result.h"
#include "redis_admin/server.h"

namespace nb::audit {

inline constexpr char kGroup[] = "nodebeat-audit";

struct Reading {
  Batch batch;
  std::optional<StreamFacts> facts;  // of new entries only, and not where they could not be had
  bool all = false;                  // there are no more entries of this kind
};

class Stream {
 public:
  // All must outlive it. `stop_fd`: can be read from when the program is to end.
  Stream(const Options& options, const Log& log, int stop_fd);

  Status open();
  bool is_open() const { return open_; }
  // After any error: the command may have been carried out.
  void close() { open_ = false; }
  // True if the last reading failed because it was too large; fewer entries may be read.
  bool was_too_large() const { return server_.was_too_large(); }

  // Entries that this consumer has read and not acknowledged, the oldest first.
  Result<Reading> read_pending(uint64_t count);
  // Entries that no consumer has read.
  Result<Reading> read_new(uint64_t count);
  // Takes over entries that another consumer has read and not acknowledged for `takeover_after`.
  Result<Reading> take_over(uint64_t count);
  // The id of the oldest entry that this consumer has read and not acknowledged; empty: there is
  // none.
  Result<std::string> oldest_pending();
  Status acknowledge(const std::vector<std::string>& ids);
  // Returns when there may be new entries, or after a few seconds.
  Status wait();

  // The commands of the program, for a check of its user's rights.
  static std::vector<redis_admin::Server::Command> commands(const Options& options);

 private:
  using Command = redis_admin::Server::Command;
  using Reply = redis_admin::Reply;

  Command read_command(uint64_t count, const char* from) const;
  // The reply, which is no error; makes the group if there is none.
  Result<Reply> ask(const Command& command, int64_t extra_ms = 0);
  Result<std::vector<Reply>> ask_at_once(const std::vector<Command>& commands);
  Status make_group();
  Error lost() const;
  redis_admin::Deadline deadline(int64_t extra_ms = 0) const;

  const Options& options_;
  const Log& log_;
  int stop_fd_;
  redis_admin::Server server_;
  bool open_ = false;
  std::string newest_ = "$";  // the highest id of the stream that is known
  std::string cursor_ = "0-0";
  MonoTime without_facts_until_{};
};

// Redis' answer to XINFO STREAM key FULL, for our group. Nothing if it is another reply, or not
// from Redis 7.0 or later. Pure.
std::optional<StreamFacts> stream_facts(const redis_admin::Reply& reply);
// Redis' answer to XREADGROUP, added to `batch`. False if it is another reply. Pure.
bool add_answer(Batch& batch, redis_admin::Reply&& reply);

}  // namespace nb::audit
