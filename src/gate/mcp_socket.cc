#include "gate/mcp_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "uv/poll.h"

namespace nb::gate {
namespace {

void say_busy(int fd) {
  constexpr std::string_view kBusy =
      R"({"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"too many clients: try again later"}})"
      "\n";
  (void)::send(fd, kBusy.data(), kBusy.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

class McpSocket::Client {
 public:
  Client(McpSocket& owner, UniqueFd fd)
      : owner_(owner),
        stream_(owner.loop_, {{},
                              Delegate<void(std::string_view)>::to<&Client::on_data>(this),
                              Delegate<void(int)>::to<&Client::on_end>(this),
                              Delegate<void()>::to<&Client::on_drain>(this)}),
        soon_(owner.loop_, Delegate<void()>::to<&Client::on_turn>(this)),
        peer_(owner.loop_, owner.toolbox_, owner.agent_,
              {Delegate<void()>::to<&Client::on_output>(this),
               Delegate<size_t()>::to<&Client::queued_bytes>(this),
               Delegate<void()>::to<&Client::end>(this)}) {
    is_open_ = stream_.open_unix(std::move(fd)) == 0;
    if (!is_open_ || stream_.start_reading() != 0) end();
  }

  bool has_ended() const { return has_ended_; }
  void say_goodbye() {
    peer_.end();
    if (is_open_) (void)stream_.write(peer_.output());
  }

 private:
  void on_data(std::string_view bytes) {
    peer_.feed(bytes);
    if (!peer_.wants_input()) stream_.stop_reading();
  }
  void on_output() { soon_.request(); }
  void on_turn() {
    if (has_ended_) return;
    if (stream_.write(peer_.output()) != 0) return end();
    if (peer_.is_given_up()) {
      owner_.log_.warning("a client of the MCP socket does not read: closed");
      return end();
    }
    // Bytes that have left at once make room without a report of the stream.
    if (stream_.queued_bytes() == 0) on_drain();
  }
  void on_drain() {
    const bool waited = !peer_.wants_input();
    peer_.go_on();
    if (waited && peer_.wants_input() && !has_ended_ && !input_has_ended_ &&
        stream_.start_reading() != 0)
      end();
  }
  // A client that has only ended its sending still gets its answers.
  void on_end(int error) {
    if (error != UV_EOF) return end();
    input_has_ended_ = true;
    peer_.end_input();
  }
  void end() {
    has_ended_ = true;
    owner_.look_soon();
  }
  size_t queued_bytes() { return is_open_ ? stream_.queued_bytes() : 0; }

  McpSocket& owner_;
  bool is_open_ = false;
  bool has_ended_ = false;
  bool input_has_ended_ = false;
  uv::Stream stream_;
  uv::Soon soon_;
  LinePeer peer_;
};

// A client that has not sent anything.
class McpSocket::Newcomer {
 public:
  enum class Speech : uint8_t { none, lines, http, ended };

  Newcomer(McpSocket& owner, UniqueFd fd)
      : owner_(owner),
        fd_(std::move(fd)),
        poll_(owner.loop_, fd_.get(), Delegate<void(int)>::to<&Newcomer::on_ready>(this)) {
    if (poll_.watch(UV_READABLE) != 0) end_with(Speech::ended);
  }

  Speech speech() const { return speech_; }
  // With it goes the newcomer.
  UniqueFd take() { return std::move(fd_); }

 private:
  void on_ready(int) {
    char first = 0;
    const ssize_t n = ::recv(fd_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return end_with(Speech::ended);
    // A line begins with a brace, or white space; a request with a method's name.
    end_with(first >= 'A' && first <= 'Z' ? Speech::http : Speech::lines);
  }
  void end_with(Speech speech) {
    speech_ = speech;
    (void)poll_.watch(0);
    owner_.look_soon();
  }

  McpSocket& owner_;
  UniqueFd fd_;
  Speech speech_ = Speech::none;
  uv::Poll poll_;
};

McpSocket::McpSocket(uv::Loop& loop, Toolbox& toolbox, Agent& agent, McpWeb& web, const Log& log)
    : loop_(loop),
      toolbox_(toolbox),
      agent_(agent),
      log_(log),
      acceptor_(loop, log, Delegate<bool(UniqueFd&, int)>::to<&McpSocket::on_connection>(this)),
      http_(loop, {}, http::Origins(), http::Router::Handler::to<&http::Router::handle>(&router_)),
      soon_(loop, Delegate<void()>::to<&McpSocket::on_turn>(this)) {
  web.add(router_);
}

McpSocket::~McpSocket() = default;

Status McpSocket::start(const Place& place) {
  Status status = place.inherited_fd >= 0 ? file_.adopt(place.inherited_fd)
                                          : file_.open(place.path, place.mode, place.group);
  if (!status.ok()) return status;
  if (Status started = http_.start(); !started) return started;
  if (const int error = acceptor_.start(file_.fd()); error != 0) {
    return make_error("%s: %s", place.path.c_str(), std::string(uv::error_text(error)).c_str());
  }
  return {};
}

void McpSocket::end() {
  acceptor_.stop();
  for (const auto& client : clients_) client->say_goodbye();
  http_.flush();
}

bool McpSocket::on_connection(UniqueFd& fd, int shortage) {
  if (shortage != 0) {
    say_busy(fd.get());
    fd.reset();
    return false;
  }
  if (newcomers_.size() >= kMaxNewcomers) on_turn();  // some may have spoken
  if (newcomers_.size() >= kMaxNewcomers) newcomers_.erase(newcomers_.begin());
  newcomers_.push_back(std::make_unique<Newcomer>(*this, std::move(fd)));
  return true;
}

void McpSocket::add_client(UniqueFd fd) {
  if (clients_.size() >= kMaxClients) return say_busy(fd.get());
  clients_.push_back(std::make_unique<Client>(*this, std::move(fd)));
}

void McpSocket::on_turn() {
  using Speech = Newcomer::Speech;
  std::erase_if(clients_, [](const auto& client) { return client->has_ended(); });
  for (size_t i = 0; i < newcomers_.size();) {
    const Speech speech = newcomers_[i]->speech();
    if (speech == Speech::none) {
      ++i;
      continue;
    }
    UniqueFd fd = newcomers_[i]->take();
    newcomers_.erase(newcomers_.begin() + static_cast<ptrdiff_t>(i));  // no other object watches it
    if (speech == Speech::lines) add_client(std::move(fd));
    if (speech == Speech::http) (void)http_.adopt(std::move(fd));
  }
}

}  // namespace nb::gate
