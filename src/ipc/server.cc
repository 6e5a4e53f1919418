#include "ipc/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace nb::ipc {
namespace {

// Most that is read of one client before the others have had their turn.
constexpr size_t kBytesATurn = 32 * 1024;
// But of one that is gone, all of it: the kernel keeps less than so many times as much.
constexpr int kReadsOfTheGone = 32;

// Ended connections that are still brought to an end. Beyond that many the oldest is cut short, so
// that a thousand clients that talk nonsense do not use up the descriptors of those that do not.
constexpr size_t kMaxLingering = 16;
constexpr Duration kLinger = std::chrono::seconds(2);
// Who may not connect and tries again and again does not fill the log.
constexpr Duration kForbiddenQuiet = std::chrono::minutes(1);

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == line.npos;
}

}  // namespace

Server::Server(uv::Loop& loop, const Log& log, ServerOptions options, ServerEvents events)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      events_(events),
      acceptor_(loop, log, Acceptor::OnConnection::to<&Server::on_connection>(this)),
      soon_(loop, Delegate<void()>::to<&Server::on_turn>(this)),
      deadline_(loop, Delegate<void()>::to<&Server::on_deadline>(this)) {}

Status Server::start() {
  Status status = options_.inherited_fd >= 0
                      ? file_.adopt(options_.inherited_fd)
                      : file_.open(options_.path, options_.mode, options_.group);
  if (!status) return status;
  if (const int rc = acceptor_.start(file_.fd()); rc < 0) {
    stop();
    return make_error("cannot listen on %s: %s", options_.path.c_str(), uv_strerror(rc));
  }
  return {};
}

void Server::stop() {
  acceptor_.stop();
  file_.close();
  for (auto* list : {&sessions_, &lingering_}) {
    for (std::unique_ptr<Session>& session : *list) {
      (void)session->send();
      session->ended = Session::End::cut_off;
      dead_.push_back(std::move(session));
    }
    list->clear();
  }
  deadline_.stop();
  deadlines_ = 0;
  soon_.request();
}

// --- connections ---------------------------------------------------------------------------------

void Server::on_connection(UniqueFd& fd, bool spare) {
  const std::optional<Peer> peer = peer_of(fd.get());
  if (!peer) return;
  if (!is_allowed(fd.get(), *peer, options_.allow_users, options_.allow_groups)) {
    if (loop_.now() >= forbidden_quiet_) {
      log_.warning("socket: process %d of user %u may not connect", peer->pid, peer->uid);
      forbidden_quiet_ = loop_.now() + kForbiddenQuiet;
    }
    return refuse(
        fd, wire::rpc::forbidden(format(
                "user %u may not connect: the agent's configuration names who may", peer->uid)));
  }
  if (spare) {
    return refuse(fd, wire::rpc::busy("the agent has no descriptors left: try again later",
                                      options_.max_clients));
  }
  if (sessions_.size() >= options_.max_clients) {
    if (!busy_said_) {
      log_.warning("socket: all %zu connections are taken, further ones are turned away",
                   options_.max_clients);
    }
    busy_said_ = true;
    return refuse(fd, wire::rpc::busy(format("all %zu connections are taken: try again later",
                                             options_.max_clients),
                                      options_.max_clients));
  }
  busy_said_ = false;
  SessionOwner& owner = *this;
  auto session = std::make_unique<Session>(loop_, owner, buffers_, std::move(fd), last_id_ + 1,
                                           *peer, options_.line_bytes);
  if (session->watch(UV_READABLE | UV_DISCONNECT) < 0) return;
  ++counters_.accepted;
  const ClientId id = ++last_id_;
  sessions_.push_back(std::move(session));
  events_.on_open(id, *peer);
}

// Closing with bytes unread would make the peer's next call an error, before it has read why.
void Server::refuse(UniqueFd& fd, const wire::RpcError& error) {
  ++counters_.refused;
  std::string line;
  wire::append_error_response(line, {}, error);
  line += '\n';
  (void)!::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd.get(), SHUT_WR);
  const uv_buf_t buffer = loop_.read_buffer();
  for (int i = 0; i < 16; ++i) {
    if (::recv(fd.get(), buffer.base, buffer.len, MSG_DONTWAIT) <= 0) break;
  }
  fd.reset();
}

Session* Server::find(ClientId client) const {
  // Mostly the one that was asked for last: lines come many at a time.
  if (last_found_ >= sessions_.size() || sessions_[last_found_]->id() != client) {
    const auto at = std::lower_bound(
        sessions_.begin(), sessions_.end(), client,
        [](const std::unique_ptr<Session>& session, ClientId id) { return session->id() < id; });
    if (at == sessions_.end() || (*at)->id() != client) return nullptr;
    last_found_ = static_cast<size_t>(at - sessions_.begin());
  }
  Session* session = sessions_[last_found_].get();
  return session->ended == Session::End::no ? session : nullptr;
}

bool Server::is_deaf(ClientId client) const {
  const Session* session = find(client);
  return session == nullptr || session->deaf;
}

size_t Server::queued_bytes(ClientId client) const {
  const Session* session = find(client);
  return session != nullptr ? session->unsent() : 0;
}

size_t Server::clients() const {
  size_t count = 0;
  for (const auto& session : sessions_) {
    if (session->ended == Session::End::no) ++count;
  }
  return count;
}

// --- what comes in -------------------------------------------------------------------------------

void Server::on_ready(Session& session, int events) {
  if (session.lingering) {
    if (!linger_on(session)) drop_lingering(session);
    return;
  }
  if (session.ended != Session::End::no) return;  // its turn to be retired comes
  if ((events & UV_WRITABLE) != 0) flush(session);
  if ((events & UV_DISCONNECT) != 0) {
    // Gone for good: nobody waits for answers, so nothing keeps us from reading to the end. Else it
    // has only ended its own sending, and may be reading still.
    (session.peer_has_hung_up() ? session.deaf : session.half_closed) = true;
  }
  if ((events & (UV_READABLE | UV_DISCONNECT)) != 0) session.ready = true;
  watch(session);
}

bool Server::wants_turn(const Session& session) const {
  return session.ended == Session::End::no && (session.ready || session.resume) &&
         !is_paused(session);
}

// One round: the client that has taken least of late comes first. A client that is gone comes
// before the others, unless it was very busy: its will is to be carried out before its successor is
// heard.
void Server::serve_waiting() {
  waiting_.clear();
  const MonoTime began = loop_.now();
  for (const auto& session : sessions_) {
    if (!wants_turn(*session)) continue;
    Duration place = session->spent.lately(began);
    if (session->deaf) place /= 8;
    waiting_.emplace_back(place, session.get());
  }
  if (waiting_.size() > 1) {
    std::sort(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second->id() < b.second->id();
    });
  }
  round_was_cut_ = false;
  MonoTime now = began;
  for (const auto& [place, session] : waiting_) {  // they live until dead_ is cleared
    if (session->ended != Session::End::no) continue;
    round_was_cut_ = now - began >= kRound;
    if (round_was_cut_) break;
    turn_.begin(now);
    serve(*session);
    const MonoTime then = loop_.now();
    session->spent.add(then - now, then);
    now = then;
  }
  if (round_was_cut_) soon_.request();
}

void Server::serve(Session& session) {
  bool ready = std::exchange(session.ready, false);
  if (session.resume) work(session);
  for (int reads = session.deaf ? kReadsOfTheGone : 1; ready && reads > 0; --reads) {
    // The rest waits in the socket, which says so again.
    if (session.resume || turn_.over()) break;
    read(session);
  }
  watch(session);
}

void Server::read(Session& session) {
  if (session.ended != Session::End::no || is_paused(session)) return;
  std::string_view bytes;
  // A share, and then it is the next one's turn: 32 KiB of the shortest calls take some
  // milliseconds.
  uv_buf_t buffer = loop_.read_buffer();
  buffer.len = std::min<size_t>(buffer.len, kBytesATurn);
  switch (session.receive(buffer, bytes)) {
    case Session::Io::done:
      session.framer().feed(bytes);
      work(session);
      break;
    case Session::Io::again:
      break;
    case Session::Io::ended:
      end(session, Session::End::eof);
      break;
  }
}

// Hands out the lines that are there.
void Server::work(Session& session) {
  bool any = false;
  bool over = false;
  ++readings_;
  session.resume = false;
  while (session.ended == Session::End::no) {
    if (over || is_paused(session)) {
      session.framer().keep();
      session.resume = true;
      clear_deadline(session);  // it is we who keep the line from ending
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
    if (step == LineFramer::Step::too_long) {
      return fail(session,
                  wire::rpc::too_large(format("a line has at most %zu bytes", options_.line_bytes),
                                       options_.line_bytes));
    }
    any = true;
    if (is_blank(line)) continue;
    const size_t bytes = line.size();
    events_.on_line(session.id(), line);
    over = turn_is_over(bytes);
    if (session.unsent() > options_.output_bytes / 4) flush(session);
  }
  if (session.ended != Session::End::no) return;
  if (any || !session.framer().holds_bytes()) clear_deadline(session);
  if (session.framer().holds_bytes() && !session.deadline) {
    set_deadline(session, options_.partial_timeout);
  }
}

bool Server::is_paused(const Session& session) const {
  return !session.deaf && (session.held || session.unsent() > options_.output_bytes / 4);
}

bool Server::is_paused(ClientId client) {
  Session* session = find(client);
  if (session == nullptr) return false;
  if (session->unsent() > options_.output_bytes / 4) flush(*session);
  return is_paused(*session);
}

void Server::tell_of_room(ClientId client) {
  if (Session* session = find(client)) session->waits_for_room = true;
}

void Server::hold(ClientId client, bool held) {
  Session* session = find(client);
  if (session == nullptr) return;
  session->held = held;
  if (!held) session->resume = true;
  soon_.request();
}

// --- what goes out -------------------------------------------------------------------------------

std::string* Server::begin_line(ClientId client) {
  Session* session = find(client);
  return session != nullptr && !session->deaf ? &session->output() : nullptr;
}

void Server::end_line(ClientId client) {
  Session* session = find(client);
  if (session == nullptr) return;
  session->output() += '\n';
  soon_.request();
  if (has_room(client, 0)) return;
  ++counters_.cut_off;
  log_.notice(LogAbout(static_cast<uint64_t>(session->peer().pid)),
              "socket: client %llu (process %d) is cut off: it does not read what it asked for",
              static_cast<unsigned long long>(client), session->peer().pid);
  end(*session, Session::End::cut_off);
}

bool Server::has_room(ClientId client, size_t bytes) {
  Session* session = find(client);
  if (session == nullptr) return true;
  if (session->unsent() + bytes > options_.output_bytes) flush(*session);
  return session->unsent() + bytes <= options_.output_bytes;
}

void Server::flush(Session& session) {
  const Session::Io result = session.send();
  session.blocked = result == Session::Io::again;
  if (result == Session::Io::ended) session.deaf = true;
}

void Server::watch(Session& session) {
  if (session.ended != Session::End::no) {
    session.watch(0);
    return;
  }
  int events = session.blocked ? UV_WRITABLE : 0;
  if (!is_paused(session)) events |= UV_READABLE;
  if (!session.half_closed) events |= UV_DISCONNECT;
  session.watch(events);
  if (wants_turn(session)) soon_.request();
}

void Server::on_turn() {
  retire_ended();
  // Where rounds take all their time, what Redis has confirmed does not wait for one more.
  if (round_was_cut_) flush_all();
  serve_waiting();
  flush_all();
  dead_.clear();
}

void Server::flush_all() {
  for (const auto& session : sessions_) {
    if (session->ended != Session::End::no) continue;
    if (session->unsent() > 0 && !session->blocked) flush(*session);
    watch(*session);
  }
}

// --- how it ends ---------------------------------------------------------------------------------

void Server::close_with(ClientId client, const wire::RpcError& error) {
  if (Session* session = find(client)) fail(*session, error);
}

void Server::fail(Session& session, const wire::RpcError& error) {
  ++counters_.faults;
  log_.debug(LogAbout(static_cast<uint64_t>(session.peer().pid)),
             "socket: client %llu (process %d) is closed: %s",
             static_cast<unsigned long long>(session.id()), session.peer().pid,
             error.message.c_str());
  if (!session.deaf) {
    wire::append_error_response(session.output(), {}, error);
    session.output() += '\n';
  }
  end(session, Session::End::fault);
}

void Server::end(Session& session, Session::End how) {
  clear_deadline(session);
  session.ended = how;
  soon_.request();
}

void Server::retire_ended() {
  for (size_t i = 0; i < sessions_.size();) {
    if (sessions_[i]->ended == Session::End::no) {
      ++i;
      continue;
    }
    std::unique_ptr<Session> session = std::move(sessions_[i]);
    sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(i));
    const ClientId id = session->id();
    linger(std::move(session));
    events_.on_close(id);
  }
}

void Server::linger(std::unique_ptr<Session> session) {
  session->lingering = true;
  if (session->ended == Session::End::cut_off || !linger_on(*session)) return;
  if (lingering_.size() >= kMaxLingering) drop_lingering(*lingering_.front());
  set_deadline(*session, kLinger);
  lingering_.push_back(std::move(session));
}

// Sends what is left, then waits for the peer to close, so that what it is still sending does not
// come back to it as an error before it has read ours. False: it is over.
bool Server::linger_on(Session& session) {
  if (session.unsent() > 0) flush(session);
  if (session.deaf) return false;
  if (session.unsent() == 0 && session.ended == Session::End::fault && !session.finished) {
    session.finish_sending();
    session.finished = true;
  }
  if (session.ended == Session::End::fault) {
    std::string_view bytes;
    const Session::Io result = session.receive(loop_.read_buffer(), bytes);
    if (result == Session::Io::ended) session.ended = Session::End::eof;
  }
  if (session.unsent() == 0 && session.ended == Session::End::eof) return false;
  session.watch((session.ended == Session::End::fault ? UV_READABLE : 0) |
                (session.blocked ? UV_WRITABLE : 0));
  return true;
}

void Server::drop_lingering(const Session& session) {
  for (size_t i = 0; i < lingering_.size(); ++i) {
    if (lingering_[i].get() != &session) continue;
    clear_deadline(*lingering_[i]);
    dead_.push_back(std::move(lingering_[i]));
    lingering_.erase(lingering_.begin() + static_cast<std::ptrdiff_t>(i));
    soon_.request();
    return;
  }
}

void Server::set_deadline(Session& session, Duration after) {
  clear_deadline(session);
  session.deadline = loop_.now() + after;
  ++deadlines_;
  if (!deadline_.active() || deadline_.due() > *session.deadline) deadline_.start(after);
}

void Server::clear_deadline(Session& session) {
  if (!session.deadline) return;
  session.deadline.reset();
  if (--deadlines_ == 0) deadline_.stop();
}

void Server::on_deadline() {
  const MonoTime now = loop_.now();
  for (const auto& session : sessions_) {
    if (!session->deadline || *session->deadline > now) continue;
    fail(*session,
         wire::rpc::timeout(format(
             "a line was not ended within %s",
             human_duration(
                 std::chrono::ceil<std::chrono::milliseconds>(options_.partial_timeout).count())
                 .c_str())));
  }
  for (size_t i = lingering_.size(); i-- > 0;) {
    if (*lingering_[i]->deadline <= now) drop_lingering(*lingering_[i]);
  }
  std::optional<MonoTime> next;
  for (const auto* list : {&sessions_, &lingering_}) {
    for (const auto& session : *list) {
      if (session->deadline && (!next || *session->deadline < *next)) next = session->deadline;
    }
  }
  if (next) deadline_.start(*next - now);
}

}  // namespace nb::ipc
