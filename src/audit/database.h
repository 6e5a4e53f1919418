// The database that stores the entries. Every statement has a deadline, and ends at once when the
// program is to end.
//
// Each entry is one row of nodebeat_audit. An entry that is not from an agent, or that the database
// refuses for its content, is a row of nodebeat_audit_odd. Rows of a transaction whose COMMIT was
// not answered are found again by their key.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/entry.h"
#include "audit/gap.h"
#include "audit/options.h"
#include "base/log.h"
#include "base/result.h"

namespace nb::audit {

// The mistake in a text for PQconnectdb(), in words; empty: none. The text may hold no password.
std::string conninfo_fault(const std::string& text);
// "dbname=nodebeat host=db.local", without secrets.
std::string place_of_database(const Options& options);

struct Lost {
  std::optional<Gap> gap;
  std::vector<std::string> gone;  // ids of entries that had been read, but not stored
};

class Database {
 public:
  Database(const Options& options, const Log& log, int stop_fd);

  // Connects, checks the database, and makes the tables that are missing.
  Status open();
  // Connects, and checks the database.
  Status connect();
  bool is_open() const { return open_; }
  void close();

  // Where the reading of the stream stood when something was stored last.
  const Place& place() const { return place_; }
  struct Stored {
    uint64_t rows = 0;  // that were not there before
    uint64_t odd = 0;
  };
  // All of it, or nothing.
  Result<Stored> store(const Batch& batch, const std::optional<Gap>& gap, const Place& place);

  // --- for --check
  // ---------------------------------------------------------------------------------

  // The one value of a query's answer; "" for null.
  Result<std::string> ask(const char* sql);
  static constexpr const char* kTables[] = {"nodebeat_audit", "nodebeat_audit_odd",
                                            "nodebeat_audit_gap", "nodebeat_audit_meta"};

 private:
  struct FreeResult {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  struct CloseConnection {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  using Answer = std::unique_ptr<PGresult, FreeResult>;
  struct Param {
    std::string_view text;
    bool is_null = false;
    bool is_binary = false;
  };

  Status fail(const std::string& words);
  bool wait(bool to_write, int64_t end_ms);
  // One statement. An error leaves the reason in `state_` as the SQLSTATE.
  Result<Answer> run(const char* sql, const std::vector<Param>& params = {});
  Status look();
  Status make_tables();
  Status read_place();
  // The error of the last run() concerns the content of the entry, not the database.
  bool is_about_content() const;

  Result<uint64_t> insert(const std::vector<Entry>& entries);
  Result<uint64_t> insert_odd(const std::vector<OddEntry>& odd);
  Status insert_lost(const Batch& batch, const std::optional<Gap>& gap);
  Result<Stored> store_one_by_one(const Batch& batch);
  Result<Stored> store_once(const Batch& batch, const std::optional<Gap>& gap, const Place& place,
                            bool one_by_one);

  const Options& options_;
  const Log& log_;
  int stop_fd_;
  std::unique_ptr<PGconn, CloseConnection> connection_;
  bool open_ = false;
  std::string state_;
  Place place_ = {{}, 0};
};

}  // namespace nb::audit
