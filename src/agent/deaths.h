// Deaths: reports each client that has gone without a goodbye, and how its process ended: by which
// signal, or with which exit code. The kernel reports that when the process's parent has waited for
// it, so the event waits for that, but not for long.
//
// Only known facts are reported. A process that lives has closed its connection; nothing is known
// about a process in another pid namespace.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "cell/events.h"
#include "config/config.h"
#include "node/identity.h"
#include "outbox/outbox.h"
#include "rpc/call.h"
#include "uv/poll.h"
#include "uv/timer.h"

namespace nb::agent {

class Deaths {
 public:
  struct Client {
    rpc::Caller who;
    std::string name;
    int pid = 0;
    bool had_will = false;
  };

  // All references must outlive it, but for `config`.
  Deaths(uv::Loop& loop, const Log& log, const node::Identity& identity, outbox::Outbox& outbox,
         cell::Events& events, const config::Config& config);
  Deaths(const Deaths&) = delete;
  Deaths& operator=(const Deaths&) = delete;

  void reconfigure(const config::Config& config) { max_age_ = config.outbox.max_age; }

  // `process`: its descriptor (ipc/peer.h), if there is one.
  void add(Client client, UniqueFd process);
  // Reports what it knows about the processes for which it still waits.
  void stop();

 private:
  struct Waiting {
    Deaths* deaths = nullptr;
    Client client;
    UniqueFd process;
    MonoTime until{};
    std::unique_ptr<uv::Poll> poll;  // after the descriptor

    void on_reaped(int) { deaths->tell_all(this, false); }
  };

  void on_due() { tell_all(nullptr, false); }
  void tell_all(const Waiting* reaped, bool all);
  void tell(const Client& client, const UniqueFd& process);

  uv::Loop& loop_;
  const Log& log_;
  const node::Identity& identity_;
  outbox::Outbox& outbox_;
  cell::Events& events_;
  Duration max_age_{};
  std::string channel_;
  std::vector<std::unique_ptr<Waiting>> waiting_;  // in their order
  uv::Timer timer_;
};

}  // namespace nb::agent
