#include "node/options.h"

namespace nb::node {
namespace {

health::GpuKind gpu_kind(config::Gpu gpu) {
  switch (gpu) {
    case config::Gpu::automatic:
      return health::GpuKind::automatic;
    case config::Gpu::none:
      return health::GpuKind::none;
    case config::Gpu::jetson:
      return health::GpuKind::jetson;
    case config::Gpu::amd:
      return health::GpuKind::amd;
    case config::Gpu::nvidia:
      return health::GpuKind::nvidia;
  }
  return health::GpuKind::automatic;
}

probe::ProbeType probe_type(config::ProbeType type) {
  switch (type) {
    case config::ProbeType::mcp:
      return probe::ProbeType::mcp;
    case config::ProbeType::http:
      return probe::ProbeType::http;
    case config::ProbeType::tcp:
      return probe::ProbeType::tcp;
    case config::ProbeType::unix_socket:
      return probe::ProbeType::unix_socket;
    case config::ProbeType::process:
      return probe::ProbeType::process;
    case config::ProbeType::systemd:
      return probe::ProbeType::systemd;
  }
  return probe::ProbeType::tcp;
}

probe::McpEra mcp_era(config::McpEra era) {
  switch (era) {
    case config::McpEra::automatic:
      return probe::McpEra::automatic;
    case config::McpEra::session_2025:
      return probe::McpEra::session_2025;
    case config::McpEra::stateless_2026:
      return probe::McpEra::stateless_2026;
  }
  return probe::McpEra::automatic;
}

probe::ProbeSpec probe_spec(const config::ProbeConfig& config) {
  probe::ProbeSpec spec;
  spec.name = config.name;
  spec.type = probe_type(config.type);
  spec.interval = config.interval;
  spec.timeout = config.timeout;
  spec.up_after = static_cast<unsigned>(config.up_after);
  spec.down_after = static_cast<unsigned>(config.down_after);
  switch (config.type) {
    case config::ProbeType::mcp:
    case config::ProbeType::http:
      spec.target.host = config.url.endpoint.host;
      spec.target.port = config.url.endpoint.port;
      spec.http_path = config.url.path;
      spec.http_host = config.host;
      if (config.type == config::ProbeType::mcp) spec.start_timeout = config.start_timeout;
      spec.era = mcp_era(config.era);
      spec.expect_status.clear();
      for (const config::StatusRange& range : config.expect_status) {
        spec.expect_status.push_back({range.first, range.last});
      }
      spec.expect_text = config.expect_text;
      break;
    case config::ProbeType::tcp:
      spec.target.host = config.address.host;
      spec.target.port = config.address.port;
      break;
    case config::ProbeType::unix_socket:
      spec.target.unix_path = config.path;
      break;
    case config::ProbeType::process:
      spec.pidfile = config.pidfile;
      spec.command = config.command;
      break;
    case config::ProbeType::systemd:
      spec.unit = config.unit;
      break;
  }
  return spec;
}

}  // namespace

health::SamplerOptions sampler_options(const config::Config& config) {
  health::SamplerOptions options;
  options.disks = config.health.disks;
  options.gpu = gpu_kind(config.health.gpu);
  options.interfaces = config.health.network;
  return options;
}

std::vector<probe::ProbeSpec> probe_specs(const config::Config& config) {
  std::vector<probe::ProbeSpec> specs;
  for (const config::ProbeConfig& probe : config.probes) specs.push_back(probe_spec(probe));
  return specs;
}

}  // namespace nb::node
