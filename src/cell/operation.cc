#include "cell/operation.h"

#include <algorithm>
#include <span>

#include "base/text.h"
#include "cell/writes.h"

namespace nb::cell {
namespace {

// More than any needs: a walk that never ends is ended.
constexpr int kMaxSteps = 1000;
constexpr Duration kMaxTime = std::chrono::seconds(4);
// The limit of answers that wait for one client that does not read them, together with those that
// are on their way, which count with the usual length of a line.
constexpr size_t kUnreadAnswers = 2 * rpc::kLineBytes;
// The limit for all clients together: beyond it no client gets a longer line than usual.
constexpr size_t kUnreadOfAll = 4 * 1024 * 1024;

}  // namespace

Operations::~Operations() = default;

void Operations::begin(rpc::Call& call, std::unique_ptr<Operation> operation) {
  if (!call.is_wanted()) return;
  Operation& begun = *operation;
  begun.all_ = this;
  begun.client_ = call.who.client;
  begun.token_ = call.put_off(kWeight);
  running_.push_back(std::move(operation));
  begin_waiting();
}

// In the order in which they came. Of those that begin some end at once.
void Operations::begin_waiting() {
  bool any_waits = false;
  for (size_t i = 0; i < running_.size();) {
    Operation& operation = *running_[i];
    if (operation.begun_) {
      ++i;
      continue;
    }
    const auto begun = std::count_if(running_.begin(), running_.end(), [&](const auto& other) {
      return other->begun_ && other->client_ == operation.client_;
    });
    if (!has_room(operation.client_, static_cast<size_t>(begun))) {
      any_waits = true;
      ++i;
      continue;
    }
    operation.begun_ = true;
    pause_.reset();
    operation.began_ = loop_.now();
    operation.begin();
    if (i < running_.size() && running_[i].get() == &operation) ++i;
  }
  if (any_waits && !room_.active()) room_.start(pause_.next());
}

bool Operations::has_room(rpc::ClientId client, size_t running) const {
  return front_.queued_bytes(client) + running * rpc::kLineBytes < kUnreadAnswers;
}

size_t Operations::line_bytes(rpc::ClientId client) const {
  const size_t bytes = front_.max_line_bytes(client);
  return front_.queued_bytes() > kUnreadOfAll ? std::min(bytes, rpc::kLineBytes) : bytes;
}

void Operations::on_client_closed(rpc::ClientId client) {
  std::erase_if(running_, [&](const auto& operation) { return operation->client_ == client; });
}

rpc::Error Operations::unavailable() const {
  const std::string link = redis_is_there() ? reader_.words() : link_words(link_.status());
  return rpc::unavailable("this reads from Redis, which is not there: " + link, link);
}

Operation::~Operation() {
  for (const Question& question : questions_) {
    if (question.number != 0) all_->reader_.cancel(question.number);
  }
}

bool Operation::ask_also(int what, std::initializer_list<std::string_view> command) {
  if (++steps_ > kMaxSteps || all_->loop_.now() - began_ > kMaxTime) {
    refuse(
        rpc::unavailable(format("reading from Redis took more than %d steps or %lld s", kMaxSteps,
                                static_cast<long long>(kMaxTime / std::chrono::seconds(1))),
                         "slow"));
    return false;
  }
  const auto question = std::find_if(questions_.begin(), questions_.end(),
                                     [](const Question& one) { return one.number == 0; });
  const auto answered =
      Delegate<void(const redis::ReaderAnswer&)>::to<&Question::on_answer>(&*question);
  question->operation = this;
  question->what = what;
  if (all_->redis_is_there()) {
    question->number = all_->reader_.ask(std::span(command.begin(), command.size()), answered);
  }
  if (question->number != 0) return true;
  refuse_as_unavailable();
  return false;
}

bool Operation::is_late() const {
  return all_->loop_.now() - began_ > kMaxTime / 2;
}

void Operation::Question::on_answer(const redis::ReaderAnswer& answer) {
  number = 0;
  if (answer.reply) return operation->on_reply(what, answer.reply);
  if (!answer.limit) return operation->refuse_as_unavailable();
  const std::string words = "what Redis answers is not taken: " + operation->reader().words();
  operation->refuse(answer.limit.of == redis::ReplyLimit::Of::bytes
                        ? rpc::too_large(words, answer.limit.most)
                        : rpc::too_many_fields(words, answer.limit.most));
}

void Operation::answer(std::string_view result) {
  all_->front_.answer(token_, result);
  end();
}

void Operation::refuse(const rpc::Error& error) {
  all_->front_.refuse(token_, error);
  end();
}

void Operation::refuse_as_malformed(std::string_view command) {
  refuse(
      rpc::unavailable(format("Redis answers %.*s with something else than its documentation says",
                              static_cast<int>(command.size()), command.data()),
                       "malformed"));
}

void Operation::end() {
  auto& running = all_->running_;
  const auto at = std::find_if(running.begin(), running.end(),
                               [&](const auto& operation) { return operation.get() == this; });
  // Moved out first: its destructor may read the list.
  const std::unique_ptr<Operation> ended = std::move(*at);
  running.erase(at);
  // In a later turn: this may have been called by the one that begins them.
  if (std::any_of(running.begin(), running.end(), [](const auto& o) { return !o->begun_; })) {
    ended->all_->room_.start(Duration::zero());
  }
}

}  // namespace nb::cell
