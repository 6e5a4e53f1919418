#include "ipc/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace nb::ipc {
namespace {

// At most so much is read of one client before the others have their turn.
constexpr size_t kBytesATurn = 32 * 1024;
// Of a client that is gone, everything is read: the kernel keeps less than so many times as much.
constexpr int kReadsOfTheGone = 32;

// A client that sends more malformed lines in a second does not speak this protocol, and its
// connection is closed. (A robot that sends NaN a thousand times a second is still told each time.)
constexpr size_t kMalformedPerSecond = 1000;
// While more than so many times output_bytes wait for one user's clients together, the share of
// each of them is a quarter.
constexpr size_t kCrowd = 4;

bool is_blank(std::string_view line) {
  return std::ranges::all_of(line, [](char c) { return c == ' ' || c == '\t' || c == '\r'; });
}

}  // namespace

Server::Server(uv::Loop& loop, const Log& log, ServerOptions options, ServerEvents events)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      events_(events),
      soon_(loop, Delegate<void()>::to<&Server::on_turn>(this)),
      sessions_(loop, Delegate<void(Session&)>::to<&Server::on_overdue>(this)),
      lingering_(loop) {
  const auto add = [&](const SocketOptions& socket) {
    sockets_.push_back(std::make_unique<ServerSocket>(
        loop, log, socket, static_cast<uint8_t>(sockets_.size()),
        ServerSocket::OnConnection::to<&Server::on_connection>(this), events_.on_may_yield));
  };
  add(options_);
  for (const SocketOptions& socket : options_.further) add(socket);
}

Status Server::start() {
  for (const auto& entry : sockets_) {
    if (Status status = entry->start(); !status) {
      stop();
      return status;
    }
  }
  return {};
}

void Server::stop() {
  for (const auto& entry : sockets_) entry->stop();
  for (std::unique_ptr<Session>& session : sessions_.take_all()) {
    (void)session->send();
    session->become(Session::State::over);
    session->watch_process(false);
    stopped_.push_back(std::move(session));
  }
  lingering_.clear();
  soon_.request();
}

// --- connections ---------------------------------------------------------------------------------

const ServerSocket& Server::entry_of(ClientId client) const {
  const Session* session = sessions_.find(client);
  return *sockets_[session != nullptr ? session->socket : 0];
}

const SocketOptions& Server::socket_of(ClientId client) const {
  return entry_of(client).options();
}

size_t Server::clients_per_user(ClientId client) const {
  return entry_of(client).admission().clients_per_user();
}

bool Server::on_connection(ServerSocket& entry, UniqueFd& fd, int shortage) {
  const SocketOptions& socket = entry.options();
  const std::optional<Peer> peer = peer_of(fd.get());
  if (!peer) return false;
  if (!is_allowed(fd.get(), *peer, socket.allow_users, socket.allow_groups)) {
    log_.warning(LogAbout(peer->uid), "socket: process %d of user %u may not connect", peer->pid,
                 peer->uid);
    return refuse(
        fd, *peer, shortage != 0,
        rpc::forbidden(
            format("user %u may not connect: the agent's configuration names who may", peer->uid)));
  }
  if (shortage != 0) return refuse(fd, *peer, true, out_of_descriptors(shortage));
  const Admission::Verdict verdict = entry.admission().ask(sessions_.all(), *peer, loop_.now());
  if (verdict.refusal) {
    log_.warning(LogAbout(peer->uid), "socket: %s; process %d of user %u is turned away",
                 verdict.refusal->message.c_str(), peer->pid, peer->uid);
    return refuse(fd, *peer, false, *verdict.refusal);
  }
  if (verdict.yields != nullptr) yield(*verdict.yields, verdict.limit);
  SessionOwner& owner = *this;
  auto session = std::make_unique<Session>(loop_, owner, pool_, std::move(fd), last_id_ + 1, *peer,
                                           options_.line_bytes);
  if (session->watch(UV_READABLE | UV_DISCONNECT) < 0) return false;
  const MonoTime now = loop_.now();
  session->last_heard = now;
  session->spent = Spent(std::max(kStranger, gone_.lately(peer->uid, now)), now);
  session->socket = entry.number();
  ++counters_.accepted;
  const ClientId id = ++last_id_;
  sessions_.add(std::move(session));
  events_.on_open(id, *peer);
  return true;
}

void Server::yield(Session& session, size_t limit) {
  ++counters_.yielded;
  log_.debug(LogAbout(static_cast<uint64_t>(session.peer().pid)),
             "socket: client %llu (process %d) was idle, and is closed for a new one",
             static_cast<unsigned long long>(session.id()), session.peer().pid);
  append_error(
      session,
      rpc::busy(
          format("all %zu connections that you may have are taken, and of them this one was idle "
                 "for the longest time: it is closed for a new one; connect "
                 "again when needed",
                 limit),
          limit));
  end(session, Session::State::explaining);
}

// The client gets the line and the time to read it, even if it writes first. But the last
// descriptor has to be closed now.
bool Server::refuse(UniqueFd& fd, const Peer& peer, bool spare, const rpc::Error& error) {
  ++counters_.refused;
  if (has_hung_up(fd.get())) return false;  // nobody is there to read it
  SessionOwner& owner = *this;
  auto session =
      std::make_unique<Session>(loop_, owner, pool_, std::move(fd), 0, peer, options_.line_bytes);
  append_error(*session, error);
  session->become(Session::State::explaining);
  if (!spare) {
    lingering_.add(std::move(session));
    return false;
  }
  (void)session->send();
  session->finish_sending();
  std::string_view bytes;
  for (int i = 0; i < 16; ++i) {
    if (session->receive(loop_.read_buffer(), bytes) != Session::Io::done) break;
  }
  return false;
}

bool Server::is_deaf(ClientId client) const {
  const Session* session = sessions_.find(client);
  return session == nullptr || session->is_deaf();
}

uint64_t Server::faults(ClientId client) const {
  const Session* session = sessions_.find(client);
  return session != nullptr ? session->faults : 0;
}

size_t Server::queued_bytes(ClientId client) const {
  const Session* session = sessions_.find(client);
  return session != nullptr ? session->unsent() : 0;
}

// --- what comes in -------------------------------------------------------------------------------

void Server::on_ready(Session& session, int events) {
  if (!session.is_live()) return;  // retire_ended() will take it
  if ((events & UV_WRITABLE) != 0) {
    flush(session);
    tell_if_drained(session);
  }
  if (session.state() == Session::State::closing) return discard(session, events);
  if ((events & UV_DISCONNECT) != 0) {
    // Either the client is gone, and what it sent is read to the end without regard to answers; or
    // it has only ended its own sending, and may still read.
    if (has_hung_up(session.fd())) {
      session.become(Session::State::deaf);
    } else {
      session.half_closed = true;
    }
  }
  if ((events & (UV_READABLE | UV_DISCONNECT)) != 0) session.ready = true;
  watch(session);
}

bool Server::wants_turn(const Session& session) const {
  return session.is_heard() && (session.ready || session.resume) && !is_paused(session);
}

bool Server::comes_before_strangers(const Session& session, Duration spent) {
  return session.is_deaf() && session.end_matters && spent < kBusy;
}

// One round: the client that has taken least of late comes first. A client that is gone and has a
// will comes before strangers, unless it was very busy: the will is to be carried out before the
// successor of the client is heard. Others that are gone take turns with strangers, or clients that
// come and go without a pause would keep strangers waiting.
void Server::serve_waiting() {
  waiting_.clear();
  const MonoTime began = loop_.now();
  for (const auto& session : sessions_.all()) {
    if (!wants_turn(*session)) continue;
    Duration place = session->spent.lately(began);
    if (comes_before_strangers(*session, place)) place = std::min(place, kStranger - Duration(1));
    waiting_.emplace_back(place, session.get());
  }
  if (waiting_.size() > 1) {
    std::sort(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second->id() < b.second->id();
    });
  }
  round_was_cut_ = false;
  MonoTime now = began;
  for (const auto& [place, session] : waiting_) {  // they live until stopped_ is cleared
    if (!session->is_heard()) continue;
    round_was_cut_ = now - began >= kRound;
    if (round_was_cut_) break;
    turn_.begin(now);
    serve(*session);
    const MonoTime then = loop_.now();
    const Duration took = std::min(then - now, kLongestTurn);
    session->spent.add(took, then);
    session->taken += took;
    now = then;
    // The will of this client is still to come: all behind it in this round may be its successor.
    // One that has ended in this turn is told of as gone in the next one.
    round_was_cut_ =
        session->end_matters &&
        (!session->is_live() || (wants_turn(*session) && comes_before_strangers(*session, place)));
    if (round_was_cut_) break;
  }
  if (round_was_cut_) soon_.request();
}

void Server::serve(Session& session) {
  bool ready = std::exchange(session.ready, false);
  if (session.resume) work(session);
  for (int reads = session.is_deaf() ? kReadsOfTheGone : 1; ready && reads > 0; --reads) {
    // The rest waits in the socket, which is reported as readable again.
    if (session.resume || turn_.over()) break;
    read(session);
  }
  const Session::State state = session.state();
  if (state == Session::State::deaf || state == Session::State::orphaned) {
    session.ready = true;  // until read() has come to the end
  }
  watch(session);
}

// The process that connected is gone, and another process holds the connection open. What has come
// is read to its end first, and carried out.
void Server::on_process_gone(Session& session) {
  session.end_process_watch();
  if (!session.become(Session::State::orphaned)) return;
  session.ready = true;
  watch(session);
}

void Server::watch_process(ClientId client, bool watch) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return;
  session->end_matters = watch;
  session->watch_process(watch);
}

void Server::read(Session& session) {
  if (!session.is_live() || is_paused(session)) return;
  // The process that holds the connection may go on writing. Bytes beyond what the kernel keeps are
  // not from the process that is gone.
  const bool orphaned = session.state() == Session::State::orphaned;
  if (orphaned && ++session.last_reads > kReadsOfTheGone) return end_of_input(session);
  std::string_view bytes;
  // 32 KiB of the shortest calls take some milliseconds.
  uv_buf_t buffer = loop_.read_buffer();
  buffer.len = std::min<size_t>(buffer.len, kBytesATurn);
  switch (session.receive(buffer, bytes)) {
    case Session::Io::done:
      session.framer().feed(bytes);
      work(session);
      break;
    case Session::Io::again:
      if (orphaned) end_of_input(session);
      break;
    case Session::Io::ended:
      end_of_input(session);
      break;
  }
}

// Hands out the lines that are there.
void Server::work(Session& session) {
  bool any = false;
  bool over = false;
  ++readings_;
  session.resume = false;
  while (session.is_heard()) {
    if (over || is_paused(session)) {
      session.framer().keep();
      session.resume = true;
      sessions_.clear_deadline(session);  // the agent keeps the line from ending, not the client
      return;
    }
    if (std::exchange(session.waits_for_room, false)) {
      events_.on_room(session.id());
      over = turn_.over();
      continue;
    }
    std::string_view line;
    const LineFramer::Step step = session.framer().next(line);
    if (step == LineFramer::Step::more) break;
    any = true;
    const size_t bytes = line.size();
    if (step == LineFramer::Step::too_long) {
      complain(session,
               rpc::too_large(format("a line has at most %zu bytes; this one is ignored up to "
                                     "its newline",
                                     options_.line_bytes),
                              options_.line_bytes));
    } else if (!is_blank(line)) {
      events_.on_line(session.id(), line);
    } else {
      continue;
    }
    over = turn_is_over(bytes);
    if (session.unsent() > half_of(session)) flush(session);
  }
  if (!session.is_heard()) return;
  if (any) session.last_heard = loop_.now();
  if (any || !session.framer().holds_bytes()) sessions_.clear_deadline(session);
  if (session.framer().holds_bytes() && !session.deadline) {
    sessions_.set_deadline(session, options_.partial_timeout);
  }
}

// Input of a session that the agent is closing.
void Server::discard(Session& session, int events) {
  if ((events & UV_DISCONNECT) != 0 && has_hung_up(session.fd())) {
    end(session, Session::State::over);
  } else if ((events & (UV_READABLE | UV_DISCONNECT)) != 0 &&
             session.discard() == Session::Io::ended) {
    session.input_ended = true;
  }
  watch(session);
}

size_t Server::share_of(const Session& session) const {
  const size_t share = options_.output_bytes;
  return pool_.waiting.bytes(session.peer().uid) > kCrowd * share ? share / 4 : share;
}

// Events may take so many bytes, and beyond them no calls are read. One line of the usual length
// fits into the smallest share, so an event that is not read does not stop the client's calls.
size_t Server::half_of(const Session& session) const {
  return std::max(share_of(session) / 2, rpc::kLineBytes + 1);
}

bool Server::is_paused(const Session& session) const {
  if (session.is_deaf()) return false;
  return session.held || (session.unsent() > 0 && session.unsent() > half_of(session));
}

bool Server::is_paused(ClientId client) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return false;
  if (session->unsent() > half_of(*session)) flush(*session);
  return is_paused(*session);
}

bool Server::is_unread(ClientId client) const {
  const Session* session = sessions_.find(client);
  return session != nullptr && session->is_heard() && !is_paused(*session) &&
         (session->resume || session->has_input());
}

bool Server::is_held(ClientId client) const {
  const Session* session = sessions_.find(client);
  return session != nullptr && session->held;
}

void Server::tell_of_room(ClientId client) {
  if (Session* session = sessions_.find(client)) session->waits_for_room = true;
}

void Server::hold(ClientId client, bool held) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return;
  session->held = held;
  if (!held) session->resume = true;
  soon_.request();
}

// --- what goes out -------------------------------------------------------------------------------

std::string* Server::begin_line(ClientId client) {
  Session* session = sessions_.find(client);
  return session != nullptr && !session->is_deaf() ? &session->output() : nullptr;
}

void Server::end_line(ClientId client) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return;
  session->output() += '\n';
  session->count_output();
  soon_.request();
}

// One line of the default length may always wait, or small shares would let nothing through.
bool Server::has_room(ClientId client, size_t bytes) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return true;
  const size_t share = share_of(*session);
  if (session->unsent() + bytes > share) flush(*session);
  return session->unsent() + bytes <= share || (session->unsent() == 0 && bytes <= rpc::kLineBytes);
}

bool Server::has_room_for_event(ClientId client, size_t bytes, bool spares) {
  Session* session = sessions_.find(client);
  if (session == nullptr || !session->is_heard()) return false;
  const size_t room = half_of(*session) / (spares ? 2 : 1);
  if (session->unsent() + bytes > room) flush(*session);
  return session->unsent() + bytes <= room ||
         (session->unsent() == 0 && bytes <= rpc::kMostLineBytes);
}

void Server::tell_when_drained(ClientId client) {
  Session* session = sessions_.find(client);
  if (session == nullptr) return;
  session->tells_drained = true;
  soon_.request();
}

void Server::tell_if_drained(Session& session) {
  if (!session.tells_drained || session.unsent() > share_of(session) / 4) return;
  session.tells_drained = false;
  events_.on_drained(session.id());
}

void Server::flush(Session& session) {
  const Session::Io result = session.send();
  session.blocked = result == Session::Io::again;
  if (result != Session::Io::ended) return;
  // A session that the agent is closing stays only as long as the client reads.
  if (!session.become(Session::State::deaf) && session.state() == Session::State::closing) {
    end(session, Session::State::over);
  }
}

void Server::watch(Session& session) {
  if (!session.is_live()) {
    session.watch(0);
    return;
  }
  int events = session.blocked ? UV_WRITABLE : 0;
  if (session.state() == Session::State::closing) {
    // Both events, or a client that has ended its sending would be reported without end.
    if (!session.input_ended && session.may_discard()) events |= UV_READABLE | UV_DISCONNECT;
  } else {
    if (!is_paused(session)) events |= UV_READABLE;
    if (!session.half_closed) events |= UV_DISCONNECT;
  }
  session.watch(events);
  if (wants_turn(session)) soon_.request();
}

void Server::on_turn() {
  retire_ended();
  // If rounds take all their time, answers that Redis has confirmed do not wait for another round.
  if (round_was_cut_) flush_all();
  serve_waiting();
  flush_all();
  stopped_.clear();
}

void Server::flush_all() {
  for (const auto& session : sessions_.all()) {
    if (!session->is_live()) continue;
    if (session->unsent() > 0 && !session->blocked) flush(*session);
    tell_if_drained(*session);
    watch(*session);
  }
}

// --- how it ends ---------------------------------------------------------------------------------

void Server::append_error(Session& session, const rpc::Error& error) {
  rpc::append_error_response(session.output(), {}, error);
  session.output() += '\n';
  session.count_output();
  soon_.request();
}

void Server::complain(ClientId client, const rpc::Error& error) {
  if (Session* session = sessions_.find(client)) complain(*session, error);
}

// A malformed line costs that line only: the next newline ends it.
void Server::complain(Session& session, const rpc::Error& error) {
  ++counters_.faults;
  ++session.faults;
  if (session.is_deaf()) return;
  append_error(session, error);
  const MonoTime now = loop_.now();
  session.malformed_until = std::max(session.malformed_until, now) +
                            Duration(std::chrono::seconds(1)) / kMalformedPerSecond;
  if (session.malformed_until - now <= std::chrono::seconds(1)) return;
  ++counters_.cut_off;
  log_.notice(
      LogAbout(static_cast<uint64_t>(session.peer().pid)),
      "socket: client %llu (process %d) is closed: it sent more than %zu malformed lines in "
      "a second, the last: %s",
      static_cast<unsigned long long>(session.id()), session.peer().pid, kMalformedPerSecond,
      error.message.c_str());
  append_error(session, rpc::malformed_flood(
                            format("more than %zu lines in a second were malformed: the connection "
                                   "is closed, its last will is not carried out",
                                   kMalformedPerSecond),
                            kMalformedPerSecond));
  session.become(Session::State::closing);
  session.watch_process(false);
  sessions_.set_deadline(session, options_.answer_time);
  events_.on_closing(session.id());
}

void Server::finish(ClientId client) {
  Session* session = sessions_.find(client);
  if (session != nullptr && session->state() == Session::State::closing) {
    end(*session, Session::State::explaining);
  }
}

void Server::end_of_input(Session& session) {
  end(session, session.is_deaf() ? Session::State::over : Session::State::draining);
}

void Server::end(Session& session, Session::State how) {
  if (!session.become(how)) return;
  sessions_.clear_deadline(session);
  soon_.request();
}

void Server::retire_ended() {
  while (std::unique_ptr<Session> session = sessions_.take_ended()) {
    const ClientId id = session->id();
    const Departure departure = session->closed_by_agent() ? Departure::agent : Departure::client;
    const MonoTime now = loop_.now();
    gone_.add(session->peer().uid, std::min(session->taken, session->spent.lately(now)), now);
    departed_ = id;
    departed_process_ = session->take_process();
    lingering_.add(std::move(session));
    events_.on_close(id, departure);
    departed_ = 0;
    departed_process_.reset();
  }
}

void Server::on_overdue(Session& session) {
  if (session.state() == Session::State::closing) {
    events_.on_overdue(session.id());
    return end(session, Session::State::explaining);
  }
  session.framer().skip_line();
  const auto time = std::chrono::ceil<std::chrono::milliseconds>(options_.partial_timeout);
  complain(session, rpc::timeout(format("a line was not ended within %s; it is ignored up to its "
                                        "newline",
                                        human_duration(time.count()).c_str())));
}

}  // namespace nb::ipc
