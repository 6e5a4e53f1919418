// The commands, one function each. They return the exit code, and have reported the reason where it
// is not kOk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ctl/context.h"

namespace nb::ctl {

ExitCode run_status(const Context& context);
ExitCode run_nodes(const Context& context);

struct GetOptions {
  std::string key;
  bool raw = false;  // a text without its quotes
};
ExitCode run_get(const Context& context, const GetOptions& options);
struct SetOptions {
  std::string key, value;  // "-": read from stdin
  std::string ttl;
  bool text = false;     // the value is a text, not JSON
  bool no_wait = false;  // do not wait until Redis has stored it
};
ExitCode run_set(const Context& context, const SetOptions& options);
struct DeleteOptions {
  std::string key;
  bool no_wait = false;
};
ExitCode run_delete(const Context& context, const DeleteOptions& options);
ExitCode run_list(const Context& context, const std::string& prefix);

struct SessionOptions {
  std::string id, state;
  std::string ttl;
  std::optional<long long> version;  // that is expected
  bool create = false;               // where there is none
  bool replace_corrupt = false;
  unsigned long count = 0;  // of messages; 0: until it is stopped
};
// `verb`: list, get, create, set, edit, delete or watch.
ExitCode run_session(const Context& context, const std::string& verb,
                     const SessionOptions& options);

// In the editor, on a terminal.
ExitCode run_session_edit(const Context& context, const SessionOptions& options);

struct BusOptions {
  std::string type, data, channel;  // of send
  std::string admin, message;       // of stop and clear
  std::string max_age;
  bool no_record = false;
  bool no_wait = false;
  unsigned long count = 0;  // of messages; 0: until it is stopped
};
// `verb`: stop, clear, send or watch.
ExitCode run_bus(const Context& context, const std::string& verb, const BusOptions& options);

// Removes a node that no longer beats from the list of nodes.
ExitCode run_forget(const Context& context, const std::string& node);

struct PublishOptions {
  std::string channel, event;
  std::string max_age;
  bool no_record = false;
  bool no_wait = false;
};
ExitCode run_publish(const Context& context, const PublishOptions& options);
ExitCode run_call(const Context& context, const std::string& method, const std::string& params);

struct StrokeOptions {
  std::optional<long long> stroke, pose, total, length, offset_left, offset_right;
  std::string session, left, right, scene, dataset;
  bool paused = false, resumed = false, stored = false;
};
ExitCode run_stroke(const Context& context, const std::string& verb, const StrokeOptions& options);

// Each line of stdin is a call.
struct PushOptions {
  bool robot = false;  // a line is the params of a robot.update
  bool stored = false;
};
ExitCode run_push(const Context& context, const PushOptions& options);

// Ends after `count` messages; 0: runs until it is stopped.
ExitCode run_watch(const Context& context, const std::vector<std::string>& patterns,
                   unsigned long count);
// The values of keys, and of all that begin as one with a * at its end, and how they change.
ExitCode run_watch_state(const Context& context, const std::vector<std::string>& keys,
                         unsigned long count);
// `once` prints a single picture, in plain lines.
ExitCode run_top(const Context& context, bool once);
int run_doctor(const Context& context, const std::string& config_file);

}  // namespace nb::ctl
