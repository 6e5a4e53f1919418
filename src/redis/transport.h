// Transport: a byte stream to the server, the seam under a connection. Plain TCP and Unix sockets
// are one implementation. TLS will be another one, and nothing above will notice.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/delegate.h"
#include "base/result.h"
#include "uv/address.h"
#include "uv/dialer.h"
#include "uv/loop.h"

namespace nb::redis {

class Transport {
 public:
  // Each is the last thing the transport does in that call: it may destroy the transport.
  struct Events {
    Delegate<void(uv::DialStage)> on_stage;
    Delegate<void(Status&)> on_connected;      // once for each connect()
    Delegate<void(std::string_view)> on_data;  // valid during the call only
    Delegate<void(std::string_view)> on_end;   // why, in words; at most once
    Delegate<void()> on_drain;                 // nothing is queued any more
  };
  virtual ~Transport() = default;

  // The answer never comes from within this call. After a failure connect() may be called again.
  virtual void connect(const uv::Target& target, Duration deadline) = 0;
  // Gives up a connect() that has no answer yet: no answer comes, and connect() may be called
  // again. A look-up that still hangs is not begun a second time.
  virtual void cancel() = 0;
  // Takes `bytes` and leaves it empty. An error ends the connection: drop the transport.
  virtual Status write(std::string& bytes) = 0;
  virtual size_t queued_bytes() const = 0;
};

// Makes the transport for one connection.
using MakeTransport = std::unique_ptr<Transport> (*)(uv::Loop& loop, Transport::Events events);

}  // namespace nb::redis
