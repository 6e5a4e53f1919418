// bus: messages between the instances of the cell's programs.
#include <algorithm>
#include <cstdlib>

#include "ctl/commands.h"
#include "ctl/duration.h"
#include "ctl/json.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

// The agent's own deadline is earlier by this, so that its answer is the one that counts.
constexpr int64_t kMargin = 500;
constexpr int64_t kMostStored = 60'000;  // PROTOCOL.md, 2.5
constexpr int kNotStored = -32005, kDropped = -32012;

ExitCode bad_value(const char* flag, const std::string& text, const char* wanted) {
  return complain(kUsage, format("%s: '%s' is no %s", flag, printable(text).c_str(), wanted));
}

// The user that is logged in, as the readers of a broadcast want to know.
std::string admin_of(const BusOptions& options) {
  if (!options.admin.empty()) return options.admin;
  for (const char* name : {"SUDO_USER", "USER", "LOGNAME"}) {
    if (const char* user = std::getenv(name); user != nullptr && *user != '\0') return user;
  }
  return "nodebeatctl";
}

std::string broadcast(const char* action, const BusOptions& options) {
  ObjectText data;
  data.text("action", action).text("admin", admin_of(options));
  if (!options.message.empty()) data.text("message", options.message);
  return data.str();
}

ExitCode publish(const Context& context, ObjectText& params, bool waits, bool stops) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  if (waits) {
    params.text("ack", "stored")
        .integer("timeout_ms", std::clamp<int64_t>(context.timeout_ms, 1, kMostStored));
  }
  const Answer answer =
      link.call("bus.publish", params.str(), context.timeout_ms + (waits ? kMargin : 0));
  if (stops && (answer.code == kNotStored || answer.code == kDropped)) {
    return complain(kTimeout,
                    "the programs on this computer were told to stop, but Redis has not confirmed "
                    "it: stop the other computers by another way (" +
                        answer.text + ")");
  }
  if (!answer.ok()) return complain(answer);
  ExitCode said = kOk;
  if (context.json) {
    said = say_json(answer.text);
  } else if (waits) {
    const auto heard = JsonDocument(answer.text)["subscribers"].number();
    said = say(heard ? format("%.0f subscriber%s in Redis\n", *heard, *heard == 1 ? "" : "s")
                     : std::string("recorded, but too late to be published\n"));
  }
  const std::string refused = answer.refused_part();
  return refused.empty() ? said : complain(kRefusedByRedis, refused);
}

}  // namespace

ExitCode run_bus(const Context& context, const std::string& verb, const BusOptions& options) {
  if (verb == "watch") return run_watch(context, {"cv:*"}, options.count);
  ObjectText params;
  const bool sends = verb == "send";
  if (sends) {
    if (const auto fault = json_fault(options.data)) {
      return complain(
          kUsage, format("'%s' is not JSON: %s", clip(printable(options.data), 60, true).c_str(),
                         fault->c_str()));
    }
    params.text("type", options.type).raw("data", json_compact(options.data));
    if (!options.channel.empty()) params.text("channel", options.channel);
    if (options.no_record) params.boolean("record", false);
  } else {
    const bool stops = verb == "stop";
    params.text("type", "system_broadcast");
    params.raw("data", broadcast(stops ? "emergency_stop" : "clear_all", options));
  }
  if (!options.max_age.empty()) {
    const auto age = parse_duration(options.max_age);
    if (!age) return bad_value("--max-age", options.max_age, "duration, such as 500ms or 5s");
    params.integer("max_age_ms", *age);
  }
  return publish(context, params, !sends || !options.no_wait, verb == "stop");
}

}  // namespace nb::ctl
