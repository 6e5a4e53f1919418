#include "wire/record.h"

#include "base/timestamp.h"
#include "json/guard.h"
#include "json/writer.h"
#include "rpc/line_limits.h"

namespace nb::wire {
namespace {

// Numbers keep their digits. An integer, however, is written as digits only: many readers do not
// take 1.0 or 1e0 for an integer.
void append_member(json::View value, const rpc::Param& param, std::string& out) {
  if (param.kind == rpc::ParamKind::integer) {
    json::Writer(out).integer(value.integer().value_or(0));
  } else {
    append_compact(value, out);
  }
}

}  // namespace

json::View stored_record(std::string_view text) {
  if (text.empty()) return {};
  return json::Guard().check(text, {rpc::kLineBytes}).reason == nullptr ? json::View::of(text)
                                                                        : json::View();
}

std::optional<WallTime> time_of(json::View record) {
  std::string scratch;
  const auto text = record["timestamp"].string(scratch);
  return text ? parse_timestamp(*text) : std::nullopt;
}

void take_timestamp(json::View given, WallTime now, std::string& out) {
  out.clear();
  std::string scratch;
  const auto text = given.string(scratch);
  append_timestamp((text ? parse_timestamp(*text) : std::nullopt).value_or(now), out);
}

Record::Record(std::span<const RecordField> fields) : fields_(fields), values_(fields.size() * 2) {
  reset();
}

void Record::reset() {
  for (size_t i = 0; i < fields_.size(); ++i) values_[i] = fields_[i].initial;
  known_ = 0;
}

void Record::set(size_t field, json::View value) {
  values_[fields_.size() + field] = values_[field];
  const uint32_t bit = 1u << field;
  was_known_ = (was_known_ & ~bit) | (known_ & bit);
  values_[field].clear();
  append_member(value, fields_[field].param, values_[field]);
  known_ |= bit;
}

void Record::update(std::span<const json::View> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].exists()) set(i, values[i]);
  }
}

void Record::take_back(size_t field) {
  values_[field] = values_[fields_.size() + field];
  const uint32_t bit = 1u << field;
  known_ = (known_ & ~bit) | (was_known_ & bit);
}

void Record::take_back(std::span<const json::View> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].exists()) take_back(i);
  }
}

void Record::set(size_t field, std::string_view json) {
  values_[field] = json;
  known_ |= 1u << field;
}

bool Record::adopt(json::View object) {
  if (object.type() != json::View::Type::object) return false;
  bool changed = false;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const json::View value = object[fields_[i].param.name];
    if ((known_ >> i & 1) != 0 || !value.exists()) continue;
    if (rpc::check_param(value, fields_[i].param, fields_[i].param.name)) continue;
    std::string json;
    append_member(value, fields_[i].param, json);
    changed |= json != values_[i];
    values_[i] = std::move(json);
  }
  return changed;
}

std::string Record::text(size_t field) const {
  std::string scratch;
  const auto text = json::View::of(values_[field]).string(scratch);
  return std::string(text ? *text : std::string_view(values_[field]));
}

void Record::append_json(std::string_view timestamp, std::string_view node,
                         std::string& out) const {
  out.append("{\"timestamp\":\"").append(timestamp);
  out.append("\",\"node_id\":\"").append(node).append("\"");
  for (size_t i = 0; i < fields_.size(); ++i) {
    out.append(",\"").append(fields_[i].param.name).append("\":").append(values_[i]);
  }
  out += '}';
}

}  // namespace nb::wire
