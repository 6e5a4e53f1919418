#include "redis/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/text.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

long long ms(Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

}  // namespace

struct Connection::Wire {
  // Commands of the owner, or a step of the greeting, that wait for their replies.
  struct Sent {
    MonoTime at{};
    uint32_t replies = 0;
    std::optional<GreetingStep> step;
  };

  Wire(size_t max_reply_bytes, const char* too_long) : reader(max_reply_bytes, too_long) {}

  std::unique_ptr<Transport> transport;
  bool is_open = false;
  ReplyReader reader;
  std::string output;
  Ring<Sent> sent;
  MonoTime last_heard{};
  MonoTime last_reply{};
  MonoTime last_ping{};
  std::optional<Duration> round_trip;
  int pings = 0;         // that wait for their replies
  bool overdue = false;  // at the last check
  Status early;          // what became of write_early()
};

bool same_way(const LinkOptions& a, const LinkOptions& b) {
  return a.target.host == b.target.host && a.target.port == b.target.port &&
         a.target.unix_path == b.target.unix_path && a.greeting.user == b.greeting.user &&
         a.greeting.password == b.greeting.password &&
         a.greeting.client_name == b.greeting.client_name &&
         a.greeting.databases == b.greeting.databases && a.max_reply_bytes == b.max_reply_bytes;
}

Connection::Connection(uv::Loop& loop, LinkOptions options, std::string_view role,
                       ConnectionEvents events, MakeTransport make_transport)
    : loop_(loop),
      options_(std::move(options)),
      role_(role),
      events_(events),
      make_transport_(make_transport),
      machine_(Backoff(options_.backoff, Random::from_system()), options_.stable_after),
      retry_(loop, Delegate<void()>::to<&Connection::dial>(this)),
      check_(loop, Delegate<void()>::to<&Connection::on_check>(this)),
      soon_(loop, Delegate<void()>::to<&Connection::on_turn>(this), uv::Soon::Place::last) {}

Connection::~Connection() = default;

bool Connection::open() {
  if (machine_.state() > LinkState::waiting || retry_.active()) return true;
  if (loop_.now() < away_until_) return false;
  machine_.start();
  retry_.start(Duration::zero());
  return true;
}

void Connection::retry() {
  machine_.start();
  if (machine_.state() != LinkState::waiting || retry_.active()) return;
  const MonoTime now = loop_.now();
  retry_.start(now < away_until_ ? away_until_ - now : Duration::zero());
}

void Connection::try_now() {
  if (machine_.state() != LinkState::waiting) return;
  retry_.stop();
  dial();
}

void Connection::close() {
  retry_.stop();
  machine_.stop();
  drop();
}

bool Connection::reconfigure(LinkOptions options) {
  const bool anew = !same_way(options_, options);
  options_ = std::move(options);
  machine_.set_limits(options_.backoff, options_.stable_after);
  if (retry_.active()) {
    retry_.start(std::min(retry_.due() - loop_.now(), options_.backoff.cap));
  }
  if (!anew) return false;
  forgive();
  machine_.restart();
  retry_.stop();
  drop();
  wire_.reset();  // the old wire has the old limit
  return true;
}

void Connection::set_steady() {
  enter(LinkState::steady);
}

std::string& Connection::output() {
  return wire_->output;
}

void Connection::set_degraded(Trouble trouble) {
  machine_.set_trouble(trouble);
  if (machine_.state() == LinkState::degraded) return events_.on_state(LinkState::degraded);
  enter(LinkState::degraded);
}

std::optional<Duration> Connection::round_trip() const {
  return wire_ ? wire_->round_trip : std::nullopt;
}

MonoTime Connection::heard_at() const {
  return wire_->last_heard;
}

void Connection::expect(uint32_t replies, MonoTime now) {
  wire_->sent.push_back({now, replies, std::nullopt});
  if (!in_turn_) flush_soon();
}

size_t Connection::unsent_bytes() const {
  return wire_->output.size() + wire_->transport->queued_bytes();
}

void Connection::write_early() {
  if (wire_->early.ok() && !wire_->output.empty()) {
    wire_->early = wire_->transport->write(wire_->output);
  }
}

void Connection::dial() {
  if (!wire_) {
    const size_t most = options_.max_reply_bytes;
    wire_ = max_reply_bytes_ < most ? std::make_unique<Wire>(max_reply_bytes_, too_long_)
                                    : std::make_unique<Wire>(most, ReplyGauge::kTooLong);
    wire_->transport =
        make_transport_(loop_, {Delegate<void(uv::DialStage)>::to<&Connection::on_stage>(this),
                                Delegate<void(Status&)>::to<&Connection::on_connected>(this),
                                Delegate<void(std::string_view)>::to<&Connection::on_data>(this),
                                Delegate<void(std::string_view)>::to<&Connection::on_end>(this),
                                Delegate<void()>::to<&Connection::flush_soon>(this)});
  }
  wire_->transport->connect(options_.target, options_.connect_timeout);
}

void Connection::on_stage(uv::DialStage stage) {
  enter(stage == uv::DialStage::resolving ? LinkState::resolving : LinkState::connecting);
}

void Connection::on_connected(Status& status) {
  if (!status) {
    const bool resolving = state() == LinkState::resolving;
    return fail({resolving ? Trouble::unresolved : Trouble::unreachable, status.error().message},
                std::nullopt);
  }
  wire_->is_open = true;
  enter(LinkState::greeting);
  wire_->last_heard = wire_->last_reply = loop_.now();
  append_greeting(options_.greeting, role_, wire_->output,
                  Delegate<void(GreetingStep)>::to<&Connection::expect_step>(this));
  flush();
}

void Connection::expect_step(GreetingStep step) {
  const MonoTime now = loop_.now();
  wire_->sent.push_back({now, 1, step});
  if (step != GreetingStep::ping) return;
  ++wire_->pings;
  wire_->last_ping = now;
}

void Connection::ping() {
  RespWriter(wire_->output).command(1).arg("PING");
  expect_step(GreetingStep::ping);
}

void Connection::ping_if_due(MonoTime now) {
  if (wire_->pings == 0 && now - wire_->last_ping >= options_.ping_after) ping();
}

void Connection::on_data(std::string_view bytes) {
  wire_->last_heard = loop_.now();
  ReplyReader& reader = wire_->reader;
  if (reader.feed(bytes)) {
    while (const Reply reply = reader.next()) {
      if (const auto failure = take(reply)) return fail(*failure, std::nullopt);
      if (!wire_) return;  // the owner has closed it
    }
  }
  if (reader.fault() != nullptr) {
    return fail({Trouble::rubbish, reader.fault()},
                Culprit{reader.whole_replies(), reader.limit()});
  }
  events_.on_replies_done();
  if (wire_) arm_check();
}

std::optional<Failure> Connection::take(Reply reply) {
  if (events_.on_message(reply)) return std::nullopt;
  if (wire_->sent.empty()) return Failure{Trouble::rubbish, "a reply that nothing was asked for"};
  Wire::Sent& front = wire_->sent.front();
  const std::optional<GreetingStep> step = front.step;
  const MonoTime sent = front.at;
  if (--front.replies == 0) wire_->sent.pop_front();
  wire_->last_reply = wire_->last_heard;
  return step ? take_step(*step, sent, reply) : events_.on_reply(reply);
}

std::optional<Failure> Connection::take_step(GreetingStep step, MonoTime sent, Reply reply) {
  if (auto failure = check_answer(step, reply)) return failure;
  if (step != GreetingStep::ping) return std::nullopt;
  --wire_->pings;
  wire_->round_trip = wire_->last_reply - sent;
  if (!greeted()) enter(LinkState::replaying);
  return std::nullopt;
}

// Called once a turn, so that an owner that calls in from an answer finds everything in place.
void Connection::on_turn() {
  in_turn_ = true;
  events_.on_turn();
  in_turn_ = false;
  if (wire_ && greeted()) flush();
}

void Connection::flush() {
  if (const Status early = std::exchange(wire_->early, {}); !early) {
    return fail({Trouble::closed, early.error().message}, std::nullopt);
  }
  if (!wire_->output.empty()) {
    if (const Status written = wire_->transport->write(wire_->output); !written) {
      return fail({Trouble::closed, written.error().message}, std::nullopt);
    }
  }
  arm_check();
}

// One timer serves two purposes: the oldest command may be overdue, or the server may have been
// silent for long enough to ask. The timer is not moved at each reply; it looks again when it
// expires. A timer that is about to expire is moved, or it would wake the agent for nothing.
void Connection::arm_check() {
  if (!pings_ && wire_->sent.empty()) return;
  const MonoTime now = loop_.now();
  if (check_.active() && (wire_->overdue || check_.due() - now > slack(options_))) return;
  MonoTime at = wire_->last_heard + options_.ping_after;
  if (!wire_->sent.empty()) {
    const MonoTime since = std::max(wire_->sent.front().at, wire_->last_reply);
    at = std::min(since + options_.command_timeout, now + options_.ping_after);
  }
  check_.start(at - now);
}

void Connection::on_check() {
  const MonoTime now = loop_.now();
  const bool once_more = !std::exchange(wire_->overdue, false);
  if (!wire_->sent.empty()) {
    const MonoTime since = std::max(wire_->sent.front().at, wire_->last_reply);
    if (now - since >= options_.command_timeout) {
      // Perhaps this process was held up. Then the answer lies in the socket, and the loop reads it
      // before this timer looks again.
      wire_->overdue = once_more;
      if (once_more) return check_.start(std::chrono::milliseconds(1));
      return fail({Trouble::silent, format("no answer within %s",
                                           human_duration(ms(options_.command_timeout)).c_str())},
                  std::nullopt);
    }
  } else if (pings_ && now - wire_->last_heard >= options_.ping_after - slack(options_)) {
    ping();
  }
  flush();
}

void Connection::fail(const Failure& failure, std::optional<Culprit> culprit) {
  const LinkMachine::Retry retry = machine_.fail(failure.trouble, loop_.now());
  ++failures_;
  away_until_ = loop_.now() + retry.delay;
  drop();
  events_.on_lost(failure, culprit, retry.news);
}

// Destroys the transport, so nothing may follow in a callback of the transport. But a transport
// that has not connected is kept for the next try: its look-up may hang in a thread, and one such
// thread is enough.
void Connection::drop() {
  check_.stop();
  if (!wire_) return;
  if (wire_->is_open) {
    wire_.reset();
  } else {
    wire_->transport->cancel();
  }
}

void Connection::enter(LinkState state) {
  [[maybe_unused]] const bool is_a_step = machine_.advance(state, loop_.now());
  assert(is_a_step);
  events_.on_state(state);
}

}  // namespace nb::redis
