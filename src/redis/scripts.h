// Scripts: runs one script on the server, on a connection of its own, so that a slow script
// delays neither the link nor the reader.
//
// The script has to recognise a run that it has carried out before, by a sequence number among its
// arguments: a run whose connection broke is sent again on the next one. So the caller is told the
// outcome, unless the run's time is over before. Runs are sent in the order in which they came, but
// behind a caller's write nothing of that caller before the write is answered: one that the server
// could not carry out just then is sent again, and would come behind what was sent with it.
//
// The answers come on the loop's thread; they may run and cancel, but must not reconfigure, stop or
// destroy this object.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/connection.h"

namespace nb::redis {

struct Script {
  std::string_view text;
  std::string_view sha1;  // of the text, in hexadecimal
};

// Valid during the call.
struct ScriptAnswer {
  // An error reply is the server's last word, and says that nothing was done. None: the time is
  // over.
  Reply reply;
  bool in_doubt = false;  // there is none, but the run was sent, and may have been carried out
};

class Scripts {
 public:
  // How many answers the script remembers: no run is sent whose number is that much above the
  // number of one that has no answer yet.
  static constexpr uint64_t kWindow = 64;
  static constexpr size_t kMost = 2048;  // runs that wait
  // How many bytes of commands are under way, or one command that is longer: each is kept until it
  // is answered, also for a caller that has gone.
  static constexpr size_t kBytesUnderWay = 1024 * 1024;
  static constexpr Duration kIdle = std::chrono::seconds(5);

  // All references must outlive it. The client's name gets "-script" behind it.
  Scripts(uv::Loop& loop, LinkOptions options, int database, const Script& script,
          MakeTransport make_transport);
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;
  ~Scripts();

  // The number of the next run that writes; each has to be used.
  uint64_t take_sequence() { return ++last_sequence_; }
  // Runs the script with these words: its keys, then its arguments. `sequence`: of a run that
  // writes, else 0. `caller`: whose runs keep their order. `done` is called exactly once, at
  // `deadline` at the latest, unless cancelled, and never from within this call. 0, and no call:
  // too many runs wait.
  uint64_t run(size_t keys, std::span<const std::string_view> words, uint64_t sequence,
               uint64_t caller, MonoTime deadline, Delegate<void(const ScriptAnswer&)> done);
  // The answer is no longer wanted. A run that was not sent is never sent.
  void cancel(uint64_t run);
  // The link has come to the server: the next try need not wait.
  void on_server_there();
  void reconfigure(LinkOptions options);
  // All runs are cancelled.
  void stop();

  // Why there is no answer, for a person; empty while all is well.
  const std::string& words() const { return words_; }
  size_t waiting() const { return runs_.size() + again_.size(); }

 private:
  struct Run {
    uint64_t id = 0;
    Delegate<void(const ScriptAnswer&)> done;  // empty: the answer is not wanted
    std::string command;                       // as it is sent
    uint64_t sequence = 0;
    uint64_t caller = 0;
    MonoTime deadline{};
    bool lost = false;  // it was under way on a connection that broke
  };
  using Runs = std::vector<std::unique_ptr<Run>>;

  ConnectionEvents connection_events();
  void on_state(LinkState state);
  std::optional<Failure> on_reply(Reply reply);
  bool is_the_scripts(Trouble trouble, std::string_view error) const;
  void on_replies_done();
  void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news);
  void on_turn();
  // The least number of a write that waits or is under way; without one a number beyond all.
  uint64_t oldest_write() const;
  // An earlier write of its caller is not answered.
  bool waits_for_a_write(size_t at) const;
  void on_time();
  void arm();
  // One whose time is over, or none.
  std::unique_ptr<Run> take_late(MonoTime now);
  // Those that are to be sent again stand before all others.
  void take_back();
  LinkOptions with_database(LinkOptions options) const;

  uv::Loop& loop_;
  Script script_;
  int database_;
  Connection connection_;
  Runs runs_;               // those that were sent, in that order; then the others, as they came
  size_t sent_ = 0;         // of them, the first
  Runs again_;              // the server did not carry them out
  bool no_script_ = false;  // the server does not know it: it is sent before the next run
  bool loading_ = false;    // the next reply is to that
  unsigned loads_ = 0;      // since a run was answered
  std::string load_refusal_;
  Failure refusal_;  // the server cannot run it now: the connection ends behind the last answer
  uint64_t last_id_ = 0;
  uint64_t last_sequence_ = 0;
  std::string words_;
  MonoTime idle_since_{};
  uv::Timer time_;  // the next deadline, or the end of an idle connection
};

}  // namespace nb::redis
