#include "redis/scripts.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

// No answer of a script is longer: the script is told how much to read at most.
constexpr size_t kMaxReplyBytes = 4 * 1024 * 1024;
// Loads in a row, without an answer. More mean that a proxy knows no scripts, or that a program
// flushes them all the time. Then a new connection tries again, after a pause.
constexpr unsigned kMostLoads = 4;
// What stands before the words of a command, and around each.
constexpr size_t kAroundWords = 96;
constexpr size_t kAroundWord = 12;

}  // namespace

LinkOptions Scripts::with_database(LinkOptions options) const {
  options.greeting.databases = {database_};
  return options;
}

Scripts::Scripts(uv::Loop& loop, LinkOptions options, int database, const Script& script,
                 MakeTransport make_transport)
    : loop_(loop),
      script_(script),
      database_(database),
      connection_(loop, with_database(std::move(options)), "-script", connection_events(),
                  make_transport),
      time_(loop, Delegate<void()>::to<&Scripts::on_time>(this)) {
  connection_.limit_replies(kMaxReplyBytes, "an answer of the script is longer than 4 MiB");
  connection_.leave_in_silence();
}

Scripts::~Scripts() = default;

ConnectionEvents Scripts::connection_events() {
  ConnectionEvents events;
  events.on_state = Delegate<void(LinkState)>::to<&Scripts::on_state>(this);
  events.on_reply = Delegate<std::optional<Failure>(Reply)>::to<&Scripts::on_reply>(this);
  events.on_replies_done = Delegate<void()>::to<&Scripts::on_replies_done>(this);
  events.on_lost =
      Delegate<void(const Failure&, std::optional<Culprit>, bool)>::to<&Scripts::on_lost>(this);
  events.on_turn = Delegate<void()>::to<&Scripts::on_turn>(this);
  return events;
}

uint64_t Scripts::run(size_t keys, std::span<const std::string_view> words, uint64_t sequence,
                      uint64_t caller, MonoTime deadline,
                      Delegate<void(const ScriptAnswer&)> done) {
  if (waiting() >= kMost) return 0;
  auto run = std::make_unique<Run>();
  run->id = ++last_id_;
  run->done = done;
  run->sequence = sequence;
  run->caller = caller;
  run->deadline = deadline;
  // It may wait for long: no byte more than it needs.
  size_t bytes = kAroundWords;
  for (const std::string_view word : words) bytes += word.size() + kAroundWord;
  run->command.reserve(bytes + keys * connection_.options().prefix.size());
  RespWriter resp(run->command, connection_.options().prefix);
  resp.command(3 + words.size()).arg("EVALSHA").arg(script_.sha1).arg(static_cast<int64_t>(keys));
  for (const std::string_view key : words.first(keys)) resp.key(key);
  for (const std::string_view word : words.subspan(keys)) resp.arg(word);
  if (runs_.empty() || time_.due() > deadline) time_.stop();
  runs_.push_back(std::move(run));
  connection_.retry();
  connection_.flush_soon();
  arm();
  return last_id_;
}

void Scripts::cancel(uint64_t id) {
  if (id == 0) return;
  for (Runs* list : {&runs_, &again_}) {
    for (size_t i = 0; i < list->size(); ++i) {
      if ((*list)[i]->id != id) continue;
      // The answer to one that was sent comes all the same.
      (*list)[i]->done = {};
      if (list == &again_ || i >= sent_) list->erase(list->begin() + static_cast<ptrdiff_t>(i));
      return;
    }
  }
}

void Scripts::on_server_there() {
  connection_.forgive();
  if (waiting() > 0) connection_.try_now();
}

void Scripts::reconfigure(LinkOptions options) {
  if (!connection_.reconfigure(with_database(std::move(options)))) return;
  on_lost({Trouble::closed, "the configuration has changed"}, std::nullopt, true);
  // Another server does not know their numbers, and would carry them out a second time.
  for (const auto& run : runs_) {
    if (run->lost) run->deadline = loop_.now();
  }
  on_time();
}

void Scripts::stop() {
  connection_.close();
  time_.stop();
  sent_ = 0;
  Runs().swap(runs_);
  Runs().swap(again_);
}

void Scripts::on_state(LinkState state) {
  if (state != LinkState::replaying) return;
  connection_.set_steady();
  connection_.flush_soon();
}

void Scripts::on_turn() {
  if (!connection_.greeted() || refusal_.trouble != Trouble::none) return;
  if (no_script_) {
    // What follows is sent behind the script. What was sent before has to be answered first, or
    // one that is sent again would come behind it.
    if (sent_ > 0) return;
    no_script_ = false;
    loading_ = true;
    RespWriter(connection_.output()).command(3).arg("SCRIPT").arg("LOAD").arg(script_.text);
    connection_.expect(1);
    ++loads_;
  }
  const uint64_t end = oldest_write() + kWindow;
  size_t bytes = 0;
  for (size_t at = 0; at < sent_; ++at) bytes += runs_[at]->command.size();
  for (size_t at = sent_; at < runs_.size() && sent_ < kWindow; ++at) {
    const Run& run = *runs_[at];
    if (run.sequence >= end || bytes >= kBytesUnderWay) return;
    if (waits_for_a_write(at)) continue;
    bytes += run.command.size();
    connection_.output().append(run.command);
    connection_.expect(1);
    const auto begin = runs_.begin() + static_cast<ptrdiff_t>(sent_++);
    const auto place = runs_.begin() + static_cast<ptrdiff_t>(at);
    std::rotate(begin, place, place + 1);
  }
}

uint64_t Scripts::oldest_write() const {
  uint64_t oldest = UINT64_MAX - kWindow;
  for (const auto& run : runs_) {
    if (run->sequence > 0) oldest = std::min(oldest, run->sequence);
  }
  return oldest;
}

bool Scripts::waits_for_a_write(size_t at) const {
  return std::any_of(
      runs_.begin(), runs_.begin() + static_cast<ptrdiff_t>(at), [&](const auto& earlier) {
        return earlier->caller == runs_[at]->caller && earlier->sequence > 0 && earlier->done;
      });
}

// An error of the script itself, as "ERR user_script:7: attempt to ... script: SHA1, on
// @user_script:7.": it would come again. What the server says of itself has a code of its own, also
// in a script.
bool Scripts::is_the_scripts(Trouble trouble, std::string_view error) const {
  return trouble == Trouble::server_error && error.find("user_script") != error.npos &&
         error.find(script_.sha1) != error.npos;
}

std::optional<Failure> Scripts::on_reply(Reply reply) {
  const std::string_view error = reply.error();
  const Trouble trouble = classify(error);
  const bool of_the_server = trouble != Trouble::none && trouble != Trouble::no_permission &&
                             !is_the_scripts(trouble, error);
  if (of_the_server && !error.starts_with("NOSCRIPT")) refusal_ = {trouble, std::string(error)};
  if (std::exchange(loading_, false)) {
    load_refusal_ = of_the_server ? std::string_view() : error;
    if (error.empty() && reply.text() != script_.sha1) {
      return Failure{Trouble::rubbish, "SCRIPT LOAD is answered with another digest"};
    }
    return std::nullopt;
  }
  std::unique_ptr<Run> run = std::move(runs_.front());
  runs_.erase(runs_.begin());
  --sent_;
  if (error.starts_with("NOSCRIPT")) {
    if (load_refusal_.empty()) {
      no_script_ = loads_ < kMostLoads;
      if (!no_script_) refusal_ = {Trouble::server_error, "NOSCRIPT, however often it is loaded"};
      again_.push_back(std::move(run));
      return std::nullopt;
    }
    reply = Reply(Reply::Kind::error, load_refusal_);
  } else if (of_the_server) {
    again_.push_back(std::move(run));
    return std::nullopt;
  }
  loads_ = 0;
  // Not when it is connected again: until a run is answered, this is still why none was.
  words_.clear();
  if (waiting() == 0) {
    idle_since_ = loop_.now();
    time_.stop();  // it stood at a deadline
    arm();
  }
  if (run->done) run->done({reply, false});
  load_refusal_.clear();
  return std::nullopt;
}

void Scripts::on_replies_done() {
  if (sent_ == 0 && !again_.empty()) take_back();
  if (sent_ == 0 && refusal_.trouble != Trouble::none) {
    return connection_.give_up(std::exchange(refusal_, {}));
  }
  connection_.flush_soon();
}

void Scripts::take_back() {
  std::erase_if(again_, [](const auto& run) { return !run->done; });
  runs_.insert(runs_.begin(), std::make_move_iterator(again_.begin()),
               std::make_move_iterator(again_.end()));
  again_.clear();
}

void Scripts::on_lost(const Failure& failure, std::optional<Culprit> culprit, bool) {
  words_ = format("%.*s (%s)", static_cast<int>(redis::words(failure.trouble).size()),
                  redis::words(failure.trouble).data(), failure.words.c_str());
  const size_t sent = std::exchange(sent_, 0);
  for (size_t i = 0; i < sent; ++i) runs_[i]->lost = true;
  // It would be answered in the same way again.
  std::unique_ptr<Run> blamed;
  if (culprit && culprit->command >= loading_ && culprit->command - loading_ < sent) {
    blamed = std::move(runs_[culprit->command - loading_]);
  }
  std::erase_if(runs_, [](const auto& run) { return run == nullptr || !run->done; });
  take_back();
  no_script_ = loading_ = false;
  loads_ = 0;
  load_refusal_.clear();
  refusal_ = {};
  if (!runs_.empty()) connection_.retry();
  if (blamed && blamed->done) blamed->done({{}, true});
}

void Scripts::on_time() {
  const MonoTime now = loop_.now();
  if (waiting() == 0) {
    if (now - idle_since_ < kIdle) return arm();
    connection_.close();
    Runs().swap(runs_);
    Runs().swap(again_);
    return;
  }
  // A listener may cancel other runs, and start more.
  while (const auto late = take_late(now)) {
    if (words_.empty()) words_ = "no answer in time";
    late->done({{}, late->lost});
  }
  arm();
}

std::unique_ptr<Scripts::Run> Scripts::take_late(MonoTime now) {
  for (Runs* list : {&again_, &runs_}) {
    for (size_t i = 0; i < list->size(); ++i) {
      std::unique_ptr<Run>& run = (*list)[i];
      if (!run->done || run->deadline > now) continue;
      auto late = std::make_unique<Run>();
      late->done = std::exchange(run->done, {});
      late->lost = run->lost || (list == &runs_ && i < sent_);
      // Of one that is under way the answer may still come.
      if (list == &again_ || i >= sent_) list->erase(list->begin() + static_cast<ptrdiff_t>(i));
      return late;
    }
  }
  return nullptr;
}

void Scripts::arm() {
  if (time_.active()) return;
  MonoTime at = idle_since_ + kIdle;
  if (waiting() > 0) {
    at = loop_.now() + 2 * connection_.options().command_timeout;
    for (const Runs* list : {&again_, &runs_}) {
      for (const auto& run : *list) {
        if (run->done) at = std::min(at, run->deadline);
      }
    }
  }
  time_.start(std::max(at - loop_.now(), Duration::zero()));
}

}  // namespace nb::redis
