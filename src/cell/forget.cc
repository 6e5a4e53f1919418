#include "cell/forget.h"

#include <optional>
#include <string>

#include "node/node_register.h"

namespace nb::cell {
namespace {

class ForgetOperation final : public Operation {
 public:
  ForgetOperation(std::string_view node, Delegate<void(std::string_view)> on_forgotten)
      : node_(node), on_forgotten_(on_forgotten) {}

 private:
  void begin() override {
    if (!redis_is_there()) return refuse_as_unavailable();
    forgetting_ = std::make_unique<node::Forgetting>(
        reader(), node_, std::nullopt,
        Delegate<void(node::Forgetting::Outcome)>::to<&ForgetOperation::on_done>(this));
    forgetting_->start();
  }

  void on_reply(int, redis::Reply) override {}

  void on_done(node::Forgetting::Outcome outcome) {
    switch (outcome) {
      case node::Forgetting::Outcome::forgotten:
        on_forgotten_(node_);
        return answer("{}");
      case node::Forgetting::Outcome::alive:
        return refuse(rpc::conflict(
            "node '" + node_ +
            "' is alive: its health is there; stop its agent, and wait until the health has "
            "expired"));
      case node::Forgetting::Outcome::unknown:
      case node::Forgetting::Outcome::kept:
        return refuse(rpc::not_found("no node '" + node_ + "' was ever seen"));
      case node::Forgetting::Outcome::refused:
        return refuse(rpc::refused_by_redis(forgetting_->words()));
      case node::Forgetting::Outcome::malformed:
        return refuse_as_malformed(forgetting_->words());
      case node::Forgetting::Outcome::no_redis:
        return refuse_as_unavailable();
    }
  }

  std::string node_;
  Delegate<void(std::string_view)> on_forgotten_;
  std::unique_ptr<node::Forgetting> forgetting_;
};

}  // namespace

std::unique_ptr<Operation> make_forget_operation(std::string_view node,
                                                 Delegate<void(std::string_view)> on_forgotten) {
  return std::make_unique<ForgetOperation>(node, on_forgotten);
}

}  // namespace nb::cell
