#include "gate/mcp_stdio.h"

#include <sysexits.h>
#include <unistd.h>

#include <cstring>

#include "base/clock.h"
#include "gate/agent.h"
#include "gate/ending.h"
#include "gate/line_peer.h"
#include "gate/parent.h"
#include "gate/standard_streams.h"
#include "gate/toolbox.h"
#include "uv/loop.h"

namespace nb::gate {
namespace {

class McpStdio {
 public:
  McpStdio(uv::Loop& loop, const Options& options, int parent, const Log& log)
      : loop_(loop),
        log_(log),
        ending_(loop, Delegate<void()>::to<&McpStdio::end>(this)),
        parent_(loop, parent, Delegate<void()>::to<&McpStdio::end>(this)),
        agent_(loop, {.socket = options.socket, .name = "nodebeat-gate mcp"}, log),
        toolbox_(loop, agent_, options.allow_writes, options.version),
        stdio_(loop, STDIN_FILENO, STDOUT_FILENO,
               {Delegate<void(std::string_view)>::to<&McpStdio::on_data>(this),
                Delegate<void()>::to<&McpStdio::on_input_end>(this),
                Delegate<void()>::to<&McpStdio::on_drain>(this),
                Delegate<void(int)>::to<&McpStdio::on_broken>(this)}),
        peer_(loop, toolbox_, agent_,
              {Delegate<void()>::to<&McpStdio::on_output>(this),
               Delegate<size_t()>::to<&McpStdio::queued_bytes>(this),
               Delegate<void()>::to<&McpStdio::end>(this)}),
        presence_(agent_, {}, {}, {{}, Delegate<void(bool)>::to<&McpStdio::on_presence>(this), {}}),
        soon_(loop, Delegate<void()>::to<&McpStdio::on_turn>(this)) {}

  int run() {
    if (!ending_.ok()) {
      log_.every(LogLevel::error, "the system gives no descriptor for signals");
      return EX_OSERR;
    }
    if (parent_.is_gone()) return EX_OK;
    agent_.start();
    loop_.run();
    return code_;
  }

 private:
  // Which tools there are depends on the agent, so nothing is read before that is known.
  void on_presence(bool) {
    if (std::exchange(has_begun_, true)) return;
    stdio_.start_reading();
  }

  void on_data(std::string_view bytes) {
    peer_.feed(bytes);
    if (!peer_.wants_input()) stdio_.stop_reading();
  }

  // Lines of one turn leave together.
  void on_output() { soon_.request(); }
  void on_turn() {
    stdio_.write(peer_.output());
    if (peer_.is_given_up()) give_up("nobody reads it");
  }
  void on_broken(int error) { give_up(std::strerror(error)); }

  void give_up(const char* why) {
    log_.error("standard output: %s: giving up", why);
    code_ = EX_IOERR;
    end();
  }

  void on_drain() {
    const bool waited = !peer_.wants_input();
    peer_.go_on();
    if (waited && peer_.wants_input() && !input_has_ended_) stdio_.start_reading();
  }

  void on_input_end() {
    input_has_ended_ = true;
    peer_.end_input();
  }

  size_t queued_bytes() { return stdio_.queued_bytes(); }
  void end() { loop_.stop(); }

  uv::Loop& loop_;
  const Log& log_;
  Ending ending_;
  Parent parent_;
  Agent agent_;
  Toolbox toolbox_;
  StandardStreams stdio_;
  LinePeer peer_;
  AgentListener presence_;
  uv::Soon soon_;
  bool has_begun_ = false;
  bool input_has_ended_ = false;
  int code_ = EX_OK;
};

}  // namespace

int serve_stdio(const Options& options, int parent, const Log& log) {
  const SystemClock clock;
  uv::Loop loop(clock);
  if (!loop.ok()) {
    log.every(LogLevel::error, "the system gives no descriptor for an event loop");
    return EX_OSERR;
  }
  return McpStdio(loop, options, parent, log).run();
}

}  // namespace nb::gate
