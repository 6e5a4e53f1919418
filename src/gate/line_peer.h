// LinePeer: one MCP client over bytes: lines in, lines out, and how much may wait.
#pragma once

#include <string>
#include <string_view>

#include "base/line_framer.h"
#include "gate/agent_news.h"
#include "mcp/session.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::gate {

class LinePeer {
 public:
  static constexpr size_t kMaxLine = 1024 * 1024;
  // While more than that waits for the client, nothing further is read of it.
  static constexpr size_t kEnough = 256 * 1024;
  // A client for which more than that waits does not read any more, and is given up.
  static constexpr size_t kTooMuch = 8 * 1024 * 1024;

  struct Events {
    Delegate<void()> on_output;       // output() has more
    Delegate<size_t()> queued_bytes;  // accepted by the transport and not sent
    // The input has ended, and all requests are answered and sent.
    Delegate<void()> on_done;
  };

  LinePeer(uv::Loop& loop, mcp::Toolbox& toolbox, Agent& agent, Events events);

  // Bytes of the client. Only while it wants some.
  void feed(std::string_view bytes);
  bool wants_input() const { return !is_held_; }
  // The input has ended. Earlier requests may take a second more.
  void end_input();
  // The transport has sent something: goes on with the rest of the input.
  void go_on();

  // For the transport to take from.
  std::string& output() { return output_; }
  bool is_given_up() const;
  // The gate ends.
  void end() { session_.end_subscriptions(); }

 private:
  void on_line(const mcp::Outgoing& out);
  void on_wait(Duration time);
  void on_time() { session_.tick(); }
  void on_last_answers() { events_.on_done(); }
  void take_lines();
  bool is_done() const;
  size_t unsent_bytes() const { return output_.size() + events_.queued_bytes(); }

  Events events_;
  std::string output_;
  LineFramer framer_{kMaxLine};
  bool is_held_ = false;
  bool input_has_ended_ = false;
  mcp::Session session_;
  uv::Timer timer_;
  uv::Timer last_answers_;
  AgentNews news_;
};

}  // namespace nb::gate
