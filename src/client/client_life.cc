// The functions of Client that make and destroy one, and its greeting.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "client/client.h"

namespace nb::client {
namespace {

// Average room for a subscription's line: enough for 64 channels with names of 256 bytes, of which
// few have to be escaped.
constexpr size_t kGreetingPerSubscription = 352;
constexpr size_t aligned(size_t size) {
  return (size + 63) / 64 * 64;
}

}  // namespace

// Each wish is a call of its own. So a wish that this agent refuses does not take the others with
// it, and the first call is always answered with the limits.
void Client::write_hello(LineWriter& out, const Settings& settings) {
  constexpr std::string_view kHello = R"({"jsonrpc":"2.0","method":"client.hello","params":{)";
  out.raw(kHello);
  out.raw("\"errors\":true");
  if (!settings.name.empty()) {
    out.raw(",\"name\":");
    out.string(settings.name);
  }
  out.raw("},\"id\":");
  out.integer(kHelloId);
  out.raw("}\n");
  const auto wish = [&](std::string_view name, int64_t value, int64_t id) {
    out.raw(kHello);
    out.raw(name);
    out.integer(value);
    out.raw("},\"id\":");
    out.integer(id);
    out.raw("}\n");
  };
  if (settings.line_bytes != rpc::kLineBytes) {
    wish("\"max_line_bytes\":", static_cast<int64_t>(settings.line_bytes), kLineBytesId);
  }
  if (settings.deadline_ms != 0) wish("\"deadline_ms\":", settings.deadline_ms, kDeadlineId);
}

void Client::write_will(LineWriter& out, const Settings& settings) {
  if (settings.will.empty()) return;
  out.raw(R"({"jsonrpc":"2.0","method":"client.hello","params":{"will":)");
  out.json(settings.will);
  out.raw("},\"id\":");
  out.integer(kWillId);
  out.raw("}\n");
}

Client::Client(const Settings& settings, const Outgoing::Memory& memory, char* input)
    : link_(settings.path, int64_t{settings.reconnect_ms} * 1000000),
      outgoing_(memory),
      incoming_(input, kInputBytes),
      input_(input),
      most_input_bytes_(settings.line_bytes + kInputMore),
      on_event_(settings.on_event),
      user_(settings.user) {}

Client::~Client() {
  std::free(grown_);
}

Client* Client::create(const Settings& settings) {
  LineWriter measure(nullptr, 0);
  write_hello(measure, settings);
  write_will(measure, settings);

  Outgoing::Memory memory{};
  memory.greeting_bytes = measure.size() + Outgoing::kMaxSubscriptions * kGreetingPerSubscription;
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

  auto* const client = new (block) Client(settings, memory, input);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  const bool made = ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0 &&
                    ::pthread_mutex_init(&client->mutex_, &attributes) == 0;
  ::pthread_mutexattr_destroy(&attributes);
  if (!made || !client->outgoing_.set_hello([&](LineWriter& out) { write_hello(out, settings); },
                                            [&](LineWriter& out) { write_will(out, settings); })) {
    client->~Client();
    std::free(block);
    return nullptr;
  }
  const NoCancel no_cancel;
  for (int i = 0; i < 4; ++i) client->step();  // a socket, its number, a connection, the hello
  return client;
}

void Client::destroy() {
  const NoCancel no_cancel;
  if (in_child()) {
    // Another thread may have held the mutex when the process forked, so the mutex is left as it
    // is.
    link_.abandon();
    this->~Client();
    std::free(this);
    return;
  }
  if (link_.up()) {
    drain_next_ = false;
    // A long message may wait for the answer to the hello, and that answer may have come.
    if (!send()) drain();
    if (link_.up()) (void)send();
    if (link_.up() && !outgoing_.greeting_waits() && !outgoing_.in_mid_line()) {
      static constexpr std::string_view kGoodbye =
          "{\"jsonrpc\":\"2.0\",\"method\":\"client.goodbye\"}\n";
      const iovec piece{const_cast<char*>(kGoodbye.data()), kGoodbye.size()};
      (void)link_.send(&piece, 1);
    }
    // If bytes are unread when a Unix socket is closed, the agent sees a reset connection.
    size_t room = 0;
    incoming_.clear();
    char* const buffer = incoming_.room(room);
    for (int reads = 0; reads < kReadsPerTurn && link_.receive(buffer, room) > 0; ++reads) {
    }
  }
  ::pthread_mutex_destroy(&mutex_);
  this->~Client();
  std::free(this);
}

}  // namespace nb::client
