// The data of `top`: a model that events and answers change, and the parts of a picture that are
// made from it (ctl/top_screen.h puts them together). Pure: no terminal, no agent.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/agent_link.h"
#include "ctl/fleet.h"
#include "ctl/json.h"
#include "terminal/style.h"

namespace nb::ctl {

using namespace terminal;

struct RunningStroke {
  std::string node;
  int64_t stroke = 0, total = 0;
  int64_t pose = 0, length = 0;
  std::string left, right, scene;
  bool paused = false;
};

// A client with a deadline.
struct ClientDeadline {
  std::string client;
  int64_t deadline_ms = 0, missed = 0, longest_gap_ms = 0;
  std::optional<int64_t> gap_ms;  // since it pushed last
  bool late = false;
};

// Of one in the answer to agent.stats; nothing if it has no deadline.
std::optional<ClientDeadline> read_deadline(Json client);
// "late: nothing for 2.3 s"
std::string state_words(const ClientDeadline& deadline);
// "missed 3 times, longest gap 2 s"; nothing if it was never late.
std::string missed_words(const ClientDeadline& deadline);

class TopModel {
 public:
  void on_status(Json system_status, int64_t now);
  void on_stats(Json stats);
  // `progress`: the value of stroke:progress:{session}.
  void on_progress(const std::string& session, Json progress);
  void on_event(const Event& event, int64_t arrived);
  void set_presence(Presence presence) { presence_ = presence; }

  const Fleet& fleet() const { return fleet_; }

  // This node's name.
  const std::string& self() const { return self_; }
  Fleet fleet_with_poses() const;

  // The first lines: how the cell and the link are, and the time with its zone.
  std::vector<std::string> head(const Style& style, int64_t now) const;
  // Only of one node, unless `node` is empty.
  std::vector<std::string> stroke_lines(const Style& style, std::string_view node) const;
  std::vector<std::string> event_lines(const Style& style, std::string_view node,
                                       int64_t now) const;
  std::vector<std::string> deadline_lines(const Style& style) const;
  // All as plain text, without events and with as many lines as it takes.
  std::string page(const Style& style, int64_t now) const;

 private:
  struct Recent {
    int64_t at = 0;
    std::string channel, node, words;
    bool remote = false;
    bool bad = false;
    unsigned count = 1;
  };

  Fleet fleet_;
  std::string self_;
  std::string link_;
  std::vector<ClientDeadline> deadlines_;  // of this computer's clients
  bool link_good_ = false;
  Presence presence_ = Presence::there;
  std::map<std::string, RunningStroke> strokes_;  // by session
  std::map<std::string, std::string> poses_;      // by node
  std::deque<Recent> recent_;                     // the latest first
};

// The first `columns` columns of a line. Colour sequences in it take no column.
std::string clip_painted(std::string_view line, size_t columns);
// The columns that a line takes.
size_t painted_width(std::string_view line);

}  // namespace nb::ctl
