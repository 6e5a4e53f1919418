#include "gate/line_peer.h"

namespace nb::gate {
namespace {

// The time for requests from before the end of the input.
constexpr Duration kLastAnswers = std::chrono::seconds(1);

}  // namespace

LinePeer::LinePeer(uv::Loop& loop, mcp::Toolbox& toolbox, Agent& agent, Events events)
    : events_(events),
      session_(toolbox, loop.clock(),
               {Delegate<void(const mcp::Outgoing&)>::to<&LinePeer::on_line>(this),
                Delegate<void(Duration)>::to<&LinePeer::on_wait>(this)}),
      timer_(loop, Delegate<void()>::to<&LinePeer::on_time>(this)),
      last_answers_(loop, Delegate<void()>::to<&LinePeer::on_last_answers>(this)),
      news_(toolbox, agent,
            {Delegate<void()>::to<&mcp::Session::tools_changed>(&session_),
             Delegate<void(mcp::LogWord, std::string_view)>::to<&mcp::Session::log>(&session_)}) {}

void LinePeer::feed(std::string_view bytes) {
  framer_.feed(bytes);
  take_lines();
}

void LinePeer::go_on() {
  if (is_held_) take_lines();
  if (is_done()) last_answers_.start(Duration::zero());
}

void LinePeer::end_input() {
  input_has_ended_ = true;
  last_answers_.start(is_done() ? Duration::zero() : kLastAnswers);
}

bool LinePeer::is_done() const {
  return input_has_ended_ && !is_held_ && session_.is_idle() && unsent_bytes() == 0;
}

void LinePeer::take_lines() {
  std::string_view line;
  is_held_ = false;
  while (unsent_bytes() < kEnough) {
    switch (framer_.next(line)) {
      case LineFramer::Step::line:
        session_.receive(line);
        break;
      case LineFramer::Step::too_long:
        session_.receive_too_long(kMaxLine);
        break;
      case LineFramer::Step::more:
        return;
    }
  }
  framer_.keep();
  is_held_ = true;
}

bool LinePeer::is_given_up() const {
  return unsent_bytes() > kTooMuch;
}

void LinePeer::on_line(const mcp::Outgoing& out) {
  output_ += out.line;
  output_ += '\n';
  events_.on_output();
}

void LinePeer::on_wait(Duration time) {
  if (!timer_.active()) timer_.start(time);
}

}  // namespace nb::gate
