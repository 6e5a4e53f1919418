// Fleet: the one view that this agent has of its cell. It is the result of the last walk over the
// cell, with the changes from one walk to the next, and it is kept as long as clients ask. A
// question is answered from it at once if it is younger than a second. Otherwise all questions that
// wait share one walk. After a walk, and after pages, the fleet rests, so that clients that ask
// without a pause take only a part of the agent's and of Redis' time.
//
// Without Redis the view stays, and each other node is unknown since it was last read.
//
// A node that is in no list, since another program writes its health, is noted in nodebeat:nodes
// when it is seen. So all agents know it when its health is gone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
    // Counts the link's connections: after another one another server may be there.
    Delegate<uint64_t()> link_connects;
    // Whether some agent watches the leases of the cell.
    Delegate<bool()> is_watched;
    // This node's health as last beaten, JSON; "null" or empty before the first.
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
  static constexpr Duration kFresh = std::chrono::seconds(1);
  // So long after the last question the view is given up.
  static constexpr Duration kIdle = std::chrono::seconds(10);

  // `loop` and `reader` must outlive it. `own_node` is empty in a program that is no node; it
  // writes nothing.
  Fleet(uv::Loop& loop, redis::Reader& reader, std::string_view own_node, const Wiring& wiring);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;
  ~Fleet() { reader_.cancel(noting_); }

  void ask(Wish wish);
  void on_client_closed(uint64_t client);
  // Drops all questions; no more answers come.
  void stop();

  // The view's data about a node other than the own one, if that is young enough for an answer, or
  // if Redis cannot be read. Null: Redis has to be asked. Valid during this turn.
  const KnownNode* find(std::string_view node);
  // When Redis was last read, if it cannot be read now.
  std::optional<WallTime> lost_since() const;
  // The number of the server that is asked now, for KnownNode::server. It changes when another one
  // may be there; not when the reader closes its idle connection.
  uint64_t server() const { return wiring_.link_connects() + reader_.losses(); }
  // The data that was read about one node is judged, and kept as well, as far as there is room.
  // Valid until the next call.
  const KnownNode& learn(std::string_view node, KnownNode&& read);
  // The node was taken out of the cell's list.
  void forget(std::string_view node);
  // The own node, of which nothing is read.
  const KnownNode& own();

 private:
  void begin_soon();
  void begin();
  void walk(const std::string& from);
  void on_walk_done();
  void on_turn();
  void adopt();
  void on_idle();
  bool is_to_be_noted(const KnownNode& node) const;
  void note_next();
  void on_noted(const redis::ReaderAnswer& answer);
  bool can_answer(const Wish& wish, MonoTime now) const;
  Circumstances now_here() const;
  std::string page(const Wish& wish);

  uv::Loop& loop_;
  redis::Reader& reader_;
  std::string own_node_;
  KnownNode own_;
  Wiring wiring_;
  Discovery discovery_;
  std::vector<Wish> waiting_;  // until it is decided how they are answered
  std::vector<Wish> walking_;  // for the walk at hand
  std::vector<Wish> ready_;    // for their turn, with a page of the view
  std::unique_ptr<CellWalk> walk_;
  bool done_ = false;         // the walk is
  uint64_t walk_server_ = 0;  // which it asks

  std::vector<std::string> to_note_;  // in nodebeat:nodes
  uint64_t noting_ = 0;               // the question that does so
  uint64_t refused_by_ = 0;           // the server that did not let us

  std::unique_ptr<Cell> view_;
  KnownNode learned_;                  // the last one
  size_t kept_bytes_ = 0;              // of the view's healths
  MonoTime walked_ = MonoTime::min();  // when the walk ended that the view is of
  WallTime read_wall_{};               // when Redis was last read
  MonoTime asked_{};                   // when a client asked last
  MonoTime serving_{};                 // since when the pages at hand are made
  MonoTime no_walk_before_ = MonoTime::min();
  MonoTime no_page_before_ = MonoTime::min();
  RoomPause pause_;
  uv::Soon soon_;
  uv::Timer rest_;
  uv::Timer idle_;
};

}  // namespace nb::fleet
