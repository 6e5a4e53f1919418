// The C ABI of nb_session_*: checks the arguments before any lock is taken, and translates.
#include "base/caller_struct.h"
#include "client/caller_text.h"
#include "client/handle.h"
#include "client/session_call.h"
#include "rpc/line_limits.h"

using nb::client::Client;
using nb::client::kMemberDepth;
using nb::client::of;
using nb::client::SessionCall;
using nb::client::take_json;
using nb::client::take_text;
using nb::client::usable;
using Verb = SessionCall::Verb;

namespace {

constexpr size_t kIdBytes = 250;
constexpr size_t kLeastMemory = 64;

// The options that a call takes; one that it does not take is an error.
struct Takes {
  uint32_t flags = 0;
  bool ttl = false;
};
constexpr Takes kCreates = {NB_SESSION_REPLACE_CORRUPT, true};
constexpr Takes kUpdates = {NB_SESSION_EXPECT | NB_SESSION_UPSERT | NB_SESSION_REPLACE_CORRUPT,
                            true};
constexpr Takes kDeletes = {NB_SESSION_EXPECT | NB_SESSION_REPLACE_CORRUPT, false};
constexpr Takes kTouches = {NB_SESSION_UPSERT, true};
constexpr Takes kNone = {};

// One call of the ABI, from its arguments to its result.
class AbiCall {
 public:
  AbiCall(nb_client* client, Verb verb, const char* id, const nb_session_options* options,
          Takes takes, nb_session_result* result);

  [[gnu::noinline]] AbiCall& take(const char* json, char opening) {
    if (status_ != NB_OK) return *this;
    status_ = take_json(json, opening, kMemberDepth, call_.json);
    if (status_ == NB_ERR_TOO_LARGE) of(client_)->note_too_large();
    return *this;
  }
  AbiCall& need(bool condition) {
    if (status_ == NB_OK && !condition) status_ = NB_ERR_ARGUMENT;
    return *this;
  }
  SessionCall& call() { return call_; }
  template <class Use>
  int finish(Use&& use) {
    if (status_ == NB_OK) status_ = use(*of(client_), call_);
    if (ready_ && result_ != nullptr) (void)nb::give_caller_struct(call_.result, *result_);
    return status_;
  }
  [[gnu::noinline]] int finish() {
    return finish([](Client& client, SessionCall& call) { return client.session(call); });
  }

 private:
  int check(const char* id, const nb_session_options* options, Takes takes);

  nb_client* client_;
  nb_session_result* result_;
  SessionCall call_{};
  int status_;
  bool ready_;
};

[[gnu::noinline]] AbiCall::AbiCall(nb_client* client, Verb verb, const char* id,
                                   const nb_session_options* options, Takes takes,
                                   nb_session_result* result)
    : client_(client), result_(result) {
  call_.verb = verb;
  ready_ = result == nullptr || nb::is_caller_size<nb_session_result>(result->size);
  status_ = ready_ ? check(id, options, takes) : static_cast<int>(NB_ERR_ARGUMENT);
}

int AbiCall::check(const char* id, const nb_session_options* options, Takes takes) {
  if (const int refused = usable(client_); refused != NB_OK) return refused;
  nb_session_options& known = call_.options;
  if (options != nullptr && nb::take_caller_struct(*options, known) != nb::CallerStruct::ok) {
    return NB_ERR_ARGUMENT;
  }
  if ((known.flags & ~takes.flags) != 0 || (known.ttl_ms != 0 && !takes.ttl) || known.ttl_ms < 0 ||
      known.reserved != 0) {
    return NB_ERR_ARGUMENT;
  }
  if (call_.verb == Verb::list) return NB_OK;
  const int refused = take_text(id, kIdBytes, call_.id);
  return refused == NB_OK && call_.id.empty() ? static_cast<int>(NB_ERR_ARGUMENT) : refused;
}

}  // namespace

int nb_session_create(nb_client* client, const char* id, const char* state,
                      const nb_session_options* options, nb_session_result* result) {
  AbiCall call(client, Verb::create, id, options, kCreates, result);
  if (state != nullptr) call.take(state, '{');
  return call.finish();
}

int nb_session_update(nb_client* client, const char* id, const char* state,
                      const nb_session_options* options, nb_session_result* result) {
  return AbiCall(client, Verb::update, id, options, kUpdates, result).take(state, '{').finish();
}

int nb_session_get(nb_client* client, const char* id, char* state, size_t state_size,
                   const nb_session_options* options, nb_session_result* result) {
  AbiCall call(client, Verb::get, id, options, kNone, result);
  call.call().text = state;
  call.call().text_size = state_size;
  return call.need(state == nullptr || state_size > 0).finish();
}

int nb_session_delete(nb_client* client, const char* id, const nb_session_options* options,
                      nb_session_result* result) {
  return AbiCall(client, Verb::remove, id, options, kDeletes, result).finish();
}

int nb_session_touch(nb_client* client, const char* id, const nb_session_options* options,
                     nb_session_result* result) {
  return AbiCall(client, Verb::touch, id, options, kTouches, result).finish();
}

int nb_session_broadcast(nb_client* client, const char* id, const char* message,
                         const nb_session_options* options, nb_session_result* result) {
  return AbiCall(client, Verb::broadcast, id, options, kNone, result).take(message, '\0').finish();
}

int nb_session_list(nb_client* client, nb_session_fn each, void* user,
                    const nb_session_options* options) {
  AbiCall call(client, Verb::list, nullptr, options, kNone, nullptr);
  call.call().each = each;
  call.call().user = user;
  return call.need(each != nullptr).finish([](Client& to, SessionCall& what) {
    return to.list_sessions(what);
  });
}

int nb_session_change(nb_client* client, const char* id, nb_session_change_fn change, void* user,
                      char* memory, size_t memory_size, const nb_session_options* options,
                      nb_session_result* result) {
  constexpr Takes kChanges = {NB_SESSION_UPSERT, true};
  return AbiCall(client, Verb::update, id, options, kChanges, result)
      .need(change != nullptr && memory != nullptr && memory_size >= kLeastMemory)
      .finish([&](Client& to, SessionCall& what) {
        return to.change_session(what, change, user, memory, memory_size);
      });
}
