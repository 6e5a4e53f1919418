#include "cell/session.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "base/text.h"
#include "json/guard.h"
#include "json/writer.h"
#include "rpc/error.h"
#include "rpc/line_limits.h"
#include "wire/keys.h"

namespace nb::cell {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

constexpr int64_t kYearMs = 31'536'000'000;
constexpr int64_t kMostVersion = (int64_t{1} << 53) - 2;  // the next one is exact as well

constexpr rpc::Param kId{"session_id", rpc::ParamKind::plain, true, 1, 250};
constexpr rpc::Param kState{"state", rpc::ParamKind::object};
constexpr rpc::Param kNewState{"state", rpc::ParamKind::object, true};
constexpr rpc::Param kExpected{"expected_version", rpc::ParamKind::integer, false, 0,
                               kMostVersion + 1};
constexpr rpc::Param kTtl{"ttl_ms", rpc::ParamKind::integer, false, 1, kYearMs};
constexpr rpc::Param kUpsert{"upsert", rpc::ParamKind::boolean};
constexpr rpc::Param kReplace{"replace_corrupt", rpc::ParamKind::boolean};
constexpr rpc::Param kTimeout{"timeout_ms", rpc::ParamKind::integer, false, 1, 60'000};
constexpr rpc::Param kLimit{"limit", rpc::ParamKind::integer, false, 1, 1000};
constexpr rpc::Param kCursor{"cursor", rpc::ParamKind::plain, false, 1, 512};
constexpr rpc::Param kMessage{"message", rpc::ParamKind::any, true};

constexpr auto kCreateParams = rpc::takes(kId, kState, kTtl, kReplace, kTimeout);
constexpr auto kGetParams = rpc::takes(kId, kTimeout);
constexpr auto kUpdateParams =
    rpc::takes(kId, kNewState, kExpected, kTtl, kUpsert, kReplace, kTimeout);
constexpr auto kDeleteParams = rpc::takes(kId, kExpected, kReplace, kTimeout);
constexpr auto kTouchParams = rpc::takes(kId, kTtl, kUpsert, kTimeout);
constexpr auto kListParams = rpc::takes(kLimit, kCursor, kTimeout);
constexpr auto kBroadcastParams = rpc::takes(kId, kMessage, kTimeout);

constexpr int64_t kDefaultTtlMs = 3600000;
constexpr int64_t kDefaultTimeoutMs = 2000;
constexpr int64_t kDefaultLimit = 100;
// A client has four operations under way at a time, but one with a long state counts as all four.
constexpr size_t kLongState = 16 * 1024;
// A client's notifications have no answer and do not pause its reading. So many of them may wait,
// with so many bytes of states, or one that is longer. While many calls of all clients wait, a
// client may have a few only, so that there is room for each client.
constexpr size_t kMaxNotifications = 64;
constexpr size_t kManyWait = redis::Scripts::kMost / 4;
constexpr size_t kMaxNotificationsThen = 4;
constexpr size_t kNotifiedBytes = 64 * 1024;
// A text of another program may be longer than any line.
constexpr size_t kLongestText = 2 * 1024 * 1024;
// The size of all texts that one page of session.list reads.
constexpr size_t kLookBytes = 2 * 1024 * 1024;
// Two levels are around a text in an answer.
constexpr size_t kMaxDepth = 62;
// The size of the script's text before the caller's members, and of the text around a state in an
// answer.
constexpr size_t kAroundMembers = 256;
// As JSON, with everything behind the sessions of a page.
constexpr size_t kLongestCursor = 2048;
constexpr uint64_t kLeastAuditLength = 16;

constexpr std::string_view kNames[] = {"create",    "update", "touch", "delete",
                                       "broadcast", "get",    "list"};
// The members that the script writes itself.
constexpr std::string_view kOwnMembers[] = {"session_id", "version", "created_at", "updated_at"};

// A session as read from a text. Any program may have written the text.
struct Stored {
  int64_t version = -1;  // -1: the text is no session
  std::string_view created;
};

Stored read_stored(std::string_view text, json::Guard& guard) {
  Stored out;
  if (guard.check(text, {text.size() + 1, kMaxDepth}).reason != nullptr) return out;
  const json::View view = guard.view();
  const auto version = view["version"].integer();
  if (!version || *version < 0 || *version > kMostVersion) return out;
  out.version = *version;
  const std::string_view created = view["created_at"].raw();
  if (created.size() > 2 && created.size() < 64 && created.front() == '"' &&
      created.find('\\') == created.npos) {
    out.created = created;
  }
  return out;
}

// One function, since std::to_string() is expanded wherever it is called.
[[gnu::noinline]] std::string text_of(uint64_t number) {
  return std::to_string(number);
}

// The parts before and behind the first `mark`; without a mark everything is before.
std::pair<std::string_view, std::string_view> halves_of(std::string_view text, char mark) {
  const size_t at = std::min(text.find(mark), text.size());
  return {text.substr(0, at), text.substr(std::min(at + 1, text.size()))};
}

// Each member of the caller's with a comma before it, digit by digit.
void append_members(json::View state, std::string& out) {
  for (const json::Member& member : state.members()) {
    const bool own = std::any_of(std::begin(kOwnMembers), std::end(kOwnMembers),
                                 [&](std::string_view name) { return member.name_is(name); });
    if (own) continue;
    out.append(",\"").append(member.raw_name).append("\":");
    append_compact(member.value, out);
  }
}

}  // namespace

constexpr rpc::Method Sessions::kMethods[] = {
    rpc::method<&Sessions::begin<Operation::update>>("session.update", kUpdateParams,
                                                     rpc::Right::session, rpc::kReads),
    rpc::method<&Sessions::begin<Operation::get>>("session.get", kGetParams, rpc::Right::read,
                                                  rpc::kReads),
    rpc::method<&Sessions::begin<Operation::create>>("session.create", kCreateParams,
                                                     rpc::Right::session, rpc::kReads),
    rpc::method<&Sessions::begin<Operation::remove>>("session.delete", kDeleteParams,
                                                     rpc::Right::session, rpc::kReads),
    rpc::method<&Sessions::begin<Operation::touch>>("session.touch", kTouchParams,
                                                    rpc::Right::session, rpc::kReads),
    rpc::method<&Sessions::begin<Operation::list>>("session.list", kListParams, rpc::Right::read,
                                                   rpc::kReads),
    rpc::method<&Sessions::begin<Operation::broadcast>>("session.broadcast", kBroadcastParams,
                                                        rpc::Right::session, rpc::kReads),
};

class Sessions::Run {
 public:
  Run(Sessions& all, Operation operation, rpc::Call& call);
  ~Run() { all_.scripts_.cancel(run_); }

  rpc::ClientId client() const { return client_; }
  bool is_notification() const { return token_ == 0; }
  // The script's first run, or the next if another program's text was read. May end this.
  void start();

 private:
  bool writes() const { return operation_ < Operation::get; }
  // Why the call is refused before anything is sent; empty: it is not refused.
  std::optional<rpc::Error> fault() const;
  std::optional<rpc::Error> too_many_notifications() const;
  void run(size_t keys, std::span<const std::string_view> words, uint64_t sequence = 0);
  void run(size_t keys, std::initializer_list<std::string_view> words, uint64_t sequence = 0) {
    run(keys, std::span(words.begin(), words.size()), sequence);
  }
  void on_answer(const redis::ScriptAnswer& answer);
  void on_text(std::string_view text);
  void on_foreign(std::string_view text);
  void on_get(redis::Reply reply);
  void on_page(redis::Reply reply);
  void on_look(redis::Reply reply);
  void answer(std::string_view result);
  void refuse(const rpc::Error& error);
  void refuse_as_conflict(int64_t actual);
  void refuse_as_corrupt(std::string_view text);
  void refuse_as_malformed();
  void end();

  Sessions& all_;
  Operation operation_;
  rpc::ClientId client_;
  rpc::Token token_ = 0;
  uint64_t run_ = 0;
  MonoTime deadline_;

  std::string id_;
  std::string name_;     // the id as JSON
  std::string members_;  // of the state; of a broadcast the message
  std::optional<int64_t> expected_;
  int64_t ttl_;
  bool upsert_;
  bool replace_corrupt_;
  std::string who_;
  std::string uid_;
  bool read_ = false;  // of another program:
  std::string read_text_;
  std::string read_version_;
  std::string read_created_;

  // session.list: the beginning of the page, and its contents.
  int64_t limit_;
  std::string cursor_;             // the score and the id of the last one, a colon between them
  std::vector<std::string> page_;  // the ids, each with its score behind it
  bool looking_ = false;
};

Sessions::Run::Run(Sessions& all, Operation operation, rpc::Call& call)
    : all_(all),
      operation_(operation),
      client_(call.who.client),
      expected_(call[kExpected].integer()),
      ttl_(call[kTtl].integer().value_or(kDefaultTtlMs)),
      upsert_(call[kUpsert].boolean().value_or(false)),
      replace_corrupt_(call[kReplace].boolean().value_or(false)),
      who_(all.name_of_(call.who.client)),
      uid_(text_of(call.who.user)),
      limit_(call[kLimit].integer().value_or(kDefaultLimit)) {
  const int64_t timeout = call[kTimeout].integer().value_or(kDefaultTimeoutMs);
  deadline_ = all.loop_.now() + std::chrono::milliseconds(timeout);
  std::string scratch;
  id_ = call[kId].string(scratch).value_or("");
  json::Writer(name_).string(id_);
  if (operation == Operation::broadcast) {
    append_compact(call[kMessage], members_);
  } else {
    append_members(operation == Operation::create ? call[kState] : call[kNewState], members_);
  }
  members_.shrink_to_fit();
  cursor_ = call[kCursor].string(scratch).value_or("");
  token_ = call.put_off(members_.size() > kLongState ? rpc::kWaitingCalls : Operations::kWeight);
}

std::optional<rpc::Error> Sessions::Run::fault() const {
  const size_t most =
      rpc::result_bytes(std::max<size_t>(all_.config_.socket.max_line, rpc::kLineBytes)) -
      kAroundMembers;
  if (members_.size() + name_.size() > most) {
    return rpc::too_large(format("session_id and state have %zu bytes, of at most %zu: what is "
                                 "longer fits into no answer (socket.max_line sets both)",
                                 members_.size() + name_.size(), most),
                          most);
  }
  if (!cursor_.empty() && !parse_number<uint64_t>(halves_of(cursor_, ':').first)) {
    return rpc::invalid_params("cursor", "expected what an earlier session.list returned");
  }
  return is_notification() ? too_many_notifications() : std::nullopt;
}

// This is one of them already.
std::optional<rpc::Error> Sessions::Run::too_many_notifications() const {
  size_t mine = 0, bytes = 0;
  for (const auto& run : all_.runs_) {
    if (run->client_ != client_ || !run->is_notification()) continue;
    ++mine;
    bytes += run->members_.size();
  }
  const size_t most = all_.runs_.size() > kManyWait ? kMaxNotificationsThen : kMaxNotifications;
  if (mine > most) {
    return rpc::too_many("as many notifications of this client wait for Redis as may wait", most);
  }
  if (mine > 1 && bytes > kNotifiedBytes) {
    return rpc::queue_full(
        "as many bytes of this client's notifications wait for Redis as may wait", kNotifiedBytes);
  }
  return std::nullopt;
}

void Sessions::Run::start() {
  if (const auto error = fault()) return refuse(*error);
  const std::string key = wire::session_key(id_);
  const std::string longest = text_of(kLongestText);
  if (operation_ == Operation::get) return run(1, {key, "get", longest});
  if (operation_ == Operation::list) {
    const auto [score, member] = halves_of(cursor_, ':');
    return run(1, {wire::kSessionsKey, "page", score, member, text_of(limit_)});
  }
  const uint64_t sequence = all_.scripts_.take_sequence();
  const std::string writes =
      wire::session_writes_key(all_.identity_.node, all_.identity_.instance_id);
  const std::string number = text_of(sequence);
  const std::string_view operation = kNames[static_cast<size_t>(operation_)];
  if (operation_ == Operation::broadcast) {
    return run(5,
               {key, wire::kSessionsKey, wire::kSessionSealsKey, writes, wire::kSessionAuditKey,
                operation, number, id_, name_, members_},
               sequence);
  }
  const bool keeps_state = all_.config_.session.audit_state;
  std::string options;
  if (upsert_) options += "upsert ";
  if (keeps_state) options += "state ";
  if (read_) options += "read";
  std::string quoted;  // the members within a JSON string
  json::Writer(quoted).string(members_);
  run(5,
      {key,
       wire::kSessionsKey,
       wire::kSessionSealsKey,
       writes,
       wire::kSessionAuditKey,
       operation,
       number,
       id_,
       name_,
       text_of(ttl_),
       expected_ ? text_of(*expected_) : std::string(),
       options,
       read_text_,
       read_version_,
       read_created_,
       members_,
       std::string_view(quoted).substr(1, quoted.size() - 2),
       longest,
       text_of(all_.audit_length(keeps_state ? members_.size() : 0)),
       "client",
       who_,
       "uid",
       uid_,
       "node",
       all_.identity_.node,
       "instance",
       all_.identity_.instance_id},
      sequence);
}

void Sessions::Run::run(size_t keys, std::span<const std::string_view> words, uint64_t sequence) {
  run_ = all_.scripts_.run(keys, words, sequence, client_, deadline_,
                           Delegate<void(const redis::ScriptAnswer&)>::to<&Run::on_answer>(this));
  if (run_ == 0) {
    refuse(rpc::too_many("too many operations on sessions wait for Redis", redis::Scripts::kMost));
  }
}

void Sessions::Run::on_answer(const redis::ScriptAnswer& answer) {
  run_ = 0;
  const redis::Reply reply = answer.reply;
  if (!reply) {
    const std::string& words = all_.scripts_.words();
    return refuse(answer.in_doubt && writes()
                      ? rpc::in_doubt("Redis did not say in time whether this was carried out; it "
                                      "may still be: " +
                                          words,
                                      words)
                      : rpc::unavailable("not carried out: " + words, words));
  }
  if (reply.is_error()) return refuse(rpc::refused_by_redis(reply.text()));
  if (reply.is_string()) return on_text(reply.text());
  if (!reply.is_array()) return refuse_as_malformed();
  if (operation_ == Operation::get) return on_get(reply);
  if (operation_ == Operation::list) return looking_ ? on_look(reply) : on_page(reply);
  if (reply[0].text() != "foreign"sv || !reply[1].is_string()) return refuse_as_malformed();
  on_foreign(reply[1].text());
}

void Sessions::Run::on_text(std::string_view text) {
  const auto [word, rest] = halves_of(text, ' ');
  const auto number = parse_number<int64_t>(rest);
  if (word == "ok"sv && number) {
    if (operation_ == Operation::broadcast) {
      return this->answer(format("{\"subscribers\":%" PRId64 "}", *number));
    }
    return this->answer(*number > 0 ? format("{\"version\":%" PRId64 "}", *number)
                                    : std::string("{\"version\":null}"));
  }
  if (word == "conflict"sv && number) return refuse_as_conflict(*number);
  if (word == "not_found"sv) return refuse(rpc::not_found("there is no such session"));
  if (word == "wrong_type"sv) {
    return refuse(rpc::wrong_type("this key holds no session but a " + std::string(rest), rest));
  }
  if (word == "large"sv) {
    return refuse(rpc::too_large("the session that stands there is too large", kLongestText));
  }
  // The script has kept this answer to an earlier copy, without the text: asked again as a new
  // write.
  if (word == "foreign"sv) return start();
  if (word == "stale"sv) {
    return refuse(rpc::in_doubt(
        "this was sent long ago, and Redis no longer knows what became of it", "stale"));
  }
  refuse_as_malformed();
}

// Another program wrote the session. Its text is handed to the script, which checks that the text
// is still there.
void Sessions::Run::on_foreign(std::string_view text) {
  json::Guard guard;
  const Stored stored = read_stored(text, guard);
  if (stored.version < 0 && !replace_corrupt_) return refuse_as_corrupt(text);
  read_ = true;
  read_text_ = text;
  read_version_ = stored.version < 0 ? std::string() : text_of(stored.version);
  read_created_ = stored.created;
  start();
}

void Sessions::Run::on_get(redis::Reply reply) {
  if (reply[0].is_nil()) return refuse(rpc::not_found("there is no such session"));
  const std::string_view text = reply[0].text();
  const auto ttl = reply[1].integer();
  if (!reply[0].is_string() || !ttl) return refuse_as_malformed();
  json::Guard guard;
  const Stored stored = read_stored(text, guard);
  if (stored.version < 0) return refuse_as_corrupt(text);
  std::string out;
  json::Writer json(out);
  json.begin_object().key("version").integer(stored.version).key("ttl_ms");
  *ttl < 0 ? json.null() : json.integer(*ttl);
  out += ",\"state\":";
  append_compact(guard.view(), out);
  json.end_object();
  if (out.size() > all_.operations_.result_bytes(client_)) {
    return refuse(rpc::too_large("the session does not fit into a line that this client reads",
                                 all_.operations_.line_bytes(client_)));
  }
  this->answer(out);
}

void Sessions::Run::on_page(redis::Reply reply) {
  const std::string budget = text_of(kLookBytes);
  for (size_t i = 0; i < reply.size(); ++i) page_.push_back(std::string(reply[i].text()));
  const size_t count = page_.size() / 2;
  if (count == 0) return this->answer("{\"sessions\":[],\"cursor\":null}");
  std::vector<std::string> keys(count);
  std::vector<std::string_view> words(2 * count + 3);
  words[0] = wire::kSessionSealsKey;
  words[count + 1] = "look";
  words[count + 2] = budget;
  for (size_t i = 0; i < count; ++i) {
    keys[i] = wire::session_key(page_[2 * i]);
    words[i + 1] = keys[i];
    words[count + 3 + i] = page_[2 * i];
  }
  looking_ = true;
  run(1 + count, words);
}

void Sessions::Run::on_look(redis::Reply reply) {
  std::string out = "{\"sessions\":[";
  const size_t most = all_.operations_.result_bytes(client_) - kLongestCursor;
  size_t done = 0;
  const size_t count = page_.size() / 2;
  json::Guard guard;
  for (; done < std::min(reply.size(), count); ++done) {
    const redis::Reply look = reply[done];
    const auto ttl = look[2].integer();
    if (!ttl) return refuse_as_malformed();
    if (*ttl == -2) continue;  // it is gone, and the index does not know that yet
    const auto version = parse_number<int64_t>(look[0].text());
    // The text of the time goes into the answer unchanged.
    constexpr size_t kLongestTime = 64;
    const bool is_read =
        version && guard.check(look[1].text(), {kLongestTime, 1}).reason == nullptr;
    const json::View updated = is_read ? guard.view() : json::View();
    if (version && !updated.is(json::View::Type::string)) return refuse_as_malformed();
    const std::string& id = page_[2 * done];
    const size_t before = out.size();
    if (out.back() != '[') out += ',';
    json::Writer json(out);
    json.begin_object().key("session_id").string(id).key("version");
    version ? json.integer(*version) : json.null();
    json.key("updated_at");
    version ? json.raw(updated.raw()) : json.null();
    json.key("ttl_ms");
    *ttl < 0 ? json.null() : json.integer(*ttl);
    json.end_object();
    if (out.size() > most) {
      out.resize(before);
      break;
    }
  }
  if (done == 0) return refuse_as_malformed();
  out += "],\"cursor\":";
  if (done == count && static_cast<int64_t>(done) < limit_) {
    out += "null";
  } else {
    json::Writer(out).string(page_[2 * done - 1] + ':' + page_[2 * done - 2]);
  }
  out += '}';
  this->answer(out);
}

void Sessions::Run::answer(std::string_view result) {
  all_.front_.answer(token_, result);
  end();
}

void Sessions::Run::refuse(const rpc::Error& error) {
  if (is_notification()) {
    all_.front_.report(client_, "session." + std::string(kNames[static_cast<size_t>(operation_)]),
                       error);
  } else {
    all_.front_.refuse(token_, error);
  }
  end();
}

void Sessions::Run::refuse_as_conflict(int64_t actual) {
  if (operation_ == Operation::create) {
    return refuse(rpc::conflict(format("the session exists, with version %" PRId64, actual),
                                std::nullopt, actual));
  }
  refuse(rpc::conflict(
      format("expected version %" PRId64 ", found %" PRId64, expected_.value_or(-1), actual),
      expected_, actual));
}

void Sessions::Run::refuse_as_corrupt(std::string_view text) {
  refuse(rpc::corrupt(
      "what stands there is no JSON, or no object with a version; replace_corrupt overwrites it",
      text, all_.operations_.result_bytes(client_)));
}

void Sessions::Run::refuse_as_malformed() {
  refuse(rpc::unavailable("Redis answers the script with something else than the script says",
                          "malformed"));
}

void Sessions::Run::end() {
  auto& runs = all_.runs_;
  const auto at =
      std::find_if(runs.begin(), runs.end(), [&](const auto& run) { return run.get() == this; });
  const std::unique_ptr<Run> ended = std::move(*at);
  runs.erase(at);
}

Sessions::Sessions(uv::Loop& loop, rpc::FrontEnd& front, const Operations& operations,
                   redis::Scripts& scripts, const node::Identity& identity,
                   const config::Config& config, NameOf name_of)
    : loop_(loop),
      front_(front),
      operations_(operations),
      scripts_(scripts),
      identity_(identity),
      config_(config),
      name_of_(name_of) {}

Sessions::~Sessions() = default;

template <Sessions::Operation kOperation>
void Sessions::begin(rpc::Call& call) {
  if (!call.is_wanted() && kOperation >= Operation::get) return;
  start(kOperation, call);
}

void Sessions::start(Operation operation, rpc::Call& call) {
  runs_.push_back(std::make_unique<Run>(*this, operation, call));
  runs_.back()->start();
}

void Sessions::on_client_closed(rpc::ClientId client) {
  std::erase_if(runs_, [&](const auto& run) { return run->client() == client; });
}

// A stream is bounded in bytes as well: if its entries are large, it keeps fewer of them. Each
// agent judges by its own writes.
uint64_t Sessions::audit_length(size_t state_bytes) {
  const uint64_t length = config_.session.audit_length;
  constexpr uint64_t kAroundState = 256;
  const uint64_t entry = state_bytes + kAroundState;
  mean_entry_ = mean_entry_ == 0 ? 64 * entry : mean_entry_ + entry - mean_entry_ / 64;
  const uint64_t fit = 64 * config_.outbox.stream_bytes / mean_entry_;
  return std::min(length, std::max(fit, kLeastAuditLength));
}

}  // namespace nb::cell
