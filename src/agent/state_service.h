// StateService: state.set, .get, .delete, .list: values of any key that no other program parses.
#pragma once

#include "agent/hourly_budget.h"
#include "agent/operation.h"
#include "agent/request.h"
#include "outbox/outbox.h"

namespace nb::agent {

class StateService {
 public:
  // `new_bytes_per_hour`: see [outbox] new_value_bytes_per_hour.
  StateService(Requests& requests, Operations& operations, outbox::Outbox& outbox, int db,
               uint64_t new_bytes_per_hour)
      : requests_(requests),
        operations_(operations),
        outbox_(outbox),
        db_(db),
        new_bytes_(new_bytes_per_hour) {}
  void reconfigure(uint64_t new_bytes_per_hour) { new_bytes_.set_limit(new_bytes_per_hour); }

  void set(Request& request);
  void get(Request& request);
  void remove(Request& request);
  void list(Request& request);

 private:
  bool check_key(Request& request, std::string_view key);
  uint64_t new_bytes(std::string_view key, size_t size) const;

  Requests& requests_;
  Operations& operations_;
  outbox::Outbox& outbox_;
  int db_;
  HourlyBudget new_bytes_;
  std::string key_;  // reused
  std::string value_;
};

// Appends a value as Redis has it: as JSON if it is JSON, else as a text.
void append_value(std::string_view stored, std::string& out);

}  // namespace nb::agent
