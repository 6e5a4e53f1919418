// Session: the Model Context Protocol with one client, over any transport that carries messages. It
// speaks the revisions 2025-06-18 and 2025-11-25, which begin with a handshake, and 2026-07-28,
// where each request names its version: a client may even mix them.
//
// The owner may not destroy the session inside one of its callbacks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "json/guard.h"
#include "mcp/message.h"
#include "mcp/revision.h"
#include "mcp/subscriptions.h"
#include "mcp/toolbox.h"

namespace nb::mcp {

class Session {
 public:
  // Requests under way; a further one is refused.
  static constexpr size_t kMaxRequests = 64;
  // Of a tool's result or a resource's content, as it goes out: clients refuse longer ones, each in
  // its own way.
  static constexpr size_t kMaxResultBytes = 64 * 1024;

  struct Events {
    Delegate<void(const Outgoing&)> on_line;
    Delegate<void(Duration)> on_wait;  // call tick() after so long
  };
  struct Options {
    size_t page = 100;  // entries of a list
  };

  // `toolbox` and `clock` must outlive the session.
  Session(Toolbox& toolbox, const Clock& clock, Events events)
      : Session(toolbox, clock, events, {}) {}
  Session(Toolbox& toolbox, const Clock& clock, Events events, Options options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // One line without its newline. A malformed line costs that line only.
  void receive(std::string_view line);
  // The same, where the transport had to read the message. A response has no receiver here.
  void receive(const Message& message);
  // A line that was longer than the transport takes, and has been skipped.
  void receive_too_long(size_t limit);
  void tick() { subscriptions_.tick(); }
  // No request waits for its answer.
  bool is_idle() const { return requests_.empty(); }
  bool has_begun() const { return has_begun_; }
  // The request waits for its answer, or listens.
  bool is_under_way(std::string_view id) const;

  // The toolbox offers other tools than before.
  void tools_changed();
  // For a client of the older revisions that has asked for lines of this level.
  void log(LogWord level, std::string_view words);
  // The server ends: subscriptions end as the protocol requires it. A stream that ends needs no
  // message that it is cancelled.
  void end_subscriptions(bool says_cancelled = true);

 private:
  friend class Reply;
  struct Call {
    std::string_view id;
    Era era = Era::older;
    json::View params;
  };
  struct Request {
    std::string id;
    Era era = Era::older;
    std::string progress_token;  // JSON; empty: the client wants no progress
    int64_t progress = -1;       // the last
    LogWord log_level = LogWord::none;
    WorkPtr work;
  };
  struct Method;
  static const Method kMethods[];

  void on_request(const Message& message);
  void on_notification(const Message& message);
  std::optional<ErrorWords> era_of(const Message& message, Era& era) const;
  static const Method* method_of(std::string_view name, Era era);

  void discover(const Call& call);
  void initialize(const Call& call);
  void ping(const Call& call);
  void set_log_level(const Call& call);
  void list_tools(const Call& call);
  void call_tool(const Call& call);
  void list_resources(const Call& call);
  void list_templates(const Call& call);
  void read_resource(const Call& call);
  void complete(const Call& call);
  void subscribe(const Call& call);
  void unsubscribe(const Call& call);
  void listen(const Call& call);

  // Sends the entries from the call's cursor on, as the member `name`.
  template <class Entry, class Append>
  void send_page(const Call& call, const char* name, const std::vector<Entry>& entries,
                 Append append);
  void list(const Call& call, const char* name, const char* uri_name,
            std::span<const Resource> resources);
  // The text member of the params, or an error was sent.
  std::optional<std::string> text_of(const Call& call, const char* name);

  // Begins work: `begin` makes it.
  template <class Begin>
  void work(const Call& call, Begin begin);
  // The answer of a Reply.
  void finish(uint64_t ticket, std::string members, bool may_be_kept);
  void finish(uint64_t ticket, const ErrorWords& error);
  Era era_of(uint64_t ticket) const;
  void tell_progress(uint64_t ticket, int64_t done, int64_t total, std::string_view words);
  void tell_log(uint64_t ticket, LogWord level, std::string_view words);
  void send_log(std::string_view id, LogWord level, std::string_view words);
  LogWord log_level_of(const Call& call);
  std::string capabilities(std::string_view more = {}) const;

  void send_result(std::string_view id, Era era, std::string members, bool may_be_kept = false);
  void refuse(std::string_view id, int code, std::string words, std::string data = {});
  void send_error(std::string_view id, const ErrorWords& error);

  Toolbox& toolbox_;
  Events events_;
  Options options_;
  json::Guard guard_;
  std::string scratch_;
  bool has_begun_ = false;  // with a handshake
  LogWord log_level_ = LogWord::none;
  uint64_t last_ticket_ = 0;
  std::map<uint64_t, Request> requests_;
  Subscriptions subscriptions_;
};

}  // namespace nb::mcp
