// The two formats of metrics, and which of them a request asks for.
#pragma once

#include <cstdint>
#include <string_view>

namespace nb::metrics {

enum class Format : uint8_t {
  text,         // Prometheus text, version 0.0.4
  openmetrics,  // OpenMetrics 1.0
};

// The format that the header `Accept` of a request asks for (RFC 9110, 12.5.1): OpenMetrics only if
// the header names OpenMetrics 1.0 and does not prefer plain text.
Format format_for(std::string_view accept);
std::string_view content_type(Format format);

}  // namespace nb::metrics
