#include "gate/event_reader.h"

#include <cmath>
#include <utility>

#include "gate/outcome.h"
#include "json/writer.h"
#include "terminal/text.h"

namespace nb::gate {
namespace {

// For the past, which comes as fast as it is read: an agent that takes longer hangs.
constexpr Duration kMostForPast = std::chrono::seconds(5);
// Events that happen together come within this time.
constexpr Duration kQuiet = std::chrono::milliseconds(50);

std::string replay_of(const EventReader::Wish& wish, const std::string& since) {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  if (wish.last > 0) {
    writer.key("last").integer(wish.last);
  } else {
    writer.key("since").string(since);
  }
  writer.key("mark").string("past");
  writer.end_object();
  return out;
}

// Room for names and an id besides the data of an event.
constexpr size_t kRoomBesideData = 2048;

// An event in the form of the tools. A message that is no JSON is text; a message longer than
// `most` bytes is reduced to its size.
std::string event_of(std::string_view channel, json::View params, size_t most) {
  std::string out;
  add_text(out, "channel", channel);
  const json::View text = params["text"];
  const json::View data = text.exists() ? text : params["event"];
  const json::View size = params["omitted_bytes"];
  if (size.exists()) {
    add_raw(out, "data", "null");
    add_raw(out, "omitted_bytes", size.raw());
  } else if (terminal::json_printable(data.raw()).size() > most) {
    add_raw(out, "data", "null");
    add_integer(out, "omitted_bytes", static_cast<int64_t>(data.raw().size()));
  } else if (data.exists()) {
    add_raw(out, "data", data.raw());
  }
  for (const char* name : {"pattern", "id", "node", "remote"}) {
    if (const json::View more = params[name]; more.exists()) add_raw(out, name, more.raw());
  }
  // As it goes out, since its size counts.
  return terminal::json_printable('{' + out + '}');
}

}  // namespace

EventReader::EventReader(uv::Loop& loop, std::string socket, Wish wish,
                         Delegate<void(Heard&)> on_done)
    : loop_(loop),
      wish_(std::move(wish)),
      on_done_(on_done),
      agent_(loop, {.socket = std::move(socket), .name = "nodebeat-gate events"}, silent_),
      inspect_(agent_, Delegate<void(const CallAnswer&)>::to<&EventReader::on_inspected>(this)),
      time_(loop, Delegate<void()>::to<&EventReader::on_time>(this)),
      done_(loop, Delegate<void()>::to<&EventReader::on_turn>(this)) {
  heard_.cursor = wish_.since;
  agent_.start();
  // Shows whether Redis is there, and the time of its clock, by which events have their ids.
  inspect_.start("redis.inspect");
}

void EventReader::on_inspected(const CallAnswer& answer) {
  if (!answer.ok()) return fail(*answer.failure);
  if (heard_.cursor.empty()) {
    const double offset = answer.result["clock_offset_ms"].number().value_or(0);
    const auto now =
        std::chrono::floor<std::chrono::milliseconds>(loop_.clock().wall_now().time_since_epoch());
    heard_.cursor = std::to_string(now.count() + std::llround(offset)) + "-0";
  }
  listener_.emplace(agent_, wish_.channels, wish_.patterns,
                    AgentListener::Events{
                        Delegate<void(const AgentEvent&)>::to<&EventReader::on_event>(this),
                        Delegate<void(bool)>::to<&EventReader::on_presence>(this),
                        Delegate<void(const CallFailure*)>::to<&EventReader::on_subscribed>(this),
                        Delegate<void(std::string_view)>::to<&EventReader::on_replayed>(this)},
                    replay_of(wish_, heard_.cursor));
}

void EventReader::on_subscribed(const CallFailure* failure) {
  if (failure != nullptr) return fail(*failure);
  if (!is_full_ && !past_has_come_) time_.start(kMostForPast);
}

void EventReader::on_replayed(std::string_view) {
  past_has_come_ = true;
  if (is_full_) return;
  if (!heard_.events.empty() || wish_.wait == Duration::zero()) return done_.request();
  time_.start(wish_.wait);
}

void EventReader::on_event(const AgentEvent& event) {
  if (event.is_gap) {
    ++heard_.missed;
    return;
  }
  const json::View params = event.params;
  if (!wish_.node.empty() && params["node"].string(scratch_).value_or("") != wish_.node) return;
  take(event_of(event.channel, params, wish_.most_bytes - kRoomBesideData),
       params["id"].string(scratch_).value_or(""));
}

// Of the past the latest events count, so older ones make room; of the present the first, and the
// next reading begins behind them.
void EventReader::take(std::string event, std::string_view id) {
  const bool of_past = wish_.last > 0;
  if (is_full_) {
    ++heard_.left_out;
    return;
  }
  bytes_ += event.size() + 1;
  while (of_past && !heard_.events.empty() &&
         (heard_.events.size() == wish_.most || bytes_ > wish_.most_bytes)) {
    bytes_ -= heard_.events.front().size() + 1;
    heard_.events.erase(heard_.events.begin());
    ++heard_.left_out;
  }
  if (bytes_ > wish_.most_bytes && !heard_.events.empty()) {
    ++heard_.left_out;
    is_full_ = true;
    return done_.request();
  }
  heard_.events.push_back(std::move(event));
  if (!id.empty()) heard_.cursor = id;
  if (!of_past && heard_.events.size() == wish_.most) {
    is_full_ = true;
    return done_.request();
  }
  if (past_has_come_) time_.start(kQuiet);
}

void EventReader::on_presence(bool there) {
  if (there) return;
  if (!heard_.events.empty()) return done_.request();
  CallFailure failure;
  failure.words = agent_.why_away();
  fail(failure);
}

void EventReader::on_time() {
  if (past_has_come_) return done_.request();
  CallFailure failure;
  failure.kind = CallFailure::Kind::silent;
  failure.words = "the agent does not tell what was recorded";
  fail(failure);
}

void EventReader::fail(const CallFailure& failure) {
  heard_.failure = failure;
  done_.request();
}

void EventReader::on_turn() {
  time_.stop();
  const auto on_done = std::exchange(on_done_, {});
  on_done(heard_);
}

}  // namespace nb::gate
