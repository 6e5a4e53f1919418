// Fleet: the status of the whole cell. One walk over the cell is under way at a time. All questions
// that were asked before the walk began share its result; each has a page of its own. After a walk
// the fleet rests, so that clients that ask without a pause take only a part of Redis' time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "base/room_pause.h"
#include "fleet/cell_walk.h"
#include "fleet/discovery.h"
#include "uv/soon.h"
#include "uv/timer.h"

namespace nb::fleet {

class Fleet {
 public:
  // What the fleet needs from the agent, and how the fleet answers.
  struct Wiring {
    Delegate<bool()> redis_is_there;
    // This node's health as last beaten, JSON or "null".
    Delegate<std::string_view()> own_health;
    // Whether a client that gets so many pages already may get one more: one that does not read
    // has to wait.
    Delegate<bool(uint64_t client, size_t pages)> has_room;
    // How long a page for this client may be now.
    Delegate<size_t(uint64_t client)> page_bytes;
    Delegate<void(uint64_t token, std::string_view page)> answer;
  };
  // One question.
  struct Wish {
    uint64_t client = 0;
    uint64_t token = 0;  // names the question to answer()
    size_t limit = 0;    // nodes on the page
    std::string from;    // the page begins behind this node
  };
  static constexpr size_t kMostNodes = 1000;  // on a page

  // `loop` and `reader` must outlive it.
  Fleet(uv::Loop& loop, redis::Reader& reader, std::string_view own_node, const Wiring& wiring);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  void ask(Wish wish);
  void on_client_closed(uint64_t client);
  // Nobody is answered any more.
  void stop();

 private:
  void begin_soon();
  void begin();
  void on_walk_done();
  void on_turn();
  std::string page(const Cell& cell, const Wish& wish) const;

  uv::Loop& loop_;
  redis::Reader& reader_;
  std::string own_node_;
  Wiring wiring_;
  Discovery discovery_;
  std::vector<Wish> waiting_;  // for the next walk
  std::vector<Wish> served_;   // by the walk at hand
  std::unique_ptr<CellWalk> walk_;
  bool done_ = false;  // the walk is
  MonoTime rest_until_ = MonoTime::min();
  RoomPause pause_;
  uv::Soon soon_;
  uv::Timer rest_;
};

}  // namespace nb::fleet
