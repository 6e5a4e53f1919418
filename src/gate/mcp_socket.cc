#include "gate/mcp_socket.h"

#include <sys/socket.h>

#include <utility>

namespace nb::gate {

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
    // What has left at once makes room without a word of the stream.
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
    owner_.drop_soon();
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

McpSocket::McpSocket(uv::Loop& loop, Toolbox& toolbox, Agent& agent, const Log& log)
    : loop_(loop),
      toolbox_(toolbox),
      agent_(agent),
      log_(log),
      acceptor_(loop, log, Delegate<bool(UniqueFd&, int)>::to<&McpSocket::on_connection>(this)),
      soon_(loop, Delegate<void()>::to<&McpSocket::on_turn>(this)) {}

McpSocket::~McpSocket() = default;

Status McpSocket::start(const Place& place) {
  Status status = place.inherited_fd >= 0 ? file_.adopt(place.inherited_fd)
                                          : file_.open(place.path, place.mode, place.group);
  if (!status.ok()) return status;
  if (const int error = acceptor_.start(file_.fd()); error != 0) {
    return make_error("%s: %s", place.path.c_str(), std::string(uv::error_text(error)).c_str());
  }
  return {};
}

void McpSocket::end() {
  acceptor_.stop();
  for (const auto& client : clients_) client->say_goodbye();
}

bool McpSocket::on_connection(UniqueFd& fd, int shortage) {
  if (shortage != 0 || clients_.size() >= kMaxClients) {
    constexpr std::string_view kBusy =
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"too many clients: try again later"}})"
        "\n";
    (void)::send(fd.get(), kBusy.data(), kBusy.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    fd.reset();
    return false;
  }
  clients_.push_back(std::make_unique<Client>(*this, std::move(fd)));
  return true;
}

void McpSocket::on_turn() {
  std::erase_if(clients_, [](const auto& client) { return client->has_ended(); });
}

}  // namespace nb::gate
