// Moves the entries of the stream into the database, for ever.
//
// An entry is acknowledged in Redis when the database has committed it. So whatever breaks, and
// whenever this program dies, an entry is read once more, and recognized by its key. Entries that
// another consumer of the group has left unacknowledged for a while are taken over.
#pragma once

#include <optional>
#include <string>

#include "audit/database.h"
#include "audit/ending.h"
#include "audit/options.h"
#include "audit/stream.h"
#include "base/backoff.h"
#include "base/log.h"

namespace nb::audit {

class Mover {
 public:
  // All must outlive it.
  Mover(const Options& options, const Log& log, const Ending& ending);

  // Returns when the program is asked to end.
  void run();

 private:
  enum class Source : uint8_t { pending, others, fresh };

  Status open();
  Status step();
  Result<Reading> read(Source source);
  Status move(const Reading& reading);
  void say_taken_over(const Reading& reading);
  Status set_giant_aside();
  void note_gap(const StreamFacts& facts, const Reading& reading);
  void say_lost(const Batch& batch);
  void trouble(const Status& status);
  void well();
  void sleep(Duration duration) const;

  const Options& options_;
  const Log& log_;
  const Ending& ending_;
  Stream stream_;
  Database database_;
  Backoff backoff_;
  uint64_t count_;           // how many entries are read at once
  bool has_pending_ = true;  // this consumer may have read entries that it has not stored
  bool taking_over_ = false;
  uint64_t taken_over_ = 0;  // entries, by the search that is under way
  MonoTime next_takeover_{};
  // Gaps that are known and not stored yet.
  std::optional<Gap> gap_;
  std::optional<Place> place_;
  std::string said_;  // the trouble that was logged last; empty: all is well
};

}  // namespace nb::audit
