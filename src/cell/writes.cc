#include "cell/writes.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "json/writer.h"

namespace nb::cell {
namespace {

// The outbox may still know this many waiters that have given up, before it is told.
constexpr size_t kMaxGivenUp = 4096;

// The answer to a call whose value or event is stored while Redis refuses another part of it.
std::string partial_answer(AnswerKind kind, std::string_view result,
                           const outbox::Settled& settled) {
  std::string out;
  json::Writer json(out);
  json.begin_object();
  if (kind == AnswerKind::subscribers || kind == AnswerKind::for_now) {
    json.key("subscribers");
    settled.subscribers < 0 ? json.null() : json.integer(settled.subscribers);
  }
  json.key("refused").begin_array();
  if (settled.entry_refused) json.string("entry");
  if (settled.message_refused) json.string("message");
  json.end_array().key("redis").string(settled.words).end_object();
  // The members of the usual answer go first.
  if (kind == AnswerKind::given && result.size() > 2) {
    out.replace(0, 1, std::string(result.substr(0, result.size() - 1)) + ",");
  }
  return out;
}

}  // namespace

std::string link_words(const redis::LinkStatus& status) {
  if (status.state == redis::LinkState::steady) return "connected";
  return status.words.empty() ? "not connected yet" : status.words;
}

Writes::Writes(uv::Loop& loop, rpc::FrontEnd& front, outbox::Outbox& outbox, redis::Link& link)
    : loop_(loop),
      front_(front),
      outbox_(outbox),
      link_(link),
      deadline_(loop, Delegate<void()>::to<&Writes::on_deadline>(this)) {}

// The wall clock is read at most once a millisecond: it is only the time in reports of losses.
WallTime Writes::wall_at(MonoTime now) {
  if (now - wall_taken_ > std::chrono::milliseconds(1) || now < wall_taken_) {
    wall_ = loop_.clock().wall_now();
    wall_taken_ = now;
  }
  return wall_ + std::chrono::duration_cast<WallTime::duration>(now - wall_taken_);
}

bool Writes::write(rpc::Call& call, const outbox::SlotUpdate* slot,
                   const outbox::EntryUpdate* entry, const outbox::MessageUpdate* message,
                   AnswerKind kind, std::string_view result) {
  const bool waits = call.stored && call.is_wanted();
  outbox::Waiter waiter = 0;
  const MonoTime now = call.origin == rpc::Call::Origin::client ? call.began : loop_.now();
  if (waits) {
    // Before the outbox gets to know of it, which may settle it at once.
    const auto [ticket, pending] = pending_.add();
    pending.token = call.put_off();
    pending.client = call.who.client;
    pending.deadline = now + call.timeout;
    pending.kind = kind;
    pending.result.assign(result);
    waiter = ticket;
  }
  const outbox::Origin origin{call.who.client, call.who.user, call.urgent};
  switch (outbox_.put(slot, entry, message, now, wall_at(now), waiter, origin)) {
    case outbox::Put::accepted:
      link_.wake();
      if (entry != nullptr || message != nullptr || (slot != nullptr && slot->limited)) {
        hold(call.who.client);
      }
      if (waits) {
        arm(now + call.timeout);
      } else {
        call.answer(result);
      }
      return true;
    case outbox::Put::full:
      give_up(call, waiter,
              rpc::queue_full("the values of all clients that wait for Redis leave no room "
                              "for this one ([outbox] slot_bytes)",
                              outbox_.slot_limits().bytes));
      return false;
    case outbox::Put::share_full:
      give_up(call, waiter,
              rpc::queue_full("the values of this client that wait for Redis take all the "
                              "room that it may have ([outbox] client_slot_bytes)",
                              outbox_.slot_limits().share()));
      return false;
    case outbox::Put::too_large:
      if (slot != nullptr && slot->limited) {
        give_up(call, waiter,
                rpc::too_large("larger than all values of one client that wait for Redis "
                               "may be ([outbox] client_slot_bytes, slot_bytes)",
                               outbox_.slot_limits().share()));
        return false;
      }
      give_up(call, waiter,
              rpc::too_large("larger than all events of one client together may be ([outbox] "
                             "client_event_bytes, event_bytes, urgent_bytes)",
                             outbox_.events().limits().share(call.urgent)));
      return false;
  }
  return false;
}

// While there is a link, a client with much waiting data waits until its updates have gone to
// Redis, and loses nothing. Without a link it does not wait: then its oldest events make room.
void Writes::hold(rpc::ClientId client) {
  if (client == 0 || !outbox_.crowded(client) || !redis_is_there()) return;
  if (std::find(held_.begin(), held_.end(), client) != held_.end()) return;
  held_.push_back(client);
  front_.pause_reading(client, true);
}

void Writes::on_room() {
  std::erase_if(held_, [this](rpc::ClientId client) {
    if (outbox_.crowded(client)) return false;
    front_.pause_reading(client, false);
    return true;
  });
}

void Writes::on_link_status() {
  if (redis_is_there()) return;
  for (const rpc::ClientId client : std::exchange(held_, {})) front_.pause_reading(client, false);
}

void Writes::on_client_closed(rpc::ClientId client) {
  std::erase(held_, client);
  pending_.for_each([&](outbox::Waiter waiter, const Pending& pending) {
    if (pending.client != client) return;
    pending_.remove(waiter);
    ++given_up_;
  });
  if (pending_.empty()) deadline_.stop();
  forget_given_up();
}

void Writes::give_up(rpc::Call& call, outbox::Waiter waiter, const rpc::Error& error) {
  const Pending* pending = pending_.find(waiter);
  if (pending == nullptr) return call.refuse(error);
  const rpc::Token token = pending->token;
  pending_.remove(waiter);
  front_.refuse(token, error);
}

void Writes::on_settled(const outbox::Settled& settled) {
  Pending* place = pending_.find(settled.waiter);
  if (place == nullptr) return;
  // An answer may bring the next call in, which may take this place.
  const Pending pending = std::move(*place);
  pending_.remove(settled.waiter);
  if (pending_.empty()) deadline_.stop();
  switch (settled.outcome) {
    case outbox::Outcome::stored:
      if (settled.entry_refused || settled.message_refused) {
        front_.answer(pending.token, partial_answer(pending.kind, pending.result, settled));
      } else if (pending.kind == AnswerKind::empty || pending.kind == AnswerKind::given) {
        front_.answer(pending.token, pending.result);
      } else if (settled.subscribers < 0 && pending.kind == AnswerKind::for_now) {
        front_.refuse(pending.token,
                      rpc::dropped("it waited for Redis longer than its max_age_ms allows"));
      } else if (settled.subscribers < 0) {
        front_.answer(pending.token, "{\"subscribers\":null}");
      } else {
        char text[48];  // on the stack: an answer of the hot path
        const int size = std::snprintf(text, sizeof text, "{\"subscribers\":%lld}",
                                       static_cast<long long>(settled.subscribers));
        front_.answer(pending.token, {text, static_cast<size_t>(size)});
      }
      break;
    case outbox::Outcome::refused:
      front_.refuse(pending.token, rpc::refused_by_redis(settled.words));
      break;
    case outbox::Outcome::dropped:
      front_.refuse(pending.token,
                    rpc::dropped("it waited too long, or newer events needed the room"));
      break;
  }
}

// Scans all of them: they are few, and this happens only when something is not stored in time.
void Writes::on_deadline() {
  const MonoTime now = loop_.now();
  MonoTime next = MonoTime::max();
  pending_.for_each([&](outbox::Waiter waiter, const Pending& pending) {
    if (pending.deadline > now) {
      next = std::min(next, pending.deadline);
      return;
    }
    const rpc::Token token = pending.token;
    pending_.remove(waiter);
    ++given_up_;
    const std::string link = link_words(link_.status());
    front_.refuse(
        token, rpc::not_stored("not yet stored in the time given; it is kept and goes out when it "
                               "can; Redis: " +
                                   link,
                               link));
  });
  forget_given_up();
  if (next != MonoTime::max()) arm(next);
}

void Writes::forget_given_up() {
  if (given_up_ < kMaxGivenUp) return;
  given_up_ = 0;
  outbox_.keep_waiters(
      [](void* self, outbox::Waiter waiter) {
        return static_cast<Writes*>(self)->pending_.find(waiter) != nullptr;
      },
      this);
}

// The timer is set to the earliest deadline so far: calls that are answered in time, which is
// nearly all, do not move it.
void Writes::arm(MonoTime deadline) {
  if (deadline_.active() && deadline_.due() <= deadline) return;
  deadline_.start(deadline - loop_.now());
}

}  // namespace nb::cell
