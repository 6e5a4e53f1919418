#include "ctl/top_view.h"

#include <algorithm>

#include "ctl/event_line.h"
#include "ctl/link_words.h"
#include "terminal/local_time.h"
#include "terminal/table.h"
#include "terminal/text.h"

namespace nb::ctl {
namespace {

constexpr size_t kMostRecent = 200;
constexpr size_t kMostStrokes = 64;
constexpr size_t kMostPoses = 1024;
constexpr size_t kChannel = 22;  // columns of an event's channel: "stroke:events:session"

void take_progress(RunningStroke& stroke, Json from) {
  const auto number = [&](const char* name, int64_t& to) { to = from[name].integer_or(to); };
  const auto text = [&](const char* name, std::string& to) {
    if (from[name].exists()) to = printable(from[name].text());
  };
  text("node_id", stroke.node);
  number("stroke_idx", stroke.stroke);
  number("total_strokes", stroke.total);
  number("pose_idx", stroke.pose);
  number("stroke_length", stroke.length);
  text("scene_name", stroke.scene);
  // Events name this member description_l, the value names it stroke_description_l.
  for (const char* prefix : {"", "stroke_"}) {
    text((std::string(prefix) + "description_l").c_str(), stroke.left);
    text((std::string(prefix) + "description_r").c_str(), stroke.right);
  }
  if (const auto paused = from["is_paused"].boolean()) stroke.paused = *paused;
}

std::string pose_words(Json event) {
  std::string pose = printable(event["current_pose"].text("unknown"));
  const bool left = event["is_connected_l"].boolean().value_or(true);
  const bool right = event["is_connected_r"].boolean().value_or(true);
  if (!left && !right) return "not connected";
  if (!left) pose += ", left arm away";
  if (!right) pose += ", right arm away";
  return pose;
}

}  // namespace

std::string clip_painted(std::string_view line, size_t columns) {
  std::string out;
  size_t used = 0;
  bool painted = false;
  while (!line.empty()) {
    if (line[0] == '\033') {
      const size_t end = std::min(line.find('m') + 1, line.size());
      out += line.substr(0, end);
      painted = true;
      line.remove_prefix(end);
      continue;
    }
    size_t bytes = 1;
    while (bytes < line.size() && (static_cast<unsigned char>(line[bytes]) & 0xC0) == 0x80) ++bytes;
    const size_t wide = width(line.substr(0, bytes));
    if (used + wide > columns) {
      if (painted) out += "\033[0m";
      break;
    }
    used += wide;
    out += line.substr(0, bytes);
    line.remove_prefix(bytes);
  }
  return out;
}

size_t painted_width(std::string_view line) {
  size_t used = 0;
  while (!line.empty()) {
    const size_t escape = std::min(line.find('\033'), line.size());
    used += width(line.substr(0, escape));
    line.remove_prefix(escape);
    if (!line.empty()) line.remove_prefix(std::min(line.find('m') + 1, line.size()));
  }
  return used;
}

std::optional<ClientDeadline> read_deadline(Json client) {
  const Json deadline = client["deadline"];
  if (!deadline.is_object()) return std::nullopt;
  ClientDeadline out;
  const std::string name = printable(client["name"].text());
  out.client =
      (name.empty() ? "(no name)" : name) + format(", pid %.0f", client["pid"].number_or(0));
  out.deadline_ms = deadline["deadline_ms"].integer_or(0);
  if (deadline["gap_ms"].number()) out.gap_ms = deadline["gap_ms"].integer_or(0);
  out.late = deadline["late"].boolean().value_or(false);
  out.missed = deadline["missed"].integer_or(0);
  out.longest_gap_ms = deadline["longest_gap_ms"].integer_or(0);
  return out;
}

std::string state_words(const ClientDeadline& deadline) {
  if (!deadline.gap_ms) return "has not begun";
  return deadline.late ? "late: nothing for " + human_duration(*deadline.gap_ms) : "in time";
}

std::string missed_words(const ClientDeadline& deadline) {
  if (deadline.missed == 0) return {};
  return format("missed %lld time%s, longest gap %s", static_cast<long long>(deadline.missed),
                deadline.missed == 1 ? "" : "s", human_duration(deadline.longest_gap_ms).c_str());
}

void TopModel::on_status(Json status, int64_t now) {
  fleet_ = read_fleet(status, now);
}

void TopModel::on_stats(Json stats) {
  self_ = printable(stats["node_id"].text());
  const LinkWords link = link_words(stats["link"]);
  link_ = link.text;
  link_good_ = link.good;
  deadlines_.clear();
  for (const Json client : stats["clients"]) {
    if (auto deadline = read_deadline(client)) deadlines_.push_back(std::move(*deadline));
  }
}

void TopModel::on_progress(const std::string& session, Json progress) {
  if (progress["is_executing"].boolean() == false) {
    strokes_.erase(session);
  } else if (strokes_.size() < kMostStrokes || strokes_.count(session) != 0) {
    take_progress(strokes_[session], progress);
  }
}

void TopModel::on_event(const Event& event, int64_t arrived) {
  if (event.gap) return;
  const JsonDocument document(event.json);
  const Json root = document.root();
  const std::string_view type = root["type"].text();
  const std::string node = printable(root["node_id"].text());
  const std::string session(root["session_id"].text());
  // These two come many times a second. They are shown as bars and in the table of nodes.
  if (event.channel == "stroke:events:progress") {
    if (!session.empty()) on_progress(session, root);
    return;
  }
  if (event.channel == "robot:events" && type == "state_update") {
    if (poses_.size() < kMostPoses || poses_.count(node) != 0) poses_[node] = pose_words(root);
    return;
  }
  if (type == "session_start" && !session.empty()) on_progress(session, root);
  if (type == "session_end") strokes_.erase(session);

  Recent recent{root["timestamp"].timestamp_us().value_or(arrived),
                printable(event.channel),
                node,
                event_words(event),
                event.remote,
                type == "error"};
  // A repeated event is counted, so that one busy sender leaves lines for the others.
  if (!recent_.empty() && recent_.front().channel == recent.channel &&
      recent_.front().words == recent.words) {
    recent.count = recent_.front().count + 1;
    recent_.pop_front();
  }
  recent_.push_front(std::move(recent));
  if (recent_.size() > kMostRecent) recent_.pop_back();
}

Fleet TopModel::fleet_with_poses() const {
  Fleet fleet = fleet_;
  for (FleetNode& node : fleet.nodes) {
    if (const auto found = poses_.find(node.name); found != poses_.end() && node.up) {
      node.pose = found->second;
    }
  }
  return fleet;
}

std::vector<std::string> TopModel::head(const Style& style, int64_t now) const {
  const std::string time = local_time(now, now) + ' ' + local_zone(now);
  const bool there = presence_ == Presence::there;
  const std::string about = there ? fleet_summary(fleet_) : std::string();
  const std::string news = there ? link_ : words(presence_);
  const Colour colour = there && link_good_ ? Colour::green : Colour::red;

  std::string first = style.paint(Colour::bold, "nodebeat") + (about.empty() ? "" : "  ") + about;
  const size_t room = style.columns - std::min(style.columns, width(time) + 2);
  const bool one_line = painted_width(first) + 2 + width(news) <= room;
  if (one_line) first += "  " + style.paint(colour, news);
  first = clip_painted(first, room);
  const size_t used = painted_width(first) + width(time);
  std::vector<std::string> out = {
      first + std::string(style.columns - std::min(style.columns, used), ' ') + time};
  if (one_line) return out;
  for (const std::string& line : wrap(news, style.columns)) {
    out.push_back(style.paint(colour, line));
  }
  return out;
}

std::vector<std::string> TopModel::stroke_lines(const Style& style, std::string_view node) const {
  Table table;
  table.column("STROKES");
  table.column("");
  table.column("", Align::right);
  table.column("", Align::right);
  table.column("");
  table.column("", Align::left, Table::kWraps);
  const size_t cells = style.columns >= 100 ? 30 : style.columns >= 70 ? 16 : 8;
  for (const auto& [session, stroke] : strokes_) {
    if (!node.empty() && stroke.node != node) continue;
    const double done = stroke.total > 0
                            ? static_cast<double>(stroke.stroke) / static_cast<double>(stroke.total)
                            : 0;
    std::string words;
    if (!stroke.left.empty()) words += "left: " + stroke.left;
    if (!stroke.right.empty()) words += (words.empty() ? "right: " : ", right: ") + stroke.right;
    if (words.empty()) words = stroke.scene;
    table.row(
        {{stroke.node, Colour::bold},
         {bar(done, cells, style.utf8), stroke.paused ? Colour::yellow : Colour::green},
         {format("%lld of %lld", static_cast<long long>(stroke.stroke),
                 static_cast<long long>(stroke.total))},
         {percent(std::min(done, 1.0) * 100)},
         {stroke.paused       ? "paused"
          : stroke.length > 0 ? format("pose %lld of %lld", static_cast<long long>(stroke.pose),
                                       static_cast<long long>(stroke.length))
                              : std::string(),
          stroke.paused ? Colour::yellow : Colour::dim},
         {words}});
  }
  return table.empty() ? std::vector<std::string>{} : table.lines(style);
}

std::vector<std::string> TopModel::deadline_lines(const Style& style) const {
  Table table;
  table.column("PUSHES", Align::left, Table::kWraps);
  table.column("", Align::right);
  table.column("", Align::left, Table::kWraps);
  table.column("", Align::left, Table::kWraps);
  for (const ClientDeadline& one : deadlines_) {
    const Colour colour = one.late ? Colour::red : one.gap_ms ? Colour::green : Colour::dim;
    table.row({{one.client, Colour::bold},
               {"every " + human_duration(one.deadline_ms)},
               {state_words(one), colour},
               {missed_words(one), Colour::yellow}});
  }
  return table.empty() ? std::vector<std::string>{} : table.lines(style);
}

std::vector<std::string> TopModel::event_lines(const Style& style, std::string_view node,
                                               int64_t now) const {
  Table table;
  table.column("");
  table.column("", Align::left, kChannel);
  table.column("", Align::left, Table::kWraps);
  for (const Recent& recent : recent_) {
    if (!node.empty() && recent.node != node) continue;
    std::string said = (recent.remote ? "remote  " : "") + recent.words;
    if (recent.count > 1) said += format("  %u times", recent.count);
    table.row({{local_time(recent.at, now), Colour::dim},
               {recent.channel, Colour::blue},
               {std::move(said), recent.bad ? Colour::red : Colour::none}});
  }
  return table.lines(style);
}

std::string TopModel::page(const Style& style, int64_t now) const {
  std::string out = fleet_table(fleet_with_poses(), self_, style).text(style);
  out += '\n' + fleet_summary(fleet_) + "; " + link_ + "; " + local_time(now, now) + ' ' +
         local_zone(now) + '\n';
  for (const auto& part : {deadline_lines(style), stroke_lines(style, {})}) {
    if (!part.empty()) out += '\n';
    for (const std::string& line : part) out += line + '\n';
  }
  return out;
}

}  // namespace nb::ctl
