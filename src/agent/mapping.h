// Mapping: from the one Config to what each room wants to be told. The rooms do not know the
// configuration, and it does not know them.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "health/sampler.h"
#include "outbox/event_log.h"
#include "probe/spec.h"
#include "redis/link.h"

namespace nb::agent {

redis::LinkOptions link_options(const config::Config& config);
health::SamplerOptions sampler_options(const config::Config& config);
std::vector<probe::ProbeSpec> probe_specs(const config::Config& config);
outbox::EventLogLimits event_limits(const config::Config& config);

}  // namespace nb::agent
