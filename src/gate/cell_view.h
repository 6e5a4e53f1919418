// CellView: the cell as the page shows it, one for all browsers. While a browser listens, the agent
// is asked once a second; events are shown at once.
//
// Each part of the view is a JSON text. The changes since the last read go to all browsers as one
// text, as server-sent events; a new browser gets a snapshot of all parts first.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "gate/agent.h"
#include "gate/recent_events.h"
#include "http/reply.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::gate {

class CellView {
 public:
  CellView(uv::Loop& loop, Agent& agent, std::string version);

  // /events
  void handle(const http::Request& request, http::Reply&& reply);

 private:
  using Texts = std::map<std::string, std::string>;
  static constexpr size_t kMostNodes = 1000;
  static constexpr size_t kMostStrokes = 64;
  // The rest of the server's connections are for others.
  static constexpr size_t kMostBrowsers = 128;

  void begin();
  void end();
  void plan_look();
  void look();
  void on_turn();
  void on_tick();
  void on_stats(const CallAnswer& answer);
  void on_page(const CallAnswer& answer);
  void on_redis(const CallAnswer& answer);
  void on_sessions(const CallAnswer& answer);
  void on_strokes(const CallAnswer& answer);
  void on_progress(const CallAnswer& answer);
  void on_event(const AgentEvent& event);
  void on_presence(bool there);
  void on_replayed(std::string_view mark);
  void end_one();
  void ask_page(std::string_view params);
  void ask_progress();
  void take_progress(json::View event);
  void end_stroke(const std::string& session);
  void take_node_event(json::View event);

  void replace(std::string_view part, std::string text);
  void tell_nodes(Texts found);
  void tell_strokes();
  void tell(std::string_view event, std::string_view data);
  void flush();
  std::string snapshot() const;

  uv::Loop& loop_;
  Agent& agent_;
  std::string version_;
  Random random_;
  AgentCall stats_call_, status_call_, redis_call_, sessions_call_, strokes_call_, progress_call_;
  std::unique_ptr<AgentListener> listener_;  // null: no browser listens
  std::vector<http::EventStream> browsers_;
  uv::Timer next_look_;
  uv::Timer tick_;
  int under_way_ = 0;  // calls of this read
  uint64_t looks_ = 0;
  MonoTime looked_ = MonoTime::min();

  Texts parts_;  // "agent", "cell", "redis", "sessions", "strokes"
  Texts nodes_;
  Texts found_;                                    // by the read that is under way
  std::map<std::string, MonoTime> told_by_event_;  // nodes whose state was last set by an event
  bool is_present_ = false;                        // events are of now, not of the past
  Texts strokes_;                                  // the progress of each session that runs
  // Sessions that no agent lists: when their last progress came.
  std::map<std::string, MonoTime> heard_;
  std::vector<std::string> unknown_;  // sessions whose progress has to be read
  RecentEvents events_;
  std::string untold_;  // for all browsers, as server-sent events
};

}  // namespace nb::gate
