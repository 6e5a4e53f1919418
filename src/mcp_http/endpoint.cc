#include "mcp_http/endpoint.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "mcp_http/headers.h"

namespace nb::mcp_http {
namespace {

using Kind = mcp::Message::Kind;

constexpr Duration kLookEvery = std::chrono::seconds(5);
constexpr size_t kSessionBytes = 16;
constexpr std::string_view kEnded = "this session has ended: begin anew with `initialize`";

// It cannot be guessed. Empty if the system has no randomness.
std::string new_session_id() {
  std::array<uint8_t, kSessionBytes> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) != static_cast<ssize_t>(bytes.size()))
    return {};
  std::string id;
  for (const uint8_t byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 0xf];
  }
  return id;
}

http::Response error(int status, std::string_view id, const mcp::ErrorWords& words) {
  return {.status = status, .body = mcp::error_line(id, words), .type = "application/json"};
}

http::Response invalid(int status, std::string_view id, std::string words) {
  return error(status, id, {mcp::kInvalidRequest, std::move(words), {}});
}

const http::Response kTaken{.status = 202, .body = {}};

}  // namespace

Endpoint::Endpoint(uv::Loop& loop, mcp::Toolbox& toolbox, Limits limits)
    : loop_(loop),
      toolbox_(toolbox),
      limits_(limits),
      soon_(loop, Delegate<void()>::to<&Endpoint::on_turn>(this)),
      look_(loop, Delegate<void()>::to<&Endpoint::on_look>(this)) {}

Endpoint::~Endpoint() = default;

void Endpoint::handle(const http::Request& request, http::Reply&& reply) {
  if (request.method == "POST") return on_post(request, std::move(reply));
  if (request.method == "GET") return on_get(request, std::move(reply));
  if (request.method == "DELETE") return on_delete(request, std::move(reply));
  reply.send({.status = 405,
              .body = "this path takes POST, GET, DELETE\n",
              .headers = {{"Allow", "POST, GET, DELETE"}}});
}

// --- POST

void Endpoint::on_post(const http::Request& request, http::Reply&& reply) {
  if (!has_json(request)) {
    return reply.send({.status = 415, .body = "expected `Content-Type: application/json`\n"});
  }
  if (!accepts(request, "application/json") || !accepts(request, "text/event-stream")) {
    return reply.send(
        {.status = 406,
         .body = "expected `Accept: application/json, text/event-stream`: an answer is either\n"});
  }
  if (const json::Fault fault = guard_.check(request.body); fault.reason != nullptr) {
    return reply.send(error(400, {},
                            {mcp::kParseError,
                             "not JSON that is accepted here: " + std::string(fault.reason) +
                                 ", at byte " + std::to_string(fault.offset),
                             {}}));
  }
  mcp::Message message;
  if (const auto fault = mcp::parse_message(guard_.view(), message)) {
    return reply.send(error(400, message.id, *fault));
  }
  const mcp::Era era = era_of(request, message);
  if (message.kind == Kind::request) {
    if (const auto fault = fault_in(request, message, era)) {
      return reply.send(error(400, message.id, *fault));
    }
  }
  if (era == mcp::Era::older) return on_older(request, message, std::move(reply));
  switch (message.kind) {
    case Kind::response:
      return reply.send(invalid(400, message.id, "nothing was asked: this is no request"));
    case Kind::notification:
      // A request is cancelled by closing its stream; a client sends no other notification that
      // matters.
      return reply.send(kTaken);
    case Kind::request:
      if (has_room(message.id, reply)) add_peer({})->ask(message, std::move(reply));
  }
}

void Endpoint::on_older(const http::Request& request, const mcp::Message& message,
                        http::Reply&& reply) {
  Peer* peer = nullptr;
  if (message.method == "initialize" && message.kind == Kind::request) {
    if (!has_room(message.id, reply)) return;
    std::string id = new_session_id();
    if (id.empty() || !make_room_for_a_session()) {
      return reply.send(
          error(503, message.id, {mcp::kInternalError, "too many sessions: try again later", {}}));
    }
    peer = add_peer(std::move(id));
  } else {
    peer = session_of(request, message.id, reply);
    if (peer == nullptr) return;
  }
  if (message.kind == Kind::request) {
    if (has_room(message.id, reply)) peer->ask(message, std::move(reply));
    return;
  }
  if (message.kind == Kind::notification) peer->tell(message);
  reply.send(kTaken);
}

// --- sessions of the older revisions

void Endpoint::on_get(const http::Request& request, http::Reply&& reply) {
  if (request.count(kSessionHeader) == 0 ||
      request.header(kVersionHeader) == mcp::kModernRevision) {
    return reply.send({.status = 405,
                       .body = "without a session there is no stream: this path takes POST\n",
                       .headers = {{"Allow", "POST"}}});
  }
  if (!accepts(request, "text/event-stream")) {
    return reply.send({.status = 406, .body = "expected `Accept: text/event-stream`\n"});
  }
  Peer* const peer = session_of(request, {}, reply);
  if (peer != nullptr && has_room({}, reply)) peer->open_stream(std::move(reply));
}

void Endpoint::on_delete(const http::Request& request, http::Reply&& reply) {
  if (request.count(kSessionHeader) == 0) {
    return reply.send({.status = 405,
                       .body = "without a session there is nothing to end\n",
                       .headers = {{"Allow", "POST"}}});
  }
  Peer* const peer = session_of(request, {}, reply);
  if (peer == nullptr) return;
  peer->end(404, {mcp::kInvalidRequest, std::string(kEnded), {}});
  std::erase_if(peers_, [&](const PeerPtr& each) { return each.get() == peer; });
  reply.send({.status = 204, .body = {}});
}

Peer* Endpoint::session_of(const http::Request& request, std::string_view id, http::Reply& reply) {
  const std::string_view version = request.header(kVersionHeader);
  if (!version.empty() && !mcp::is_older_revision(version)) {
    reply.send(invalid(400, id, "this revision has no sessions here"));
    return nullptr;
  }
  const std::string_view name = request.header(kSessionHeader);
  if (name.empty()) {
    reply.send(invalid(400, id,
                       "the header `Mcp-Session-Id` is missing: begin with `initialize`, or name "
                       "the revision 2026-07-28 in each request"));
    return nullptr;
  }
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const PeerPtr& peer) { return peer->session() == name; });
  if (found != peers_.end()) return found->get();
  reply.send(invalid(404, id, std::string(kEnded)));
  return nullptr;
}

bool Endpoint::make_room_for_a_session() {
  if (sessions() < limits_.sessions) return true;
  auto longest = peers_.end();
  for (auto at = peers_.begin(); at != peers_.end(); ++at) {
    if ((*at)->session().empty() || (*at)->open_ways() > 0) continue;
    if (longest == peers_.end() || (*at)->last_used() < (*longest)->last_used()) longest = at;
  }
  if (longest == peers_.end()) return false;
  peers_.erase(longest);
  return true;
}

// --- all peers

Peer* Endpoint::add_peer(std::string session) {
  if (!look_.active()) look_.start(kLookEvery);
  peers_.push_back(std::make_unique<Peer>(loop_, toolbox_, std::move(session),
                                          Delegate<void()>::to<&Endpoint::on_less>(this)));
  return peers_.back().get();
}

bool Endpoint::has_room(std::string_view id, http::Reply& reply) const {
  if (open_ways() < limits_.ways) return true;
  reply.send(
      error(503, id, {mcp::kInternalError, "too many requests are under way: try again", {}}));
  return false;
}

size_t Endpoint::sessions() const {
  return static_cast<size_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const PeerPtr& peer) { return !peer->session().empty(); }));
}

size_t Endpoint::open_ways() const {
  size_t ways = 0;
  for (const PeerPtr& peer : peers_) ways += peer->open_ways();
  return ways;
}

void Endpoint::on_turn() {
  const MonoTime now = loop_.now();
  std::erase_if(peers_, [&](const PeerPtr& peer) {
    return peer->open_ways() == 0 && (!peer->has_begun() || now - peer->last_used() > limits_.idle);
  });
}

void Endpoint::on_look() {
  for (const PeerPtr& peer : peers_) peer->look();
  on_turn();
  if (!peers_.empty()) look_.start(kLookEvery);
}

void Endpoint::tools_changed() {
  for (const PeerPtr& peer : peers_) peer->tools_changed();
}

void Endpoint::log(mcp::LogWord level, std::string_view words) {
  for (const PeerPtr& peer : peers_) peer->log(level, words);
}

void Endpoint::end() {
  for (const PeerPtr& peer : peers_) {
    peer->end(503, {mcp::kInternalError, "the server ends: ask again when it is back", {}});
  }
}

}  // namespace nb::mcp_http
