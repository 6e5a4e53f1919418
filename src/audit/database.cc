#include "audit/database.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>

#include "audit/ending.h"
#include "audit/tables.h"
#include "base/foreign_text.h"
#include "base/text.h"

namespace nb::audit {
namespace {

// The time of the network and the server beyond a statement's own limit, after which the server
// ends the statement itself and says so.
constexpr int64_t kGraceMs = 5000;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct FreeOptions {
  void operator()(PQconninfoOption* list) const { PQconninfoFree(list); }
};
using ConnOptions = std::unique_ptr<PQconninfoOption, FreeOptions>;

ConnOptions parse(const std::string& text, std::string* fault) {
  char* words = nullptr;
  ConnOptions list(PQconninfoParse(text.c_str(), &words));
  if (!list && fault != nullptr) {
    *fault = words != nullptr ? foreign_text(trim(words)) : "there is no memory";
  }
  PQfreemem(words);
  return list;
}

// libpq's messages have several lines; the first has the reason.
std::string first_line(const char* message) {
  std::string_view text = message;
  text = trim(text.substr(0, text.find('\n')));
  if (text.starts_with("ERROR:")) text = trim(text.substr(6));
  return foreign_text(text);
}

}  // namespace

std::string conninfo_fault(const std::string& text) {
  std::string fault;
  const ConnOptions list = parse(text, &fault);
  // libpq repeats text that it cannot parse, and that text may be a piece of a password.
  const bool may_hold_one = text.find("password") != text.npos || text.find("://") != text.npos;
  if (!list && may_hold_one) fault = "libpq cannot read it";
  if (!list) return fault + " (expected such as \"host=db.local dbname=nodebeat user=audit\")";
  for (const PQconninfoOption* one = list.get(); one->keyword != nullptr; ++one) {
    if (one->val != nullptr && std::string_view(one->keyword) == "password") {
      return "a password has no place here: put it into a file, and that file's name into "
             "postgresql.password_file";
    }
  }
  return {};
}

std::string place_of_database(const Options& options) {
  const ConnOptions list = parse(options.conninfo, nullptr);
  std::string out;
  if (!list) return out;
  for (const PQconninfoOption* one = list.get(); one->keyword != nullptr; ++one) {
    const std::string_view name = one->keyword;
    if (one->val == nullptr || *one->val == '\0') continue;
    if (name != "host" && name != "hostaddr" && name != "port" && name != "dbname") continue;
    out += (out.empty() ? "" : " ") + std::string(name) + '=' + foreign_text(one->val);
  }
  return out;
}

Database::Database(const Options& options, const Log& log, int stop_fd)
    : options_(options), log_(log), stop_fd_(stop_fd) {}

void Database::close() {
  connection_.reset();
  open_ = false;
}

Status Database::fail(const std::string& words) {
  close();
  const std::string place = place_of_database(options_);
  return make_error("PostgreSQL%s: %s", place.empty() ? "" : (" (" + place + ")").c_str(),
                    words.c_str());
}

// False if the time is over, or the program is to end.
bool Database::wait(bool to_write, int64_t end_ms) {
  for (;;) {
    pollfd entries[] = {
        {PQsocket(connection_.get()), static_cast<short>(POLLIN | (to_write ? POLLOUT : 0)), 0},
        {stop_fd_, POLLIN, 0}};
    const int64_t left = std::clamp<int64_t>(end_ms - now_ms(), 0, INT_MAX);
    const int ready = ::poll(entries, 2, static_cast<int>(left));
    if (ready > 0) return entries[1].revents == 0;
    if (left == 0 || (ready < 0 && errno != EINTR)) return false;
  }
}

Status Database::connect() {
  close();
  const std::string user_timeout = std::to_string(ms_of(options_.statement_timeout) + kGraceMs);
  // A later value wins: so conninfo may override the first ones.
  const char* names[] = {"keepalives_idle",
                         "keepalives_interval",
                         "keepalives_count",
                         "tcp_user_timeout",
                         "fallback_application_name",
                         "dbname",
                         "client_encoding",
                         "password",
                         nullptr};
  const char* values[] = {
      "30",
      "10",
      "3",
      user_timeout.c_str(),
      "nodebeat-audit",
      options_.conninfo.c_str(),
      "UTF8",
      options_.database_password.empty() ? nullptr : options_.database_password.c_str(),
      nullptr};
  {
    // libpq asks the resolver, and waits for it. Nothing is under way, so a signal may end the
    // program at once.
    const EndsAtOnce ends_at_once;
    connection_.reset(PQconnectStartParams(names, values, 1));
  }
  if (!connection_) return fail("there is no memory");
  const int64_t end = now_ms() + ms_of(options_.database_connect_timeout);
  for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
    if (PQstatus(connection_.get()) == CONNECTION_BAD || next == PGRES_POLLING_FAILED) {
      return fail(first_line(PQerrorMessage(connection_.get())));
    }
    const bool to_write = next == PGRES_POLLING_WRITING;
    pollfd entries[] = {
        {PQsocket(connection_.get()), static_cast<short>(to_write ? POLLOUT : POLLIN), 0},
        {stop_fd_, POLLIN, 0}};
    const int64_t left = std::clamp<int64_t>(end - now_ms(), 0, INT_MAX);
    const int ready = ::poll(entries, 2, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail("no answer in time");
    if (entries[1].revents != 0) return fail("the program ends");
    const EndsAtOnce ends_at_once;  // there may be one more host to ask the resolver for
    next = PQconnectPoll(connection_.get());
  }
  PQsetnonblocking(connection_.get(), 1);
  // Its notices ("already exists, skipping") are dropped.
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  Status looked = look();
  if (looked || !connection_) return looked;
  return fail(looked.error().message);
}

// Whether the server that answered is fit for the audit.
Status Database::look() {
  const std::string timeout = std::to_string(ms_of(options_.statement_timeout));
  const auto set =
      run("SELECT set_config('statement_timeout', $1, false), set_config('synchronous_commit', "
          "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
          "ELSE current_setting('synchronous_commit') END, false)",
          {{timeout}});
  if (!set) return set.error();
  const Result<std::string> encoding = ask("SHOW server_encoding");
  if (!encoding) return encoding.error();
  if (*encoding != "UTF8") {
    return fail("the database's encoding is " + foreign_text(*encoding) +
                ", which cannot hold every text: make one with encoding UTF8 (createdb "
                "--encoding=UTF8 --template=template0)");
  }
  const Result<std::string> standby = ask("SELECT pg_is_in_recovery()");
  if (!standby) return standby.error();
  if (*standby != "f") {
    return fail(
        "this server is a standby, which takes no writes: name the primary, or several "
        "hosts and target_session_attrs=read-write");
  }
  return {};
}

Status Database::open() {
  if (Status connected = connect(); !connected) return connected;
  std::string names;
  for (const char* table : kTables) {
    names += (names.empty() ? "" : " AND ") + format("to_regclass('%s') IS NOT NULL", table);
  }
  const Result<std::string> there = ask(("SELECT " + names).c_str());
  if (!there) return there.error();
  // Looked at first, since a user without the right to make tables may use existing ones.
  if (*there != "t") {
    if (Status made = make_tables(); !made) return made;
  }
  if (Status read = read_place(); !read) return read;
  open_ = true;
  return {};
}

Status Database::make_tables() {
  for (const char* sql : {"BEGIN", kMakeTables, "COMMIT"}) {
    const auto done = run(sql);
    if (done) continue;
    return fail("the tables cannot be made: " + done.error().message);
  }
  log_.notice(
      "made the tables nodebeat_audit, nodebeat_audit_odd, nodebeat_audit_gap and "
      "nodebeat_audit_meta");
  return {};
}

Status Database::read_place() {
  auto answer = run("SELECT version, last_id, entries FROM nodebeat_audit_meta");
  if (!answer) return fail(answer.error().message);
  const PGresult* rows = answer->get();
  if (PQntuples(rows) != 1) {
    return fail(
        "nodebeat_audit_meta has no row: drop this table, it is made again, and no entry is "
        "stored twice");
  }
  const std::string version = PQgetvalue(rows, 0, 0);
  if (version != kTablesVersion) {
    return fail("the tables are of version " + foreign_text(version) +
                ", and this nodebeat-audit knows version " + kTablesVersion +
                ": install the one that made them, or name another database or schema");
  }
  const auto id = wire::parse_stream_id(PQgetvalue(rows, 0, 1));
  place_ = {id.value_or(wire::StreamId()), parse_number<uint64_t>(PQgetvalue(rows, 0, 2))};
  return {};
}

Result<std::string> Database::ask(const char* sql) {
  auto answer = run(sql);
  if (!answer) return answer.error();
  if (PQntuples(answer->get()) != 1) return make_error("no answer to %s", sql);
  return std::string(PQgetvalue(answer->get(), 0, 0),
                     static_cast<size_t>(PQgetlength(answer->get(), 0, 0)));
}

Result<Database::Answer> Database::run(const char* sql, const std::vector<Param>& params) {
  state_.clear();
  PGconn* const connection = connection_.get();
  if (connection == nullptr) return make_error("there is no connection");
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  for (const Param& param : params) {
    // A text ends at its zero byte. Entries that contain one were sorted out before.
    values.push_back(param.is_null ? nullptr : param.text.data());
    lengths.push_back(static_cast<int>(param.text.size()));
    formats.push_back(param.is_binary ? 1 : 0);
  }
  // Only without parameters may a text hold several statements.
  const int sent =
      params.empty() ? PQsendQuery(connection, sql)
                     : PQsendQueryParams(connection, sql, static_cast<int>(params.size()), nullptr,
                                         values.data(), lengths.data(), formats.data(), 0);
  if (sent == 0) return fail(first_line(PQerrorMessage(connection))).error();
  const int64_t end = now_ms() + ms_of(options_.statement_timeout) + kGraceMs;
  for (;;) {
    const int unsent = PQflush(connection);
    if (unsent < 0) return fail(first_line(PQerrorMessage(connection))).error();
    if (unsent == 0 && PQisBusy(connection) == 0) break;
    if (!wait(unsent > 0, end)) return fail("no answer in time").error();
    if (PQconsumeInput(connection) == 0) {
      return fail(first_line(PQerrorMessage(connection))).error();
    }
  }
  Answer answer;
  Answer wrong;
  for (;;) {
    while (PQisBusy(connection) != 0) {
      if (!wait(false, end)) return fail("no answer in time").error();
      if (PQconsumeInput(connection) == 0) {
        return fail(first_line(PQerrorMessage(connection))).error();
      }
    }
    Answer next(PQgetResult(connection));
    if (!next) break;
    const ExecStatusType status = PQresultStatus(next.get());
    const bool is_good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    (is_good ? answer : wrong) = std::move(next);
  }
  if (wrong) {
    const char* state = PQresultErrorField(wrong.get(), PG_DIAG_SQLSTATE);
    state_ = state != nullptr ? state : "";
    const std::string words = first_line(PQresultErrorMessage(wrong.get()));
    if (PQstatus(connection) == CONNECTION_BAD) return fail(words).error();
    return Error{words};
  }
  if (!answer) return fail(first_line(PQerrorMessage(connection))).error();
  return answer;
}

// Of the classes of SQLSTATE: 22 a value, 23 a constraint, 54 a limit of the server. P0001 is
// raised by another program's trigger.
bool Database::is_about_content() const {
  return state_.starts_with("22") || state_.starts_with("23") || state_.starts_with("54") ||
         state_ == "P0001";
}

Result<uint64_t> Database::insert(const std::vector<Entry>& entries) {
  if (entries.empty()) return uint64_t{0};
  std::vector<std::string> arrays;
  for (size_t column = 0; column < kColumns; ++column) {
    arrays.push_back(array_text(entries, static_cast<Column>(column)));
  }
  std::vector<Param> params;
  params.reserve(arrays.size());
  for (const std::string& array : arrays) params.push_back({array});
  auto answer = run(kInsert, params);
  if (!answer) return answer.error();
  return parse_number<uint64_t>(PQcmdTuples(answer->get())).value_or(0);
}

Result<uint64_t> Database::insert_odd(const std::vector<OddEntry>& odd) {
  uint64_t rows = 0;
  for (const OddEntry& one : odd) {
    auto answer = run(kInsertOdd, {{one.id}, {.text = one.bytes, .is_binary = true}, {one.reason}});
    if (!answer) return answer.error();
    rows += parse_number<uint64_t>(PQcmdTuples(answer->get())).value_or(0);
  }
  return rows;
}

Status Database::insert_lost(const Batch& batch, const std::optional<Gap>& gap) {
  if (gap) {
    const std::string after = gap->after.text();
    const std::string before = gap->before.text();
    const std::string count = std::to_string(gap->count.value_or(0));
    const auto done = run(kInsertGap, {{after}, {before}, {count, !gap->count}});
    if (!done) return done.error();
  }
  for (const std::string& id : batch.gone) {
    const auto done = run(kInsertGap, {{id}, {id}, {"1"}});
    if (!done) return done.error();
  }
  return {};
}

// Entries that the database refuses for their content go where odd entries go, with the database's
// words.
Result<Database::Stored> Database::store_one_by_one(const Batch& batch) {
  Stored stored;
  for (const Entry& entry : batch.entries) {
    const auto mark = run("SAVEPOINT entry");
    if (!mark) return mark.error();
    const Result<uint64_t> rows = insert({entry});
    if (rows) {
      stored.rows += *rows;
      continue;
    }
    if (!is_about_content()) return rows.error();
    const std::string reason = "the database refuses it: " + rows.error().message;
    const auto back = run("ROLLBACK TO SAVEPOINT entry");
    if (!back) return back.error();
    const Result<uint64_t> odd = insert_odd({refused(entry, reason)});
    if (!odd) return odd.error();
    stored.odd += *odd;
  }
  return stored;
}

Result<Database::Stored> Database::store_once(const Batch& batch, const std::optional<Gap>& gap,
                                              const Place& place, bool one_by_one) {
  // A constraint that is looked at only at the end would refuse all entries for one.
  for (const char* sql : {"BEGIN", "SET CONSTRAINTS ALL IMMEDIATE"}) {
    const auto begun = run(sql);
    if (!begun) return begun.error();
  }
  Stored stored;
  if (one_by_one) {
    const Result<Stored> done = store_one_by_one(batch);
    if (!done) return done.error();
    stored = *done;
  } else {
    const Result<uint64_t> rows = insert(batch.entries);
    if (!rows) return rows.error();
    stored.rows = *rows;
  }
  const Result<uint64_t> odd = insert_odd(batch.odd);
  if (!odd) return odd.error();
  stored.odd += *odd;
  if (Status lost = insert_lost(batch, gap); !lost) return lost.error();
  if (place != place_) {
    const std::string id = place.id.text();
    const std::string count = std::to_string(place.count.value_or(0));
    const auto set = run(kSetPlace, {{id}, {count, !place.count}});
    if (!set) return set.error();
  }
  const auto done = run("COMMIT");
  if (!done) return done.error();
  if (std::string_view(PQcmdStatus(done->get())) != "COMMIT") {
    return make_error("the transaction was rolled back");
  }
  return stored;
}

Result<Database::Stored> Database::store(const Batch& batch, const std::optional<Gap>& gap,
                                         const Place& place) {
  Result<Stored> stored = store_once(batch, gap, place, false);
  if (!stored && open_ && is_about_content()) {
    const auto back = run("ROLLBACK");
    stored = back ? store_once(batch, gap, place, true) : Result<Stored>(back.error());
  }
  if (stored) {
    place_ = place;
    return stored;
  }
  return open_ ? fail(stored.error().message).error() : stored.error();
}

}  // namespace nb::audit
