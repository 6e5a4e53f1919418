// Turns the one Config into the options of the sampler and of the probes.
#pragma once

#include <vector>

#include "config/config.h"
#include "health/sampler.h"
#include "probe/spec.h"

namespace nb::node {

health::SamplerOptions sampler_options(const config::Config& config);
std::vector<probe::ProbeSpec> probe_specs(const config::Config& config);

}  // namespace nb::node
