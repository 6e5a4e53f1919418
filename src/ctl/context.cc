#include "ctl/context.h"

#include "ctl/cell_reader.h"

namespace nb::ctl {

std::unique_ptr<Source> Context::source(Source::EventFn on_event, void* user) const {
  if (redis) {
    return std::make_unique<CellReader>(
        CellReader::Options{*redis, redis_prefix, timeout_ms, on_event, user});
  }
  return std::make_unique<AgentLink>(AgentLink::Options{socket, timeout_ms, on_event, user});
}

}  // namespace nb::ctl
