// CellWalk: reads the whole cell in Redis once: its nodes, the lease and the health of each, or
// when each was last seen, and how many stroke sessions run. Many questions are under way at once.
// The walk is bounded in nodes, in the size of each health, in memory, and in time.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/discovery.h"
#include "fleet/known_node.h"
#include "redis/reader.h"
#include "uv/loop.h"

namespace nb::fleet {

// The result.
struct Cell {
  std::map<std::string, KnownNode, std::less<>> nodes;
  int64_t active_sessions = 0;
  uint64_t nodes_left_out = 0;  // beyond the number that one walk takes
  bool connected = false;       // Redis answered to the end
};

class CellWalk {
 public:
  // A health that is longer is shown as none.
  static constexpr size_t kMaxHealth = 32 * 1024;

  // Of the healths of one walk. The next page has those for which there was no room.
  static constexpr size_t kMaxKeptBytes = 1024 * 1024;
  // A cell has fewer nodes. Nodes beyond this number are only counted.
  static constexpr size_t kMaxNodes = 4000;

  // Of `own_node` nothing is read. The walk keeps the healths of nodes behind `from`, in the order
  // of their names, as far as there is room. Calls `on_done` once, perhaps from within start().
  CellWalk(uv::Loop& loop, redis::Reader& reader, Discovery& discovery, std::string_view own_node,
           std::string_view from, Delegate<void()> on_done);
  CellWalk(const CellWalk&) = delete;
  CellWalk& operator=(const CellWalk&) = delete;
  ~CellWalk();

  // Without Redis nothing is asked.
  void start(bool redis_is_there);
  Cell& cell() { return cell_; }
  MonoTime began() const { return began_; }

 private:
  enum class Step : uint8_t { size, nodes, marks, sessions, lanes };
  // One of the questions that are under way at once: the steps about one node, or one session.
  struct Lane {
    CellWalk* walk = nullptr;
    uint64_t question = 0;
    enum class Asked : uint8_t {
      nothing,
      lease,
      size,
      health,
      type,
      history,
      progress_size,
      progress
    };
    Asked asked = Asked::nothing;
    KnownNode* node = nullptr;
    std::string name;  // of the node, or the session

    void on_answer(const redis::ReaderAnswer& answer) { walk->on_lane(*this, answer); }
  };
  static constexpr size_t kLanes = 32;

  void after_discovery();
  void ask_page(std::string_view key);
  void on_page(const redis::ReaderAnswer& answer);
  void add_node(std::string_view name, bool registered);
  void choose_sessions();
  void begin_lanes();
  std::string_view page_key() const;
  bool next_in_lane(Lane& lane);
  void on_lane(Lane& lane, const redis::ReaderAnswer& answer);
  bool ask_in_lane(Lane& lane, Lane::Asked asked, std::span<const std::string_view> command);
  bool ask_history(Lane& lane);
  static bool has_form(Lane::Asked asked, redis::Reply reply);
  bool on_health(Lane& lane, std::string_view text);
  void cancel();
  void finish(bool connected);

  uv::Loop& loop_;
  redis::Reader& reader_;
  Discovery& discovery_;
  std::string from_;
  Delegate<void()> on_done_;
  Cell cell_;
  MonoTime began_{};
  Step step_ = Step::size;
  uint64_t question_ = 0;
  uint64_t known_ = 0;  // the number from HLEN
  uint64_t cursor_ = 0;
  int pages_ = 0;
  size_t kept_bytes_ = 0;
  std::map<std::string, uint64_t, std::less<>> marks_;       // digests of nodebeat:dead
  std::map<std::string, std::string, std::less<>> running_;  // of nodebeat:strokes
  std::vector<std::string> sessions_;                        // to be looked at
  std::map<std::string, KnownNode, std::less<>>::iterator next_node_;
  std::array<Lane, kLanes> lanes_;
  size_t lanes_busy_ = 0;
  bool discovering_ = false;
  bool done_ = false;
};

// Whether the text is an object that a status can contain.
bool is_health(std::string_view json);

}  // namespace nb::fleet
