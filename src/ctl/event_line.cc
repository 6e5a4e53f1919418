#include "ctl/event_line.h"

#include <chrono>

#include "base/timestamp.h"
#include "ctl/json.h"
#include "json/view.h"
#include "terminal/json_text.h"
#include "terminal/local_time.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= ' ' || c == '"' || c == '=' || u == 0x7F) return false;
  }
  return true;
}

void add_member(const json::Member& member, std::string& out) {
  std::string scratch;
  if (!out.empty()) out += ' ';
  out += printable(std::string(member.name(scratch))) + '=';
  // A text has quotes only where it needs them. Numbers keep their digits.
  const std::string text(member.value.string(scratch).value_or(""));
  out += printable(is_plain(text) ? text : member.value.raw());
}

}  // namespace

std::string event_words(std::string_view json) {
  const JsonDocument document(json);
  const Json event = document.root();
  if (!event.is_object()) return printable(json);
  std::string out = printable(event["type"].text());
  if (const auto node = event["node_id"].text(); !node.empty()) {
    out += (out.empty() ? "" : " ") + printable(node);
  }
  // A message of the bus has everything in its `data`.
  const bool bus = event["timestamp"].number() && event["data"].is_object();
  std::string scratch;
  for (const json::Member& member : json::View::of(json).members()) {
    const std::string name(member.name(scratch));
    const bool said =
        name == "type" || name == "node_id" || name == "timestamp" || name == "instance_id";
    if (said) continue;
    if (bus && name == "data") {
      for (const json::Member& inner : member.value.members()) add_member(inner, out);
    } else {
      add_member(member, out);
    }
  }
  return out;
}

std::string event_words(const Event& event) {
  return event.omitted ? printable(event.json) + " bytes, too long to be shown"
                       : event_words(event.json);
}

std::string event_line(const Event& event, int64_t arrived, const Style& style) {
  if (event.gap) {
    const JsonDocument document(event.json);
    const auto from = document["from"].timestamp_us();
    const auto to = document["to"].timestamp_us();
    const auto lost = document["lost"].number();
    std::string text = "-- messages of other nodes may have been missed";
    if (lost)
      text = format("-- %.0f messages were lost: they came faster than they were read", *lost);
    if (from && to) text += " from " + local_time_ms(*from) + " to " + local_time_ms(*to);
    return style.paint(Colour::yellow, text);
  }
  const JsonDocument document(event.json);
  auto at = document["timestamp"].timestamp_us();
  constexpr int64_t kMostMs = 32'503'680'000'000;  // the year 3000
  const int64_t ms = document["timestamp"].integer_or(-1);
  if (ms >= 0 && ms < kMostMs) at = 1000 * ms;  // of the bus
  std::string line = style.paint(Colour::dim, local_time_ms(at.value_or(arrived))) + "  ";
  line += style.paint(Colour::blue, pad(printable(event.channel), 22));
  line += event.remote ? "  remote  " : "  ";
  const bool bad = document["type"].text() == "error";
  return line + style.paint(bad ? Colour::red : Colour::none, event_words(event));
}

std::string event_json(const Event& event, int64_t arrived) {
  ObjectText out;
  out.text("time", format_timestamp(WallTime(std::chrono::microseconds(arrived))));
  if (event.gap) return out.text("notice", "gap").raw("gap", event.json).str();
  out.text("channel", event.channel);
  if (event.remote) out.boolean("remote", true);
  const char* name = event.omitted ? "omitted_bytes" : event.text ? "text" : "event";
  return out.raw(name, event.json).str();
}

}  // namespace nb::ctl
