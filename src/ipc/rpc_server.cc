#include "ipc/rpc_server.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "ipc/fault_words.h"

namespace nb::ipc {

RpcServer::RpcServer(uv::Loop& loop, const Log& log, ServerOptions options, RpcEvents events)
    : loop_(loop),
      log_(log),
      events_(events),
      server_(loop, log, std::move(options),
              {Delegate<void(ClientId, const Peer&)>::to<&RpcServer::on_open>(this),
               Delegate<void(ClientId, std::string_view)>::to<&RpcServer::on_line>(this),
               Delegate<void(ClientId, Departure)>::to<&RpcServer::on_close>(this),
               Delegate<void(ClientId)>::to<&RpcServer::on_room>(this),
               Delegate<void(ClientId)>::to<&RpcServer::on_drained>(this),
               Delegate<void(ClientId)>::to<&RpcServer::on_closing>(this),
               Delegate<void(ClientId)>::to<&RpcServer::on_overdue>(this),
               Delegate<void(ClientId, bool&)>::to<&RpcServer::on_may_yield>(this)}),
      refusals_(loop, Refusals::Tell::to<&RpcServer::tell>(this)) {}

void RpcServer::stop() {
  server_.stop();
  refusals_.clear();
  for (const Client& client : clients_) {
    settle_in_batch(client.rest_batch);
    pending_.remove_all(client.id, Delegate<void(uint32_t)>::to<&RpcServer::settle_in_batch>(this));
  }
  clients_.clear();
}

// --- clients -------------------------------------------------------------------------------------

void RpcServer::on_open(ClientId client, const Peer& peer) {
  const SocketOptions& socket = server_.socket_of(client);
  Client& c = clients_.emplace_back();
  c.id = client;
  c.peer = peer;
  c.connected = loop_.now();
  c.rights = socket.rights;
  c.limits = {rpc::TokenBucket(socket.calls_per_second),
              rpc::TokenBucket(socket.events_per_second)};
  events_.on_open(client, peer);
}

void RpcServer::on_close(ClientId client, Departure departure) {
  const auto at = std::find_if(clients_.begin(), clients_.end(),
                               [&](const Client& c) { return c.id == client; });
  if (at == clients_.end()) return;
  const uint32_t batch = at->rest_batch;
  clients_.erase(at);
  refusals_.forget(client);
  settle_in_batch(batch);
  pending_.remove_all(client, Delegate<void(uint32_t)>::to<&RpcServer::settle_in_batch>(this));
  events_.on_close(client, departure);
}

void RpcServer::on_may_yield(ClientId client, bool& needed) {
  const Client* c = find(client);
  needed = c == nullptr || c->pending > 0 || c->rest_batch != 0;
  if (!needed) events_.on_may_yield(client, needed);
}

void RpcServer::on_closing(ClientId client) {
  Client* c = find(client);
  if (c == nullptr || c->pending == 0) return server_.finish(client);
  c->closing = true;
}

void RpcServer::on_overdue(ClientId client) {
  pending_.refuse_all(client, [&](const PendingCall& call) {
    count_error(client);
    send_error(client, call.id, call.batch,
               rpc::timeout("the connection is closed before Redis has answered"));
    settle_in_batch(call.batch);
  });
}

RpcServer::Client* RpcServer::find(ClientId client) const {
  // Mostly the one that was asked for last: lines come many at a time.
  if (last_found_ < clients_.size() && clients_[last_found_].id == client) {
    return &clients_[last_found_];
  }
  const auto at = std::lower_bound(clients_.begin(), clients_.end(), client,
                                   [](const Client& c, ClientId id) { return c.id < id; });
  if (at == clients_.end() || at->id != client) return nullptr;
  last_found_ = static_cast<size_t>(at - clients_.begin());
  return &*at;
}

void RpcServer::set_reports_errors(ClientId client, bool reports) {
  if (Client* c = find(client)) c->reports_errors = reports;
}

size_t RpcServer::queued_bytes(ClientId client) const {
  const Client* c = find(client);
  return server_.queued_bytes(client) + (c != nullptr ? c->answered : 0);
}

size_t RpcServer::queued_bytes() const {
  size_t bytes = server_.queued_bytes();
  for (const Client& c : clients_) bytes += c.answered;
  return bytes;
}

size_t RpcServer::max_line_bytes(ClientId client) const {
  const Client* c = find(client);
  return c != nullptr ? c->line_bytes : rpc::kLineBytes;
}

void RpcServer::set_max_line_bytes(ClientId client, size_t bytes) {
  if (Client* c = find(client)) c->line_bytes = bytes;
}

RpcCounters RpcServer::counters() const {
  const ServerCounters& server = server_.counters();
  return {server.accepted, server.refused, server.cut_off,          server.yielded, events_lost_,
          requests_,       notifications_, errors_ + server.faults, forbidden_,     rate_limited_};
}

std::vector<ClientInfo> RpcServer::clients() const {
  std::vector<ClientInfo> list;
  for (const Client& c : clients_) {
    if (!server_.is_open(c.id)) continue;
    list.push_back({c.id, c.peer, c.connected, c.calls, c.errors + server_.faults(c.id),
                    server_.queued_bytes(c.id)});
  }
  return list;
}

// --- calls ---------------------------------------------------------------------------------------

void RpcServer::on_line(ClientId client, std::string_view line) {
  const json::Fault fault = guard_.check(line, {server_.options().line_bytes});
  if (fault.reason != nullptr) {
    return server_.complain(client, rpc::parse_error(words_for(fault, line), fault.offset));
  }
  const json::View value = guard_.view();
  if (value.is(json::View::Type::array)) {
    take_batch(client, value);
  } else {
    take_call(client, value, 0);
  }
}

void RpcServer::take_batch(ClientId client, json::View values) {
  size_t count = 0;
  for ([[maybe_unused]] const json::View value : values.elements()) ++count;
  if (count == 0 || count > kMaxBatch) {
    count_error(client);
    send_error(client, {}, 0,
               rpc::invalid_request(
                   format("a batch has 1 to %zu calls, this one has %zu", kMaxBatch, count)));
    return;
  }
  const uint32_t batch = batches_.add(client);
  take_calls(client, values, batch);
}

// The calls that may begin now. The rest waits until the calls under way have been answered and the
// answers read, so that a batch takes no more memory at once than single lines do; or until the
// client's next turn.
void RpcServer::take_calls(ClientId client, json::View values, uint32_t batch) {
  const char* begin = values.raw().data();
  const char* end = begin + values.raw().size();
  bool over = false;
  for (const json::View value : values.elements()) {
    if (!server_.is_open(client)) break;
    if (over || server_.is_paused(client)) {
      Client* c = find(client);
      if (c == nullptr) break;
      c->rest.assign(1, '[').append(value.raw().data(), end);
      c->rest_batch = batch;
      return server_.tell_of_room(client);
    }
    const size_t bytes = value.raw().size();
    take_call(client, value, batch);
    over = server_.turn_is_over(bytes);
  }
  settle_in_batch(batch);
}

void RpcServer::on_room(ClientId client) {
  Client* c = find(client);
  if (c == nullptr || c->rest_batch == 0) return;
  // Taken out: calls that are not begun this time are put back, and a call may stop this server.
  const std::string rest = std::exchange(c->rest, {});
  take_calls(client, json::View::of(rest), std::exchange(c->rest_batch, 0));
}

// Where the answer to a call of a line goes: into a line, or into the answers of its batch.
class RpcServer::LineReply final : public rpc::Reply {
 public:
  LineReply(RpcServer& server, ClientId client, const rpc::RawCall& call, uint32_t batch)
      : server_(server), client_(client), call_(call), batch_(batch), settled_(call.id.empty()) {}

  void answer(std::string_view result) override {
    if (std::exchange(settled_, true)) return;
    server_.send_result(client_, call_.id, batch_, result);
    server_.settle_in_batch(batch_);
  }
  void refuse(const rpc::Error& error) override {
    if (!is_wanted()) {
      server_.count_error(client_, error);
      if (Refusals::are_counted(error)) {
        return server_.refusals_.note(client_, call_.method, error);
      }
      return server_.report(client_, call_.method, error);
    }
    if (std::exchange(settled_, true)) return;
    server_.count_error(client_, error);
    server_.send_error(client_, call_.id, batch_, error);
    server_.settle_in_batch(batch_);
  }
  rpc::Token put_off(size_t weight) override {
    if (std::exchange(settled_, true)) return 0;
    return server_.defer(client_, call_.id, batch_, weight);
  }
  bool is_wanted() const override { return !call_.id.empty(); }
  bool is_settled() const { return settled_; }

 private:
  RpcServer& server_;
  ClientId client_;
  const rpc::RawCall& call_;
  uint32_t batch_;
  bool settled_;
};

void RpcServer::take_call(ClientId client, json::View value, uint32_t batch) {
  rpc::RawCall parsed;
  if (const std::optional<rpc::Error> error = rpc::parse_call(value, method_, parsed)) {
    count_error(client);
    send_error(client, parsed.id, batch, *error);
    return;
  }
  // The call is carried out all the same, but the client would not read the answer.
  if (server_.is_deaf(client)) parsed.id = {};
  LineReply reply(*this, client, parsed, batch);
  ++(reply.is_wanted() ? requests_ : notifications_);
  if (reply.is_wanted() && batch != 0) ++batches_[batch].open;
  // One read of the clock for each line: the end of one line begins the next of the same reading.
  const uint64_t reading = server_.readings();
  const MonoTime began = std::exchange(reading_, reading) == reading ? ended_ : loop_.now();
  rpc::Caller who{client};
  if (Client* c = find(client)) {
    ++c->calls;
    who = {client, c->peer.uid, c->rights, &c->limits};
  }
  rpc::Call call(who, reply, rpc::Call::Origin::client, began);
  call.method = parsed.method;
  events_.on_call(call, parsed.params);
  ended_ = loop_.now();
  server_.see(ended_);
  accept_latency_.record(ended_ - began);
  if (reply.is_settled()) return;
  log_.error("socket: '%.*s' was not answered",
             static_cast<int>(std::min<size_t>(parsed.method.size(), 64)), parsed.method.data());
  reply.refuse(rpc::internal("the agent has no answer to this; it is a fault of its own"));
}

void RpcServer::count_error(ClientId client) {
  ++errors_;
  if (Client* c = find(client)) ++c->errors;
}

void RpcServer::count_error(ClientId client, const rpc::Error& error) {
  count_error(client);
  forbidden_ += error.code == rpc::kForbidden;
  rate_limited_ += error.code == rpc::kRateLimited;
}

void RpcServer::tell(const Refusals::Told& told) {
  const Client* c = find(told.client);
  if (c == nullptr) return;
  log_.notice(LogAbout(static_cast<uint64_t>(c->peer.pid)),
              "socket: %llu notifications of client %llu (process %d) were refused: %s",
              static_cast<unsigned long long>(told.count), static_cast<unsigned long long>(c->id),
              c->peer.pid, told.error.message.c_str());
  report(c->id, told.method, told.error);
}

// --- answers -------------------------------------------------------------------------------------

void RpcServer::report(ClientId client, std::string_view method, const rpc::Error& error) {
  const Client* c = find(client);
  if (c == nullptr || !c->reports_errors) return;
  if (std::string* out = server_.begin_line(client)) {
    rpc::append_client_error(*out, method, error);
    server_.end_line(client);
  }
}

rpc::Token RpcServer::defer(ClientId client, std::string_view id, uint32_t batch, size_t weight) {
  if (Client* c = find(client)) {
    c->pending += weight;
    if ((c->pending >= kMaxPending || c->answered > server_.options().output_bytes / 4) &&
        !std::exchange(c->held, true)) {
      hold(*c);
    }
  }
  return pending_.add(client, id, batch, weight);
}

void RpcServer::hold(Client& client) {
  server_.hold(client.id, client.held || client.full);
}

void RpcServer::pause_reading(ClientId client, bool paused) {
  Client* c = find(client);
  if (c == nullptr || std::exchange(c->full, paused) == paused) return;
  hold(*c);
}

bool RpcServer::answer(rpc::Token token, std::string_view result_json) {
  const PendingCall* call = pending_.find(token);
  if (call == nullptr) return false;
  const ClientId client = call->client;
  const uint32_t batch = call->batch;
  const size_t weight = call->weight;
  const bool open = server_.is_open(client);
  send_result(client, call->id, batch, result_json);
  pending_.remove(token);
  settle_in_batch(batch);
  release(client, weight);
  return open;
}

bool RpcServer::refuse(rpc::Token token, const rpc::Error& error) {
  const PendingCall* call = pending_.find(token);
  if (call == nullptr) return false;
  const ClientId client = call->client;
  const uint32_t batch = call->batch;
  const size_t weight = call->weight;
  const bool open = server_.is_open(client);
  count_error(client);
  send_error(client, call->id, batch, error);
  pending_.remove(token);
  settle_in_batch(batch);
  release(client, weight);
  return open;
}

bool RpcServer::notify(ClientId client, std::string_view line_json) {
  Client* c = find(client);
  if (c == nullptr || !server_.is_open(client)) return false;
  if (c->gap_from != WallTime{} || line_json.size() > c->line_bytes ||
      !server_.has_room_for_event(client, line_json.size() + 1)) {
    lose(*c);
    return true;
  }
  if (std::string* out = server_.begin_line(client)) {
    out->append(line_json);
    server_.end_line(client);
  }
  return true;
}

bool RpcServer::notify_if_room(ClientId client, std::string_view line_json) {
  const Client* c = find(client);
  if (c == nullptr || !server_.is_open(client)) return true;
  const bool fits = line_json.size() <= c->line_bytes;
  if (fits && (c->gap_from != WallTime{} ||
               !server_.has_room_for_event(client, line_json.size() + 1, true))) {
    return false;
  }
  return notify(client, line_json);
}

void RpcServer::lose(Client& client) {
  ++client.lost;
  ++events_lost_;
  if (client.gap_from != WallTime{}) return;
  client.gap_from = loop_.clock().wall_now();
  server_.tell_when_drained(client.id);
}

void RpcServer::on_drained(ClientId client) {
  Client* c = find(client);
  if (c != nullptr && !c->closing) tell_gap(*c, loop_.clock().wall_now());
}

void RpcServer::notify_gap(ClientId client, WallTime from, WallTime to) {
  Client* c = find(client);
  if (c == nullptr) return;
  const bool waits = c->gap_from != WallTime{};
  c->gap_from = waits ? std::min(c->gap_from, from) : from;
  if (waits) return;
  constexpr size_t kLine = 256;  // more than it has
  if (server_.has_room_for_event(client, kLine)) {
    tell_gap(*c, to);
  } else {
    server_.tell_when_drained(client);
  }
}

void RpcServer::tell_gap(Client& client, WallTime to) {
  const WallTime from = std::exchange(client.gap_from, WallTime{});
  const uint64_t lost = std::exchange(client.lost, 0);
  std::string* out = server_.begin_line(client.id);
  if (out == nullptr) return;
  rpc::append_event_gap(*out, from, to, lost);
  server_.end_line(client.id);
}

// One pending call less. Reading goes on when half of them are settled, not at each; and when
// batches hold back little again, or only the batch at hand.
void RpcServer::release(ClientId client, size_t weight) {
  Client* c = find(client);
  if (c == nullptr) return;
  c->pending -= weight;
  if (c->held && c->pending <= kMaxPending / 2 &&
      (c->pending == 0 || c->answered <= server_.options().output_bytes / 4)) {
    c->held = false;
    hold(*c);
  }
  if (c->closing && c->pending == 0) server_.finish(client);
}

void RpcServer::send_result(ClientId client, std::string_view id, uint32_t batch,
                            std::string_view result) {
  const size_t line_bytes = max_line_bytes(client);
  if (result.size() + id.size() + rpc::kAroundResult > line_bytes) {
    count_error(client);
    const std::string words = format(
        "the answer has %zu bytes, more than fit into the line of %zu bytes that this "
        "client reads: ask for less, or name a larger max_line_bytes in client.hello",
        result.size(), line_bytes);
    return send_error(client, id, batch, rpc::too_large(words, line_bytes));
  }
  // The calls of a batch have all begun before the client could read the first answer.
  const size_t limit = server_.options().output_bytes;
  const size_t gathered = batch != 0 ? batches_[batch].answers.size() : 0;
  if (!server_.has_room(client, gathered + result.size() + id.size() + 64)) {
    count_error(client);
    const std::string words =
        format("the answer has %zu bytes, more than may wait for a client", result.size());
    return send_error(client, id, batch, rpc::too_large(words, limit));
  }
  if (batch != 0) {
    one_.clear();
    rpc::append_result_response(one_, id, result);
    add_to_batch(batch);
  } else if (std::string* out = server_.begin_line(client)) {
    rpc::append_result_response(*out, id, result);
    server_.end_line(client);
  }
}

void RpcServer::send_error(ClientId client, std::string_view id, uint32_t batch,
                           const rpc::Error& error) {
  if (batch != 0) {
    one_.clear();
    rpc::append_error_response(one_, id, error);
    add_to_batch(batch);
  } else if (std::string* out = server_.begin_line(client)) {
    rpc::append_error_response(*out, id, error);
    server_.end_line(client);
  }
}

// --- batches -------------------------------------------------------------------------------------

void RpcServer::add_to_batch(uint32_t number) {
  constexpr size_t kKept = 4096;
  Batch& batch = batches_[number];
  if (!batch.answers.empty() &&
      batch.answers.size() + one_.size() + 2 > max_line_bytes(batch.client)) {
    flush_batch(number);
  }
  batch.answers += batch.answers.empty() ? '[' : ',';
  batch.answers += one_;
  if (Client* c = find(batch.client)) c->answered += one_.size() + 1;
  if (one_.capacity() > kKept) std::string().swap(one_);
  // A client that reads longer lines gets them at once: it cannot read output that waits here.
  if (batch.answers.size() >= rpc::kLineBytes) flush_batch(number);
}

void RpcServer::flush_batch(uint32_t number) {
  Batch& batch = batches_[number];
  if (batch.answers.empty()) return;
  if (Client* c = find(batch.client)) c->answered -= batch.answers.size();
  if (std::string* out = server_.begin_line(batch.client)) {
    out->append(batch.answers);
    *out += ']';
    server_.end_line(batch.client);
  }
  batch.answers.clear();
}

// A call of this batch is settled; 0: it came alone.
void RpcServer::settle_in_batch(uint32_t number) {
  if (number == 0 || --batches_[number].open > 0) return;
  flush_batch(number);
  batches_.remove(number);
}

}  // namespace nb::ipc
