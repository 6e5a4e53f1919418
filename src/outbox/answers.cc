#include "outbox/answers.h"

#include <utility>

namespace nb::outbox {

void Answers::add(const Settled& settled) {
  if (settled.waiter != 0) answers_.push_back(settled);
}

void Answers::give_all() {
  if (std::exchange(giving_, true)) return;
  for (size_t i = 0; i < answers_.size(); ++i) {
    Settled next = answers_[i];
    if (next.outcome == Outcome::refused || next.entry_refused || next.message_refused) {
      next.words = refusal_;
    }
    on_settled_(next);
  }
  answers_.clear();
  giving_ = false;
}

}  // namespace nb::outbox
