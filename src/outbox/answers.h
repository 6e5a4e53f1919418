// Answers: tell each waiter the outcome of its update. Answers are gathered while the outbox
// changes and given when the outbox is consistent again, because a waiter may put in a new update.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "outbox/update.h"

namespace nb::outbox {

class Answers {
 public:
  void set_on_settled(Delegate<void(const Settled&)> on_settled) { on_settled_ = on_settled; }

  // No one is told if `waiter` is 0.
  void add(Waiter waiter, Outcome outcome) { add({waiter, outcome}); }
  void add(const Settled& settled);
  // Redis' words of the last refusal, which every refused answer is given with.
  void set_refusal(std::string_view words) { refusal_ = words; }
  // Gives the answers that were added, each once. Answers that are added meanwhile come behind
  // them, from the same call.
  void give() {
    if (!answers_.empty()) give_all();
  }

 private:
  void give_all();

  Delegate<void(const Settled&)> on_settled_;
  std::vector<Settled> answers_;  // without words
  bool giving_ = false;
  std::string refusal_;
};

}  // namespace nb::outbox
