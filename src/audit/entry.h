// Entries of the stream, made fit for the database. Pure.
//
// Any program that may write to Redis may have put anything into the stream. An entry that does not
// have the agents' form (PROTOCOL.md 3.6.8) is stored as it came, with the reason, in a table of
// its own: it is not lost, and does not hold up the entries behind it.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis_admin/reply.h"

namespace nb::audit {

// The columns of the table, in its order.
enum Column : size_t {
  kId,
  kWrittenAt,
  kOp,
  kSessionId,
  kOldVersion,
  kNewVersion,
  kClient,
  kUid,
  kNode,
  kInstance,
  kSequence,
  kState,
  kColumns,
};

struct Entry {
  std::array<std::optional<std::string>, kColumns> columns;  // nothing: null

  const std::string& id() const { return *columns[kId]; }
};

struct OddEntry {
  std::string id;
  std::string bytes;   // its fields and values as a list in Redis' protocol
  std::string reason;  // why it is not from an agent
};

// The result of one read.
struct Batch {
  std::vector<Entry> entries;
  std::vector<OddEntry> odd;
  std::vector<std::string> gone;  // ids that were read before and have been trimmed since
  std::vector<std::string> ids;   // of all of these, to be acknowledged

  bool is_empty() const { return ids.empty(); }
};

// Adds one item of Redis' answer: [id, [name, value, ...]], or [id, nil] for an entry that has been
// trimmed. False if it is neither.
bool add_item(Batch& batch, redis_admin::Reply&& item);

// The entry as one that the database has refused.
OddEntry refused(const Entry& entry, std::string reason);

// A column of all entries as the text of a PostgreSQL array: {"a",NULL}.
std::string array_text(const std::vector<Entry>& entries, Column column);

}  // namespace nb::audit
