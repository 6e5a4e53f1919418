#include "mcp/session.h"

#include <algorithm>
#include <utility>

#include "base/foreign_text.h"
#include "base/text.h"
#include "json/writer.h"

namespace nb::mcp {
namespace {

using View = json::View;

constexpr char kLogLevelKey[] = "io.modelcontextprotocol/logLevel";
constexpr size_t kMaxToken = 256;
constexpr size_t kMaxCompletions = 100;
constexpr size_t kMaxEcho = 200;

constexpr std::string_view kLogWords[] = {"debug", "info",     "notice", "warning",
                                          "error", "critical", "alert",  "emergency"};

std::string quoted(std::string_view text) {
  return '"' + foreign_text(text, kMaxEcho) + '"';
}

std::string json_string(std::string_view text) {
  std::string out;
  json::Writer(out).string(text);
  return out;
}

void append_text(json::Writer& writer, const char* key, std::string_view text) {
  if (!text.empty()) writer.key(key).string(text);
}

void append_tool(json::Writer& writer, const Tool& tool) {
  writer.begin_object().key("name").string(tool.name);
  append_text(writer, "title", tool.title);
  append_text(writer, "description", tool.words);
  writer.key("inputSchema").raw(input_schema(tool.arguments));
  if (!tool.output_schema.empty()) writer.key("outputSchema").raw(tool.output_schema);
  writer.key("annotations").begin_object();
  append_text(writer, "title", tool.title);
  writer.key("readOnlyHint").boolean(tool.reads_only);
  writer.key("destructiveHint").boolean(tool.destroys);
  writer.key("idempotentHint").boolean(tool.is_idempotent);
  writer.key("openWorldHint").boolean(false).end_object().end_object();
}

std::string cursor_at(size_t place) {
  return "at-" + std::to_string(place);
}

// Where a list goes on. Nothing if no answer has named such a cursor.
std::optional<size_t> place_of(std::string_view cursor, size_t entries) {
  if (!cursor.starts_with("at-")) return std::nullopt;
  const auto place = parse_number<size_t>(cursor.substr(3));
  if (!place || *place == 0 || *place >= entries || cursor_at(*place) != cursor)
    return std::nullopt;
  return place;
}

// `none` if there is no such word.
LogWord log_word(std::string_view name) {
  const auto found = std::find(std::begin(kLogWords), std::end(kLogWords), name);
  return static_cast<LogWord>(found - std::begin(kLogWords));
}

std::string token_in(View params) {
  const View token = params["_meta"]["progressToken"];
  const bool fits = token.is(View::Type::string) || token.integer().has_value();
  return fits && token.raw().size() <= kMaxToken ? std::string(token.raw()) : std::string();
}

bool has_variable(const Resource& uri_template, std::string_view name) {
  return !name.empty() &&
         uri_template.uri.find('{' + std::string(name) + '}') != std::string_view::npos;
}

}  // namespace

struct Session::Method {
  enum In : uint8_t { older = 1, modern = 2, both = 3 };
  std::string_view name;
  In in;
  void (Session::*run)(const Call&);
};

const Session::Method Session::kMethods[] = {
    {"server/discover", Method::modern, &Session::discover},
    {"subscriptions/listen", Method::modern, &Session::listen},
    {"initialize", Method::older, &Session::initialize},
    {"ping", Method::older, &Session::ping},
    {"logging/setLevel", Method::older, &Session::set_log_level},
    {"resources/subscribe", Method::older, &Session::subscribe},
    {"resources/unsubscribe", Method::older, &Session::unsubscribe},
    {"tools/list", Method::both, &Session::list_tools},
    {"tools/call", Method::both, &Session::call_tool},
    {"resources/list", Method::both, &Session::list_resources},
    {"resources/templates/list", Method::both, &Session::list_templates},
    {"resources/read", Method::both, &Session::read_resource},
    {"completion/complete", Method::both, &Session::complete},
};

Session::Session(Toolbox& toolbox, const Clock& clock, Events events, Options options)
    : toolbox_(toolbox),
      events_(events),
      options_(options),
      subscriptions_(toolbox, clock, {events.on_line, events.on_wait}) {}

Session::~Session() = default;

void Session::receive(std::string_view line) {
  if (trim(line).empty()) return;
  if (const json::Fault fault = guard_.check(line); fault.reason != nullptr) {
    return refuse({}, kParseError,
                  "not JSON that is accepted here: " + std::string(fault.reason) + ", at byte " +
                      std::to_string(fault.offset));
  }
  Message message;
  if (const auto error = parse_message(guard_.view(), message)) {
    return send_error(message.id, *error);
  }
  receive(message);
}

void Session::receive(const Message& message) {
  if (message.kind == Message::Kind::request) on_request(message);
  if (message.kind == Message::Kind::notification) on_notification(message);
}

void Session::receive_too_long(size_t limit) {
  refuse({}, kParseError, "a line has at most " + std::to_string(limit) + " bytes");
}

void Session::on_request(const Message& message) {
  if (is_under_way(message.id)) {
    return refuse(message.id, kInvalidRequest, "a request with this `id` is under way");
  }
  Era era{};
  if (const auto error = era_of(message, era)) return send_error(message.id, *error);
  const Call call{message.id, era, message.params};
  Extras* const extras = toolbox_.extras();
  if (extras != nullptr && extras->takes(message.method, message.params)) {
    return work(call,
                [&](Reply reply) { return extras->begin(message.method, message.params, reply); });
  }
  const Method* const method = method_of(message.method, era);
  if (method == nullptr) {
    return refuse(message.id, kMethodNotFound, "there is no method " + quoted(message.method));
  }
  (this->*method->run)(call);
}

// The revision of a request: the one that it names, else the one of the handshake.
std::optional<ErrorWords> Session::era_of(const Message& message, Era& era) const {
  const bool by_handshake = has_begun_ || message.method == "initialize";
  era = by_handshake && !revision_in(message.params).exists() ? Era::older : Era::modern;
  return era == Era::older ? std::nullopt : fault_in_meta(message.params);
}

const Session::Method* Session::method_of(std::string_view name, Era era) {
  const uint8_t in = era == Era::modern ? Method::modern : Method::older;
  for (const Method& method : kMethods) {
    if (method.name == name && (method.in & in) != 0) return &method;
  }
  return nullptr;
}

void Session::on_notification(const Message& message) {
  if (message.method != "notifications/cancelled") return;
  const std::string_view id = message.params["requestId"].raw();
  if (subscriptions_.cancel(id)) return;
  const auto found = std::find_if(requests_.begin(), requests_.end(),
                                  [&](const auto& entry) { return entry.second.id == id; });
  if (found != requests_.end()) requests_.erase(found);
}

// --- the first requests of a client

void Session::discover(const Call& call) {
  std::string out = R"("supportedVersions":["2026-07-28"],"capabilities":)" + capabilities();
  out += ",\"instructions\":";
  json::Writer(out).string(toolbox_.info().instructions);
  send_result(call.id, call.era, std::move(out), true);
}

// The capabilities of both eras, and `more`.
std::string Session::capabilities(std::string_view more) const {
  std::string out =
      R"({"tools":{"listChanged":true},"resources":{"subscribe":true},"completions":{})";
  out += more;
  if (const Extras* extras = toolbox_.extras()) out += extras->capabilities();
  return out + '}';
}

void Session::initialize(const Call& call) {
  const auto asked = text_of(call, "protocolVersion");
  if (!asked) return;
  has_begun_ = true;
  const ServerInfo info = toolbox_.info();
  std::string out;
  json::Writer writer(out);
  writer.key("protocolVersion")
      .string(is_older_revision(*asked) ? std::string_view(*asked) : kOlderRevisions[0]);
  writer.key("capabilities").raw(capabilities(R"(,"logging":{})"));
  writer.key("serverInfo").begin_object().key("name").string(info.name);
  append_text(writer, "title", info.title);
  writer.key("version").string(info.version).end_object();
  append_text(writer, "instructions", info.instructions);
  send_result(call.id, call.era, std::move(out));
}

void Session::ping(const Call& call) {
  send_result(call.id, call.era, {});
}

void Session::set_log_level(const Call& call) {
  const auto level = text_of(call, "level");
  if (!level) return;
  const LogWord word = log_word(*level);
  if (word == LogWord::none) {
    return refuse(call.id, kInvalidParams,
                  "`level`: expected debug, info, notice, warning, error, critical, alert or "
                  "emergency, found " +
                      quoted(*level));
  }
  log_level_ = word;
  send_result(call.id, call.era, {});
}

// --- tools

void Session::list_tools(const Call& call) {
  send_page(call, "tools", toolbox_.tools(),
            [](json::Writer& writer, const Tool* tool) { append_tool(writer, *tool); });
}

void Session::call_tool(const Call& call) {
  const auto name = text_of(call, "name");
  if (!name) return;
  const View arguments = call.params["arguments"];
  if (arguments.exists() && !arguments.is(View::Type::object)) {
    return refuse(call.id, kInvalidParams, "`arguments`: expected an object");
  }
  const std::vector<const Tool*> tools = toolbox_.tools();
  const auto found = std::find_if(tools.begin(), tools.end(),
                                  [&](const Tool* tool) { return tool->name == *name; });
  if (found == tools.end()) {
    return refuse(call.id, kInvalidParams,
                  "there is no tool " + quoted(*name) + ": tools/list names those that there are");
  }
  const Tool& tool = **found;
  work(call, [&](Reply reply) -> WorkPtr {
    if (const auto fault = fault_in(tool.arguments, arguments)) {
      reply.tool(R"({"success":false,"message":)" + json_string(*fault) + '}', true);
      return nullptr;
    }
    return toolbox_.call(tool, Given(arguments), reply);
  });
}

void Reply::tool(std::string_view json, bool is_error) const {
  std::string out;
  json::Writer writer(out);
  writer.key("content").begin_array().begin_object().key("type").string("text");
  writer.key("text").string(json).end_object().end_array();
  writer.key("structuredContent").raw(json);
  writer.key("isError").boolean(is_error);
  if (out.size() > Session::kMaxResultBytes) {
    return tool(
        R"({"success":false,"message":"The result is larger than the 64 KiB that an answer )"
        R"(may have. Ask for less: a smaller limit, or one thing at a time."})",
        true);
  }
  session_->finish(ticket_, std::move(out), false);
}

// --- resources

void Session::list(const Call& call, const char* name, const char* uri_name,
                   std::span<const Resource> resources) {
  const std::vector<Resource> entries(resources.begin(), resources.end());
  send_page(call, name, entries, [&](json::Writer& writer, const Resource& resource) {
    writer.begin_object().key(uri_name).string(resource.uri).key("name").string(resource.name);
    append_text(writer, "title", resource.title);
    append_text(writer, "description", resource.words);
    append_text(writer, "mimeType", resource.mime_type);
    writer.end_object();
  });
}

void Session::list_resources(const Call& call) {
  list(call, "resources", "uri", toolbox_.resources());
}

void Session::list_templates(const Call& call) {
  list(call, "resourceTemplates", "uriTemplate", toolbox_.templates());
}

void Session::read_resource(const Call& call) {
  const auto uri = text_of(call, "uri");
  if (uri) work(call, [&](Reply reply) { return toolbox_.read(*uri, reply); });
}

void Reply::resource(std::string_view uri, std::string_view mime_type,
                     std::string_view text) const {
  std::string out;
  json::Writer writer(out);
  writer.key("contents").begin_array().begin_object().key("uri").string(uri);
  writer.key("mimeType").string(mime_type).key("text").string(text).end_object().end_array();
  if (out.size() > Session::kMaxResultBytes) {
    return internal_error("the resource is larger than the 64 KiB that an answer may have");
  }
  session_->finish(ticket_, std::move(out), true);
}

void Reply::no_such_resource(std::string_view uri) const {
  const bool modern = session_->era_of(ticket_) == Era::modern;
  session_->finish(
      ticket_, {modern ? kInvalidParams : kNoSuchResource, "there is no resource " + quoted(uri),
                "{\"uri\":" + json_string(uri) + '}'});
}

// --- completion

void Session::complete(const Call& call) {
  const View ref = call.params["ref"];
  const View argument = call.params["argument"];
  if (!ref["type"].string_is("ref/resource")) {
    return refuse(call.id, kInvalidParams,
                  "`ref`: expected {\"type\":\"ref/resource\",\"uri\":…}: there are no prompts");
  }
  const std::string uri(ref["uri"].string(scratch_).value_or(""));
  const std::string name(argument["name"].string(scratch_).value_or(""));
  if (!argument["value"].is(View::Type::string)) {
    return refuse(call.id, kInvalidParams, "`argument.value`: expected a string");
  }
  const std::string begin(argument["value"].string(scratch_).value_or(""));
  const auto templates = toolbox_.templates();
  const auto found = std::find_if(templates.begin(), templates.end(),
                                  [&](const Resource& one) { return one.uri == uri; });
  if (found == templates.end() || !has_variable(*found, name)) {
    return refuse(call.id, kInvalidParams,
                  "no template has this `ref.uri` and this `argument.name`: "
                  "resources/templates/list names those that there are");
  }
  work(call, [&](Reply reply) { return toolbox_.complete(*found, name, begin, reply); });
}

void Reply::completions(const std::vector<std::string>& values) const {
  std::string out;
  json::Writer writer(out);
  writer.key("completion").begin_object().key("values").begin_array();
  const size_t told = std::min(values.size(), kMaxCompletions);
  for (size_t i = 0; i < told; ++i) writer.string(values[i]);
  writer.end_array().key("total").integer(static_cast<int64_t>(values.size()));
  writer.key("hasMore").boolean(told < values.size()).end_object();
  session_->finish(ticket_, std::move(out), false);
}

void Reply::internal_error(std::string_view words) const {
  error({kInternalError, std::string(words), {}});
}

void Reply::result(std::string members, bool may_be_kept) const {
  session_->finish(ticket_, std::move(members), may_be_kept);
}

void Reply::error(const ErrorWords& error) const {
  session_->finish(ticket_, error);
}

// --- before the answer

void Reply::progress(int64_t done, int64_t total, std::string_view words) const {
  session_->tell_progress(ticket_, done, total, words);
}

void Session::tell_progress(uint64_t ticket, int64_t done, int64_t total, std::string_view words) {
  const auto found = requests_.find(ticket);
  if (found == requests_.end()) return;
  Request& request = found->second;
  if (request.progress_token.empty() || done <= request.progress) return;
  request.progress = done;
  std::string params;
  json::Writer writer(params);
  writer.begin_object().key("progressToken").raw(request.progress_token);
  writer.key("progress").integer(done).key("total").integer(total);
  append_text(writer, "message", words);
  writer.end_object();
  events_.on_line({notification_line("notifications/progress", params), request.id});
}

void Reply::log(LogWord level, std::string_view words) const {
  session_->tell_log(ticket_, level, words);
}

void Session::tell_log(uint64_t ticket, LogWord level, std::string_view words) {
  const auto found = requests_.find(ticket);
  if (found == requests_.end() || found->second.log_level > level) return;
  send_log(found->second.id, level, words);
}

// --- subscriptions

void Session::subscribe(const Call& call) {
  const auto uri = text_of(call, "uri");
  if (!uri) return;
  if (!subscriptions_.subscribe(*uri)) {
    return refuse(call.id, kNoSuchResource,
                  "there is no resource " + quoted(*uri) + ", or too many are subscribed to",
                  "{\"uri\":" + json_string(*uri) + '}');
  }
  send_result(call.id, call.era, {});
}

void Session::unsubscribe(const Call& call) {
  const auto uri = text_of(call, "uri");
  if (!uri) return;
  subscriptions_.unsubscribe(*uri);
  send_result(call.id, call.era, {});
}

void Session::listen(const Call& call) {
  const View wanted = call.params["notifications"];
  if (!wanted.is(View::Type::object)) {
    return refuse(call.id, kInvalidParams, "`notifications`: expected an object");
  }
  std::vector<std::string> uris;
  for (const View uri : wanted["resourceSubscriptions"].elements()) {
    const auto text = uri.string(scratch_);
    if (!text) {
      return refuse(call.id, kInvalidParams,
                    "`notifications.resourceSubscriptions`: expected an array of strings");
    }
    uris.emplace_back(*text);
  }
  const bool tools = wanted["toolsListChanged"].boolean().value_or(false);
  if (!subscriptions_.listen(call.id, uris, tools)) {
    refuse(call.id, kInternalError, "too many subscriptions: cancel one first");
  }
}

void Session::end_subscriptions(bool says_cancelled) {
  for (const std::string& id : subscriptions_.listens()) {
    subscriptions_.cancel(id);
    if (says_cancelled) {
      events_.on_line(
          {notification_line("notifications/cancelled",
                             "{\"requestId\":" + id + ",\"reason\":\"the server ends\"}"),
           id});
    }
    events_.on_line(
        {result_line(
             id, R"("resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":)" +
                     id + '}'),
         id, true});
  }
}

void Session::tools_changed() {
  subscriptions_.tools_changed(has_begun_);
}

void Session::log(LogWord level, std::string_view words) {
  if (log_level_ <= level) send_log({}, level, words);
}

void Session::send_log(std::string_view id, LogWord level, std::string_view words) {
  std::string params;
  json::Writer(params)
      .begin_object()
      .key("level")
      .string(kLogWords[static_cast<size_t>(level)])
      .key("logger")
      .string(toolbox_.info().name)
      .key("data")
      .string(words)
      .end_object();
  events_.on_line({notification_line("notifications/message", params), id});
}

// --- common parts

std::optional<std::string> Session::text_of(const Call& call, const char* name) {
  const auto text = call.params[name].string(scratch_);
  if (text) return std::string(*text);
  refuse(call.id, kInvalidParams, '`' + std::string(name) + "`: expected a string");
  return std::nullopt;
}

template <class Entry, class Append>
void Session::send_page(const Call& call, const char* name, const std::vector<Entry>& entries,
                        Append append) {
  size_t place = 0;
  if (const View cursor = call.params["cursor"]; cursor.exists()) {
    const auto found = place_of(cursor.string(scratch_).value_or(""), entries.size());
    if (!found) {
      return refuse(call.id, kInvalidParams,
                    "`cursor`: no answer has named it: begin anew without a cursor");
    }
    place = *found;
  }
  const size_t end = std::min(entries.size(), place + options_.page);
  std::string out;
  json::Writer writer(out);
  writer.key(name).begin_array();
  for (; place < end; ++place) append(writer, entries[place]);
  writer.end_array();
  if (end < entries.size()) writer.key("nextCursor").string(cursor_at(end));
  send_result(call.id, call.era, std::move(out), true);
}

// The level from which on the request's lines are sent. A client with a handshake that has not set
// a level gets the important ones.
LogWord Session::log_level_of(const Call& call) {
  if (call.era == Era::older) return log_level_ == LogWord::none ? LogWord::info : log_level_;
  return log_word(call.params["_meta"][kLogLevelKey].string(scratch_).value_or(""));
}

template <class Begin>
void Session::work(const Call& call, Begin begin) {
  if (requests_.size() >= kMaxRequests) {
    return refuse(call.id, kInternalError, "too many requests are under way: wait for an answer");
  }
  const uint64_t ticket = ++last_ticket_;
  requests_[ticket] = {.id = std::string(call.id),
                       .era = call.era,
                       .progress_token = token_in(call.params),
                       .log_level = log_level_of(call),
                       .work = nullptr};
  WorkPtr work = begin(Reply(*this, ticket));
  const auto found = requests_.find(ticket);
  if (found != requests_.end()) found->second.work = std::move(work);
}

Era Session::era_of(uint64_t ticket) const {
  const auto found = requests_.find(ticket);
  return found != requests_.end() ? found->second.era : Era::older;
}

void Session::finish(uint64_t ticket, std::string members, bool may_be_kept) {
  auto node = requests_.extract(ticket);  // its work ends with it
  if (node.empty()) return;
  send_result(node.mapped().id, node.mapped().era, std::move(members), may_be_kept);
}

void Session::finish(uint64_t ticket, const ErrorWords& error) {
  auto node = requests_.extract(ticket);
  if (!node.empty()) send_error(node.mapped().id, error);
}

bool Session::is_under_way(std::string_view id) const {
  return subscriptions_.is_listening(id) ||
         std::any_of(requests_.begin(), requests_.end(),
                     [&](const auto& entry) { return entry.second.id == id; });
}

// A cacheable result must say for how long: here not at all, since everything changes every second,
// and differs by rights.
void Session::send_result(std::string_view id, Era era, std::string members, bool may_be_kept) {
  if (era == Era::modern) {
    std::string more;
    if (!members.starts_with("\"resultType\":")) more = R"("resultType":"complete",)";
    if (may_be_kept) more += R"("ttlMs":0,"cacheScope":"private",)";
    const ServerInfo info = toolbox_.info();
    more += R"("_meta":{"io.modelcontextprotocol/serverInfo":{"name":)" + json_string(info.name) +
            ",\"version\":" + json_string(info.version) + "}}";
    if (!members.empty()) more += ',';
    members = more + members;
  }
  events_.on_line({result_line(id, members), id, true});
}

void Session::refuse(std::string_view id, int code, std::string words, std::string data) {
  send_error(id, {code, std::move(words), std::move(data)});
}

void Session::send_error(std::string_view id, const ErrorWords& error) {
  events_.on_line({error_line(id, error), id, true, error.code});
}

}  // namespace nb::mcp
