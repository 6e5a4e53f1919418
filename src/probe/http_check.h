// HttpCheck: GET, and the answer's status and text.
#pragma once

#include "probe/check.h"
#include "probe/http_exchange.h"

namespace nb::probe {

class HttpCheck final : public Check {
 public:
  HttpCheck(const CheckContext& context, const ProbeSpec& spec, OnOutcome on_outcome);

  void start() override;
  Outcome give_up(const std::string& limit) override;

 private:
  void on_progress();
  void on_end(const Status& status);
  bool status_is_expected();
  bool find_text();

  const ProbeSpec& spec_;
  OnOutcome on_outcome_;
  std::string request_;
  size_t searched_ = 0;  // so much of the body has been searched for the text
  HttpExchange exchange_;
};

}  // namespace nb::probe
