// Discovery: finds the nodes and sessions of programs that are no agents of this project. No list
// has them, so SCAN searches for their keys. The results are remembered, and searched again from
// time to time. A discovery is bounded in steps, bytes and time, whatever Redis holds. If it was
// cut short, the next one continues.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "redis/forms.h"
#include "redis/reader.h"
#include "uv/loop.h"

namespace nb::fleet {

class Discovery {
 public:
  // `reader` must outlive it.
  Discovery(uv::Loop& loop, redis::Reader& reader) : loop_(loop), reader_(reader) {}
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;
  ~Discovery() { cancel(); }

  // Whether it is time for another run: a second after the last one if that was quick, half a
  // minute if it was slow. So discoveries take a twentieth of the time at most.
  bool is_due() const { return loop_.now() >= due_; }
  // Calls `on_done` once, unless cancelled; perhaps from within this call, and also if Redis cannot
  // be reached.
  void run(Delegate<void()> on_done);
  void cancel();
  // The last run ended at a reply that SCAN does not have.
  bool is_malformed() const { return malformed_; }

  // Nodes with a health.
  template <class Visit>
  void for_each_node(Visit visit) const {
    for (const auto& [name, pass] : nodes_) visit(name);
  }
  // The sessions that may be running: the latest of each node, and those whose names do not show
  // it.
  template <class Visit>
  void for_each_session(Visit visit) const {
    for (const auto& [node, session] : sessions_) visit(session.name);
    for (const auto& [name, pass] : unnamed_) visit(name);
  }

  // Takes the names of one page, for the fuzzer as for run().
  void take(const redis::ScanPage& page);

 private:
  struct Session {
    std::string name;
    uint64_t seconds = 0;
    uint64_t microseconds = 0;
    uint32_t pass = 0;
  };
  using Names = std::map<std::string, uint32_t, std::less<>>;

  void ask();
  void on_answer(const redis::ReaderAnswer& answer);
  void take_session(std::string_view name);
  void end_of_pass();
  void finish();

  uv::Loop& loop_;
  redis::Reader& reader_;
  Delegate<void()> on_done_;
  uint64_t question_ = 0;
  MonoTime began_{};
  MonoTime due_ = MonoTime::min();
  int steps_ = 0;
  bool malformed_ = false;
  uint64_t cursor_ = 0;  // where the next step goes on; 0: at the beginning
  uint32_t pass_ = 0;    // the current walk over all keys: names not found again have gone
  Names nodes_;
  Names unnamed_;
  std::map<std::string, Session, std::less<>> sessions_;  // by node
};

}  // namespace nb::fleet
