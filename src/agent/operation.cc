#include "agent/operation.h"

#include <algorithm>
#include <span>

#include "base/text.h"

namespace nb::agent {
namespace {

// More than any needs: a walk that never ends is ended.
constexpr int kMaxSteps = 1000;
constexpr Duration kMaxTime = std::chrono::seconds(4);

}  // namespace

Operations::~Operations() = default;

void Operations::begin(const ipc::Call& call, std::unique_ptr<Operation> operation) {
  if (call.is_notification()) return;
  Operation& begun = *operation;
  begun.all_ = this;
  begun.client_ = call.client;
  begun.token_ = rpc_.defer(call, kWeight);
  begun.began_ = loop_.now();
  running_.push_back(std::move(operation));
  begun.begin();
}

void Operations::on_client_closed(ipc::ClientId client) {
  std::erase_if(running_, [&](const auto& operation) { return operation->client_ == client; });
}

wire::RpcError Operations::unavailable() const {
  const std::string link = redis_is_there() ? reader_.words() : link_words_(user_);
  return wire::rpc::unavailable("this reads from Redis, which is not there: " + link, link);
}

Operation::~Operation() {
  if (all_ != nullptr) all_->reader_.cancel(question_);
}

void Operation::ask(std::initializer_list<std::string_view> command) {
  if (++steps_ > kMaxSteps || all_->loop_.now() - began_ > kMaxTime) {
    return refuse(wire::rpc::unavailable(
        format("reading from Redis took more than %d steps or %lld s", kMaxSteps,
               static_cast<long long>(kMaxTime / std::chrono::seconds(1))),
        "slow"));
  }
  question_ = all_->redis_is_there()
                  ? all_->reader_.ask(
                        std::span(command.begin(), command.size()),
                        Delegate<void(const redis::ReaderAnswer&)>::to<&Operation::on_answer>(this))
                  : 0;
  if (question_ == 0) refuse(all_->unavailable());
}

bool Operation::is_late() const {
  return all_->loop_.now() - began_ > kMaxTime / 2;
}

void Operation::on_answer(const redis::ReaderAnswer& answer) {
  question_ = 0;
  if (answer.reply != nullptr) return on_reply(*answer.reply);
  answer.oversized ? on_oversized() : refuse(all_->unavailable());
}

void Operation::on_oversized() {
  refuse(wire::rpc::too_large("what Redis answers is not taken: " + all_->reader_.words(),
                              all_->reader_.max_reply_bytes()));
}

void Operation::answer(std::string_view result) {
  all_->rpc_.answer(token_, result);
  end();
}

void Operation::refuse(const wire::RpcError& error) {
  all_->rpc_.refuse(token_, error);
  end();
}

void Operation::refuse_as_malformed(std::string_view command) {
  refuse(wire::rpc::unavailable(
      format("Redis answers %.*s with something else than its documentation says",
             static_cast<int>(command.size()), command.data()),
      "malformed"));
}

void Operation::end() {
  auto& running = all_->running_;
  const auto at = std::find_if(running.begin(), running.end(),
                               [&](const auto& operation) { return operation.get() == this; });
  // Moved out first: its destructor may look at the list.
  const std::unique_ptr<Operation> ended = std::move(*at);
  running.erase(at);
}

}  // namespace nb::agent
