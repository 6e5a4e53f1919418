#include "redis/reader.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "redis/key_prefix.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

// More questions than this are refused.
constexpr size_t kMaxQuestions = 1024;
// A connection that broke under a question is no reason to leave the question unanswered. But the
// question may be what broke it.
constexpr int kMaxTries = 3;

// How many units of the window a question takes. A page of a walk looks at hundreds of keys.
uint8_t units_of(std::string_view command) {
  return command == "SCAN" || command == "HSCAN" ? 4 : 1;
}

// Whether the whole server, or this connection, cannot answer. Other errors are answers, for
// example to a question that this user may not ask.
bool ends_the_connection(Trouble trouble) {
  switch (trouble) {
    case Trouble::not_admitted:
    case Trouble::wrong_password:
    case Trouble::loading:
    case Trouble::master_down:
    case Trouble::busy:
    case Trouble::no_replicas:
    case Trouble::cluster_down:
      return true;
    default:
      return false;
  }
}

}  // namespace

LinkOptions Reader::with_database(LinkOptions options) const {
  options.greeting.databases = {database_};
  return options;
}

Reader::Reader(uv::Loop& loop, LinkOptions options, int database, MakeTransport make_transport,
               Duration idle)
    : loop_(loop),
      idle_(idle),
      database_(database),
      connection_(loop, with_database(std::move(options)), "-read", connection_events(),
                  make_transport),
      time_(loop, Delegate<void()>::to<&Reader::on_time>(this)) {
  connection_.limit_replies(kMaxReplyBytes, "a reply to a question is longer than 4 MiB");
  connection_.leave_in_silence();
}

Reader::~Reader() = default;

ConnectionEvents Reader::connection_events() {
  ConnectionEvents events;
  events.on_state = Delegate<void(LinkState)>::to<&Reader::on_state>(this);
  events.on_reply = Delegate<std::optional<Failure>(Reply)>::to<&Reader::on_reply>(this);
  events.on_replies_done = Delegate<void()>::to<&Reader::on_replies_done>(this);
  events.on_lost =
      Delegate<void(const Failure&, std::optional<Culprit>, bool)>::to<&Reader::on_lost>(this);
  events.on_turn = Delegate<void()>::to<&Reader::on_turn>(this);
  return events;
}

uint64_t Reader::ask(std::span<const std::string_view> command,
                     Delegate<void(const ReaderAnswer&)> done, On on) {
  if (on == On::this_one && !connection_.greeted()) return 0;
  if (questions_.size() >= kMaxQuestions || !connection_.open()) return 0;
  auto question = std::make_unique<Question>();
  question->id = ++last_id_;
  question->done = done;
  question->on = on;
  question->units = units_of(command.front());
  RespWriter(question->command, connection_.options().prefix).words(command);
  question->keys = wire::key_places(command).in_reply;
  question->deadline = loop_.now() + 2 * connection_.options().command_timeout;
  questions_.push_back(std::move(question));
  connection_.flush_soon();
  if (questions_.size() == 1) time_.stop();  // the timer stood at the end of the idle time
  arm();
  return last_id_;
}

void Reader::cancel(uint64_t id) {
  if (id == 0) return;
  for (auto* list : {&questions_, &failed_}) {
    for (size_t i = 0; i < list->size(); ++i) {
      if ((*list)[i] == nullptr || (*list)[i]->id != id) continue;
      // A question that was sent stays in the list, since its answer will come.
      (*list)[i]->done = {};
      if (list == &questions_ && i >= sent_) list->erase(list->begin() + static_cast<ptrdiff_t>(i));
      return;
    }
  }
}

void Reader::reconfigure(LinkOptions options) {
  if (!connection_.reconfigure(with_database(std::move(options)))) return;
  sent_ = 0;
  std::erase_if(questions_, [](const auto& question) { return !question->done; });
  if (questions_.empty()) return connection_.close();
  connection_.open();
}

void Reader::stop() {
  connection_.close();
  time_.stop();
  sent_ = 0;
  Questions().swap(questions_);
}

void Reader::on_state(LinkState state) {
  if (state != LinkState::replaying) return;
  // This may be another server, or another way to the same one.
  window_.reset();
  answered_sent_at_ = MonoTime::min();
  words_.clear();
  ++connects_;
  connection_.set_steady();
  connection_.flush_soon();
}

void Reader::on_turn() {
  if (!connection_.greeted()) return;
  const MonoTime now = loop_.now();
  size_t units = 0;
  for (size_t i = 0; i < sent_; ++i) units += questions_[i]->units;
  window_was_full_ = false;
  for (; sent_ < questions_.size(); ++sent_) {
    Question& question = *questions_[sent_];
    units += question.units;
    window_was_full_ = units > window_.units();
    if (window_was_full_) break;
    question.sent_at = now;
    ++question.tries;
    connection_.output().append(question.command);
    connection_.expect(1);
  }
}

void Reader::on_replies_done() {
  if (answered_sent_at_ != MonoTime::min()) {
    window_.on_answers(loop_.now() - std::exchange(answered_sent_at_, MonoTime::min()),
                       window_was_full_);
  }
  connection_.flush_soon();
}

std::optional<Failure> Reader::on_reply(Reply reply) {
  const std::string_view error = reply.error();
  const Trouble trouble = classify(error);
  if (ends_the_connection(trouble)) return Failure{trouble, std::string(error)};
  const std::unique_ptr<Question> question = std::move(questions_.front());
  questions_.erase(questions_.begin());
  --sent_;
  answered_sent_at_ = question->sent_at;
  if (questions_.empty()) {
    idle_since_ = loop_.now();
    time_.stop();  // the timer stood at a deadline
    arm();
  }
  strip_prefix(reply, question->keys, connection_.options().prefix);
  question->done({reply, {}});
  return std::nullopt;
}

void Reader::on_lost(const Failure& failure, std::optional<Culprit> culprit, bool) {
  ++losses_;
  words_ = format("%.*s (%s)", static_cast<int>(redis::words(failure.trouble).size()),
                  redis::words(failure.trouble).data(), failure.words.c_str());
  // The connection had worked, so the other questions are worth a new one at once.
  const bool again =
      sent_ > 0 && (failure.trouble == Trouble::closed || failure.trouble == Trouble::rubbish);
  Questions kept;
  std::unique_ptr<Question> blamed;
  for (size_t i = 0; i < questions_.size(); ++i) {
    std::unique_ptr<Question>& question = questions_[i];
    if (!question->done) continue;
    if (i < sent_ && culprit && culprit->command == i) {
      blamed = std::move(question);
    } else if (again && question->on == On::any && (i >= sent_ || question->tries < kMaxTries)) {
      kept.push_back(std::move(question));
    } else {
      failed_.push_back(std::move(question));
    }
  }
  questions_ = std::move(kept);
  sent_ = 0;
  if (again) connection_.forgive();
  if (!questions_.empty()) connection_.open();
  if (questions_.empty()) time_.stop();
  if (blamed) blamed->done({{}, culprit->limit});
  answer_none(failed_);
}

void Reader::answer_none(Questions& whom) {
  // A listener may cancel other questions, and ask more.
  while (!whom.empty()) {
    const std::unique_ptr<Question> question = std::move(whom.back());
    whom.pop_back();
    question->done({});
  }
}

void Reader::on_time() {
  const MonoTime now = loop_.now();
  if (questions_.empty()) {
    if (now - idle_since_ < idle_) return arm();
    connection_.close();
    Questions().swap(questions_);
    Questions().swap(failed_);
    return;
  }
  for (size_t i = 0; i < questions_.size();) {
    Question& question = *questions_[i];
    if (!question.done || question.deadline > now) {
      ++i;
      continue;
    }
    auto late = std::make_unique<Question>();
    late->id = question.id;
    late->done = std::exchange(question.done, {});
    if (i < sent_) {
      ++i;  // its answer may still come
    } else {
      questions_.erase(questions_.begin() + static_cast<ptrdiff_t>(i));
    }
    failed_.push_back(std::move(late));
  }
  if (!failed_.empty()) {
    words_ = format(
        "no answer within %s",
        human_duration(2 * connection_.options().command_timeout / std::chrono::milliseconds(1))
            .c_str());
  }
  arm();
  answer_none(failed_);
}

// The timer is not moved at each question; it looks again when it expires.
void Reader::arm() {
  if (time_.active()) return;
  MonoTime at = idle_since_ + idle_;
  if (!questions_.empty()) {
    at = loop_.now() + 2 * connection_.options().command_timeout;
    for (const auto& question : questions_) {
      if (question->done) at = std::min(at, question->deadline);
    }
  }
  time_.start(at - loop_.now());
}

}  // namespace nb::redis
