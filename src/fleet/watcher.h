// Watcher: judges which nodes of the cell are lost, from their leases, on the one agent that holds
// the watch (fleet/watch_claim.h). Pure: it is given what was read and when, and gives back what is
// to be announced. It knows no loop, no server and no wall clock.
//
// It never takes a living node that reaches the server for lost, and announces each lost node once:
// - A node is judged by the change of its lease against the watcher's own monotonic clock. A change
//   is another boot id or instance, or a higher seq. What counts as silence is proven: from the
//   answer that showed the last change to the question whose answer shows none.
// - A node is `suspect` after two thirds of its patience, and lost after all of it. The patience is
//   the node's own, from its lease. When looks were late, patience is up to four times as long,
//   until no look was late for some seconds.
// - After begin() and begin_again() each node has its full patience from the first whole look.
//   After begin_again() patience is four times as long for some seconds as well: the links of other
//   agents need time to notice that the server has changed, and to find it again.
// - When half of the nodes, and at least three, fall silent at once, the watcher is `uncertain` and
//   waits one more full patience. Then each node that is still silent is announced alone.
// - A verdict is a question to the script on the server, which compares the lease with the one that
//   was judged. So a late verdict cannot hit a node that has come back.
// - A node that is lost again and again is announced each time, but recorded only now and then, so
//   that it does not push out what was recorded of others. A return is recorded if its loss was,
//   and the loss of one that stays away is recorded later. So the last that is recorded of a node
//   is true, in the end.
// - Nobody is judged without a lease that this watcher has seen: not a node of an earlier version,
//   not one whose lease is malformed. Where a lease that was seen is gone (deleted, expired,
//   evicted), the node has its full patience to write it again. An agent that stops cleanly says so
//   with a patience of 0.
//
// Who calls what, and when (fleet/watch does):
//
//   the watch was claimed       begin(), then the register, then looks
//   the server restarted,       begin_again(), then the same. Also after each new connection of the
//     failed over, was emptied  reader, and when the watch was gone and had to be claimed anew
//   the watch is another's      end()
//   the register was read       begin_register(); add_node() for each node of nodebeat:nodes, then
//                               mark_lost() for each member of nodebeat:dead; end_register(). Both
//                               are read after the claim was accepted; again when the size of the
//                               first has changed, and at times. That ends a look under way
//   a look, at next_look()      begin_look(); the leases of node(0) to node(size() - 1), in any
//                               order: see() for each; end_look(). If a reply is missing:
//                               fail_look(), and the next look at next_look()
//   after end_look(), report()  next() until it is false, or until there is no room for more: the
//                               rest waits. What is wanted of the script is not to be asked again
//                               on another connection: that may be another server
//   the script has answered     report(): each `lost` and `returned` is reported once
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace nb::fleet {

class Watcher {
 public:
  static constexpr size_t kMostNodes = 10'000;  // more are not watched, and counted in left_out()

  // The state of a node for the watcher.
  enum class State : uint8_t {
    unknown,    // this watcher has seen no lease: no verdict without one
    malformed,  // the lease is malformed, so there is no verdict
    stopped,    // has stopped, as its lease says
    alive,
    suspect,  // silent for two thirds of the patience
    lost,     // announced, by this watcher or by one before
  };

  enum class Kind : uint8_t {
    suspect,    // to be shown, not announced
    unsuspect,  // it has renewed after all, or a grace has begun: to be shown, no alarm
    lost,       // ask the script to announce it: `lease`, `absent`
    returned,   // ask the script to withdraw the announcement: `lease`, `before`, `how`
    malformed,  // to be logged: it comes once, until the lease was good again
    record,     // for a node whose loss was announced: to be recorded after all
    uncertain,  // announce: `silent` of `nodes` nodes seem to be lost at once; nothing else is
                // announced as lost until `sure`
    sure,       // announce: the end of that
  };
  // How a node comes back.
  enum class How : uint8_t { network, restarted, rebooted };

  struct Action {
    Kind kind{};
    std::string_view node;  // none for uncertain and sure
    // The latest that could be read. Of `lost`: as it was judged. The script announces the node if
    // this is what the server has, byte for byte, or, where `absent`, if the server has no lease of
    // the node. Of `returned`: as it is now; the script withdraws the mark in nodebeat:dead if
    // there is one that is another lease than this.
    std::string_view lease;
    bool absent = false;
    std::string_view before;  // of `returned`: the lease that it was announced as lost with
    How how{};
    bool recorded = false;   // of `lost` and `returned`: also in the stream
    uint32_t silent_ms = 0;  // since the last change was seen (suspect, lost, record)
    uint32_t silent = 0;     // of `uncertain`
    uint32_t nodes = 0;
    // Names this action to report(); 0: nothing is to be reported. The views are valid until the
    // next call of anything but next().
    uint32_t ticket = 0;
  };

  // The result of a `lost` or `returned`.
  enum class Outcome : uint8_t {
    announced,
    already,        // it had been announced, or withdrawn, before: nothing is announced again
    lease_changed,  // it is another lease than the one that was judged: nothing was announced
    no_answer,      // not known. The action comes again after a read, if it still holds
  };
  // If the script says that another agent has the watch: end() instead.

  // `seed`: a secret number, since others choose the names of the nodes.
  explicit Watcher(uint64_t seed = 0) : seed_(seed) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // This agent has the watch. Earlier knowledge is forgotten. `own` is never announced as lost.
  // `wide`: the server was away until a moment ago (WatchClaim::was_away()). Then patience is four
  // times as long at first, since other agents may need some seconds to find it again.
  void begin(std::string_view own, bool wide = false);
  // It still has the watch, but the server may have lost its data, and all agents may have lost the
  // server. Without effect while the watch is not held.
  void begin_again();
  // The watch is another's. All is forgotten; reports of earlier actions have no effect.
  void end();

  // The names of all nodes that are known to the cell, in any order. Texts that are no names are
  // left out. A node that is no longer named is forgotten. But a node that was there before
  // begin_again() stays until it returns, stops or is announced: the server may have lost its
  // entry. An announced one stays as long as its mark.
  void begin_register();
  void add_node(std::string_view node);
  void mark_lost(std::string_view node, std::string_view lease);
  void end_register() { drop_unlisted(); }
  // How many there were no room for.
  uint32_t left_out() const { return left_out_; }

  // The nodes, in no order. Indexes change with the register and with begin_again().
  size_t size() const { return nodes_.size(); }
  std::string_view node(size_t index) const { return nodes_[index].name; }

  // The questions of a read are now written.
  void begin_look(MonoTime now);
  // The lease of this node; empty: there is none. `now`: when the answer came.
  void see(size_t index, std::string_view lease, MonoTime now);
  // Every node was seen: makes the verdicts. A read that left out a node makes none.
  void end_look(MonoTime now);
  void fail_look(MonoTime now);
  // When the next read is to begin: four times a second; ten times when some node has a patience
  // below 3 s; and exactly when a suspect's patience ends.
  MonoTime next_look() const { return next_look_; }

  // Takes one action. Without end_look() or report() in between, each comes once.
  bool next(Action& action);
  void report(uint32_t ticket, Outcome outcome, MonoTime now);

  // By how much the latest read was late.
  Duration lag() const { return lag_; }

  // For tests. The state of a node; its index, or size(); the factor by which late reads widen
  // every patience, in percent.
  State state(size_t index) const;
  size_t find(std::string_view node) const;
  unsigned widening() const;

 private:
  struct Node {
    std::string name;
    std::string lease;   // the latest that could be read
    std::string judged;  // the lease with which it was, or may have been, announced as lost
    MonoTime changed{};  // when the answer came that showed the latest change
    // When all that was recorded of it would have been in its time, had it come one by one.
    MonoTime recorded_until = MonoTime::min();
    uint64_t seq = 0;  // these four are of `lease`
    uint32_t patience_ms = 0;
    uint32_t interval_ms = 0;
    uint16_t run_bytes = 0;  // its front: boot id and instance
    Kind wanted{};           // if it wants an action, or one is under way
    uint32_t ticket = 0;     // of the action that is under way
    bool wants = false;
    bool absent = false;     // the latest read found no lease
    bool malformed = false;  // the latest read found none that can be parsed
    bool told = false;       // that it is malformed
    bool suspect = false;
    bool held = false;      // was among those that fell silent at once
    bool lost = false;      // was announced
    bool recorded = true;   // and recorded
    bool listed = false;    // is in the register
    bool appeared = false;  // in the register again: the agent has written that
    bool orphan = false;    // was there before the server may have lost its register
    bool seen = false;      // in this read
  };
  // How long a node is silent, and may be.
  struct Silence {
    Duration silent;    // proven
    Duration patience;  // widened
    bool is_over() const { return silent >= patience; }
  };

  Node* add(std::string_view name);
  size_t slot(std::string_view name) const;
  void index_nodes();
  void drop_unlisted();
  bool is_judged(const Node& node) const;
  bool has_returned(const Node& node) const;
  bool may_record(const Node& node) const;
  void note_record(Node& node);
  Silence silence(const Node& node) const;
  bool is_in_crowd(const Node& node, const Silence& silence) const;
  void want(Node& node, Kind kind);
  void note_lateness(MonoTime now);
  void look_for_crowd();
  void judge();
  void plan();

  std::vector<Node> nodes_;
  std::vector<uint32_t> slots_;  // open hash by name: index + 1
  uint64_t seed_;
  std::string own_;
  MonoTime began_{};                       // this read
  MonoTime last_began_ = MonoTime::min();  // the whole read before
  MonoTime next_look_ = MonoTime::min();
  MonoTime since_{};  // silence counts from here at the earliest
  MonoTime hold_until_{};
  Duration hold_{};
  MonoTime window_began_{};
  Duration period_{};  // of reads
  Duration paced_{};   // the one by which this read was planned
  Duration lag_{};
  Duration longest_{};             // patience of all nodes
  unsigned late_[2] = {100, 100};  // the widening, in percent: in this window, in the one before
  size_t seen_ = 0;                // nodes in this read
  size_t next_ = 0;                // where next() goes on
  uint32_t last_ticket_ = 0;
  uint32_t left_out_ = 0;
  uint32_t crowd_ = 0;  // as reported with `uncertain`
  uint32_t crowd_of_ = 0;
  bool watching_ = false;
  bool looking_ = false;
  bool fresh_ = false;  // there was no whole read since begin() or begin_again()
  bool wide_ = false;   // the first one widens patience
  bool uncertain_ = false;
  bool tell_uncertain_ = false;
  bool tell_sure_ = false;
};

}  // namespace nb::fleet
