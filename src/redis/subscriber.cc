#include "redis/subscriber.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <utility>

#include "base/text.h"
#include "redis/reply_reader.h"
#include "redis/resp_writer.h"

namespace nb::redis {
namespace {

// Commands that wait for their answers: several times what all clients together may subscribe to.
// Who subscribes and unsubscribes in a loop must not fill the memory while the server is silent.
constexpr size_t kMaxSent = 16384;
constexpr std::string_view kNotAnswered = "a subscription or PING was not answered in time";

std::string_view word(const redisReply& array, size_t index) {
  return index < array.elements ? text_of(*array.element[index]) : std::string_view();
}

}  // namespace

struct Subscriber::Connection {
  // A command that waits for its answer.
  struct Sent {
    Command command;
    MonoTime at;
    std::string name;
  };

  explicit Connection(size_t max_reply_bytes) : reader(max_reply_bytes) {}

  std::unique_ptr<Transport> transport;
  ReplyReader reader;
  std::string output;
  std::deque<Sent> sent;
  MonoTime last_heard{};
  bool greeted = false;
  bool overdue = false;    // at the last check
  bool confirmed = false;  // or refused something, which has not been told yet
};

Subscriber::Subscriber(uv::Loop& loop, const Log& log, LinkOptions options, SubscriberEvents events,
                       MakeTransport make_transport)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      events_(events),
      make_transport_(make_transport),
      machine_(Backoff(options_.backoff, Random::from_system()), options_.stable_after),
      retry_(loop, Delegate<void()>::to<&Subscriber::try_to_connect>(this)),
      check_(loop, Delegate<void()>::to<&Subscriber::on_check>(this)),
      turn_(loop, Delegate<void()>::to<&Subscriber::on_turn>(this)),
      nudge_(loop, Delegate<void()>::to<&Subscriber::on_turn>(this)) {}

Subscriber::~Subscriber() = default;

void Subscriber::subscribe(std::string_view channel) {
  want(channels_, channel);
}

void Subscriber::psubscribe(std::string_view pattern) {
  want(patterns_, pattern);
}

void Subscriber::unsubscribe(std::string_view channel) {
  unwant(channels_, Command::unsubscribe, channel);
}

void Subscriber::punsubscribe(std::string_view pattern) {
  unwant(patterns_, Command::punsubscribe, pattern);
}

void Subscriber::want(Subscriptions& all, std::string_view name) {
  auto it = all.find(name);
  if (it == all.end()) it = all.try_emplace(std::string(name)).first;
  if (++it->second.count == 1) wake();
}

void Subscriber::unwant(Subscriptions& all, Command command, std::string_view name) {
  const auto it = all.find(name);
  if (it == all.end() || --it->second.count > 0) return;
  const Stage stage = it->second.stage;
  if (connection_ && (stage == Stage::sent || stage == Stage::listening)) send(command, name);
  all.erase(it);
  wake();
}

Subscriber::Stage Subscriber::stage(std::string_view name, bool is_pattern) const {
  const Subscriptions& all = is_pattern ? patterns_ : channels_;
  const auto it = all.find(name);
  return it == all.end() ? Stage::refused : it->second.stage;
}

// As in the link.
void Subscriber::wake() {
  turn_.start();
  nudge_.start(Duration::zero());
}

void Subscriber::stop() {
  channels_.clear();
  patterns_.clear();
  wake();
}

// Once a turn, so that whoever calls in from a message finds everything in place afterwards.
void Subscriber::on_turn() {
  turn_.stop();
  nudge_.stop();
  if (!wants_anything()) {
    if (machine_.state() == LinkState::stopped) return;
    machine_.stop();
    retry_.stop();
    drop_connection();
    deaf_since_.reset();
    return events_.on_status(LinkState::stopped);
  }
  if (machine_.state() == LinkState::stopped) {
    last_listened_ = loop_.clock().wall_now();
    machine_.start();
    retry_.start(Duration::zero());
  } else if (connection_ && connection_->greeted) {
    send_wanted();
    if (connection_->sent.size() > kMaxSent) return fail(Trouble::silent, kNotAnswered);
    maybe_steady();
    flush();
  }
}

void Subscriber::try_to_connect() {
  if (!connection_) {
    connection_ = std::make_unique<Connection>(options_.max_reply_bytes);
    connection_->transport =
        make_transport_(loop_, {Delegate<void(uv::DialStage)>::to<&Subscriber::on_stage>(this),
                                Delegate<void(Status&)>::to<&Subscriber::on_connected>(this),
                                Delegate<void(std::string_view)>::to<&Subscriber::on_data>(this),
                                Delegate<void(std::string_view)>::to<&Subscriber::on_end>(this),
                                Delegate<void()>()});
  }
  connection_->transport->connect(options_.target, options_.connect_timeout);
}

void Subscriber::on_stage(uv::DialStage stage) {
  enter(stage == uv::DialStage::resolving ? LinkState::resolving : LinkState::connecting);
}

void Subscriber::on_connected(Status& status) {
  if (!status) {
    // As in the link.
    std::unique_ptr<Connection> kept = std::move(connection_);
    fail(Trouble::unreachable, status.error().message);
    connection_ = std::move(kept);
    return;
  }
  enter(LinkState::greeting);
  connection_->last_heard = loop_.now();
  greet();
  flush();
}

void Subscriber::greet() {
  const Greeting& greeting = options_.greeting;
  RespWriter resp(connection_->output);
  const MonoTime now = loop_.now();
  if (authenticate(connection_->output, greeting)) {
    connection_->sent.push_back({Command::auth, now, {}});
  }
  resp.command(3).arg("CLIENT").arg("SETNAME").arg(greeting.client_name + "-sub");
  connection_->sent.push_back({Command::client_name, now, {}});
  send(Command::ping);
}

void Subscriber::send(Command command, std::string_view name) {
  RespWriter resp(connection_->output);
  switch (command) {
    case Command::subscribe:
      resp.command(2).arg("SUBSCRIBE").arg(name);
      break;
    case Command::unsubscribe:
      resp.command(2).arg("UNSUBSCRIBE").arg(name);
      break;
    case Command::psubscribe:
      resp.command(2).arg("PSUBSCRIBE").arg(name);
      break;
    case Command::punsubscribe:
      resp.command(2).arg("PUNSUBSCRIBE").arg(name);
      break;
    default:
      resp.command(1).arg("PING");
      break;
  }
  connection_->sent.push_back({command, loop_.now(), std::string(name)});
}

// One command each, so that one that is refused does not take the others with it. Once a turn: of
// what is given up in the turn in which it was wanted, the server never hears.
void Subscriber::send_wanted() {
  for (auto* all : {&channels_, &patterns_}) {
    for (auto& [name, wanted] : *all) {
      if (wanted.stage != Stage::wanted) continue;
      wanted.stage = Stage::sent;
      send(all == &channels_ ? Command::subscribe : Command::psubscribe, name);
    }
  }
}

void Subscriber::on_data(std::string_view bytes) {
  connection_->last_heard = loop_.now();
  ReplyReader& reader = connection_->reader;
  if (reader.feed(bytes)) {
    while (const Reply reply = reader.next()) {
      if (const auto failure = take(*reply)) return fail(failure->trouble, failure->words);
    }
  }
  if (reader.fault() != nullptr) return fail(Trouble::rubbish, reader.fault());
  if (machine_.state() == LinkState::steady) last_listened_ = loop_.clock().wall_now();
  maybe_steady();
  if (std::exchange(connection_->confirmed, false)) events_.on_status(machine_.state());
  flush();
}

std::optional<Failure> Subscriber::take(const redisReply& reply) {
  if (take_message(reply)) return std::nullopt;
  if (connection_->sent.empty()) {
    return Failure{Trouble::rubbish, "a reply that nothing was asked for"};
  }
  return take_answer(reply);
}

bool Subscriber::take_message(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY) return false;
  const std::string_view kind = word(reply, 0);
  // What was still on its way when it was unsubscribed is not wanted any more.
  if (kind == "message" && reply.elements == 3) {
    if (channels_.contains(word(reply, 1))) {
      events_.on_message(word(reply, 1), word(reply, 2), {});
    }
    return true;
  }
  if (kind == "pmessage" && reply.elements == 4) {
    if (patterns_.contains(word(reply, 1))) {
      events_.on_message(word(reply, 2), word(reply, 3), word(reply, 1));
    }
    return true;
  }
  return false;
}

std::optional<Failure> Subscriber::take_answer(const redisReply& reply) {
  const Connection::Sent sent = std::move(connection_->sent.front());
  connection_->sent.pop_front();
  const std::string_view error = is_error(reply) ? text_of(reply) : std::string_view();
  const Trouble trouble = classify(error);
  const bool about_one = sent.command >= Command::subscribe && trouble == Trouble::no_permission;
  const bool forgiven = sent.command == Command::client_name && trouble != Trouble::not_admitted;
  if (trouble != Trouble::none && !about_one && !forgiven) {
    return Failure{trouble, std::string(error)};
  }
  const bool pattern = sent.command == Command::psubscribe || sent.command == Command::punsubscribe;
  Subscriptions& all = pattern ? patterns_ : channels_;
  // What the answer begins with: +PONG becomes an array once something is subscribed to.
  const std::string_view first = reply.type == REDIS_REPLY_ARRAY ? word(reply, 0) : text_of(reply);
  switch (sent.command) {
    case Command::auth:
      if (!error.empty()) return Failure{Trouble::wrong_password, std::string(error)};
      break;
    case Command::client_name:
      break;
    case Command::ping:
      if (first != "PONG" && first != "pong") {
        return Failure{Trouble::rubbish, "PING was not answered by PONG"};
      }
      if (std::exchange(connection_->greeted, true)) break;
      enter(LinkState::replaying);
      send_wanted();
      break;
    case Command::subscribe:
    case Command::psubscribe: {
      connection_->confirmed = true;
      if (!error.empty()) {
        refused(all, sent.name, error);
        break;
      }
      if (first != (pattern ? "psubscribe" : "subscribe") || word(reply, 1) != sent.name) {
        return Failure{Trouble::rubbish, "SUBSCRIBE was answered by something else"};
      }
      const auto it = all.find(sent.name);
      if (it != all.end() && it->second.stage == Stage::sent) {
        it->second.stage = Stage::listening;
        it->second.said = false;
      }
      break;
    }
    case Command::unsubscribe:
    case Command::punsubscribe:
      if (first != (pattern ? "punsubscribe" : "unsubscribe")) {
        return Failure{Trouble::rubbish, "UNSUBSCRIBE was answered by something else"};
      }
      break;
  }
  return std::nullopt;
}

void Subscriber::refused(Subscriptions& all, std::string_view name, std::string_view words) {
  const auto it = all.find(name);
  if (it == all.end()) return;
  it->second.stage = Stage::refused;
  if (std::exchange(it->second.said, true)) return;
  log_.error("redis does not let this agent listen to '%.*s': %.*s", static_cast<int>(name.size()),
             name.data(), static_cast<int>(words.size()), words.data());
}

void Subscriber::maybe_steady() {
  if (machine_.state() != LinkState::replaying) return;
  const auto waits = [](const auto& item) { return item.second.stage < Stage::listening; };
  if (std::any_of(channels_.begin(), channels_.end(), waits) ||
      std::any_of(patterns_.begin(), patterns_.end(), waits)) {
    return;
  }
  const WallTime now = loop_.clock().wall_now();
  last_listened_ = now;
  enter(LinkState::steady);
  if (!deaf_since_) return;
  const WallTime from = *std::exchange(deaf_since_, std::nullopt);
  log_.info("redis: listening again");
  events_.on_gap(from, now);
}

void Subscriber::flush() {
  if (!connection_->output.empty()) {
    if (const Status written = connection_->transport->write(connection_->output); !written) {
      return fail(Trouble::closed, written.error().message);
    }
  }
  arm_check();
}

// As in the link: the timer is not moved at each reply but looks again when it expires.
void Subscriber::arm_check() {
  if (check_.active()) return;
  const MonoTime now = loop_.now();
  MonoTime at = connection_->last_heard + options_.ping_after;
  if (!connection_->sent.empty()) {
    at = std::min(connection_->sent.front().at + options_.command_timeout,
                  now + options_.ping_after);
  }
  check_.start(at - now);
}

void Subscriber::on_check() {
  const MonoTime now = loop_.now();
  const bool once_more = !std::exchange(connection_->overdue, false);
  if (!connection_->sent.empty()) {
    if (now - connection_->sent.front().at >= options_.command_timeout) {
      // As in the link: the answer may lie in the socket.
      connection_->overdue = once_more;
      if (once_more) return check_.start(std::chrono::milliseconds(1));
      return fail(Trouble::silent, kNotAnswered);
    }
  } else if (now - connection_->last_heard >= options_.ping_after) {
    send(Command::ping);
  }
  flush();
}

void Subscriber::fail(Trouble trouble, std::string_view words) {
  interrupted();
  const LinkMachine::Retry retry = machine_.fail(trouble, loop_.now());
  ++failures_;
  // The link says the same of the same server, louder.
  if (retry.news) {
    log_.info("redis: not listening: %.*s (%.*s); trying again for ever",
              static_cast<int>(redis::words(trouble).size()), redis::words(trouble).data(),
              static_cast<int>(words.size()), words.data());
  }
  drop_connection();
  retry_.start(retry.delay);
  events_.on_status(machine_.state());
}

void Subscriber::interrupted() {
  if (!deaf_since_) deaf_since_ = last_listened_;
}

// Last of what a callback of the transport does: it dies here.
void Subscriber::drop_connection() {
  check_.stop();
  connection_.reset();
  for (auto& [name, wanted] : channels_) wanted.stage = Stage::wanted;
  for (auto& [name, wanted] : patterns_) wanted.stage = Stage::wanted;
}

void Subscriber::reconfigure(LinkOptions options) {
  const bool anew = !same_way(options_, options);
  options_ = std::move(options);
  machine_.set_limits(options_.backoff, options_.stable_after);
  if (retry_.active()) {
    retry_.start(std::min(retry_.due() - loop_.now(), options_.backoff.cap));
  }
  if (!anew || machine_.state() == LinkState::stopped) return;
  interrupted();
  machine_.restart();
  drop_connection();
  retry_.start(Duration::zero());
  events_.on_status(machine_.state());
}

void Subscriber::enter(LinkState state) {
  [[maybe_unused]] const bool is_a_step = machine_.advance(state, loop_.now());
  assert(is_a_step);
  events_.on_status(state);
}

}  // namespace nb::redis
