// An agent of the simulation: a process on a computer, with a clock of its own, a link and a
// reader, a lease that it renews, and the two classes that are on trial. Around these the agent
// does what node/lease, redis/link, redis/reader and fleet/watch do.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fleet/watch_claim.h"
#include "fleet/watcher.h"
#include "sim/server.h"
#include "sim/world.h"

namespace nb::sim {

// How messages fare, for all agents alike.
struct Network {
  Duration least = 1ms;
  Duration most = 5ms;
  unsigned loss_percent = 0;  // a message comes later by `again`
  Duration again = 200ms;
  unsigned silent_percent = 0;    // of connections: a server that goes does not say so
  bool asks_again = true;         // the reader, on its next connection
  unsigned lingers_percent = 50;  // what was sent on a connection that its owner has given up
  unsigned spite_percent = 0;     // a connection ends when something was done, before its answer
};

class Agent {
 public:
  struct Options {
    int index;
    int node;
    Duration interval;
    Duration patience;
    bool enabled;
    Duration clock_offset;
    int clock_ppm;
  };

  Agent(World& world, Server& server, Network& network, const Options& options);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // --- what is done to it ---

  void start(bool reboot);
  void crash(const char* what, bool computer);  // or the process only
  void say_goodbye();                           // and stop
  void cut();                                   // from the network
  void heal();
  void freeze();  // SIGSTOP
  void thaw();
  void load(Duration most_late) { late_ = most_late; }
  void reset_connections();

  // --- what is so ---

  const Options& options() const { return options_; }
  int node() const { return options_.node; }
  bool is_running() const { return running_; }
  bool is_cut() const { return cut_; }
  bool is_frozen() const { return frozen_; }
  // It runs, and can be reached.
  bool is_there() const { return running_ && !cut_ && !frozen_; }
  // Its link has a connection to the server that is there now.
  bool is_linked() const {
    return link_.state == State::open && link_.generation == server_.generation();
  }
  // Since when it is there, or is not.
  MonoTime since() const { return since_; }
  MonoTime begun() const { return begun_; }  // its latest start
  bool holds() const { return running_ && claim_ && claim_->is_holding(); }
  std::string own_term() const { return claim_ ? std::string(claim_->own_term()) : ""; }
  const std::string& lease() const { return lease_; }
  uint64_t seq() const { return seq_; }
  const fleet::Watcher& watcher() const { return watcher_; }

 private:
  using Done = std::function<void(const Reply*)>;  // nullptr: no answer
  struct Question {
    uint64_t id;
    Request request;
    MonoTime sent;      // by this agent's clock
    MonoTime deadline;  // of the whole question
    Done done;
  };
  enum class State : uint8_t { closed, waits, opens, open };
  struct Channel {
    bool is_reader;
    State state = State::closed;
    int epoch = 0;  // one more with each connection, and with its end
    int generation = 0;
    int failures = 0;
    MonoTime out{}, in{};  // when the latest message arrives
    MonoTime opened{}, used{};
    bool silent = false;  // if the server goes
    bool ended = false;   // by the server
    bool checks = false;  // a timer looks at the deadlines
    std::deque<Question> questions = {};
  };

  MonoTime local() const;
  MonoTime world_time(MonoTime local) const;
  // On this agent's clock, unless the process ends before; later if it is frozen.
  void at(MonoTime local, std::function<void()> what);
  void run(int life, bool is_message, std::function<void()> what);
  void note_whether_there();

  void open(Channel& channel);
  void close(Channel& channel, const char* why);
  bool ask(Channel& channel, Request request, Done done);
  void transmit(Channel& channel, const Question& question);
  void arrive(bool reader, int epoch, int generation, uint64_t id, const Request& request);
  void respond(bool reader, int epoch, uint64_t id, const Reply& reply);
  void check_deadlines(bool reader);
  void on_open(Channel& channel);
  Channel& channel(bool reader) { return reader ? reader_ : link_; }
  Duration delay();

  void renew();
  void put_lease(Done done = [](const Reply*) {});
  void beat();
  void read_watch();
  void on_timer();
  void arm();
  void write(bool renews);
  void after_claim();
  void begin_again();
  void read_register();
  void on_register(const Reply* reply, bool marks, int token);
  void look();
  void on_look(const Reply* reply, const std::vector<size_t>& indexes, int token);
  void fail_look();
  void act();
  void trace(const char* what) const;

  World& world_;
  Server& server_;
  Network& network_;
  Options options_;
  std::string name_;
  bool running_ = false;
  bool cut_ = false;
  bool frozen_ = false;
  bool stopping_ = false;
  bool was_there_ = false;
  MonoTime since_{};
  MonoTime begun_{};
  Duration late_{};
  std::vector<std::function<void()>> held_;  // by the network
  struct Deferred {
    bool is_message;
    std::function<void()> what;
  };
  std::vector<Deferred> deferred_;  // until it is thawed

  int life_ = 0;
  int boot_ = 0;
  uint64_t seq_ = 0;
  uint64_t ids_ = 0;
  std::string lease_;
  Channel link_{false};
  Channel reader_{true};
  int connects_ = 0;  // of the reader

  std::optional<fleet::WatchClaim> claim_;
  fleet::Watcher watcher_;
  bool holding_ = false;
  bool reading_ = false;
  int timer_ = 0;
  int terms_ = 0;  // that it has held the watch for, or not
  int looks_ = 0;  // names a look or a reading of the register
  bool busy_ = false;
  size_t parts_ = 0;
  int look_connects_ = 0;
  bool register_due_ = false;
  int server_known_ = 0;  // its generation, by the link
  MonoTime registered_{};
  int registered_size_ = 0;
  int runs_ = 0;
};

}  // namespace nb::sim
