#include "agent/operation.h"

#include <algorithm>
#include <span>

namespace nb::agent {
namespace {

// Of one client: their answers are long, and may come all in one turn.
constexpr size_t kAtOnce = 4;

}  // namespace

Operations::~Operations() = default;

void Operations::begin(const ipc::Call& call, std::unique_ptr<Operation> operation) {
  if (call.is_notification()) return;
  Operation& begun = *operation;
  begun.all_ = this;
  begun.token_ = rpc_.defer(call, ipc::RpcServer::kMaxPending / kAtOnce);
  running_.push_back(std::move(operation));
  begun.begin();
}

Operation::~Operation() {
  if (query_ != 0) all_->link_.cancel(query_);
}

void Operation::ask(std::initializer_list<std::string_view> command) {
  query_ =
      all_->link_.query(all_->db_, std::span(command.begin(), command.size()),
                        Delegate<void(const redis::QueryReply&)>::to<&Operation::on_query>(this));
  if (query_ == 0) on_unavailable();
}

void Operation::on_query(const redis::QueryReply& reply) {
  query_ = 0;
  if (reply.reply == nullptr) return on_unavailable();
  on_reply(*reply.reply);
}

void Operation::on_unavailable() {
  const std::string link = all_->link_words_(all_->user_);
  refuse(wire::rpc::unavailable("this reads from Redis, which is not there: " + link, link));
}

void Operation::answer(std::string_view result) {
  all_->rpc_.answer(token_, result);
  end();
}

void Operation::refuse(const wire::RpcError& error) {
  all_->rpc_.refuse(token_, error);
  end();
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
