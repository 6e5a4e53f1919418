#include "cell/state_read.h"

#include <algorithm>
#include <optional>

#include "base/hash.h"
#include "base/text.h"
#include "json/guard.h"
#include "json/writer.h"
#include "redis/forms.h"

namespace nb::cell {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

// Two levels are around a stored value in the answer.
constexpr size_t kMaxDepth = 62;
// The size in Redis, including white space: a larger value than this many lines fits into no
// answer.
constexpr size_t kStoredLines = 4;
// Fields of a HASH, which Redis hands out all at once.
constexpr size_t kMaxFields = 16384;
// One field in an answer, at the least: "":"",
constexpr size_t kLeastField = 6;
// The most memory that Redis needs for a field besides its texts, and counts in MEMORY USAGE.
constexpr size_t kFieldOverhead = 128;

// Asks for the type and the size first: an answer of Redis beyond the reader's limit would end the
// reader's connection. A user that may not ask for the size still reads.
class GetOperation final : public Operation {
 public:
  explicit GetOperation(std::string_view key) : key_(key), field_(object_field(key)) {}

 private:
  enum Step { kType, kStringSize, kString, kFieldSize, kField, kFields, kUsage, kHash };

  void begin() override { ask(kType, {"TYPE", key_}); }

  void on_reply(int step, redis::Reply reply) override {
    const bool says_no = reply.is_error();
    switch (step) {
      case kType:
        return says_no ? refuse_by_redis(reply) : on_type(redis::read_type(reply));
      case kStringSize:
        if (!says_no && !fits(reply)) return;
        return ask(kString, {"GET", key_});
      case kFieldSize:
        if (!says_no && !fits(reply)) return;
        return ask(kField, {"HGET", key_, field_});
      case kFields:
        if (!says_no && !has_few_fields(reply)) return;
        // SAMPLES 0 counts all fields: there are few.
        return ask(kUsage, {"MEMORY", "USAGE", key_, "SAMPLES", "0"});
      case kUsage:
        if (reply.is_nil()) return refuse_as_gone();
        if (!says_no && !fits(reply, fields_ * kFieldOverhead)) return;
        return ask(kHash, {"HGETALL", key_});
      case kField:
        // A HASH without the schema's field is one like any other.
        if (reply.is_nil()) return ask(kFields, {"HLEN", key_});
        [[fallthrough]];
      case kString:
        if (says_no) return refuse_by_redis(reply);
        if (reply.is_nil()) return refuse_as_gone();
        return reply.is_string() ? give_text(reply.text()) : refuse_as_malformed("GET or HGET");
      case kHash:
        return says_no ? refuse_by_redis(reply) : give_hash(reply);
    }
  }

  void on_type(std::optional<std::string_view> type) {
    if (!type) return refuse_as_malformed("TYPE");
    if (type == "string"sv) return ask(kStringSize, {"STRLEN", key_});
    if (type == "hash"sv && !field_.empty()) {
      return ask(kFieldSize, {"HSTRLEN", key_, field_});
    }
    if (type == "hash"sv) return ask(kFields, {"HLEN", key_});
    if (type == "none"sv) return refuse_as_gone();
    const std::string name(clip_utf8(*type, 32));
    refuse(rpc::wrong_type("the key holds a " + name + ": what can be read are strings and hashes",
                           name));
  }

  size_t max_stored() const { return kStoredLines * line_bytes(); }

  // Checks a size that includes `overhead` besides the value: false if it was refused.
  bool fits(redis::Reply reply, size_t overhead = 0) {
    const auto size = redis::read_count(reply);
    if (!size) {
      refuse_as_malformed("a size");
      return false;
    }
    if (*size <= max_stored() + overhead) return true;
    refuse_as_large();
    return false;
  }

  bool has_few_fields(redis::Reply reply) {
    const auto count = redis::read_count(reply);
    const size_t most = std::min(kMaxFields, line_bytes() / kLeastField);
    if (!count) {
      refuse_as_malformed("HLEN");
    } else if (*count == 0) {
      refuse_as_gone();
    } else if (*count > most) {
      refuse(rpc::too_many_fields(format("the HASH has %llu fields, more than fit into an answer",
                                         static_cast<unsigned long long>(*count)),
                                  most));
    } else {
      fields_ = static_cast<size_t>(*count);
      return true;
    }
    return false;
  }

  void give_text(std::string_view text) {
    std::string value;
    append_value(text, value);
    give(value);
  }

  void give_hash(redis::Reply reply) {
    const bool texts =
        std::ranges::all_of(reply.elements(), [](redis::Reply text) { return text.is_string(); });
    if (!reply.is_array() || reply.size() % 2 != 0 || !texts) {
      return refuse_as_malformed("HGETALL");
    }
    if (reply.size() == 0) return refuse_as_gone();
    std::string value;
    std::string quoted;
    json::Writer json(value);
    json.begin_object();
    for (size_t i = 0; i + 1 < reply.size(); i += 2) {
      quoted.clear();
      json::Writer(quoted).string(reply[i].text());
      json.key(std::string_view(quoted).substr(1, quoted.size() - 2));
      json.string(reply[i + 1].text());
      if (value.size() > line_bytes()) return refuse_as_large();
    }
    json.end_object();
    give(value);
  }

  void give(std::string_view value) {
    if (value.size() > line_bytes()) return refuse_as_large();
    answer(get_result(key_, value, "redis"));
  }

  void refuse_by_redis(redis::Reply reply) { refuse(rpc::refused_by_redis(reply.text())); }
  void refuse_as_gone() { refuse(rpc::not_found("there is no such key")); }
  void refuse_as_large() {
    refuse(rpc::too_large("the stored value does not fit into a line that this client reads",
                          line_bytes()));
  }

  std::string key_;
  std::string_view field_;
  size_t fields_ = 0;
};

// Of the keys, each with its size.
uint64_t digest_of(const redis::ScanPage& page) {
  uint64_t digest = kHashBegin;
  for (size_t i = 0; i < page.elements.size(); ++i) {
    const std::string_view key = page.text(i);
    digest = hash_of(key, digest);
    digest = hash_of(std::to_string(key.size()) + ' ', digest);
  }
  return digest;
}

class ListOperation final : public Operation {
 public:
  // Longer keys are none of this protocol's (3.3.1).
  static constexpr size_t kMaxKey = 512;

  ListOperation(std::string_view prefix, const ListCursor& cursor, size_t limit)
      : pattern_(glob_of_prefix(prefix)), cursor_(cursor), limit_(limit) {
    json::Writer(keys_).begin_array();
  }

 private:
  // Of SCAN's COUNT, with which a page is the same again.
  static constexpr std::string_view kPage = "250";
  static constexpr int kMaxRounds = 400;

  void begin() override {
    scan_ = std::to_string(cursor_.page);
    ask(0, {"SCAN", scan_, "MATCH", pattern_, "COUNT", kPage});
  }

  void on_reply(int, redis::Reply reply) override {
    if (reply.is_error()) return refuse(rpc::refused_by_redis(reply.text()));
    const auto page = redis::read_scan_page(reply);
    if (!page) return refuse_as_malformed("SCAN");
    const uint64_t digest = digest_of(*page);
    uint64_t from = cursor_.digest == digest ? cursor_.done : 0;
    for (; from < page->elements.size(); ++from) {
      if (!take(page->text(from))) {
        cursor_.done = from;
        cursor_.digest = digest;
        return finish(false);
      }
    }
    cursor_ = {page->cursor, 0, 0};
    if (cursor_.page == 0) return finish(true);
    // A walk goes on in the next call when this answer is full, or when few keys of a large
    // database match: no caller waits for the whole database at once.
    if (count_ >= limit_ || ++rounds_ >= kMaxRounds || is_late()) return finish(false);
    begin();
  }

  // False: the answer is full.
  bool take(std::string_view key) {
    if (key.size() > kMaxKey) {
      ++skipped_;
      return true;
    }
    if (count_ >= limit_) return false;
    const size_t before = keys_.size();
    if (count_ > 0) keys_ += ',';
    json::Writer(keys_).string(key);
    if (keys_.size() + kAround > result_bytes()) {
      keys_.resize(before);
      return false;
    }
    ++count_;
    return true;
  }

  void finish(bool done) {
    std::string out;
    json::Writer json(out);
    keys_ += ']';
    json.begin_object().key("keys").raw(keys_).key("cursor");
    done ? json.null() : json.string(cursor_.text());
    if (skipped_ > 0) json.key("skipped").integer(skipped_);
    json.end_object();
    answer(out);
  }

  // {"keys":[...],"cursor":"...","skipped":...}
  static constexpr size_t kAround = 128;

  std::string pattern_;
  ListCursor cursor_;
  std::string scan_;
  size_t limit_;
  std::string keys_;
  size_t count_ = 0;
  int64_t skipped_ = 0;
  int rounds_ = 0;
};

}  // namespace

std::string get_result(std::string_view key, std::string_view value_json, const char* source) {
  std::string out;
  json::Writer json(out);
  json.begin_object().key("key").string(key).key("value").raw(value_json);
  json.key("source").string(source).end_object();
  return out;
}

std::string_view object_field(std::string_view key) {
  if (key.starts_with("node:health:")) return "health";
  if (key.starts_with("robot:state:")) return "state";
  if (key.starts_with("stroke:progress:")) return "progress";
  return {};
}

std::optional<ListCursor> ListCursor::parse(std::string_view text) {
  ListCursor cursor;
  const size_t first = text.find(':');
  const auto page = parse_number<uint64_t>(text.substr(0, first));
  if (!page) return std::nullopt;
  cursor.page = *page;
  if (first == text.npos) return cursor;
  const size_t second = text.find(':', first + 1);
  if (second == text.npos) return std::nullopt;
  const auto done = parse_number<uint64_t>(text.substr(first + 1, second - first - 1));
  const auto digest = parse_number<uint64_t>(text.substr(second + 1));
  if (!done || !digest) return std::nullopt;
  cursor.done = *done;
  cursor.digest = *digest;
  return cursor;
}

std::string ListCursor::text() const {
  if (done == 0) return std::to_string(page);
  return format("%llu:%llu:%llu", static_cast<unsigned long long>(page),
                static_cast<unsigned long long>(done), static_cast<unsigned long long>(digest));
}

std::string glob_of_prefix(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern += '*';
}

void append_value(std::string_view stored, std::string& out) {
  json::Guard guard;
  if (guard.check(stored, {stored.size() + 1, kMaxDepth}).reason == nullptr) {
    append_compact(json::View::of(stored), out);
  } else {
    json::Writer(out).string(stored);
  }
}

std::unique_ptr<Operation> make_get_operation(std::string_view key) {
  return std::make_unique<GetOperation>(key);
}

std::unique_ptr<Operation> make_list_operation(std::string_view prefix, const ListCursor& from,
                                               size_t limit) {
  return std::make_unique<ListOperation>(prefix, from, limit);
}

}  // namespace nb::cell
