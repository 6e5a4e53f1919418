// From the one Config to what the sampler and the probes want to be told.
#pragma once

#include <vector>

#include "config/config.h"
#include "health/sampler.h"
#include "probe/spec.h"

namespace nb::node {

health::SamplerOptions sampler_options(const config::Config& config);
std::vector<probe::ProbeSpec> probe_specs(const config::Config& config);

}  // namespace nb::node
