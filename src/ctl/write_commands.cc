// set, delete, publish, stroke, call: one call each, its result printed for scripts only.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ctl/commands.h"
#include "ctl/duration.h"
#include "ctl/json.h"
#include "rpc/line_limits.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

// The agent's own deadline is earlier by this, so that its answer is the one that counts.
constexpr int64_t kMargin = 500;
constexpr int64_t kMostStored = 60'000;  // PROTOCOL.md, 2.5

void add_stored(ObjectText& params, const Context& context) {
  params.text("ack", "stored")
      .integer("timeout_ms", std::clamp<int64_t>(context.timeout_ms, 1, kMostStored));
}

Answer call_once(const Context& context, const std::string& method, ObjectText& params,
                 bool stored) {
  AgentLink link(context.link_options());
  if (Answer opened = link.open(); !opened.ok()) return opened;
  if (stored) add_stored(params, context);
  return link.call(method, params.str(), context.timeout_ms + (stored ? kMargin : 0));
}

ExitCode finish(const Context& context, const Answer& answer, std::string_view words = {}) {
  if (!answer.ok()) return complain(answer);
  const ExitCode said = context.json    ? say_json(answer.text)
                        : words.empty() ? kOk
                                        : say(std::string(words) + '\n');
  const std::string refused = answer.refused_part();
  return refused.empty() ? said : complain(kRefusedByRedis, refused);
}

// Reads standard input into `out`. Returns the fault, in words; empty: none.
std::string read_stdin(std::string& out) {
  constexpr size_t kMost = rpc::kMostLineBytes;  // no agent takes more
  char buffer[16384];
  ssize_t n = 0;
  while ((n = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0) {
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > kMost) {
      return "standard input has more than " + size_text(static_cast<double>(kMost));
    }
  }
  return n == 0 ? std::string() : std::string("standard input: ") + std::strerror(errno);
}

ExitCode bad_duration(const char* flag, const std::string& text) {
  return complain(kUsage, format("%s: '%s' is no duration, such as 500ms, 10s, 5min, 2h or 1d",
                                 flag, printable(text).c_str()));
}

// A value that is no JSON is in most cases meant as a text.
ExitCode not_json(const std::string& value, const std::string& fault, bool text_flag) {
  const bool one_word = value.find_first_of("{}[]\":,") == std::string::npos;
  const std::string hint =
      one_word && text_flag ? "; for a text, write '" + json_quote(value) + "' or use --text" : "";
  return complain(kUsage, format("'%s' is not JSON: %s%s", clip(printable(value), 60, true).c_str(),
                                 fault.c_str(), printable(hint).c_str()));
}

}  // namespace

ExitCode run_set(const Context& context, const SetOptions& options) {
  std::string value = options.value;
  if (value == "-") {
    value.clear();
    if (const std::string fault = read_stdin(value); !fault.empty()) {
      return complain(kUsage, fault);
    }
    if (options.text && value.ends_with('\n')) value.pop_back();
  }
  if (options.text) {
    value = json_quote(value);
  } else if (const auto fault = json_fault(value)) {
    return not_json(value, *fault, true);
  }
  ObjectText params;
  params.text("key", options.key).raw("value", json_compact(value));
  if (!options.ttl.empty()) {
    const auto ttl = parse_duration(options.ttl);
    if (!ttl) return bad_duration("--ttl", options.ttl);
    params.integer("ttl_ms", *ttl);
  }
  return finish(context, call_once(context, "state.set", params, !options.no_wait));
}

ExitCode run_delete(const Context& context, const DeleteOptions& options) {
  ObjectText params;
  params.text("key", options.key);
  return finish(context, call_once(context, "state.delete", params, !options.no_wait));
}

ExitCode run_forget(const Context& context, const std::string& node) {
  ObjectText params;
  params.text("node", node);
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  const Answer answer = link.call("node.forget", params.str());
  if (answer.not_found()) {
    return complain(kFound, format("no node is known as '%s'", printable(node).c_str()));
  }
  return finish(context, answer);
}

ExitCode run_publish(const Context& context, const PublishOptions& options) {
  if (const auto fault = json_fault(options.event)) return not_json(options.event, *fault, false);
  ObjectText params;
  params.text("channel", options.channel).raw("event", json_compact(options.event));
  if (!options.max_age.empty()) {
    const auto age = parse_duration(options.max_age);
    if (!age) return bad_duration("--max-age", options.max_age);
    params.integer("max_age_ms", *age);
  }
  if (options.no_record) params.boolean("record", false);
  const Answer answer = call_once(context, "event.publish", params, !options.no_wait);
  std::string words;
  if (answer.ok() && !options.no_wait) {
    const JsonDocument result(answer.text);
    const auto subscribers = result["subscribers"].number();
    words = subscribers
                ? format("%.0f subscriber%s in Redis", *subscribers, *subscribers == 1 ? "" : "s")
                : "recorded, but too late to be published";
  }
  return finish(context, answer, words);
}

ExitCode run_call(const Context& context, const std::string& method, const std::string& params) {
  if (!params.empty()) {
    if (const auto fault = json_fault(params)) return not_json(params, *fault, false);
  }
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  const Answer answer = link.call(method, json_compact(params));
  if (!answer.ok()) return complain(answer);
  const bool for_people = context.style.terminal && !context.json;
  return say_json(for_people ? json_indented(answer.text) : answer.text);
}

ExitCode run_stroke(const Context& context, const std::string& verb, const StrokeOptions& options) {
  ObjectText params;
  const auto integer = [&](const char* name, const std::optional<long long>& value) {
    if (value) params.integer(name, *value);
  };
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) params.text(name, value);
  };
  text("session_id", options.session);
  integer("total_strokes", options.total);
  integer("stroke_idx", options.stroke);
  integer("pose_idx", options.pose);
  integer("stroke_length", options.length);
  integer("offset_idx_l", options.offset_left);
  integer("offset_idx_r", options.offset_right);
  text("stroke_description_l", options.left);
  text("stroke_description_r", options.right);
  text("scene_name", options.scene);
  text("dataset_name", options.dataset);
  if (options.paused || options.resumed) params.boolean("is_paused", options.paused);
  if (verb == "update" && params.empty()) {
    return complain(
        kUsage, "stroke update wants something to update; see nodebeatctl stroke update --help");
  }
  const Answer answer = call_once(context, "stroke." + verb, params, options.stored);
  std::string words;
  if (answer.ok() && verb == "start") {
    words = printable(JsonDocument(answer.text)["session_id"].text());
  }
  return finish(context, answer, words);
}

}  // namespace nb::ctl
