#include "gate/serve.h"

#include <grp.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "gate/agent.h"
#include "gate/ending.h"
#include "gate/mcp_socket.h"
#include "gate/mcp_web.h"
#include "gate/toolbox.h"
#include "gate/web.h"
#include "ipc/activation.h"
#include "mcp_http/token.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::gate {
namespace {

// FileDescriptorName= of the socket unit.
constexpr char kMcpName[] = "nodebeat-mcp";
constexpr Duration kOpening = std::chrono::seconds(1);

ipc::Environment environment() {
  ipc::Environment out;
  for (char** at = environ; *at != nullptr; ++at) {
    const char* const equals = std::strchr(*at, '=');
    if (equals != nullptr)
      out.emplace_back(std::string(*at, static_cast<size_t>(equals - *at)), equals + 1);
  }
  return out;
}

Result<std::optional<uint32_t>> group_of(const std::string& name) {
  if (name.empty()) return std::optional<uint32_t>();
  const struct group* const found = ::getgrnam(name.c_str());
  if (found == nullptr)
    return make_error("--mcp-socket-group: there is no group '%s'", name.c_str());
  return std::optional<uint32_t>(found->gr_gid);
}

class Service {
 public:
  Service(uv::Loop& loop, const Options& options, const std::string& token, const Log& log)
      : loop_(loop),
        options_(options),
        log_(log),
        ending_(loop, Delegate<void()>::to<&Service::on_ending>(this)),
        agent_(loop, {.socket = options.socket}, log),
        toolbox_(loop, agent_, options.allow_writes, options.version),
        mcp_web_(loop, toolbox_, agent_, token),
        mcp_(loop, toolbox_, agent_, mcp_web_, log),
        presence_(agent_, {}, {}, {{}, Delegate<void(bool)>::to<&Service::on_presence>(this), {}}),
        opening_(loop, Delegate<void()>::to<&Service::on_opening>(this)) {
    if (!options.http) return;
    const WebOptions web{*options.http, options.http_hosts, options.version};
    web_ = std::make_unique<Web>(loop, agent_, web, log);
    if (options.http_mcp) mcp_web_.add_guarded(web_->router());
  }

  int run() {
    if (!ending_.ok()) {
      log_.every(LogLevel::error, "the system gives no descriptor for signals");
      return EX_OSERR;
    }
    agent_.start();
    opening_.start(kOpening);
    loop_.run();
    return code_;
  }

 private:
  // The tools depend on the agent: no client should ask before they are known. But an agent that
  // does not answer does not block the gate.
  void on_presence(bool) { on_opening(); }
  void on_opening() {
    opening_.stop();
    if (std::exchange(is_open_, true)) return;
    const Status status = open_doors();
    if (status.ok()) return;
    log_.every(LogLevel::error, "%s", status.error().message.c_str());
    code_ = EX_UNAVAILABLE;
    loop_.stop();
  }

  Status open_doors() {
    if (web_) {
      if (Status started = web_->start(); !started) return started;
    }
    const auto inherited = ipc::activated_fds(environment(), ::getpid(), {kMcpName});
    if (!inherited) return inherited.error();
    const int fd = inherited->front();
    if (fd < 0 && options_.mcp_socket.empty()) {
      if (!web_) {
        log_.every(LogLevel::warning,
                   "nothing is served: start nodebeat-gate.socket, or add --http or --mcp-socket");
      }
      return {};
    }
    const auto group = group_of(options_.mcp_socket_group);
    if (!group) return group.error();
    return mcp_.start({options_.mcp_socket, options_.mcp_socket_mode, *group, fd});
  }

  void on_ending() {
    mcp_web_.end();
    mcp_.end();
    if (web_) web_->flush();
    loop_.stop();
  }

  uv::Loop& loop_;
  const Options& options_;
  const Log& log_;
  Ending ending_;
  Agent agent_;
  Toolbox toolbox_;
  McpWeb mcp_web_;
  McpSocket mcp_;
  std::unique_ptr<Web> web_;  // null: nothing is served over HTTP
  AgentListener presence_;
  uv::Timer opening_;
  bool is_open_ = false;
  int code_ = EX_OK;
};

}  // namespace

int serve(const Options& options, const Log& log) {
  const SystemClock clock;
  uv::Loop loop(clock);
  if (!loop.ok()) {
    log.every(LogLevel::error, "the system gives no descriptor for an event loop");
    return EX_OSERR;
  }
  std::string token;
  if (!options.mcp_token_file.empty()) {
    const auto read = mcp_http::read_token(options.mcp_token_file);
    if (!read) {
      log.every(LogLevel::error, "--mcp-token-file: %s", read.error().message.c_str());
      return EX_NOINPUT;
    }
    token = *read;
  }
  return Service(loop, options, token, log).run();
}

}  // namespace nb::gate
