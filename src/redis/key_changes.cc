#include "redis/key_changes.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "redis/key_prefix.h"
#include "redis/resp_writer.h"

namespace nb::redis {

using namespace std::string_view_literals;  // built for size, only these know their length

namespace {

// Where Redis tells of changes to a connection that speaks RESP2.
constexpr std::string_view kChannel = "__redis__:invalidate";
constexpr size_t kMostPrefixes = 32;

}  // namespace

KeyChanges::KeyChanges(uv::Loop& loop, LinkOptions&& options, KeyChangesHost& host,
                       MakeTransport make_transport)
    : host_(host),
      connection_(loop, std::move(options), "-keys", connection_events(), make_transport) {}

ConnectionEvents KeyChanges::connection_events() {
  ConnectionEvents events;
  events.on_state = Delegate<void(LinkState)>::to<&KeyChanges::on_state>(this);
  events.on_reply = Delegate<std::optional<Failure>(Reply)>::to<&KeyChanges::on_reply>(this);
  events.on_message = Delegate<bool(Reply)>::to<&KeyChanges::on_message>(this);
  events.on_lost =
      Delegate<void(const Failure&, std::optional<Culprit>, bool)>::to<&KeyChanges::on_lost>(this);
  events.on_turn = Delegate<void()>::to<&KeyChanges::on_turn>(this);
  return events;
}

void KeyChanges::add_prefix(Prefixes& prefixes, std::string_view prefix) {
  size_t kept = 0;
  for (const std::string_view one : prefixes) {
    if (prefix.starts_with(one)) return;  // then none of them begins with `prefix`
    if (!one.starts_with(prefix)) prefixes[kept++] = one;
  }
  if (kept == kMostPrefixes) {
    kept = 0;
    prefix = {};
  }
  while (prefixes.size() > kept) prefixes.pop_back();
  prefixes.push_back(prefix);
}

void KeyChanges::want(const Prefixes& prefixes) {
  std::string text;
  const std::string& of_cell = connection_.options().prefix;
  RespWriter resp(text, of_cell);
  for (const std::string_view prefix : prefixes) {
    if (!prefix.empty() || !of_cell.empty()) resp.arg("PREFIX"sv).key(prefix);
  }
  connection_.flush_soon();
  if (std::exchange(wanted_, true) && text == prefixes_ && !refused_) return;
  prefixes_ = std::move(text);
  arguments_ = prefixes_.empty() ? 0 : 2 * prefixes.size();
  changed_ = true;
  telling_ = false;
}

// Called once a turn, so that a caller from inside a message finds everything in place.
void KeyChanges::on_turn() {
  if (!wanted_) return stop();
  if (connection_.state() == LinkState::stopped) return connection_.retry();
  if (!connection_.greeted() || !changed_ || unanswered_ > 0) return;
  refused_ = false;
  if (id_ == 0) return send("CLIENT ID"sv);
  changed_ = false;
  // A connection that listens may send nothing but this first command (RESP2), and prefixes cannot
  // be taken back one by one.
  send("UNSUBSCRIBE __redis__:invalidate"sv);
  send("CLIENT TRACKING OFF"sv);
  send(format("CLIENT TRACKING ON REDIRECT %lld BCAST", static_cast<long long>(id_)), arguments_);
  connection_.output() += prefixes_;
  send("SUBSCRIBE __redis__:invalidate"sv);
}

// With so many arguments that are written behind it.
void KeyChanges::send(std::string_view words, size_t more) {
  RespWriter resp(connection_.output());
  resp.command(static_cast<size_t>(std::count(words.begin(), words.end(), ' ')) + 1 + more);
  for (size_t end = 0; end != words.npos;
       words.remove_prefix(std::min(end, words.size() - 1) + 1)) {
    end = words.find(' ');
    resp.arg(words.substr(0, end));
  }
  connection_.expect(1);
  ++unanswered_;
}

void KeyChanges::on_state(LinkState state) {
  if (state != LinkState::replaying) return;
  connection_.set_steady();
  connection_.flush_soon();
}

// Anybody may publish on this channel. Then it is a text, which tells nothing.
bool KeyChanges::on_message(Reply reply) {
  // A confirmation has a number there.
  if (reply[1].text() != kChannel || reply[2].integer()) return false;
  if (!telling_) return true;
  const Reply keys = reply[2];
  if (keys.is_nil()) host_.on_begun();  // FLUSHALL, FLUSHDB: it is as at the beginning
  for (const Reply key : keys.elements()) {
    const auto name = without_prefix(key.text(), connection_.options().prefix);
    if (key.is_string() && name) host_.on_key(*name);
  }
  return true;
}

std::optional<Failure> KeyChanges::on_reply(Reply reply) {
  Failure failure{Trouble::rubbish, "CLIENT TRACKING is answered by something else"};
  if (reply.is_error()) {
    failure = {classify(reply.text()), std::string(reply.text())};
    // A server that is too old has words of its own for that.
    if (failure.trouble != Trouble::none && failure.trouble != Trouble::no_permission &&
        failure.trouble != Trouble::server_error) {
      return failure;
    }
    changed_ &= id_ != 0;
    if (!std::exchange(refused_, true)) host_.on_refused(failure.words);
  } else if (id_ == 0) {
    id_ = reply.integer().value_or(0);
    if (id_ <= 0) return failure;
  } else if (!reply.is_array() && !reply.is_status("OK"sv)) {
    return failure;
  }
  if (--unanswered_ > 0) return std::nullopt;
  if (changed_) {
    connection_.flush_soon();
  } else if (!refused_) {
    telling_ = true;
    host_.on_begun();
  }
  return std::nullopt;
}

void KeyChanges::on_lost(const Failure&, std::optional<Culprit>, bool) {
  forget_connection();
  connection_.retry();
  host_.on_lost();
}

void KeyChanges::forget_connection() {
  id_ = 0;
  unanswered_ = 0;
  changed_ = true;
  telling_ = refused_ = false;
}

void KeyChanges::reconfigure(LinkOptions&& options) {
  if (connection_.reconfigure(std::move(options)) && wanted_) on_lost({}, std::nullopt, false);
}

void KeyChanges::stop() {
  wanted_ = false;
  connection_.close();
  forget_connection();
}

}  // namespace nb::redis
