// The subscriptions of one client: resources/subscribe of the older revisions, and
// subscriptions/listen of 2026-07-28. A resource is watched once, however many ask, and reported at
// most once in a while; an earlier change is reported when that time is over.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/delegate.h"
#include "mcp/message.h"
#include "mcp/toolbox.h"

namespace nb::mcp {

class Subscriptions {
 public:
  static constexpr Duration kPause = std::chrono::milliseconds(100);
  static constexpr size_t kMaxWatches = 64;
  static constexpr size_t kMaxListens = 16;

  struct Events {
    Delegate<void(const Outgoing&)> on_line;  // a notification
    Delegate<void(Duration)> on_wait;         // call tick() after so long
  };

  Subscriptions(Toolbox& toolbox, const Clock& clock, Events events);
  Subscriptions(const Subscriptions&) = delete;
  Subscriptions& operator=(const Subscriptions&) = delete;
  ~Subscriptions();

  // resources/subscribe: false if there is no such resource, or no room.
  bool subscribe(std::string_view uri);
  void unsubscribe(std::string_view uri);

  // subscriptions/listen: acknowledges the accepted part. False if there is no room.
  bool listen(std::string_view id, const std::vector<std::string>& uris, bool tools);
  // False if there is no such listen.
  bool cancel(std::string_view id);
  bool is_listening(std::string_view id) const;
  std::vector<std::string> listens() const;

  // The list of tools is another one. `older` is a client of the older revisions.
  void tools_changed(bool older);
  void tick();

 private:
  struct Watch;
  struct Listen;

  Watch* watch(std::string_view uri);
  Watch* find(std::string_view uri);
  void drop_unused();
  void on_change(Watch& watch);
  void tell(Watch& watch, MonoTime now);

  Toolbox& toolbox_;
  const Clock& clock_;
  Events events_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<Listen> listens_;
};

}  // namespace nb::mcp
