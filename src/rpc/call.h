// A Call is one call on its way through a method: its caller, its params, and where the answer
// goes. A method answers through the call's Reply and knows nothing of sockets. So a
// client's line, a call of a batch, a last will and a unit test call the same method.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "json/view.h"
#include "rpc/error.h"
#include "rpc/params.h"
#include "rpc/rights.h"
#include "rpc/token_bucket.h"

namespace nb::rpc {

using ClientId = uint64_t;  // never used twice; 0: the agent itself
// an answer that comes later; 0: no caller waits for it. Never the same twice
using Token = uint64_t;

struct Caller {
  ClientId client = 0;
  uint32_t user = 0;  // the user of the client's program
  Rights rights = Rights::all();
  ClientLimits* limits = nullptr;  // null: none
};

// Where the answer to one call goes. A call is answered, refused or put off once; further calls of
// these have no effect.
class Reply {
 public:
  virtual void answer(std::string_view result) = 0;
  virtual void refuse(const Error& error) = 0;
  // The answer comes later, through the front end (rpc/front_end.h). 0 if no answer is wanted.
  // `weight`: as how many calls this one counts while it waits.
  virtual Token put_off(size_t weight) = 0;
  // Whether the caller waits for an answer: not after a notification or in a last will. A refusal
  // is reported in any case.
  virtual bool is_wanted() const = 0;

 protected:
  ~Reply() = default;
};

// For writes of the agent itself.
class SilentReply final : public Reply {
 public:
  void answer(std::string_view) override {}
  void refuse(const Error&) override {}
  Token put_off(size_t) override { return 0; }
  bool is_wanted() const override { return false; }

  static SilentReply& get();
};

class Call {
 public:
  enum class Origin : uint8_t {
    client,
    will,   // a last will that is carried out
    check,  // a will that is being set: is this call right? Nothing is done
    agent,  // the agent's own: it has no method and no params
  };

  // The agent's own.
  Call() : Call({}, SilentReply::get(), Origin::agent, MonoTime{}) {}
  Call(const Caller& caller, Reply& reply, Origin from_where, MonoTime at)
      : who(caller), origin(from_where), began(at), reply_(reply) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool is_check() const { return origin == Origin::check; }
  bool is_will() const { return origin == Origin::will; }

  // The value that the call has for a param of its method; missing if it has none. `param` is the
  // very object that the method's list of params names.
  const json::View& operator[](const Param& param) const {
    static constexpr json::View kMissing;
    const json::View* value = values_.data();
    for (const Param* each : params_) {
      if (each == &param) return *value;
      ++value;
    }
    return kMissing;
  }
  // The values of `count` params that follow one another in that list.
  std::span<const json::View> from(const Param& first, size_t count) const {
    size_t i = 0;
    while (params_[i] != &first) ++i;
    return values_.subspan(i, count);
  }

  bool is_wanted() const { return reply_.is_wanted(); }
  void answer(std::string_view result = "{}") { reply_.answer(result); }
  void refuse(const Error& error) { reply_.refuse(error); }
  Token put_off(size_t weight = 1) { return reply_.put_off(weight); }

  Caller who;
  std::string_view method;
  Origin origin = Origin::client;
  bool urgent = false;  // its event goes in the lane for such
  bool stored = false;  // is answered when Redis has confirmed its data,
  Duration timeout{};   // or has not after so long
  MonoTime began{};     // when it came

 private:
  friend class Dispatcher;

  Reply& reply_;
  std::span<const Param* const> params_;
  std::span<const json::View> values_;
};

}  // namespace nb::rpc
