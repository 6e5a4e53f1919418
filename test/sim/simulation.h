// One schedule of the simulation: a cell that a seed has chosen, what happens to it, and the check
// that the watchers have said what is so.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "sim/agent.h"
#include "sim/server.h"
#include "sim/world.h"

namespace nb::sim {

// What all schedules together have seen: a check that is never made proves nothing.
struct Tally {
  uint64_t schedules = 0, events = 0;
  uint64_t lost = 0, returned = 0, uncertain = 0, claims = 0;
  uint64_t timed = 0;      // announcements that were held to 3.5 s or 1.2 s
  uint64_t takeovers = 0;  // that were held to 3 s
  uint64_t crowds = 0;     // nodes that were to be waited for one more patience
  uint64_t found = 0;      // nodes that were gone at the end, and had to be announced
  void add(const Tally& other);
};

class Simulation final : private Server::Observer {
 public:
  Simulation(uint64_t seed, bool trace);

  // Empty if all was well; else what was not.
  std::string run();
  const Tally& tally() const { return tally_; }

 private:
  // What is known of a node without asking a watcher.
  struct Truth {
    std::string newest = {};  // the latest lease that was newer than those before
    MonoTime renewed{};       // when the server took it
    Duration interval{};
    Duration patience{};
    MonoTime returned{};   // when it was announced as returned
    MonoTime deleted{};    // when somebody deleted its lease
    bool unseen = false;   // and did so again, so that nobody has seen the renewal
    bool meddled = false;  // somebody has written or deleted its lease
  };

  void make_cell();
  void disturb(Duration time);
  bool is_undisturbed(MonoTime since) const;
  void fault();
  void strike(Agent& agent, uint64_t how);
  void strike_crowd();
  void strike_server(uint64_t how);
  void meddle();
  void delete_lease(int node);
  void note_loss_of(const Agent& agent);
  void end_faults();
  void check_crowd(int node);
  void later(Duration delay, std::function<void()> what);
  void run_until(MonoTime time);
  std::string what_is_wrong();

  void on_renewed(int node, int agent) override;
  void on_lost(int node, const std::string& lease, int agent) override;
  void on_returned(int node, const std::string& lease, const std::string& before) override;
  void on_said(const std::string& text) override;
  void on_claimed(int agent, const std::string& before) override;
  void on_cut() override { disturb(3s); }

  Agent& some_agent() { return *agents_[world_.below(agents_.size())]; }
  bool is_there(int node) const;
  bool has_candidate(Duration since, Duration interval) const;

  World world_;
  Server server_;
  Network network_;
  Network calm_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::array<Truth, kMostNodes> truths_;
  Tally tally_;
  int nodes_ = 0;
  bool mixed_ = false;
  MonoTime last_return_{};
  bool over_ = false;   // the faults are
  Duration longest_{};  // patience
  Duration settle_{};   // until nothing is felt of a disturbance
  // Until when something else was going on than the loss of nodes that do not watch.
  MonoTime disturbed_{};
  int disturbances_ = 0;
  MonoTime last_loss_{};  // of a node
  MonoTime said_uncertain_{};
  MonoTime claimed_{};
  MonoTime takeover_from_ = MonoTime::max();
  MonoTime crowd_at_ = MonoTime::max();
  std::array<bool, kMostNodes> in_crowd_{};
};

}  // namespace nb::sim
