// FrontEnd: the side towards the clients, as methods see it beyond the answer to the current call:
// answers that were put off, messages that were not asked for, and how much a client can take.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/clock.h"
#include "rpc/call.h"
#include "rpc/error.h"

namespace nb::rpc {

class FrontEnd {
 public:
  // Nothing happens if the client has gone, or for 0; true if there was a client to answer.
  virtual bool answer(Token token, std::string_view result_json) = 0;
  virtual bool refuse(Token token, const Error& error) = 0;

  // Reports with `client.error` the result of a call that was no request, or was answered before,
  // if the client wants these reports.
  virtual void report(ClientId client, std::string_view method, const Error& error) = 0;

  // Sends a complete object that was not asked for, such as an event, without its newline. A client
  // that does not keep up loses the object. One `event.gap` then says how many it has lost, as soon
  // as there is room and before anything else that is sent this way. An object that is longer than
  // max_line_bytes() is lost in the same way. False if the client has gone.
  virtual bool notify(ClientId client, std::string_view line_json) = 0;
  // Likewise, but an object without room is not lost: the result is false, and the caller tries
  // again later. Half of the room is left to notify(). True if the client has gone.
  virtual bool notify_if_room(ClientId client, std::string_view line_json) = 0;
  // Sends an `event.gap`: remote events of this time were missed. It is not lost: where there is no
  // room for it, the gap of lost events also covers its time.
  virtual void notify_gap(ClientId client, WallTime from, WallTime to) = 0;

  // While paused, no further call of this client is begun: it has used up a share of something. The
  // owner of that share resumes the client when there is room, and at the latest when the client
  // has gone.
  virtual void pause_reading(ClientId client, bool paused) = 0;

  // The longest line that this client reads, without its newline. An answer that would be longer is
  // refused as `too_large`; a list cuts itself to fit. Also for a client that has gone.
  virtual size_t max_line_bytes(ClientId client) const = 0;
  // The output that waits for this client, including incomplete batches; and for all clients.
  virtual size_t queued_bytes(ClientId client) const = 0;
  virtual size_t queued_bytes() const = 0;

 protected:
  ~FrontEnd() = default;
};

}  // namespace nb::rpc
