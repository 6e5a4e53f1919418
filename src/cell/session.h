// Sessions: session.*, state with a version that programs on several computers share. Every
// operation is one run of wire/session.lua on the server (two if another program wrote the present
// text), and is answered when Redis has answered.
//
// An operation belongs to the client that called it, and ends with it. A run that was sent by then
// is carried out all the same.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "cell/operation.h"
#include "config/config.h"
#include "node/identity.h"
#include "redis/scripts.h"
#include "rpc/front_end.h"
#include "rpc/method.h"
#include "uv/loop.h"

namespace nb::cell {

class Sessions {
 public:
  // A client's name in its hello, for the audit.
  using NameOf = Delegate<std::string_view(rpc::ClientId)>;

  // All references must outlive it; `config` may change between calls.
  Sessions(uv::Loop& loop, rpc::FrontEnd& front, const Operations& operations,
           redis::Scripts& scripts, const node::Identity& identity, const config::Config& config,
           NameOf name_of);
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  static const rpc::Method kMethods[7];
  void on_client_closed(rpc::ClientId client);

 private:
  // The writing ones come first.
  enum class Operation : uint8_t { create, update, touch, remove, broadcast, get, list };
  class Run;

  template <Operation kOperation>
  void begin(rpc::Call& call);
  void start(Operation operation, rpc::Call& call);
  uint64_t audit_length(size_t state_bytes);

  uv::Loop& loop_;
  rpc::FrontEnd& front_;
  const Operations& operations_;
  redis::Scripts& scripts_;
  const node::Identity& identity_;
  const config::Config& config_;
  NameOf name_of_;
  std::vector<std::unique_ptr<Run>> runs_;
  uint64_t mean_entry_ = 0;  // bytes of an entry of the audit, the latest counting most; times 64
};

}  // namespace nb::cell
