// Bus: bus.publish, messages between the instances of the cell's programs. The agent makes the
// envelope and checks the kinds that all readers know; event.subscribe brings them.
#pragma once

#include <string>

#include "cell/bus_filter.h"
#include "cell/events.h"
#include "config/config.h"
#include "rpc/method.h"

namespace nb::cell {

class Bus {
 public:
  // All references must outlive it; `config` may change between calls.
  Bus(uv::Loop& loop, const BusFilter& filter, Events& events, const config::Config& config)
      : loop_(loop), filter_(filter), events_(events), config_(config) {}
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  static const rpc::Method kMethods[1];
  void publish(rpc::Call& call);

 private:
  uv::Loop& loop_;
  const BusFilter& filter_;
  Events& events_;
  const config::Config& config_;
  std::string message_;  // reused
};

}  // namespace nb::cell
