// ConfigView: agent.config, which reads the configuration again, as a reload would, and reports
// what a reload would say. The agent reads the files itself, since the caller may have rights that
// the agent lacks, or the agent rights that the caller lacks. Nothing is changed.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "config/load.h"
#include "rpc/call.h"
#include "rpc/front_end.h"
#include "rpc/method.h"
#include "uv/blocking_call.h"

namespace nb::agent {

// For a thread that reads the configuration: the reader of TOML calls itself for each level of
// nesting.
inline constexpr size_t kReadStack = 2 * 1024 * 1024;

class ConfigView {
 public:
  // All references must outlive it.
  ConfigView(uv::Loop& loop, rpc::FrontEnd& front, const config::Sources& sources);

  void ask(rpc::Call& call);
  // Drops all questions; no more answers come.
  void stop();

  static const rpc::Method kMethods[1];

 private:
  void begin();
  void on_read();

  struct Reading {
    config::Sources sources;
    std::optional<Result<config::Loaded>> loaded;
  };

  rpc::FrontEnd& front_;
  const config::Sources& sources_;
  uv::BlockingCall call_;
  std::shared_ptr<Reading> reading_;  // shared with its thread
  std::vector<rpc::Token> asked_;     // before the reading at hand began
  std::vector<rpc::Token> waiting_;   // since then
};

}  // namespace nb::agent
