// PlainTransport: TCP or a Unix socket, unencrypted.
#pragma once

#include <memory>

#include "redis/transport.h"

namespace nb::redis {

std::unique_ptr<Transport> make_plain_transport(uv::Loop& loop, Transport::Events events);

}  // namespace nb::redis
