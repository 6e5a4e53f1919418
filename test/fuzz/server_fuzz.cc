// What stands behind the pipeline, with whatever a server may answer to its questions: reads and
// walks, the fleet, the subscriber, the event bus. The agent's rooms are the real ones, wired as
// the agent wires them, with a transport that leads to a server of this file: it does its part
// where connections are greeted and written to, and answers questions with pieces of the input.
//
// The first byte says which calls a client makes, the rest is cut at 0x1e. A piece is sent as it
// is, or by its first byte: '=' a text, '@' an array of texts cut at 0x1f, '%' a cursor and such an
// array (SCAN), '!' a message to all subscribers (channel, 0x1f, message), '#' bytes that
// nobody has asked for. After the last piece the pieces come again, if the first byte says so, else
// errors.
//
// Nothing may crash; each call is answered once, by a line that is JSON and not too long; and what
// one input makes the agent ask, hold and wait for is bounded.
#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/local_api.h"
#include "agent/mapping.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "config/load.h"
#include "json/scan.h"
#include "json/view.h"
#include "node/heartbeat.h"
#include "redis/link.h"
#include "support/count_mallocs.h"

namespace {

using namespace nb;

constexpr char kPieces = '\x1e';
constexpr char kTexts = '\x1f';
// What all calls of one input may make the agent ask, and hold.
constexpr size_t kMaxQuestions = 20'000;
constexpr size_t kMaxBytes = 24 * 1024 * 1024;
constexpr Duration kMaxTime = std::chrono::seconds(5);  // real

void require(bool holds, const char* what = "something is not as it should be") {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

// Five hundred times as fast, so that what waits for a deadline does not wait long.
class FastClock final : public Clock {
 public:
  MonoTime now() const override { return start_ + (real_.now() - start_) * kSpeed; }
  WallTime wall_now() const override { return wall_start_; }
  Duration real_delay(Duration delay) const override { return delay / kSpeed; }
  MonoTime real_now() const { return real_.now(); }

 private:
  static constexpr int kSpeed = 500;

  SystemClock real_;
  MonoTime start_ = real_.now();
  WallTime wall_start_ = real_.wall_now();
};

std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (size_t end = 0; end != text.npos; text.remove_prefix(end + 1)) {
    end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) break;
  }
  return parts;
}

std::string array_of(const std::vector<std::string_view>& texts, size_t from) {
  std::string out = "*" + std::to_string(texts.size() - from) + "\r\n";
  for (size_t i = from; i < texts.size(); ++i) out += bulk(texts[i]);
  return out;
}

// --- the server ----------------------------------------------------------------------------------

struct Wire;
std::vector<Wire*> wires;  // those that are open

struct Wire final : redis::Transport {
  explicit Wire(Events with) : events(with) { wires.push_back(this); }
  ~Wire() override { std::erase(wires, this); }
  void connect(const uv::Target&, Duration) override {
    events.on_stage(uv::DialStage::connecting);
    dialled = true;
  }
  void cancel() override { dialled = false; }
  Status write(std::string& bytes) override {
    output += bytes;
    bytes.clear();
    return {};
  }
  size_t queued_bytes() const override { return 0; }

  Events events;
  std::string output;  // of the agent, not yet looked at
  bool dialled = false;
  bool listens = false;  // has subscribed
  std::vector<std::string> queued;
  bool in_transaction = false;
};

class Server {
 public:
  Server(std::string_view pieces, bool for_ever)
      : pieces_(split(pieces, kPieces)), for_ever_(for_ever) {}

  // Brings everybody one step further. False: nobody had anything to say.
  bool pump() {
    bool any = false;
    // Each callback may destroy transports and make others.
    for (size_t i = 0; i < wires.size(); ++i) {
      Wire* wire = wires[i];
      if (std::exchange(wire->dialled, false)) {
        Status connected;
        wire->events.on_connected(connected);
        return true;
      }
      std::string replies;
      while (const auto command = take_command(wire->output)) answer(*wire, *command, replies);
      if (replies.empty()) continue;
      any = true;
      wire->events.on_data(replies);
      if (i >= wires.size() || wires[i] != wire) return true;
    }
    return any;
  }

  void say_unasked() {
    for (const std::string_view piece : pieces_) {
      if (piece.empty() || (piece[0] != '!' && piece[0] != '#')) continue;
      const auto at = std::find_if(wires.begin(), wires.end(),
                                   [&](Wire* w) { return w->listens == (piece[0] == '!'); });
      if (at == wires.end()) continue;
      const std::vector<std::string_view> parts = split(piece.substr(1), kTexts);
      std::string bytes(piece.substr(1));
      if (piece[0] == '!') {
        const std::string_view message = parts.size() > 1 ? parts[1] : "";
        bytes = parts.size() > 2 ? array_of({"pmessage", parts[2], parts[0], message}, 0)
                                 : array_of({"message", parts[0], message}, 0);
      }
      if (!bytes.empty()) (*at)->events.on_data(bytes);
    }
  }

  size_t questions() const { return questions_; }

 private:
  using Command = std::vector<std::string>;

  // What RespWriter makes: an array of texts.
  static std::optional<Command> take_command(std::string& output) {
    size_t at = 0;
    const auto number = [&](char mark) {
      require(output[at] == mark);
      const size_t end = output.find("\r\n", at);
      require(end != output.npos);
      const size_t value = std::strtoul(output.c_str() + at + 1, nullptr, 10);
      at = end + 2;
      return value;
    };
    if (output.empty()) return std::nullopt;
    Command command;
    for (size_t left = number('*'); left > 0; --left) {
      const size_t size = number('$');
      command.push_back(output.substr(at, size));
      at += size + 2;
    }
    output.erase(0, at);
    return command;
  }

  void answer(Wire& wire, const Command& command, std::string& out) {
    const std::string& name = command[0];
    if (name == "EXEC") {
      out += "*" + std::to_string(wire.queued.size()) + "\r\n";
      for (const std::string& reply : wire.queued) out += reply;
      wire.queued.clear();
      wire.in_transaction = false;
    } else if (name == "MULTI") {
      out += "+OK\r\n";
      wire.in_transaction = true;
    } else if (wire.in_transaction) {
      out += "+QUEUED\r\n";
      wire.queued.push_back(written(command));
    } else if (name.ends_with("SUBSCRIBE")) {
      std::string lower(name);
      for (char& c : lower) c = static_cast<char>(c | 0x20);
      out += "*3\r\n" + bulk(lower) + bulk(command[1]) + ":1\r\n";
      wire.listens |= name.find("UN") == name.npos;
    } else if (const std::string reply = written(command); !reply.empty()) {
      out += reply;
    } else {
      ++questions_;
      out += next_piece();
    }
  }

  // Where it does its part; empty: it is a question.
  static std::string written(const Command& command) {
    for (const auto& [name, reply] : {std::pair{"PING", "+PONG"},
                                      {"AUTH", "+OK"},
                                      {"SELECT", "+OK"},
                                      {"CLIENT", "+OK"},
                                      {"SET", "+OK"},
                                      {"HSET", ":1"},
                                      {"PEXPIRE", ":1"},
                                      {"PERSIST", ":1"},
                                      {"DEL", ":1"},
                                      {"HDEL", ":1"},
                                      {"PUBLISH", ":0"},
                                      {"XADD", "$3\r\n1-0"},
                                      {"XTRIM", ":0"}}) {
      if (command[0] == name) return std::string(reply) + "\r\n";
    }
    return {};
  }

  std::string next_piece() {
    for (size_t looked = 0; looked < pieces_.size(); ++looked) {
      if (next_ == pieces_.size()) {
        if (!for_ever_) break;
        next_ = 0;
      }
      const std::string_view piece = pieces_[next_++];
      if (piece.empty() || piece[0] == '!' || piece[0] == '#') continue;
      const std::string_view rest = piece.substr(1);
      const std::vector<std::string_view> texts = split(rest, kTexts);
      switch (piece[0]) {
        case '=':
          return bulk(rest);
        case '@':
          return array_of(texts, 0);
        case '%':
          return "*2\r\n" + bulk(texts[0]) + array_of(texts, 1);
        default:
          return std::string(piece);
      }
    }
    return "-ERR that was all\r\n";
  }

  std::vector<std::string_view> pieces_;
  bool for_ever_;
  size_t next_ = 0;
  size_t questions_ = 0;
};

// --- the agent -----------------------------------------------------------------------------------

constexpr std::string_view kCalls[] = {
    R"({"jsonrpc":"2.0","method":"system.status","id":0})",
    R"({"jsonrpc":"2.0","method":"state.get","params":{"key":"k"},"id":1})",
    R"({"jsonrpc":"2.0","method":"state.list","params":{"prefix":"k","limit":20},"id":2})",
    R"({"jsonrpc":"2.0","method":"health.get","params":{"node":"other"},"id":3})",
    R"({"jsonrpc":"2.0","method":"redis.inspect","id":4})",
    R"({"jsonrpc":"2.0","method":"node.forget","params":{"node":"other"},"id":5})",
    R"({"jsonrpc":"2.0","method":"system.status","params":{"limit":3},"id":6})",
};

class Rig {
 public:
  Rig(const Clock& clock, const config::Config& config)
      : config_(config),
        loop_(clock),
        outbox_({"ook", "ook-1", agent::event_limits(config), agent::slot_limits(config)}),
        link_(loop_, log_, outbox_, agent::link_options(config),
              redis::LinkEvents{
                  Delegate<void(const redis::LinkStatus&)>::to<&Rig::on_status>(this),
                  Delegate<void(const outbox::Slot&, const redis::SlotEcho&)>(),
                  Delegate<void(std::string_view, std::string_view, bool)>::to<&Rig::on_publish>(
                      this)},
              &make_wire),
        heartbeat_(loop_, log_, outbox_, identity_, config_, {}),
        lease_(loop_, log_, outbox_, identity_, config_, {}),
        watch_(loop_, log_, link_, Delegate<redis::LinkOptions()>::to<&Rig::options>(this), 0,
               {"ook", "ook-1", true}, &make_wire),
        local_(agent::LocalApi::Parts{loop_, log_, identity_, outbox_, link_, heartbeat_, lease_,
                                      watch_, nowhere_, &make_wire, sources_},
               config_) {
    outbox_.set_on_settled(
        Delegate<void(const outbox::Settled&)>::to<&agent::LocalApi::on_settled>(&local_));
    require(local_.start().ok());
    link_.start();
  }
  ~Rig() { local_.stop(); }

  void turn() { loop_.run_once(false); }
  bool is_steady() const { return link_.status().state == redis::LinkState::steady; }

 private:
  static std::unique_ptr<redis::Transport> make_wire(uv::Loop&, redis::Transport::Events events) {
    return std::make_unique<Wire>(events);
  }
  redis::LinkOptions options() { return agent::link_options(config_); }
  void on_status(const redis::LinkStatus& status) { local_.on_link_status(status); }
  void on_publish(std::string_view channel, std::string_view payload, bool is_notice) {
    local_.on_publish(channel, payload, is_notice);
  }

  Log log_;
  const config::Config& config_;
  node::Identity identity_{"ook", "boot", "ook-1"};
  std::string nowhere_;  // no running session is noted
  const config::Sources sources_;
  uv::Loop loop_;
  outbox::Outbox outbox_;
  redis::Link link_;
  node::Heartbeat heartbeat_;
  node::LeaseRenewal lease_;
  fleet::WatchService watch_;
  agent::LocalApi local_;
};

class Client {
 public:
  explicit Client(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    require(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }

  void say(std::string_view line) {
    const std::string text = std::string(line) + '\n';
    require(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }

  // How many answers have come in all.
  size_t answers() {
    char buffer[65536];
    ssize_t n;
    while ((n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
      rest_.append(buffer, static_cast<size_t>(n));
    }
    require(n != 0);  // whatever a server says, no client is cut off for it
    size_t end;
    while ((end = rest_.find('\n')) != rest_.npos) {
      check(std::string_view(rest_).substr(0, end));
      rest_.erase(0, end + 1);
    }
    require(rest_.size() <= rpc::kLineBytes);
    return answers_;
  }

 private:
  void check(std::string_view line) {
    require(line.size() <= rpc::kLineBytes);
    require(json::scan(line).reason == nullptr);
    const json::View view = json::View::of(line);
    require(view["jsonrpc"].string_is("2.0"));
    if (!view["id"].exists()) {
      require(view["method"].string_is("event") || view["method"].string_is("event.gap"));
      return;
    }
    const auto id = view["id"].integer();
    require(id && *id >= 0 && *id < 64 && (seen_ >> *id & 1) == 0);
    require(view["result"].exists() != view["error"].exists());
    require(!view["error"].exists() || !view["error"]["data"]["name"].string_is("internal"));
    seen_ |= uint64_t{1} << *id;
    ++answers_;
  }

  UniqueFd fd_;
  std::string rest_;
  uint64_t seen_ = 0;
  size_t answers_ = 0;
};

size_t heap() {
  return test::kCountsMallocs ? mallinfo2().uordblks : 0;
}

const config::Config& the_config() {
  static const config::Config config = [] {
    config::Sources sources;
    sources.host_name = "ook";
    sources.text = "[node]\nname = \"ook\"\n[socket]\npath = \"/tmp/nodebeat-fuzz-" +
                   std::to_string(::getpid()) + ".sock\"\n";
    auto loaded = config::load(sources);
    require(loaded.ok());
    return loaded->config;
  }();
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const FastClock clock;
  const MonoTime end = clock.real_now() + kMaxTime;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t before = heap();
  {
    Server server(input, (data[0] & 0x80) != 0);
    Rig rig(clock, the_config());
    Client client(the_config().socket.path);
    const auto run_until = [&](auto&& condition) {
      while (!condition()) {
        rig.turn();
        server.pump();
        require(server.questions() <= kMaxQuestions, "too many questions");
        require(heap() <= before + kMaxBytes, "too much memory");
        require(clock.real_now() < end, "it takes too long");
      }
    };
    // What the link itself asks (the robot's last state) may break it again and again.
    const MonoTime enough = clock.real_now() + std::chrono::milliseconds(20);
    run_until([&] { return rig.is_steady() || clock.real_now() > enough; });
    client.say(
        R"({"jsonrpc":"2.0","method":"event.subscribe","params":{"channels":["c"],"patterns":["*","a*"]},"id":63})");
    run_until([&] { return client.answers() == 1; });
    server.say_unasked();
    size_t wanted = 1;
    for (size_t i = 0; i < std::size(kCalls); ++i) {
      if ((data[0] >> i & 1) == 0) continue;
      client.say(kCalls[i]);
      ++wanted;
    }
    run_until([&] { return client.answers() == wanted; });
  }
  require(wires.empty());
  return 0;
}
