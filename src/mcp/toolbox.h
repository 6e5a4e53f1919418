// The offers of a server, as the protocol sees them: tools, resources, and reports of their
// changes. The protocol does not know what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "json/view.h"
#include "mcp/message.h"
#include "mcp/schema.h"

namespace nb::mcp {

class Session;

// The words of logging/setLevel, in its order.
enum class LogWord : uint8_t {
  debug,
  info,
  notice,
  warning,
  error,
  critical,
  alert,
  emergency,
  none
};

struct ServerInfo {
  std::string_view name;
  std::string_view title;
  std::string_view version;
  std::string_view instructions;  // for the model
};

struct Tool {
  std::string_view name;
  std::string_view title;
  std::string_view words;  // for the model
  Arguments arguments;
  std::string_view output_schema;  // JSON; its root is an object, as older revisions want it
  bool reads_only = true;
  bool destroys = false;
  bool is_idempotent = true;
};

struct Resource {
  std::string_view uri;  // of a template the URI template (RFC 6570)
  std::string_view name;
  std::string_view title;
  std::string_view words;
  std::string_view mime_type = "application/json";
};

// A request that is being worked on. Destroying it cancels the work.
class Work {
 public:
  virtual ~Work() = default;
};
using WorkPtr = std::unique_ptr<Work>;

// Takes the answer to one request, exactly once. The answer may be given before the function that
// begins the work has returned. It destroys the work, so it is the last step of the work.
class Reply {
 public:
  Reply(Session& session, uint64_t ticket) : session_(&session), ticket_(ticket) {}

  // The result of a tool: a JSON object.
  void tool(std::string_view json, bool is_error = false) const;
  // The content of a resource.
  void resource(std::string_view uri, std::string_view mime_type, std::string_view text) const;
  void no_such_resource(std::string_view uri) const;
  // At most 100 of them are sent, with their total number.
  void completions(const std::vector<std::string>& values) const;
  // A fault that concerns neither the arguments nor the state of the world.
  void internal_error(std::string_view words) const;
  // For results without a function here: the members of the result, without braces.
  void result(std::string members, bool may_be_kept = false) const;
  void error(const ErrorWords& error) const;

  // Before the answer. Nothing is sent that the client has not asked for, and progress has to grow.
  void progress(int64_t done, int64_t total, std::string_view words) const;
  void log(LogWord level, std::string_view words) const;

 private:
  Session* session_;
  uint64_t ticket_;
};

// Features that only some servers have: methods of their own, prompts, results that ask the client
// for something. They come before the session's own methods.
class Extras {
 public:
  virtual ~Extras() = default;

  // Further capabilities, each with a comma before it: `,"prompts":{}`.
  virtual std::string_view capabilities() const = 0;
  // Whether begin() is to answer this request. Views are valid during the call only.
  virtual bool takes(std::string_view method, json::View params) const = 0;
  // If a modern result names no `resultType`, it is complete.
  virtual WorkPtr begin(std::string_view method, json::View params, Reply reply) = 0;
};

class Toolbox {
 public:
  virtual ~Toolbox() = default;

  virtual ServerInfo info() const = 0;
  // In an order that stays the same.
  virtual std::vector<const Tool*> tools() const = 0;
  // `arguments` fit the tool's schema; the view is valid during the call only.
  virtual WorkPtr call(const Tool& tool, Given arguments, Reply reply) = 0;

  virtual std::span<const Resource> resources() const = 0;
  virtual std::span<const Resource> templates() const = 0;
  virtual WorkPtr read(std::string_view uri, Reply reply) = 0;
  // The values for `variable` of a template that begin with `begin`.
  virtual WorkPtr complete(const Resource& uri_template, std::string_view variable,
                           std::string_view begin, Reply reply) = 0;
  // Calls back whenever the resource may have changed, as long as the work lives. Null: there is no
  // such resource, or nothing reports its changes.
  virtual WorkPtr watch(std::string_view uri, Delegate<void()> on_change) = 0;

  virtual Extras* extras() { return nullptr; }
};

}  // namespace nb::mcp
