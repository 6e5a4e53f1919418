// push: sends JSON lines from stdin to the agent; each is answered before the next is sent.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ctl/commands.h"
#include "ctl/json.h"
#include "json/view.h"
#include "terminal/json_text.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

// getline's buffer.
struct Line {
  char* data = nullptr;
  size_t capacity = 0;
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { std::free(data); }
};

struct Call {
  std::string method, params;
};

// The call in the line; or in `fault` the reason why there is none.
Call parse(std::string_view line, bool robot, std::string& fault) {
  if (const auto wrong = json_fault(line)) {
    fault = "not JSON: " + *wrong;
    return {};
  }
  const std::string json = json_compact(line);
  if (json.front() != '{') {
    fault = "not an object";
    return {};
  }
  if (robot) return {"robot.update", json};
  const JsonDocument document(json);
  const std::string_view method = document["method"].text();
  if (method.empty()) {
    fault =
        "no \"method\": a line is {\"method\":...,\"params\":{...}}, or with --robot the params "
        "alone";
    return {};
  }
  const std::string_view params = json::View::of(json)["params"].raw();
  if (!params.empty() && params.front() != '{') {
    fault = "\"params\" is not an object";
    return {};
  }
  return {std::string(method), std::string(params)};
}

std::string with_stored(const std::string& params, int64_t timeout_ms) {
  const std::string ack =
      format("\"ack\":\"stored\",\"timeout_ms\":%lld}", static_cast<long long>(timeout_ms));
  if (params.empty() || params == "{}") return '{' + ack;
  return params.substr(0, params.size() - 1) + ',' + ack;
}

}  // namespace

ExitCode run_push(const Context& context, bool robot, bool stored) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  unsigned long number = 0;
  unsigned long taken = 0;
  unsigned long refused = 0;
  ExitCode worst = kOk;
  const auto refuse = [&](ExitCode exit, const std::string& why) {
    ++refused;
    if (worst == kOk) worst = exit;
    complain(exit, format("line %lu: %s", number, why.c_str()));
  };
  const auto summary = [&] {
    if (context.json) return say(format("{\"taken\":%lu,\"refused\":%lu}\n", taken, refused));
    if (refused == 0) return kOk;
    return complain(
        kOk, format("%lu of %lu lines were taken, %lu refused", taken, taken + refused, refused));
  };

  Line buffer;
  ssize_t size = 0;
  while ((size = ::getline(&buffer.data, &buffer.capacity, stdin)) >= 0) {
    ++number;
    std::string_view line(buffer.data, static_cast<size_t>(size));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    std::string fault;
    const Call call = parse(line, robot, fault);
    if (!fault.empty()) {
      refuse(kRefused, fault);
      continue;
    }
    const Answer answer = stored
                              ? link.call(call.method, with_stored(call.params, context.timeout_ms),
                                          context.timeout_ms + 500)
                              : link.call(call.method, call.params);
    if (answer.ok()) {
      ++taken;
      if (const std::string part = answer.refused_part(); !part.empty()) {
        if (worst == kOk) worst = kRefusedByRedis;
        complain(kRefusedByRedis, format("line %lu: %s", number, part.c_str()));
      }
    } else if (answer.exit == kAway) {
      // All further lines would be lost, so the command ends, and reports where.
      complain(kAway, format("line %lu: %s", number, answer.text.c_str()));
      summary();
      return kAway;
    } else {
      const bool own = answer.exit == kTimeout || answer.exit == kRefusedByRedis;
      refuse(own ? answer.exit : kRefused, answer.text);
    }
  }
  if (std::ferror(stdin) != 0) {
    worst = kUsage;
    complain(kUsage, std::string("standard input: ") + std::strerror(errno));
  }
  const ExitCode said = summary();
  return worst != kOk ? worst : said;
}

}  // namespace nb::ctl
