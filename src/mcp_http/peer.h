// Peer: the protocol with one client over HTTP, where each request has an answer or a stream of its
// own. A peer of the modern era is made for one request; one of the older era lives as long as its
// session, and may have a further stream for messages that belong to no request.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/delegate.h"
#include "http/reply.h"
#include "mcp/session.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::mcp_http {

class Peer {
 public:
  // Of a session: messages that wait for a stream. Without duplicates there cannot be so many.
  static constexpr size_t kMaxUntold = 128;

  // `session` is its id, empty for one of the modern era. `on_less` is called when a request has
  // been answered; the peer must not be destroyed there.
  Peer(uv::Loop& loop, mcp::Toolbox& toolbox, std::string session, Delegate<void()> on_less);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // A request, whose answer goes to `reply`.
  void ask(const mcp::Message& message, http::Reply&& reply);
  void tell(const mcp::Message& notification);
  // Takes the place of the stream before.
  void open_stream(http::Reply&& reply);

  void tools_changed() { session_.tools_changed(); }
  void log(mcp::LogWord level, std::string_view words) { session_.log(level, words); }
  // Call it at intervals: keeps streams alive, turns long requests into streams, and notices
  // clients that have gone.
  void look();
  // The session ends, or the server does: this is the answer to each request that waits.
  void end(int status, const mcp::ErrorWords& words);

  const std::string& session() const { return name_; }
  // False for a session whose `initialize` was malformed.
  bool has_begun() const { return session_.has_begun(); }
  // Requests that are not answered, and the stream.
  size_t open_ways() const { return ways_.size() + (stream_.is_open() ? 1 : 0); }
  MonoTime last_used() const { return last_used_; }

 private:
  // Where the answer to one request goes.
  struct Way {
    std::string id;
    http::Reply reply;
    http::EventStream stream;  // instead of `reply`, once something came before the answer
    MonoTime since;

    bool is_open() const { return reply.is_wanted() || stream.is_open(); }
  };

  Way* way_of(std::string_view request);
  void on_line(const mcp::Outgoing& out);
  void on_wait(Duration time);
  void on_time() { session_.tick(); }
  void answer(Way& way, const mcp::Outgoing& out);
  void make_stream(Way& way);
  void drop_cancelled();
  void tell_all(std::string_view line);
  http::Response head(std::string type) const;
  http::Response stream_head() const;

  uv::Loop& loop_;
  std::string name_;
  Delegate<void()> on_less_;
  std::vector<Way> ways_;
  http::EventStream stream_;
  std::vector<std::string> untold_;
  MonoTime last_used_;
  mcp::Session session_;
  uv::Timer timer_;
};

// The HTTP status for an error of a request of this era.
int status_of(int error, mcp::Era era);

}  // namespace nb::mcp_http
