// Client: the object behind an nb_client. A push puts its values into Outgoing and takes one step
// with the Link; a dispatch also reads. create() takes all memory.
//
// There are two guards. The mutex is held for a copy, an encoding and one system call. The reader's
// role is a flag under the mutex: only its holder touches Incoming, reads the lines, and calls back
// without the mutex. A push takes the role for a moment, under the mutex, when the agent does not
// accept the push's data: see drain().
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client/fork_mark.h"
#include "client/incoming.h"
#include "client/link.h"
#include "client/message.h"
#include "client/outgoing.h"
#include "client/session_call.h"
#include "nodebeat/client.h"
#include "rpc/line_limits.h"

namespace nb::client {

// The caller's options, checked. create() copies what the views show.
struct Settings {
  std::string_view path;
  std::string_view name;  // empty: none
  std::string_view will;  // empty: none
  size_t event_bytes;
  size_t slot_bytes;
  size_t line_bytes;  // the longest line that is read
  uint32_t reconnect_ms;
  uint32_t deadline_ms;  // 0: none
  nb_event_fn on_event;
  void* user;
};

class Client {
 public:
  // Null if there is no memory, or no mutex that inherits priority.
  static Client* create(const Settings& settings);
  // Says goodbye and frees the memory. No other thread may use the client meanwhile. In a child
  // that inherited the client, this only frees the memory and closes the child's copies of the
  // descriptors.
  void destroy();

  // True if this process is a child of the one that opened the client. Then only destroy() may be
  // called.
  bool in_child() const { return fork_mark_.in_child(); }
  const char* path() const { return link_.path(); }

  // Thread-safe. Each returns the results that the C ABI promises for a push.
  int push_robot(const nb_robot_state& state);
  int push_progress(const nb_stroke& stroke);
  int push_start(const nb_stroke& stroke);
  int push_end();
  // A text was refused before it came here, since no line has room for it.
  void note_too_large();
  // `write` writes one line from `context`; it may be called twice.
  using WriteLine = void (*)(LineWriter& out, const void* context);
  int push_event(WriteLine write, const void* context);

  int poll_fd();
  int poll_events();
  int poll_timeout_ms();
  int dispatch();

  // These wait, at most `timeout_ms` from now.
  int call(std::string_view method, std::string_view params, char* result, size_t result_size,
           uint32_t timeout_ms);
  int subscribe(std::string_view channel, bool pattern, uint32_t timeout_ms);
  int unsubscribe(std::string_view channel, bool pattern, uint32_t timeout_ms);
  int session(SessionCall& call);
  int list_sessions(SessionCall& call);
  // Read, change, write. `memory`: the first half takes the session, the second the new state.
  int change_session(SessionCall& call, nb_session_change_fn change, void* user, char* memory,
                     size_t size);
  int wait(uint32_t timeout_ms);
  int flush(uint32_t timeout_ms);

  void stats(nb_client_stats& stats);
  int last_error(char* buffer, size_t size);

 private:
  // Space for a newline behind the line.
  static constexpr size_t kInputMore = 64;
  static constexpr size_t kInputBytes = rpc::kLineBytes + kInputMore;
  // A limit for one dispatch, so that it ends however much the agent sends.
  static constexpr int kReadsPerTurn = 16;
  // The ids of the greeting's calls; those of nb_call() are positive.
  static constexpr int64_t kHelloId = 0;
  static constexpr int64_t kLineBytesId = -1;
  static constexpr int64_t kWillId = -2;
  static constexpr int64_t kDeadlineId = -3;

  // While an object of this class exists, its thread cannot be cancelled. send(), poll() and
  // similar calls are cancellation points, and the holder of the mutex or the role must give it
  // back.
  class NoCancel {
   public:
    NoCancel() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NoCancel() { ::pthread_setcancelstate(before_, nullptr); }
    NoCancel(const NoCancel&) = delete;
    NoCancel& operator=(const NoCancel&) = delete;

   private:
    int before_ = PTHREAD_CANCEL_ENABLE;
  };

  class Lock {
   public:
    explicit Lock(Client& client) : mutex_(&client.mutex_) { ::pthread_mutex_lock(mutex_); }
    ~Lock() { ::pthread_mutex_unlock(mutex_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    NoCancel no_cancel_;
    pthread_mutex_t* mutex_;
  };

  // The call that waits for its answer. Only the reader touches it.
  struct Pending {
    int64_t id = 0;  // 0: none
    bool answered = false;
    int outcome = 0;
    char* result = nullptr;
    size_t size = 0;
    SessionCall* session = nullptr;  // reads the answer itself
  };

  // The fate of a call whose outcome is not the agent's answer.
  enum class Fate { unsent, unknown, answered };

  enum class Trouble {
    none,
    connect,
    lost,
    closed,
    rubbish,
    overlong,
    dropped,
    too_large,
    protocol,
    remote
  };

  Client(const Settings& settings, const Outgoing::Memory& memory, char* input);
  ~Client();
  static void write_hello(LineWriter& out, const Settings& settings);
  static void write_will(LineWriter& out, const Settings& settings);

  // These are called with the mutex, and make at most one system call.
  void step();
  bool connect();
  bool send();
  void drain();
  void read_errors();
  void lost(Trouble trouble, int error);
  void refused(const Message& message);
  void greeted(const Message& message);
  void count_dropped();
  // Whether the agent gave a reason when it ended `connection`, and no newer trouble replaced it.
  bool was_told(uint64_t connection) const {
    return trouble_ == Trouble::remote && ended_by_words_ == connection;
  }
  template <class Put>
  int push_ordered(Put&& put);
  int took(int result, bool waits);

  // The reader calls these, without the mutex.
  bool take_role();
  void leave_role();
  void turn();
  void read_lines();
  void handle(const Message& message);
  void answer(const Message& message);
  bool grow_input();
  template <class Done>
  int run(int64_t deadline_ns, Done&& done);
  // One call, with the role. One that was not sent when the connection broke goes on the next one
  // if `again`.
  template <class Write>
  int ask(Write&& write, const Pending& wanted, int64_t deadline_ns, bool again, Fate& fate);
  template <class Write>
  int request(Write&& write, char* result, size_t result_size, uint32_t timeout_ms);
  int ask_session(SessionCall& call, int64_t deadline_ns);

  pthread_mutex_t mutex_;
  ForkMark fork_mark_;
  Link link_;
  Outgoing outgoing_;
  Incoming incoming_;
  char* input_;            // Incoming's usual memory
  char* grown_ = nullptr;  // Incoming's memory while a longer line is read
  size_t most_input_bytes_;
  nb_event_fn on_event_;
  void* user_;
  bool reading_ = false;     // a thread has the reader's role
  bool drain_next_ = false;  // the last send was not taken whole: the next step reads
  uint64_t connection_ = 0;  // the number of connections so far
  uint64_t read_from_ = 0;   // the connection whose bytes are in incoming_
  int64_t next_id_ = 1;
  Pending pending_;
  uint64_t delivered_ = 0;  // messages given to on_event; only the reader touches this
  uint64_t pushed_ = 0, kept_ = 0, full_ = 0, rejected_ = 0, disconnects_ = 0, events_ = 0;
  Trouble trouble_ = Trouble::none;
  int trouble_errno_ = 0;
  uint64_t ended_by_words_ = 0;  // the connection that the agent ended with the reason in trouble_
  int64_t agent_protocol_ = kProtocol;
  int32_t remote_code_ = 0;
  size_t remote_size_ = 0;
  char remote_text_[384];
};

}  // namespace nb::client
