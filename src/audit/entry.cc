#include "audit/entry.h"

#include <cstdint>
#include <span>

#include "base/text.h"
#include "wire/stream_id.h"

namespace nb::audit {
namespace {

using redis_admin::Reply;

// Names of the stream's fields, by column. The id is none.
constexpr std::array<std::string_view, kColumns> kNames = {
    "",       "timestamp", "op",   "session_id", "old_version", "new_version",
    "client", "uid",       "node", "instance",   "sequence",    "state"};

// The first milliseconds of the year 10000, which PostgreSQL reads as no year of four digits.
constexpr uint64_t kMostMs = 253'402'300'800'000;
// These two are part of the key, and of an index.
constexpr size_t kMostName = 256;

void append(std::string& out, std::string_view text) {
  out += format("$%zu\r\n", text.size());
  out.append(text).append("\r\n");
}

std::string as_sent(std::span<const Reply> fields) {
  std::string out = format("*%zu\r\n", fields.size());
  for (const Reply& field : fields) append(out, field.text);
  return out;
}

// "2026-11-20T14:03:07.123Z"
bool is_timestamp(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' ? !digit : text[i] != kForm[i]) return false;
  }
  return true;
}

// The mistake in a field, in words; empty: none.
std::string fault_of(Column column, std::string& text, bool& is_null) {
  const std::string name(kNames[column]);
  const bool is_number =
      column == kOldVersion || column == kNewVersion || column == kUid || column == kSequence;
  if (is_number) {
    is_null = text.empty() && column != kSequence;
    const auto number = parse_number<int64_t>(text);
    if (is_null || (number && *number >= 0)) return {};
    return name + " is no number";
  }
  if (column == kWrittenAt) return is_timestamp(text) ? "" : "timestamp is not as agents write it";
  if (text.find('\0') != text.npos) return name + " holds a zero byte";
  if (!is_valid_utf8(text)) return name + " is no UTF-8";
  if (column != kState && text.size() > kMostName)
    return name + " is longer than " + std::to_string(kMostName) + " bytes";
  return {};
}

// Moves the fields into the entry's columns. Returns what is wrong, in words.
std::string fill(Entry& entry, std::vector<Reply>& fields) {
  std::array<bool, kColumns> seen{};
  std::string fault;
  for (size_t i = 0; i + 1 < fields.size() && fault.empty(); i += 2) {
    size_t column = kWrittenAt;
    while (column < kColumns && kNames[column] != fields[i].text) ++column;
    if (column == kColumns) return "it has a field that agents do not write";
    if (seen[column]) return "it has " + fields[i].text + " twice";
    seen[column] = true;
    bool is_null = false;
    fault = fault_of(static_cast<Column>(column), fields[i + 1].text, is_null);
    if (!is_null) entry.columns[column] = fields[i + 1].text;
  }
  for (size_t column = kWrittenAt; column < kState && fault.empty(); ++column) {
    if (!seen[column]) return "it lacks " + std::string(kNames[column]);
  }
  return fault;
}

}  // namespace

bool add_item(Batch& batch, Reply&& item) {
  using Kind = Reply::Kind;
  if (item.kind != Kind::list || item.items.size() != 2) return false;
  const auto id = wire::parse_stream_id(item.items[0].text);
  Reply& content = item.items[1];
  if (item.items[0].kind != Kind::text || !id) return false;
  std::string& text = item.items[0].text;
  if (content.kind == Kind::nil) {
    batch.gone.push_back(text);
    batch.ids.push_back(std::move(text));
    return true;
  }
  if (content.kind != Kind::list || content.items.size() % 2 != 0) return false;
  for (const Reply& field : content.items) {
    if (field.kind != Kind::text) return false;
  }
  batch.ids.push_back(text);
  Entry entry;
  std::string fault = fill(entry, content.items);
  if (fault.empty() && id->ms >= kMostMs) fault = "its id is no time";
  if (fault.empty()) {
    entry.columns[kId] = std::move(text);
    batch.entries.push_back(std::move(entry));
  } else {
    batch.odd.push_back({std::move(text), as_sent(content.items), std::move(fault)});
  }
  return true;
}

OddEntry refused(const Entry& entry, std::string reason) {
  size_t count = 0;
  std::string fields;
  for (size_t column = kWrittenAt; column < kColumns; ++column) {
    const auto& text = entry.columns[column];
    if (column == kState && !text) continue;
    append(fields, kNames[column]);
    append(fields, text ? *text : std::string());
    count += 2;
  }
  return {entry.id(), format("*%zu\r\n", count) + fields, std::move(reason)};
}

std::string array_text(const std::vector<Entry>& entries, Column column) {
  std::string out = "{";
  for (const Entry& entry : entries) {
    if (out.size() > 1) out += ',';
    const auto& text = entry.columns[column];
    if (!text) {
      out += "NULL";
      continue;
    }
    out += '"';
    for (const char c : *text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + '}';
}

}  // namespace nb::audit
