// State: state.set, .get, .delete, .list: values of any key that no other program parses.
#pragma once

#include <string>
#include <string_view>

#include "cell/hourly_budget.h"
#include "cell/operation.h"
#include "cell/state_watch.h"
#include "cell/writes.h"
#include "config/config.h"
#include "outbox/outbox.h"
#include "rpc/method.h"

namespace nb::cell {

class State {
 public:
  // All references must outlive it, but for `config`.
  State(Writes& writes, Operations& operations, outbox::Outbox& outbox, StateWatch& watch,
        const config::Config& config);
  void reconfigure(const config::Config& config);

  static const rpc::Method kMethods[4];
  void set(rpc::Call& call);
  void get(rpc::Call& call);
  void remove(rpc::Call& call);
  void list(rpc::Call& call);

  // False: other programs parse this key, or keys that begin so, and the call is refused.
  static bool check_key(rpc::Call& call, std::string_view key);
  // The most that a key and its value may take in a call.
  size_t value_bytes() const { return value_bytes_; }

 private:
  uint64_t new_bytes(std::string_view key, size_t size) const;

  Writes& writes_;
  Operations& operations_;
  outbox::Outbox& outbox_;
  StateWatch& watch_;
  int db_;
  size_t value_bytes_ = 0;
  HourlyBudget new_bytes_;
  std::string key_;  // reused
  std::string value_;
};

}  // namespace nb::cell
