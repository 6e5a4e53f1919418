#include "mcp_http/peer.h"

#include <algorithm>
#include <utility>

#include "mcp_http/headers.h"

namespace nb::mcp_http {
namespace {

// A request that takes longer becomes a stream: only a write shows whether the client is still
// there.
constexpr Duration kLong = std::chrono::seconds(5);
constexpr std::string_view kComment = ": \n\n";

std::string event(std::string_view line) {
  std::string out = "data: ";
  out += line;
  out += "\n\n";
  return out;
}

}  // namespace

int status_of(int error, mcp::Era era) {
  if (era == mcp::Era::older) return 200;
  switch (error) {
    case mcp::kMethodNotFound:
      return 404;
    case mcp::kParseError:
    case mcp::kInvalidRequest:
    case mcp::kHeaderMismatch:
    case mcp::kMissingCapability:
    case mcp::kUnsupportedVersion:
      return 400;
    default:
      return 200;
  }
}

Peer::Peer(uv::Loop& loop, mcp::Toolbox& toolbox, std::string session, Delegate<void()> on_less)
    : loop_(loop),
      name_(std::move(session)),
      on_less_(on_less),
      last_used_(loop.now()),
      session_(toolbox, loop.clock(),
               {Delegate<void(const mcp::Outgoing&)>::to<&Peer::on_line>(this),
                Delegate<void(Duration)>::to<&Peer::on_wait>(this)}),
      timer_(loop, Delegate<void()>::to<&Peer::on_time>(this)) {}

http::Response Peer::head(std::string type) const {
  http::Response head{.body = {}, .type = std::move(type)};
  if (!name_.empty() && session_.has_begun()) head.headers.emplace_back(kSessionHeader, name_);
  return head;
}

// Proxies must not buffer a stream.
http::Response Peer::stream_head() const {
  http::Response response = head("text/event-stream");
  response.headers.emplace_back("X-Accel-Buffering", "no");
  return response;
}

void Peer::ask(const mcp::Message& message, http::Reply&& reply) {
  last_used_ = loop_.now();
  if (way_of(message.id) != nullptr) {
    return reply.send(
        {.status = 400,
         .body = mcp::error_line(
             message.id, {mcp::kInvalidRequest, "a request with this `id` is under way", {}}),
         .type = "application/json"});
  }
  ways_.push_back({std::string(message.id), std::move(reply), {}, last_used_});
  session_.receive(message);
}

void Peer::tell(const mcp::Message& notification) {
  last_used_ = loop_.now();
  session_.receive(notification);
  drop_cancelled();
}

// A request that was cancelled gets no answer; but HTTP wants one: a stream of nothing.
void Peer::drop_cancelled() {
  for (Way& way : ways_) {
    if (!session_.is_under_way(way.id)) make_stream(way);
  }
  std::erase_if(ways_, [&](const Way& way) { return !session_.is_under_way(way.id); });
}

void Peer::open_stream(http::Reply&& reply) {
  last_used_ = loop_.now();
  http::Response response = stream_head();
  response.body = kComment;
  for (const std::string& line : std::exchange(untold_, {})) response.body += event(line);
  stream_ = reply.open(std::move(response));
}

Peer::Way* Peer::way_of(std::string_view request) {
  const auto found =
      std::find_if(ways_.begin(), ways_.end(), [&](const Way& way) { return way.id == request; });
  return found == ways_.end() ? nullptr : &*found;
}

void Peer::on_line(const mcp::Outgoing& out) {
  if (out.request.empty()) return tell_all(out.line);
  Way* const way = way_of(out.request);
  if (way == nullptr) return;  // the client did not wait
  if (out.is_answer) return answer(*way, out);
  make_stream(*way);
  (void)way->stream.write(event(out.line));
}

void Peer::answer(Way& way, const mcp::Outgoing& out) {
  // Removed from the list first: what is sent may bring the next request.
  Way last = std::move(way);
  ways_.erase(ways_.begin() + (&way - ways_.data()));
  if (last.reply.is_wanted()) {
    http::Response response = head("application/json");
    response.status = status_of(out.error, name_.empty() ? mcp::Era::modern : mcp::Era::older);
    response.body = out.line;
    last.reply.send(std::move(response));
  } else if (last.stream.write(event(out.line))) {
    last.stream.end();
  }
  on_less_();
}

void Peer::make_stream(Way& way) {
  if (!way.reply.is_wanted()) return;
  way.stream = way.reply.open(stream_head());
}

void Peer::tell_all(std::string_view line) {
  if (stream_.is_open() && stream_.write(event(line))) return;
  const bool is_new = std::find(untold_.begin(), untold_.end(), line) == untold_.end();
  if (is_new && untold_.size() < kMaxUntold) untold_.emplace_back(line);
}

void Peer::on_wait(Duration time) {
  if (!timer_.active()) timer_.start(time);
}

void Peer::look() {
  if (stream_.is_open() && stream_.write(kComment)) last_used_ = loop_.now();
  for (Way& way : ways_) {
    if (way.reply.is_wanted() && loop_.now() - way.since >= kLong) make_stream(way);
    if (way.stream.is_open()) (void)way.stream.write(kComment);
  }
  std::erase_if(ways_, [](const Way& way) { return !way.is_open(); });
}

void Peer::end(int status, const mcp::ErrorWords& words) {
  session_.end_subscriptions(false);
  for (Way& way : ways_) {
    std::string line = mcp::error_line(way.id, words);
    if (way.reply.is_wanted()) {
      way.reply.send({.status = status, .body = std::move(line), .type = "application/json"});
    } else if (way.stream.write(event(line))) {
      way.stream.end();
    }
  }
  ways_.clear();
  stream_.end();
}

}  // namespace nb::mcp_http
