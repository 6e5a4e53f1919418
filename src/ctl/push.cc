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

// Counts the results of the lines.
class Pusher {
 public:
  Pusher(const Context& context, const PushOptions& options, AgentLink& link)
      : context_(context), options_(options), link_(link) {}

  // Sends one line. False if the agent is gone: all further lines would be lost.
  bool push(std::string_view line);
  ExitCode finish();
  ExitCode fail(ExitCode exit, const std::string& why);

 private:
  void report(ExitCode exit, const std::string& why) {
    if (worst_ == kOk) worst_ = exit;
    complain(exit, format("line %lu: %s", number_, why.c_str()));
  }
  void refuse(ExitCode exit, const std::string& why) {
    ++refused_;
    report(exit, why);
  }

  const Context& context_;
  const PushOptions& options_;
  AgentLink& link_;
  unsigned long number_ = 0, taken_ = 0, refused_ = 0;
  ExitCode worst_ = kOk;
};

bool Pusher::push(std::string_view line) {
  constexpr int64_t kMargin = 500;  // the agent's own deadline comes first
  ++number_;
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.find_first_not_of(" \t") == std::string_view::npos) return true;
  std::string fault;
  const Call call = parse(line, options_.robot, fault);
  if (!fault.empty()) {
    refuse(kRefused, fault);
    return true;
  }
  const Answer answer = options_.stored
                            ? link_.call(call.method, with_stored(call.params, context_.timeout_ms),
                                         context_.timeout_ms + kMargin)
                            : link_.call(call.method, call.params);
  if (answer.exit == kAway) {
    report(kAway, answer.text);
    worst_ = kAway;
    return false;
  }
  if (!answer.ok()) {
    const bool own = answer.exit == kTimeout || answer.exit == kRefusedByRedis;
    refuse(own ? answer.exit : kRefused, answer.text);
    return true;
  }
  ++taken_;
  if (const std::string part = answer.refused_part(); !part.empty()) report(kRefusedByRedis, part);
  return true;
}

ExitCode Pusher::fail(ExitCode exit, const std::string& why) {
  worst_ = exit;
  return complain(exit, why);
}

// Prints the summary; returns the exit code of the command.
ExitCode Pusher::finish() {
  ExitCode said = kOk;
  if (context_.json) {
    said = say(format("{\"taken\":%lu,\"refused\":%lu}\n", taken_, refused_));
  } else if (refused_ > 0) {
    complain(kOk, format("%lu of %lu lines were taken, %lu refused", taken_, taken_ + refused_,
                         refused_));
  }
  return worst_ != kOk ? worst_ : said;
}

}  // namespace

ExitCode run_push(const Context& context, const PushOptions& options) {
  AgentLink link(context.link_options());
  if (const Answer opened = link.open(); !opened.ok()) return complain(opened);
  Pusher pusher(context, options, link);
  Line buffer;
  ssize_t size = 0;
  while ((size = ::getline(&buffer.data, &buffer.capacity, stdin)) >= 0) {
    if (!pusher.push({buffer.data, static_cast<size_t>(size)})) return pusher.finish();
  }
  if (std::ferror(stdin) != 0) {
    (void)pusher.fail(kUsage, std::string("standard input: ") + std::strerror(errno));
  }
  return pusher.finish();
}

}  // namespace nb::ctl
