#include "client/client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>

#include "client/caller_text.h"
#include "client/now.h"
#include "wire/line_limits.h"

namespace nb::client {
namespace {

constexpr size_t kInputBytes = wire::kLineBytes + 64;
// What a push reads at most, and the longest line it looks at: it has better things to do.
constexpr size_t kDrainBytes = 4096;
// So that one dispatch ends, however much the agent has to say.
constexpr int kReadsPerTurn = 16;

constexpr size_t aligned(size_t size) {
  return (size + 63) / 64 * 64;
}

void write_hello(LineWriter& out, const Settings& settings) {
  out.raw(R"({"jsonrpc":"2.0","method":"client.hello","params":{"errors":true)");
  if (!settings.name.empty()) {
    out.raw(",\"name\":");
    out.string(settings.name);
  }
  if (!settings.will.empty()) {
    out.raw(",\"will\":");
    out.json(settings.will);
  }
  out.raw("}}\n");
}

}  // namespace

// --- life ---------------------------------------------------------------------------------------

Client::Client(const Settings& settings, const Outgoing::Memory& memory, char* input,
               size_t input_bytes)
    : link_(settings.path, int64_t{settings.reconnect_ms} * 1000000),
      outgoing_(memory),
      incoming_(input, input_bytes),
      on_event_(settings.on_event),
      user_(settings.user) {}

Client* Client::create(const Settings& settings) {
  LineWriter measure(nullptr, 0);
  write_hello(measure, settings);

  Outgoing::Memory memory{};
  memory.greeting_bytes = measure.size() + Outgoing::kMaxSubscriptions * (wire::kLineBytes / 192);
  memory.event_bytes = settings.event_bytes;
  memory.slot_bytes = settings.slot_bytes;
  const size_t rest_bytes = std::max(settings.slot_bytes, Outgoing::kMaxSubscription);
  const size_t size = aligned(sizeof(Client)) + aligned(memory.greeting_bytes) +
                      aligned(memory.event_bytes) + aligned(rest_bytes) +
                      2 * aligned(memory.slot_bytes) + aligned(kInputBytes);
  auto* const block = static_cast<char*>(std::aligned_alloc(64, size));
  if (block == nullptr) return nullptr;
  std::memset(block, 0, size);  // so that no push meets a page that is not there yet
  char* at = block + aligned(sizeof(Client));
  const auto take = [&](size_t bytes) {
    char* const part = at;
    at += aligned(bytes);
    return part;
  };
  memory.robot_line = take(memory.slot_bytes);
  memory.stroke_line = take(memory.slot_bytes);
  memory.rest = take(rest_bytes);
  memory.greeting = take(memory.greeting_bytes);
  memory.events = take(memory.event_bytes);
  char* const input = take(kInputBytes);

  auto* const client = new (block) Client(settings, memory, input, kInputBytes);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  const bool made = ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0 &&
                    ::pthread_mutex_init(&client->mutex_, &attributes) == 0;
  ::pthread_mutexattr_destroy(&attributes);
  if (!made || !client->outgoing_.set_hello([&](LineWriter& out) { write_hello(out, settings); })) {
    client->~Client();
    std::free(block);
    return nullptr;
  }
  const NoCancel no_cancel;
  for (int i = 0; i < 3; ++i) client->step();  // a socket, a connection, the hello
  return client;
}

void Client::destroy() {
  const NoCancel no_cancel;
  if (link_.up()) {
    drain_next_ = false;
    send();
    if (link_.up() && !outgoing_.greeting_waits() && !outgoing_.in_mid_line()) {
      static constexpr std::string_view kGoodbye =
          "{\"jsonrpc\":\"2.0\",\"method\":\"client.goodbye\"}\n";
      const iovec piece{const_cast<char*>(kGoodbye.data()), kGoodbye.size()};
      (void)link_.send(&piece, 1);
    }
  }
  ::pthread_mutex_destroy(&mutex_);
  this->~Client();
  std::free(this);
}

// --- one step, with the mutex -------------------------------------------------------------------

void Client::step() {
  switch (link_.state()) {
    case Link::State::up:
      if (drain_next_ && !reading_) {
        drain_next_ = false;
        drain();
      } else {
        send();
      }
      return;
    case Link::State::broken:
      // It may have said why ("busy", "too_large"). The reader, if there is one, sees to it.
      if (!reading_) {
        drain();
        if (link_.state() == Link::State::broken) link_.drop();
      }
      return;
    case Link::State::down:
      break;
  }
  (void)connect();
}

// True if there may be more to do at once.
bool Client::connect() {
  switch (link_.advance(now_ns())) {
    case Link::Step::connected:
      ++connection_;
      return true;
    case Link::Step::failed:
      trouble_ = Trouble::connect;
      trouble_errno_ = link_.error();
      return false;
    case Link::Step::busy:
      return true;
    case Link::Step::idle:
      break;
  }
  return false;
}

void Client::send() {
  iovec pieces[Outgoing::kMaxPieces];
  const size_t count = outgoing_.gather(pieces);
  if (count == 0) return;
  const ptrdiff_t sent = link_.send(pieces, count);
  if (sent < 0) return lost(Trouble::lost, link_.error());
  outgoing_.taken(static_cast<size_t>(sent));
  drain_next_ = !outgoing_.empty();
}

// One read by somebody who only pushes: if the agent does not take what it is sent, that may be
// because it waits for us to read (PROTOCOL.md, 1.7).
void Client::drain() {
  if (reading_) return;
  if (read_from_ != connection_) {
    incoming_.clear();
    read_from_ = connection_;
  }
  size_t room = 0;
  char* const buffer = incoming_.room(room);
  if (room == 0) return;  // messages for on_event: whoever subscribes has to dispatch
  const ptrdiff_t n = link_.receive(buffer, std::min(room, kDrainBytes));
  if (n < 0) {
    if (link_.up()) lost(link_.error() == 0 ? Trouble::closed : Trouble::lost, link_.error());
    link_.drop();
    return;
  }
  incoming_.added(static_cast<size_t>(n));
  read_errors();
}

// Takes what a push may take: refusals, answers that nobody waits for; stops at what is the
// dispatcher's.
void Client::read_errors() {
  size_t size = 0;
  while (char* const line = incoming_.line(size)) {
    // Reading changes the line, and one that stays has to be read again.
    if (on_event_ != nullptr && read_head({line, size}).event) return;
    if (size <= kDrainBytes) {  // no refusal is longer
      const Message message = read_message(line, size);
      if (message.kind == Message::Kind::rubbish) {
        trouble_ = Trouble::rubbish;
      } else if (message.kind == Message::Kind::refusal || message.kind == Message::Kind::failure) {
        refused(message);
      }
    }
    incoming_.drop_line();
  }
  if (incoming_.overlong()) {
    incoming_.skip_line();
    trouble_ = Trouble::overlong;
  }
}

void Client::lost(Trouble trouble, int error) {
  if (!link_.up()) return;
  link_.set_broken();
  outgoing_.rewind();
  drain_next_ = false;
  ++disconnects_;
  if (was_told(connection_)) return;  // why says more than that
  trouble_ = trouble;
  trouble_errno_ = error;
}

void Client::refused(const Message& message) {
  ++rejected_;
  trouble_ = Trouble::remote;
  if (message.ends) ended_by_words_ = read_from_;
  remote_code_ = message.code;
  remote_size_ = 0;
  const auto append = [&](std::string_view part) {
    if (part.empty()) return;
    const size_t size = std::min(part.size(), sizeof remote_text_ - remote_size_);
    std::memcpy(remote_text_ + remote_size_, part.data(), size);
    remote_size_ += size;
  };
  if (!message.method.empty()) {
    append(message.method);
    append(": ");
  }
  append(message.text);
}

// --- pushes -------------------------------------------------------------------------------------

int Client::took(int result, bool waits) {
  if (result != NB_OK) {
    if (result == NB_ERR_FULL) ++full_;
    return result;
  }
  ++pushed_;
  if (!waits) return NB_OK;
  ++kept_;
  return NB_KEPT;
}

int Client::push_robot(const nb_robot_state& state) {
  const Lock lock(*this);
  const int result = outgoing_.put_robot(state);
  if (result == NB_OK) step();
  return took(result, outgoing_.robot_waits());
}

int Client::push_progress(const nb_stroke& stroke) {
  const Lock lock(*this);
  const int result = outgoing_.put_progress(stroke);
  if (result == NB_OK) step();
  return took(result, outgoing_.progress_waits());
}

// If there is no room for an event, the push's one call may make some; else it sends the event.
template <class Put>
int Client::push_ordered(Put&& put) {
  const Lock lock(*this);
  int result = put();
  if (result == NB_ERR_FULL) {
    step();
    result = put();
  } else if (result == NB_OK) {
    step();
  }
  return took(result, outgoing_.events_wait());
}

int Client::push_start(const nb_stroke& stroke) {
  return push_ordered([&] { return outgoing_.put_start(stroke); });
}

int Client::push_end() {
  return push_ordered([&] { return outgoing_.put_end(); });
}

int Client::push_event(WriteLine write, const void* context) {
  return push_ordered(
      [&] { return outgoing_.put_event([&](LineWriter& out) { write(out, context); }); });
}

// --- reading ------------------------------------------------------------------------------------

bool Client::take_role() {
  const Lock lock(*this);
  if (reading_) return false;
  reading_ = true;
  return true;
}

void Client::leave_role() {
  const Lock lock(*this);
  reading_ = false;
}

void Client::handle(const Message& message) {
  switch (message.kind) {
    case Message::Kind::event:
    case Message::Kind::gap: {
      {
        const Lock lock(*this);
        ++events_;
      }
      if (on_event_ == nullptr) return;
      ++delivered_;
      on_event_(user_, message.channel, message.json, message.flags);
      return;
    }
    case Message::Kind::result:
      answer(message);
      return;
    case Message::Kind::failure:
    case Message::Kind::refusal: {
      {
        const Lock lock(*this);
        refused(message);
      }
      if (message.kind == Message::Kind::failure) answer(message);
      return;
    }
    case Message::Kind::rubbish: {
      // Only skipped: the end of the connection would carry out the will of a robot that lives.
      const Lock lock(*this);
      trouble_ = Trouble::rubbish;
      return;
    }
    case Message::Kind::other:
      return;
  }
}

void Client::answer(const Message& message) {
  if (pending_.id == 0 || pending_.answered || message.id != pending_.id) return;
  pending_.answered = true;
  if (message.kind == Message::Kind::failure) {
    pending_.outcome = NB_ERR_REMOTE;
  } else if (pending_.result == nullptr) {
    pending_.outcome = NB_OK;
  } else if (message.json_size >= pending_.size) {
    pending_.outcome = NB_ERR_TOO_LARGE;
  } else {
    std::memcpy(pending_.result, message.json, message.json_size + 1);
    pending_.outcome = NB_OK;
  }
}

void Client::read_lines() {
  size_t size = 0;
  while (char* const line = incoming_.line(size)) {
    handle(read_message(line, size));
    incoming_.drop_line();
  }
  if (incoming_.overlong()) {
    // An answer that is so long fits nowhere.
    answer({.kind = Message::Kind::result,
            .id = read_head(incoming_.held()).id,
            .json_size = SIZE_MAX});
    incoming_.skip_line();
    const Lock lock(*this);
    trouble_ = Trouble::overlong;
  }
}

// Everything that can be done now.
void Client::turn() {
  read_lines();
  for (int reads = 0; reads < kReadsPerTurn;) {
    bool more = false;
    {
      const Lock lock(*this);
      if (link_.state() == Link::State::down) {
        if (!connect()) return;
        continue;
      }
      if (read_from_ != connection_) {
        incoming_.clear();
        read_from_ = connection_;
      }
      if (link_.up()) send();
      size_t room = 0;
      char* const buffer = incoming_.room(room);
      const ptrdiff_t n = link_.receive(buffer, room);
      ++reads;
      if (n > 0) {
        incoming_.added(static_cast<size_t>(n));
        more = true;
      } else if (n < 0) {
        lost(link_.error() == 0 ? Trouble::closed : Trouble::lost, link_.error());
        link_.drop();
        continue;
      } else if (link_.state() == Link::State::broken) {
        link_.drop();
        continue;
      }
    }
    if (!more) return;
    read_lines();
  }
}

int Client::dispatch() {
  const NoCancel no_cancel;
  if (!take_role()) return NB_ERR_STATE;
  turn();
  const Lock lock(*this);
  reading_ = false;
  if (!link_.up()) return NB_ERR_AWAY;
  return outgoing_.empty() ? NB_OK : NB_KEPT;
}

int Client::poll_fd() {
  const Lock lock(*this);
  return link_.up() ? link_.fd() : -1;
}

int Client::poll_events() {
  const Lock lock(*this);
  return outgoing_.empty() ? POLLIN : POLLIN | POLLOUT;
}

int Client::poll_timeout_ms() {
  const Lock lock(*this);
  if (!reading_ && incoming_.has_line()) return 0;
  if (link_.up()) return -1;
  if (link_.state() == Link::State::broken) return 0;
  return static_cast<int>(std::min<int64_t>(ms_until(link_.due_ns()), INT_MAX));
}

}  // namespace nb::client
