// StateWatch: state.watch: the values of some keys, first their present values, then each change,
// whichever client makes it (redis/key_changes.h).
//
// A client receives the value that state.get would give: one that waits for Redis in the outbox,
// else that of Redis. For each key the agent keeps a digest of the value that the client received,
// and no value. A key that changes is read when the client has room, so a client that does not read
// costs nothing and then gets the latest values; those between are skipped. When changes may have
// been missed, all keys are read again, and values that differ from the digests are reported.
#pragma once

#include <list>
#include <string>
#include <string_view>

#include "base/room_pause.h"
#include "outbox/outbox.h"
#include "redis/key_changes.h"
#include "redis/link.h"
#include "redis/reader.h"
#include "rpc/front_end.h"
#include "rpc/method.h"
#include "uv/loop.h"
#include "uv/timer.h"

namespace nb::cell {

class StateWatch final : private redis::KeyChangesHost {
 public:
  // The memory limit for the keys of one client: each counts the bytes of its name, and these.
  static constexpr size_t kMostBytes = 128 * 1024;
  static constexpr size_t kKeyOverhead = 100;
  static constexpr size_t kMostPrefixes =
      16;  // of one client: for each all keys are looked through

  // All references must outlive it. `db`: where the values are.
  StateWatch(uv::Loop& loop, rpc::FrontEnd& front, const redis::Link& link, redis::Reader& reader,
             const outbox::Outbox& outbox, int db, redis::LinkOptions&& options,
             redis::MakeTransport make_transport);
  ~StateWatch();

  static const rpc::Method kMethods[2];
  void watch(rpc::Call& call);
  void unwatch(rpc::Call& call);
  void on_client_closed(rpc::ClientId client);
  bool has_watch(rpc::ClientId client);

  // A client of this agent has set or deleted the key.
  void on_put(std::string_view key) {
    if (!watches_.empty()) on_change(key, true);
  }
  void reconfigure(redis::LinkOptions&& options) { changes_.reconfigure(std::move(options)); }
  void stop();

 private:
  struct Watch;
  struct Entry;
  struct News;

  Watch* find(rpc::ClientId client);
  void remove(Watch* watch);
  void on_key(std::string_view key) override { on_change(key, false); }
  void on_begun() override;
  void on_refused(std::string_view words) override;
  void on_lost() override;
  void on_change(std::string_view key, bool put);
  void on_time();
  void wait();

  uv::Loop& loop_;
  rpc::FrontEnd& front_;
  const redis::Link& link_;
  redis::Reader& reader_;
  const outbox::Outbox& outbox_;
  int db_;
  std::list<Watch> watches_;
  redis::KeyChanges changes_;
  uv::Timer timer_;
  RoomPause pause_;
};

}  // namespace nb::cell
