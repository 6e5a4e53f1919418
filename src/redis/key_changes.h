// KeyChanges: hears which keys of the server change, whichever client changes them, on a connection
// of its own, which is there only while keys are wanted. The server tells it by itself (CLIENT
// TRACKING of Redis 6 in its broadcasting mode): writers pay nothing for it, and the server needs
// no setting.
//
// A key that is told may have been written, deleted, expired, or only touched: a reader that wants
// to know reads it again. Databases are not told apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "redis/connection.h"

namespace nb::redis {

// The listener, on the loop's thread. It may want other keys meanwhile, but must neither stop,
// reconfigure nor destroy the KeyChanges.
class KeyChangesHost {
 public:
  // This key has changed. Valid during the call.
  virtual void on_key(std::string_view key) = 0;
  // From now on changes are told. Before, any key may have changed.
  virtual void on_begun() = 0;
  // The server does not let this user hear of changes, or is too old. It is asked again by a new
  // connection, and when something else is wanted. Redis' words.
  virtual void on_refused(std::string_view words) = 0;
  // The connection is lost: until on_begun() nothing is told.
  virtual void on_lost() = 0;

 protected:
  ~KeyChangesHost() = default;
};

class KeyChanges {
 public:
  using Prefixes = std::vector<std::string_view>;

  // The references must outlive it. The client's name gets "-keys" behind it.
  KeyChanges(uv::Loop& loop, LinkOptions&& options, KeyChangesHost& host,
             MakeTransport make_transport);
  KeyChanges(const KeyChanges&) = delete;
  KeyChanges& operator=(const KeyChanges&) = delete;

  // Adds a beginning of keys to a list of them, none of which begins with another: the server takes
  // only such. A list that would become long becomes the beginning of all keys, since each key that
  // changes is compared with each.
  static void add_prefix(Prefixes& prefixes, std::string_view prefix);

  // From on_begun() on, changes of all keys that begin so are told. If that is so already, nothing
  // happens.
  void want(const Prefixes& prefixes);
  void want_none() {
    wanted_ = false;
    connection_.flush_soon();
  }
  bool is_telling() const { return telling_; }
  // Takes other options. If they lead elsewhere, it connects there at once.
  void reconfigure(LinkOptions&& options);
  void stop();

 private:
  ConnectionEvents connection_events();
  void on_state(LinkState state);
  bool on_message(Reply reply);
  std::optional<Failure> on_reply(Reply reply);
  void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news);
  void on_turn();
  void send(std::string_view words, size_t more = 0);
  void forget_connection();

  KeyChangesHost& host_;
  bool wanted_ = false;
  bool changed_ = false;  // the server is to be told the prefixes
  bool refused_ = false;
  bool telling_ = false;
  int unanswered_ = 0;    // commands
  int64_t id_ = 0;        // the server's number of this connection; 0: not known yet
  std::string prefixes_;  // as arguments of the command; empty: all keys
  size_t arguments_ = 0;
  Connection connection_;
};

}  // namespace nb::redis
