#include "cell/state_watch_keys.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "cell/state_read.h"
#include "json/writer.h"
#include "redis/forms.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

// Longer keys are none of the protocol's (3.3.1).
constexpr size_t kMaxKey = 512;
// So much may wait for a client before nothing more is read for it.
constexpr size_t kUnread = 2 * rpc::kLineBytes;

}  // namespace

// --- the keys

StateWatch::Entry* StateWatch::Watch::find(std::string_view key) {
  for (Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

bool StateWatch::Watch::matches(std::string_view key) {
  for (const std::string& prefix : prefixes) {
    if (key.starts_with(prefix)) return true;
  }
  return find(key) != nullptr;
}

// Null: there is no room, or nothing for a client under this key.
StateWatch::Entry* StateWatch::Watch::add(std::string_view key) {
  if (Entry* entry = find(key)) return entry;
  if (wire::is_reserved_key(key)) return nullptr;
  const size_t size = bytes + key.size() + kKeyOverhead;
  if (key.size() > kMaxKey || size > kMostBytes) {
    left_out = true;
    return nullptr;
  }
  bytes = size;
  entries.emplace_back().key = key;
  return &entries.back();
}

void StateWatch::Watch::erase(Entry& entry) {
  bytes -= entry.key.size() + kKeyOverhead;
  for (auto at = entries.begin();; ++at) {
    if (&*at == &entry) return void(entries.erase(at));
  }
}

// All is looked at again.
void StateWatch::Watch::begin() {
  all->reader_.cancel(std::exchange(question, 0));
  for (Entry& entry : entries) entry.state = Entry::State::unread;
  page_of = cursor = 0;
  left_out = lost = false;
  go();
}

// --- reading

void StateWatch::Watch::go() {
  if (lost && ready) {
    if (!notify("stale"sv, {})) return all->wait();
    ready = false;
  }
  if (question != 0) return;
  const bool reads = all->changes_.is_telling();
  const bool has_page = reads && page_of < prefixes.size();
  // In turns, or a key that changes all the time would keep the others from being found.
  const bool page_first = has_page && step != Step::page;
  if (reads && !has_page && !tell_ready()) return all->wait();
  bool some_wait = false;  // in the outbox
  for (size_t left = page_first ? 0 : entries.size(); left > 0; --left) {
    Entry& entry = entries.front();
    entries.splice(entries.end(), entries, entries.begin());
    if (entry.state == Entry::State::told) continue;
    bool waits = false;
    if (!tell_what_waits(entry, waits)) return all->wait();
    some_wait |= waits;
    if (waits || !reads) continue;
    if (all->front_.queued_bytes(client) >= kUnread) return all->wait();
    asked = entry.key;
    asked_state = std::exchange(entry.state, Entry::State::told);
    asked_put = false;
    const std::string end = format("%zu", all->front_.max_line_bytes(client));
    return ask(Step::range, {"GETRANGE"sv, asked, "0"sv, end});
  }
  if (some_wait && reads) all->wait();
  if (!has_page) return;
  const std::string pattern = glob_of_prefix(prefixes[page_of]);
  const std::string from = format("%llu", static_cast<unsigned long long>(cursor));
  ask(Step::page, {"SCAN"sv, from, "MATCH"sv, pattern, "COUNT"sv, "250"sv});
}

// If all values from the beginning were reported. False: the client has no room for the
// notification.
bool StateWatch::Watch::tell_ready() {
  if (ready && left_out == left_out_told) return true;
  for (const Entry& entry : entries) {
    if (entry.state == Entry::State::unread) return true;
  }
  const std::string params =
      format("\"keys\":%zu%s", entries.size(), left_out ? ",\"left_out\":true" : "");
  ready = notify("ready"sv, params);
  left_out_told = left_out;
  return ready;
}

void StateWatch::Watch::ask(Step what, std::initializer_list<std::string_view> command) {
  step = what;
  question =
      all->reader_.ask(std::span(command.begin(), command.size()),
                       Delegate<void(const redis::ReaderAnswer&)>::to<&Watch::on_answer>(this));
  if (question == 0) on_answer({});
}

void StateWatch::Watch::on_answer(const redis::ReaderAnswer& answer) {
  question = 0;
  Entry* entry = step == Step::page ? nullptr : find(asked);
  if (!answer.reply && !answer.limit) {
    if (entry != nullptr) entry->state = std::max(entry->state, asked_state);
    return all->wait();
  }
  all->pause_.reset();
  if (step == Step::page) {
    on_page(answer.reply);
  } else if (entry != nullptr && asked_put) {
    // The value that was read may be older than the value that the client received meanwhile.
    entry->state = Entry::State::changed;
  } else if (entry != nullptr && !on_value(*entry, answer)) {
    return all->wait();
  }
  go();
}

// Where Redis does not answer this, keys are left out.
void StateWatch::Watch::on_page(redis::Reply reply) {
  const auto page = redis::read_scan_page(reply);
  left_out |= !page;
  cursor = page ? page->cursor : 0;
  for (size_t i = 0; page && i < page->elements.size(); ++i) {
    const std::string_view key = page->text(i);
    Entry* entry = key.starts_with(prefixes[page_of]) ? add(key) : nullptr;
    if (entry != nullptr && entry->told == News::What::nothing) entry->state = Entry::State::unread;
  }
  if (cursor == 0) ++page_of;
}

// False: there is no room for it.
bool StateWatch::Watch::on_value(Entry& entry, const redis::ReaderAnswer& answer) {
  const redis::Reply reply = answer.reply;
  News news{News::What::unreadable, reply.text(), "redis"sv};
  if (reply.is_string()) {
    if (news.text.empty() && step == Step::range) {
      ask(Step::value, {"GET"sv, asked});
      return true;
    }
    news.what = News::What::value;
  } else if (reply.is_nil()) {
    news.what = News::What::deleted;
  } else if (!reply.is_error()) {
    news.text = answer.limit ? "too_large"sv : "malformed"sv;
  }
  if (tell(entry, news)) return true;
  entry.state = std::max(entry.state, asked_state);
  return false;
}

// --- telling

// False: there is no room. `waits`: the value waits in the outbox, and the client knows it; without
// a connection that reports changes the entry may then be gone. The key stays to be read: another
// program may write it before Redis has confirmed our value, and Redis reports that once; or Redis
// may refuse ours.
bool StateWatch::Watch::tell_what_waits(Entry& entry, bool& waits) {
  const auto slot = all->outbox_.find(all->db_, entry.key, all->loop_.now());
  waits = slot && !slot->stored;
  if (!waits) return true;
  News news{News::What::deleted, {}, "agent"sv};
  if (!slot->fields.empty()) {
    news.what = News::What::value;
    news.text = slot->fields[0].value;
  }
  if (!tell(entry, news)) return false;
  if (all->changes_.is_telling()) entry.state = Entry::State::changed;
  return true;
}

// A value that the client knows already counts as reported. The entry is gone if the key is.
bool StateWatch::Watch::tell(Entry& entry, const News& news) {
  const size_t most = all->front_.max_line_bytes(client);
  const size_t hash = std::hash<std::string_view>{}(news.text);
  const size_t size = news.text.size();
  const bool gone = news.what == News::What::deleted;
  const bool was_unknown = entry.told == News::What::nothing && gone && !entry.named;
  const bool is_same = entry.told == news.what && entry.hash == hash && entry.size == size;
  if (!was_unknown && !(is_same && size <= most)) {
    std::string line = "\"key\":";
    json::Writer(line).string(entry.key);
    const size_t key_end = line.size();
    if (gone) {
      line += ",\"deleted\":true";
    } else if (news.what == News::What::unreadable) {
      line += ",\"unreadable\":";
      json::Writer(line).string(clip_utf8(news.text, kMaxKey));
    } else if (size <= most) {
      line += ",\"value\":";
      append_value(news.text, line);
    }
    // {"jsonrpc":"2.0","method":"state.change","params":{...,"source":"agent"}}
    constexpr size_t kAround = 128;
    if (line.size() == key_end || line.size() + kAround > most) {
      line.resize(key_end);
      line += ",\"unreadable\":\"too_large\"";
    }
    line.append(",\"source\":\"").append(news.source) += '"';
    if (!notify("change"sv, line)) return false;
    entry.told = news.what;
    entry.hash = hash;
    entry.size = size;
  }
  const bool is_sure = news.source == "redis"sv || !all->changes_.is_telling();
  if (gone && !entry.named && is_sure) erase(entry);
  return true;
}

bool StateWatch::Watch::notify(std::string_view event, std::string_view params) {
  std::string line = "{\"jsonrpc\":\"2.0\",\"method\":\"state.";
  line.append(event).append("\",\"params\":{").append(params).append("}}");
  return all->front_.notify_if_room(client, line);
}

}  // namespace nb::cell
