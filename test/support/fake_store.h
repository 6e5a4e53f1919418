// A scripted Redis without sockets: the link, the reader and the subscriber get transports that
// lead here. Writes are confirmed; a question gets the reply that the test has set for it. One at a
// time.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "redis/transport.h"

namespace nb::test {

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}
inline std::string array_of(const std::vector<std::string>& texts) {
  std::string out = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) out += bulk(text);
  return out;
}

class FakeStore {
 public:
  FakeStore() { current() = this; }
  ~FakeStore() { current() = nullptr; }
  FakeStore(const FakeStore&) = delete;
  FakeStore& operator=(const FakeStore&) = delete;

  // For redis::MakeTransport.
  static std::unique_ptr<redis::Transport> make(uv::Loop&, redis::Transport::Events events) {
    return std::make_unique<Wire>(events);
  }

  // The reply to commands of that name, or to the one of exactly these words: RESP. "" holds the
  // reply back.
  void answer(const std::string& command, std::string reply) {
    replies_[command] = std::move(reply);
  }
  // The same by a function of the command's words; nothing: as without it.
  using Command = std::vector<std::string>;
  void answer_by(std::function<std::optional<std::string>(const Command&)> script) {
    script_ = std::move(script);
  }
  // While away, no connection is made, and none that there was is kept.
  void go_away() {
    away_ = true;
    for (Wire* wire : std::vector<Wire*>(wires_)) {
      if (!wire->dialled) wire->events.on_end("the test has taken it away");
    }
  }
  void come_back() { away_ = false; }

  // All commands that came, as words with a space between them; PING and the greeting are left out.
  const std::vector<std::string>& commands() const { return commands_; }
  // The last that begins so; empty if there is none.
  std::string last(std::string_view begin) const {
    for (size_t i = commands_.size(); i > 0; --i) {
      if (commands_[i - 1].starts_with(begin)) return commands_[i - 1];
    }
    return {};
  }
  long count(std::string_view begin) const {
    return std::count_if(commands_.begin(), commands_.end(),
                         [&](const std::string& command) { return command.starts_with(begin); });
  }
  void forget() { commands_.clear(); }

  // Answers what has come. False: nothing had.
  bool pump() {
    for (size_t i = 0; i < wires_.size(); ++i) {
      Wire* wire = wires_[i];
      if (std::exchange(wire->dialled, false)) {
        Status connected = away_ ? Status(make_error("the test has taken it away")) : Status();
        wire->events.on_connected(connected);
        return true;
      }
      std::string replies;
      while (const auto command = take_command(wire->output)) reply_to(*wire, *command, replies);
      if (replies.empty()) continue;
      wire->events.on_data(replies);
      return true;
    }
    return false;
  }
  // A message to all subscribers.
  void publish(const std::string& channel, const std::string& payload) {
    for (Wire* wire : std::vector<Wire*>(wires_)) {
      if (wire->listens) wire->events.on_data(array_of({"message", channel, payload}));
    }
  }
  // What comes on the channel that tells of keys: RESP.
  void invalidate(const std::string& keys) {
    for (Wire* wire : std::vector<Wire*>(wires_)) {
      if (!wire->hears_keys) continue;
      wire->events.on_data("*3\r\n" + bulk("message") + bulk("__redis__:invalidate") + keys);
    }
  }

 private:
  struct Wire final : redis::Transport {
    explicit Wire(Events with) : events(with) { current()->wires_.push_back(this); }
    ~Wire() override {
      if (current() != nullptr) std::erase(current()->wires_, this);
    }
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
    std::string output;  // not yet looked at
    bool dialled = false;
    bool listens = false;
    bool hears_keys = false;
    std::vector<std::string> queued;
    bool in_transaction = false;
  };

  static FakeStore*& current() {
    static FakeStore* store = nullptr;
    return store;
  }

  static std::optional<Command> take_command(std::string& output) {
    if (output.empty()) return std::nullopt;
    size_t at = 0;
    const auto number = [&] {
      const size_t end = output.find("\r\n", at);
      const size_t value = std::strtoul(output.c_str() + at + 1, nullptr, 10);
      at = end + 2;
      return value;
    };
    Command command;
    for (size_t left = number(); left > 0; --left) {
      const size_t size = number();
      command.push_back(output.substr(at, size));
      at += size + 2;
    }
    output.erase(0, at);
    return command;
  }

  void reply_to(Wire& wire, const Command& command, std::string& out) {
    const std::string& name = command[0];
    std::string words = name;
    for (size_t i = 1; i < command.size(); ++i) words += ' ' + command[i];
    for (const char* greeting : {"PING", "AUTH", "SELECT", "MULTI", "EXEC"}) {
      if (name == greeting) words.clear();
    }
    if (words.starts_with("CLIENT SETNAME")) words.clear();
    if (!words.empty()) commands_.push_back(words);
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
      wire.queued.push_back(reply_for(name, words));
    } else if (name.ends_with("SUBSCRIBE")) {
      std::string lower(name);
      for (char& c : lower) c = static_cast<char>(c | 0x20);
      out += "*3\r\n" + bulk(lower) + bulk(command[1]) + ":1\r\n";
      const bool of_keys = command[1] == "__redis__:invalidate";
      (of_keys ? wire.hears_keys : wire.listens) |= name.find("UN") == name.npos;
    } else {
      const auto by_script = script_ ? script_(command) : std::nullopt;
      out += by_script ? *by_script : reply_for(name, words);
    }
  }

  std::string reply_for(const std::string& name, const std::string& words) const {
    for (const std::string& key : {words, name}) {
      if (const auto at = replies_.find(key); at != replies_.end()) return at->second;
    }
    static const std::map<std::string, std::string> written = {
        {"PING", "+PONG\r\n"}, {"AUTH", "+OK\r\n"},   {"SELECT", "+OK\r\n"},
        {"CLIENT", "+OK\r\n"}, {"SET", "+OK\r\n"},    {"HSET", ":1\r\n"},
        {"PEXPIRE", ":1\r\n"}, {"PERSIST", ":1\r\n"}, {"DEL", ":1\r\n"},
        {"PUBLISH", ":2\r\n"}, {"XTRIM", ":0\r\n"},   {"XADD", "$3\r\n1-0\r\n"},
        {"HDEL", ":1\r\n"},
    };
    if (words == "CLIENT ID") return ":7\r\n";
    if (name == "HSTRLEN") return size_of_field(words);
    const auto at = written.find(name);
    return at != written.end() ? at->second : "$-1\r\n";
  }

  // HSTRLEN, by what HGET is answered with: a text, or nothing.
  std::string size_of_field(const std::string& words) const {
    const std::string value = reply_for("HGET", "HGET" + words.substr(words.find(' ')));
    return ":" + (value.starts_with("$-") ? "0" : value.substr(1, value.find('\r') - 1)) + "\r\n";
  }

  std::vector<Wire*> wires_;  // those that are open
  std::map<std::string, std::string> replies_;
  std::function<std::optional<std::string>(const Command&)> script_;
  std::vector<std::string> commands_;
  bool away_ = false;
};

}  // namespace nb::test
