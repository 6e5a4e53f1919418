// Reader: questions to the server, on a connection of their own, so that no answer can cost the
// link anything. The connection is there while something is asked, and a few seconds longer.
//
// A reply that is beyond the limit or malformed ends the connection. The question of that reply
// gets an error; the other questions under way are asked again. So before a question that may have
// a long answer, ask for the answer's size. Each question has a time limit.
//
// The answers come on the loop's thread; they may ask, cancel and stop, but must not reconfigure
// or destroy the reader.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/connection.h"
#include "redis/send_window.h"
#include "wire/key_places.h"

namespace nb::redis {

// Valid during the call. An error reply of the server is an answer too.
struct ReaderAnswer {
  Reply reply;       // of the kind `none` if there was no answer
  ReplyLimit limit;  // set if there is no reply because it was beyond this limit
};

class Reader {
 public:
  // A longer reply is refused. The reader takes at most a few times this much memory.
  static constexpr size_t kMaxReplyBytes = 4 * 1024 * 1024;
  // How long an idle connection stays: long enough for a view that asks every second or two.
  static constexpr Duration kIdle = std::chrono::seconds(5);

  // All references must outlive the reader. It uses `database` instead of the options' databases,
  // and appends "-read" to the client's name.
  Reader(uv::Loop& loop, LinkOptions options, int database, MakeTransport make_transport,
         Duration idle = kIdle);
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader();

  // Asks one command (its words). `done` is called exactly once, on a later turn; not after
  // cancel(), nor when the reader is destroyed. 0 means that `done` will not be called: the server
  // could not be reached a moment ago, or too many questions wait. `on` says whether it may be
  // asked on any connection, also again on the next one, or on the one that is there only.
  enum class On : uint8_t { any, this_one };
  uint64_t ask(std::span<const std::string_view> command, Delegate<void(const ReaderAnswer&)> done,
               On on = On::any);
  void cancel(uint64_t question);
  // The link has reached the server: the next question need not wait.
  void on_server_there() { connection_.forgive(); }
  // Takes other options. If they lead elsewhere, open questions are asked there.
  void reconfigure(LinkOptions options);
  // Cancels all questions and closes.
  void stop();

  // How often it has connected so far: another server may answer then.
  uint64_t connects() const { return connects_; }
  // How often it has lost a connection that it had not closed itself.
  uint64_t losses() const { return losses_; }
  // For a person: why there was no answer; empty while all is well.
  const std::string& words() const { return words_; }

 private:
  struct Question {
    uint64_t id = 0;
    Delegate<void(const ReaderAnswer&)> done;  // empty: the answer is no longer wanted
    std::string command;                       // as it is sent
    MonoTime deadline{};
    MonoTime sent_at{};
    int tries = 0;
    uint8_t units = 1;  // of the window
    On on = On::any;
    wire::KeysInReply keys = wire::KeysInReply::none;
  };
  using Questions = std::vector<std::unique_ptr<Question>>;

  ConnectionEvents connection_events();
  void on_state(LinkState state);
  std::optional<Failure> on_reply(Reply reply);
  void on_replies_done();
  void on_lost(const Failure& failure, std::optional<Culprit> culprit, bool news);
  void on_turn();
  LinkOptions with_database(LinkOptions options) const;
  void on_time();
  void arm();
  void answer_none(Questions& whom);

  uv::Loop& loop_;
  Duration idle_;
  int database_;
  Connection connection_;
  Questions questions_;  // in the order in which they were asked
  size_t sent_ = 0;      // how many of them, from the first on, were sent
  SendWindow window_{SendWindow::kQuestions};
  bool window_was_full_ = false;
  MonoTime answered_sent_at_ =
      MonoTime::min();  // when the question that was answered last was sent
  Questions failed_;    // are being told that there is no answer
  uint64_t last_id_ = 0;
  uint64_t connects_ = 0;
  uint64_t losses_ = 0;
  std::string words_;
  MonoTime idle_since_{};  // since when nothing is asked
  uv::Timer time_;         // the next deadline, or the end of an idle connection
};

}  // namespace nb::redis
