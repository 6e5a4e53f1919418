#include "probe/side_requests.h"

#include <utility>

namespace nb::probe {

class SideRequests::One {
 public:
  One(SideRequests& owner, const uv::Target& target, const std::string& request)
      : owner_(owner),
        exchange_(owner.loop_, {{}, Delegate<void(const Status&)>::to<&One::on_end>(this)}),
        deadline_(owner.loop_, Delegate<void()>::to<&One::on_late>(this)) {
    deadline_.start(kPatience);
    exchange_.start(target, request);
  }

 private:
  void on_end(const Status&) { owner_.remove(this); }
  void on_late() { owner_.remove(this); }

  SideRequests& owner_;
  HttpExchange exchange_;
  uv::Timer deadline_;
};

SideRequests::SideRequests(uv::Loop& loop) : loop_(loop) {}

SideRequests::~SideRequests() = default;

void SideRequests::send(const uv::Target& target, const std::string& request) {
  under_way_.push_back(std::make_unique<One>(*this, target, request));
}

void SideRequests::when_idle(Delegate<void()> on_idle) {
  if (idle()) return on_idle();
  on_idle_ = on_idle;
}

void SideRequests::remove(const One* one) {
  std::erase_if(under_way_, [one](const auto& other) { return other.get() == one; });
  if (idle()) std::exchange(on_idle_, {})();
}

}  // namespace nb::probe
