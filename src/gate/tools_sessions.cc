// Tools for sessions: JSON objects with a version, which programs on several computers share.
#include "gate/ask.h"
#include "gate/outcome.h"
#include "gate/tools.h"

namespace nb::gate {
namespace {

using mcp::Given;
using mcp::Reply;
using mcp::WorkPtr;

constexpr mcp::Argument kSessionId{.name = "session_id",
                                   .words = "The session's name, as list_sessions tells it.",
                                   .required = true,
                                   .least = 1,
                                   .most = 250};
constexpr mcp::Argument kPage[] = {kLimitArgument, kCursorArgument};
constexpr mcp::Argument kOne[] = {kSessionId};
constexpr mcp::Argument kUpdateArguments[] = {
    kSessionId,
    {.name = "expected_version",
     .type = mcp::Type::integer,
     .words = "The version that get_session told with the state that you have changed. If another "
              "program was faster, nothing is changed.",
     .required = true,
     .most = 9'007'199'254'740'990},
    {.name = "state",
     .type = mcp::Type::object,
     .words = "The whole new state: it replaces the old one. Members that you leave out are gone.",
     .required = true},
    {.name = "ttl_ms",
     .type = mcp::Type::integer,
     .words = "How many milliseconds the session lives from now on.",
     .least = 1,
     .most = 31'536'000'000,
     .fallback = "3600000"},
};

std::string advice_for(const CallFailure& why) {
  if (why.name == "not_found")
    return "It was never created, or has expired. list_sessions names those that there are.";
  if (why.name == "conflict") {
    return "Another program has written since: call get_session, apply your change to that state, "
           "and try again with "
           "its version.";
  }
  if (why.name == "corrupt") return "What stands there is no session: a person has to look at it.";
  return {};
}

// A reading that waits for Redis answers soon that Redis is away.
constexpr int64_t kReadTimeout = 1000;

std::string id_params(Given given) {
  std::string params;
  add_text(params, "session_id", given.text("session_id"));
  return params;
}

WorkPtr list_sessions(ToolContext& context, Given given, Reply reply) {
  Page page{"session.list", {}, given.integer("limit", 20)};
  add_integer(page.params, "timeout_ms", kReadTimeout);
  if (given.has("cursor")) add_text(page.params, "cursor", given.text("cursor"));
  return ask_page(context.agent, reply, page,
                  [](json::View result) -> std::pair<std::string_view, std::string> {
                    std::string members;
                    add_raw(members, "sessions", result["sessions"].raw());
                    add_raw(members, "next_cursor", result["cursor"].raw());
                    return {"These are sessions, the one that expires first at the top.", members};
                  });
}

WorkPtr get_session(ToolContext& context, Given given, Reply reply) {
  const std::string id = id_params(given);
  std::string params = id;
  add_integer(params, "timeout_ms", kReadTimeout);
  return ask(
      context.agent, reply, {"session.get", '{' + params + '}'},
      [id](json::View result) {
        std::string members = id;
        add_raw(members, "version", result["version"].raw());
        add_raw(members, "ttl_ms", result["ttl_ms"].raw());
        add_bounded(members, "state", result["state"]);
        return success("This is the session. To change it, call update_session with this version.",
                       members);
      },
      advice_for);
}

WorkPtr update_session(ToolContext& context, Given given, Reply reply) {
  std::string params = id_params(given);
  const std::string id = params;
  add_raw(params, "state", given.raw("state"));
  add_integer(params, "expected_version", given.integer("expected_version", 0));
  if (given.has("ttl_ms")) add_integer(params, "ttl_ms", given.integer("ttl_ms", 1));
  return ask(
      context.agent, reply, {"session.update", '{' + params + '}', true},
      [id](json::View result) {
        std::string members = id;
        add_raw(members, "version", result["version"].raw());
        return success("The session is changed, and has this version now.", members);
      },
      advice_for);
}

constexpr ToolEntry kTools[] = {
    {{.name = "list_sessions",
      .title = "List the sessions",
      .words = "The sessions that programs of the cell share, page by page: id, version, when it "
               "was changed, how long it lives.",
      .arguments = kPage,
      .output_schema = NB_OUTPUT(
          R"(,"sessions":{"type":"array","items":{"type":"object"}},"next_cursor":{"type":["string","null"]})")},
     rpc::Right::read,
     &list_sessions},
    {{.name = "get_session",
      .title = "Read a session",
      .words = "A session's state with its version.",
      .arguments = kOne,
      .output_schema = NB_OUTPUT(
          R"(,"session_id":{"type":"string"},"version":{"type":["integer","null"]},"ttl_ms":{"type":["integer","null"]},"state":{"type":["object","null"]})")},
     rpc::Right::read,
     &get_session},
    {{.name = "update_session",
      .title = "Change a session",
      .words = "Replaces a session's state, if it still has the version that you name. Read it by "
               "get_session first.",
      .arguments = kUpdateArguments,
      .output_schema =
          NB_OUTPUT(R"(,"session_id":{"type":"string"},"version":{"type":["integer","null"]})"),
      .reads_only = false,
      .destroys = true,
      .is_idempotent = false},
     rpc::Right::session,
     &update_session},
};

}  // namespace

std::span<const ToolEntry> session_tools() {
  return kTools;
}

}  // namespace nb::gate
