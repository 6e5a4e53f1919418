// SystemBus: one connection to the D-Bus system bus, shared by all probes that ask systemd.
//
// The connection is made for the first question and then kept, since the bus announces each one
// that comes or goes to all its watchers, such as systemd and logind. Questions that come before it
// stands wait. If it breaks, all questions get the error, and the next one dials again. If a
// question is given up and the bus has sent nothing since it was asked, the connection counts as
// broken, and the other questions are asked again on a new one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "uv/dialer.h"

namespace nb::probe {

class SystemBus {
 public:
  // A question about one property of one unit, with systemd's answer: the property's text. An
  // error is Fault::blind unless systemd itself has said that there is no such unit.
  class Query {
   public:
    using OnAnswer = Delegate<void(const Result<std::string>&)>;
    Query(SystemBus& bus, OnAnswer on_answer) : bus_(bus), on_answer_(on_answer) {}
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;
    ~Query() { cancel(); }

    // `unit` with its suffix. Only when not waiting(). The answer comes later, once; its receiver
    // may ask again, and must leave other queries alone.
    void ask(std::string_view unit, const char* property);
    // No answer will come.
    void cancel();
    bool waiting() const { return waiting_; }

   private:
    friend class SystemBus;
    SystemBus& bus_;
    OnAnswer on_answer_;
    std::string object_path_;
    const char* property_ = "";
    bool waiting_ = false;
    uint32_t serial_ = 0;    // 0: not sent yet
    uint64_t asked_at_ = 0;  // the value of heard_ at that time
  };

  // `path` is the bus's socket.
  SystemBus(uv::Loop& loop, std::string path);
  ~SystemBus();

 private:
  enum class State {
    idle,            // no connection, and none is needed
    dialling,        //
    authenticating,  // connected; all is sent that can be, the bus has not agreed yet
    ready,           // messages come and go
  };

  void add(Query& query);
  void remove(Query& query);
  void dial();
  void send(Query& query);
  void flush();
  void drop();
  void fail(const std::string& why);
  void on_dialled(uv::Dialer::Answer& answer);
  void on_data(std::string_view bytes);
  void on_end(int error);
  bool take_auth_line();
  bool take_message();

  uv::Target target_;
  State state_ = State::idle;
  std::unique_ptr<uv::Stream> stream_;
  std::string in_, out_;
  uint32_t last_serial_ = 0;
  uint64_t heard_ = 0;  // counts the messages from the bus
  std::vector<Query*> waiting_;
  uv::Dialer dialer_;
};

}  // namespace nb::probe
