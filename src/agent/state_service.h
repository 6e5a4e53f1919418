// StateService: state.set, .get, .delete, .list: values of any key that no other program parses.
#pragma once

#include "agent/operation.h"
#include "agent/request.h"
#include "outbox/outbox.h"

namespace nb::agent {

class StateService {
 public:
  StateService(Requests& requests, Operations& operations, outbox::Outbox& outbox, int db)
      : requests_(requests), operations_(operations), outbox_(outbox), db_(db) {}

  void set(Request& request);
  void get(Request& request);
  void remove(Request& request);
  void list(Request& request);

 private:
  bool check_key(Request& request, std::string_view key);

  Requests& requests_;
  Operations& operations_;
  outbox::Outbox& outbox_;
  int db_;
  std::string key_;  // reused
  std::string value_;
};

// Appends a value as Redis has it: as JSON if it is JSON, else as a text.
void append_value(std::string_view stored, std::string& out);

}  // namespace nb::agent
