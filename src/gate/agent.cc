#include "gate/agent.h"

#include <algorithm>
#include <utility>

#include "base/foreign_text.h"
#include "base/text.h"
#include "json/writer.h"

namespace nb::gate {
namespace {

using namespace std::chrono_literals;

// A call that comes this soon after a failed try gets that try's reason.
constexpr Duration kFreshFailure = 100ms;
// A connection that has lasted so long was a good one: the next try is not delayed.
constexpr Duration kStable = 5s;

void append_strings(json::Writer& writer, const char* name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  writer.key(name).begin_array();
  for (const std::string& text : texts) writer.string(text);
  writer.end_array();
}

}  // namespace

Agent::Agent(uv::Loop& loop, AgentOptions options, const Log& log)
    : loop_(loop),
      options_(std::move(options)),
      log_(log),
      backoff_(options_.backoff, Random::from_system()),
      dialer_(loop, Delegate<void(uv::Dialer::Answer&)>::to<&Agent::on_dialled>(this)),
      retry_(loop, Delegate<void()>::to<&Agent::dial>(this)),
      dial_deadline_(loop, Delegate<void()>::to<&Agent::on_dial_deadline>(this)),
      call_deadline_(loop, Delegate<void()>::to<&Agent::on_call_deadline>(this)),
      soon_(loop, Delegate<void()>::to<&Agent::on_turn>(this)) {}

Agent::~Agent() = default;

void Agent::start() {
  if (state_ == State::stopped) dial();
}

void Agent::dial() {
  state_ = State::dialling;
  retry_.stop();
  dial_deadline_.start(options_.dial_deadline);
  uv::Target target;
  target.unix_path = options_.socket;
  dialer_.start(target, options_.dial_deadline);
}

void Agent::on_dialled(uv::Dialer::Answer& answer) {
  if (!answer.ok()) return lose("there is no agent: " + answer.error().message);
  stream_ = std::move(*answer);
  stream_->set_events({{},
                       Delegate<void(std::string_view)>::to<&Agent::on_data>(this),
                       Delegate<void(int)>::to<&Agent::on_end>(this),
                       {}});
  if (const int error = stream_->start_reading(); error != 0) return on_end(error);
  state_ = State::greeting;
  framer_ = LineFramer(rpc::kMostLineBytes);
  last_words_.clear();
  hello_id_ = ++last_id_;
  std::string params;
  json::Writer(params)
      .begin_object()
      .key("name")
      .string(options_.name)
      .key("max_line_bytes")
      .integer(rpc::kMostLineBytes)
      .end_object();
  write("client.hello", hello_id_, params);
}

void Agent::on_dial_deadline() {
  lose(state_ == State::greeting
           ? "the agent at " + options_.socket + " does not answer: it is stopped or hangs"
           : "connecting to " + options_.socket + " takes too long");
}

void Agent::on_data(std::string_view bytes) {
  framer_.feed(bytes);
  const uv::Stream* const stream = stream_.get();
  std::string_view line;
  for (;;) {
    const LineFramer::Step step = framer_.next(line);
    if (step == LineFramer::Step::more) return;
    if (step == LineFramer::Step::too_long) continue;  // its call ends by the deadline
    on_line(line);
    if (stream_.get() != stream) return;  // lost
  }
}

void Agent::on_line(std::string_view line) {
  if (trim(line).empty()) return;
  if (const json::Fault fault = guard_.check(line); fault.reason != nullptr) {
    log_.warning("%s sends what is not JSON: %s", options_.socket.c_str(), fault.reason);
    return lose("what listens at " + options_.socket + " is no agent: it sends no JSON");
  }
  const json::View message = guard_.view();
  if (const auto method = message["method"].string(scratch_)) {
    const std::string name(*method);
    return on_notification(name, message["params"]);
  }
  on_answer(message);
}

void Agent::on_answer(json::View message) {
  const auto id = message["id"].integer();
  if (!id) {
    last_words_ = failure_of(message["error"]).words;
    return;
  }
  if (static_cast<uint64_t>(*id) == hello_id_) return on_hello(message);
  for (AgentListener* const listener : listeners_) {
    if (listener != nullptr && listener->subscribing_ == static_cast<uint64_t>(*id)) {
      return on_subscribed(*listener, message["error"]);
    }
  }
  const auto found = calls_.find(static_cast<uint64_t>(*id));
  if (found == calls_.end()) return;  // cancelled, or over its deadline
  AgentCall& call = *found->second;
  if (const json::View error = message["error"]; error.exists()) {
    return call.fail(failure_of(error));
  }
  call.answer({message["result"], nullptr});
}

void Agent::on_hello(json::View message) {
  if (state_ != State::greeting) return;
  const json::View result = message["result"];
  if (!result.exists()) {
    return lose("the agent refuses the gate: " + failure_of(message["error"]).words);
  }
  const auto text = [&](const char* name) {
    return std::string(result[name].string(scratch_).value_or(""));
  };
  hello_ = {text("node_id"), text("instance_id"), text("agent_version"), {}, rpc::kLeastLineBytes};
  for (const json::View right : result["rights"].elements()) {
    hello_.rights = hello_.rights.with(right.string(scratch_).value_or(""));
  }
  if (const auto bytes = result["limits"]["line_bytes"].integer(); bytes && *bytes > 0) {
    hello_.line_bytes = static_cast<size_t>(*bytes);
  }
  state_ = State::there;
  there_since_ = loop_.now();
  why_away_.clear();
  dial_deadline_.stop();
  log_.info("connected to the agent of %s at %s", foreign_text(hello_.node_id).c_str(),
            options_.socket.c_str());
  for (AgentListener* const listener : listeners_) {
    if (listener != nullptr) subscribe(*listener);
  }
  for (auto& [id, call] : calls_) {
    if (!call->is_sent_ && !call->verdict_) send(*call);
  }
  tell_presence(true);
}

void Agent::on_notification(std::string_view method, json::View params) {
  if (method == "event.gap") return tell_event({true, {}, params});
  std::string scratch;
  if (method == "event.replayed") return tell_replayed(params["mark"].string(scratch).value_or(""));
  if (method != "event") return;
  const auto channel = params["channel"].string(scratch);
  if (channel) tell_event({false, *channel, params});
}

void Agent::on_end(int error) {
  std::string why = "the agent at " + options_.socket + " has closed the connection";
  if (!last_words_.empty()) {
    why += ": " + last_words_;
  } else if (error != UV_EOF) {
    why += ": " + std::string(uv::error_text(error));
  }
  lose(std::move(why));
}

void Agent::lose(std::string why) {
  const bool was_there = state_ == State::there;
  if (was_there || why != why_away_) log_.warning("%s", foreign_text(why).c_str());
  why_away_ = std::move(why);
  if (was_there && loop_.now() - there_since_ >= kStable) backoff_.reset();
  state_ = State::waiting;
  lost_at_ = loop_.now();
  dialer_.cancel();
  dial_deadline_.stop();
  stream_.reset();
  output_.clear();
  retry_.start(backoff_.next());
  fail_calls();
  if (told_there_.value_or(true)) tell_presence(false);
}

void Agent::fail_calls() {
  const uint64_t last = last_id_;  // a callback may make further calls
  while (!calls_.empty() && calls_.begin()->first <= last) {
    AgentCall& call = *calls_.begin()->second;
    call.fail({.words = why_away_, .was_sent = call.is_sent_});
  }
}

void Agent::begin(AgentCall& call) {
  call.id_ = ++last_id_;
  calls_.emplace(call.id_, &call);
  if (calls_.size() > kMaxCalls || unsent_bytes() > kMaxUnsent) {
    call.verdict_ = {.kind = CallFailure::Kind::full,
                     .words = "too many calls wait for the agent: try again later"};
  } else if (state_ == State::there) {
    send(call);
  } else if (state_ == State::stopped || (state_ == State::waiting && !why_away_.empty() &&
                                          loop_.now() - lost_at_ < kFreshFailure)) {
    call.verdict_ = {.words = why_away_.empty() ? "the agent was not dialled yet" : why_away_};
  } else if (state_ == State::waiting) {
    dial();
  }
  soon_.request();
  watch_deadline();
}

void Agent::send(AgentCall& call) {
  const size_t before = output_.size();
  write(call.method_, call.id_, call.params_);
  if (output_.size() - before > hello_.line_bytes) {
    output_.resize(before);
    call.verdict_ = {.kind = CallFailure::Kind::refused,
                     .name = "too_large",
                     .words = "the call is longer than the " + std::to_string(hello_.line_bytes) +
                              " bytes that the agent reads"};
  }
  call.is_sent_ = !call.verdict_;
  call.method_.clear();
  call.params_.clear();
}

void Agent::write(std::string_view method, uint64_t id, std::string_view params) {
  output_ += R"({"jsonrpc":"2.0","method":")";
  output_ += method;
  output_ += '"';
  if (!params.empty()) {
    output_ += R"(,"params":)";
    output_ += params;
  }
  output_ += R"(,"id":)";
  output_ += std::to_string(id);
  output_ += "}\n";
  soon_.request();
}

size_t Agent::unsent_bytes() const {
  return output_.size() + (stream_ ? stream_->queued_bytes() : 0);
}

void Agent::on_turn() {
  // An agent that has hung up may have sent the reason: the reading side reports that, and then the
  // end.
  if (stream_ && stream_->write(output_) != 0) output_.clear();
  const uint64_t last = last_id_;
  for (auto at = calls_.begin(); at != calls_.end() && at->first <= last;) {
    AgentCall& call = *at->second;
    if (!call.verdict_) {
      ++at;
      continue;
    }
    const uint64_t id = at->first;
    call.fail(CallFailure(*call.verdict_));
    at = calls_.upper_bound(id);
  }
}

void Agent::watch_deadline() {
  if (calls_.empty()) return call_deadline_.stop();
  MonoTime first = MonoTime::max();
  for (const auto& [id, call] : calls_) first = std::min(first, call->due_);
  if (!call_deadline_.active() || call_deadline_.due() > first) {
    call_deadline_.start(first - loop_.now());
  }
}

void Agent::on_call_deadline() {
  const MonoTime now = loop_.now();
  for (auto at = calls_.begin(); at != calls_.end();) {
    AgentCall& call = *at->second;
    const uint64_t id = at->first;
    if (call.due_ <= now) {
      call.fail({.kind = CallFailure::Kind::silent,
                 .words = "the agent at " + options_.socket + " has not answered in time",
                 .was_sent = call.is_sent_});
    }
    at = calls_.upper_bound(id);
  }
  watch_deadline();
}

CallFailure Agent::failure_of(json::View error) {
  CallFailure failure{.kind = CallFailure::Kind::refused, .was_sent = true};
  failure.code = static_cast<int>(error["code"].integer().value_or(0));
  failure.name = error["data"]["name"].string(scratch_).value_or("");
  failure.words = error["message"].string(scratch_).value_or("an error without words");
  failure.data = error["data"].raw();
  return failure;
}

void Agent::add(AgentListener& listener) {
  listeners_.push_back(&listener);
  if (state_ == State::there) subscribe(listener);
}

void Agent::remove(const AgentListener& listener) {
  const auto found = std::find(listeners_.begin(), listeners_.end(), &listener);
  if (found == listeners_.end()) return;
  *found = nullptr;
  if (handing_out_ == 0) std::erase(listeners_, nullptr);
  if (state_ != State::there) return;
  // Channels of other listeners stay.
  std::string params;
  json::Writer writer(params);
  const auto without_others = [&](std::vector<std::string> AgentListener::*kind) {
    std::vector<std::string> names = listener.*kind;
    std::erase_if(names, [&](const std::string& name) { return is_heard(name, kind); });
    return names;
  };
  const auto channels = without_others(&AgentListener::channels_);
  const auto patterns = without_others(&AgentListener::patterns_);
  if (channels.empty() && patterns.empty()) return;
  writer.begin_object();
  append_strings(writer, "channels", channels);
  append_strings(writer, "patterns", patterns);
  writer.end_object();
  write("event.unsubscribe", ++last_id_, params);
}

bool Agent::is_heard(const std::string& name, std::vector<std::string> AgentListener::*kind) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const AgentListener* listener) {
    return listener != nullptr && std::find((listener->*kind).begin(), (listener->*kind).end(),
                                            name) != (listener->*kind).end();
  });
}

void Agent::subscribe(AgentListener& listener) {
  if (listener.channels_.empty() && listener.patterns_.empty()) return;
  std::string params;
  json::Writer writer(params);
  writer.begin_object();
  append_strings(writer, "channels", listener.channels_);
  append_strings(writer, "patterns", listener.patterns_);
  if (!listener.replay_.empty()) writer.key("replay").raw(listener.replay_);
  writer.end_object();
  listener.subscribing_ = ++last_id_;
  write("event.subscribe", listener.subscribing_, params);
}

void Agent::on_subscribed(AgentListener& listener, json::View error) {
  listener.subscribing_ = 0;
  const auto told = listener.events_.on_subscribed;
  if (!error.exists()) return told(nullptr);
  const CallFailure failure = failure_of(error);
  log_.warning("the agent refuses a subscription: %s", foreign_text(failure.words).c_str());
  told(&failure);
}

void Agent::tell_event(const AgentEvent& event) {
  const bool fits = event.channel.size() <= GlobText::kMaxBytes;
  if (fits) channel_.set(event.channel);
  ++handing_out_;
  for (size_t i = 0; i < listeners_.size(); ++i) {
    AgentListener* const listener = listeners_[i];
    if (listener == nullptr) continue;
    if (event.is_gap || (fits && listener->wants(channel_))) listener->events_.on_event(event);
  }
  if (--handing_out_ == 0) std::erase(listeners_, nullptr);
}

void Agent::tell_replayed(std::string_view mark) {
  ++handing_out_;
  for (size_t i = 0; i < listeners_.size(); ++i) {
    if (listeners_[i] != nullptr) listeners_[i]->events_.on_replayed(mark);
  }
  if (--handing_out_ == 0) std::erase(listeners_, nullptr);
}

void Agent::tell_presence(bool there) {
  told_there_ = there;
  ++handing_out_;
  for (size_t i = 0; i < listeners_.size(); ++i) {
    if (listeners_[i] != nullptr) listeners_[i]->events_.on_presence(there);
  }
  if (--handing_out_ == 0) std::erase(listeners_, nullptr);
}

void AgentCall::start(std::string_view method, std::string_view params, Duration deadline) {
  cancel();
  method_ = method;
  params_ = params;
  is_sent_ = false;
  verdict_.reset();
  due_ = agent_.loop_.now() + deadline;
  agent_.begin(*this);
}

void AgentCall::cancel() {
  if (id_ != 0) agent_.calls_.erase(std::exchange(id_, 0));
}

void AgentCall::answer(const CallAnswer& answer) {
  cancel();
  const auto on_answer = on_answer_;  // the callback may destroy this call
  on_answer(answer);
}

void AgentCall::fail(const CallFailure& failure) {
  answer({{}, &failure});
}

AgentListener::AgentListener(Agent& agent, std::vector<std::string> channels,
                             std::vector<std::string> patterns, Events events, std::string replay)
    : agent_(agent),
      channels_(std::move(channels)),
      patterns_(std::move(patterns)),
      replay_(std::move(replay)),
      events_(events) {
  agent_.add(*this);
}

AgentListener::~AgentListener() {
  agent_.remove(*this);
}

bool AgentListener::wants(const GlobText& channel) const {
  return std::find(channels_.begin(), channels_.end(), channel.text()) != channels_.end() ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::string& pattern) { return channel.matches(pattern); });
}

}  // namespace nb::gate
