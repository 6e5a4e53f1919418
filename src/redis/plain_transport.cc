#include "redis/plain_transport.h"

#include "uv/stream.h"

namespace nb::redis {
namespace {

class PlainTransport final : public Transport {
 public:
  PlainTransport(uv::Loop& loop, Events events)
      : events_(events),
        dialer_(loop, Delegate<void(uv::Dialer::Answer&)>::to<&PlainTransport::on_answer>(this),
                events.on_stage) {}

  void connect(const uv::Target& target, Duration deadline) override {
    dialer_.start(target, deadline);
  }

  void cancel() override { dialer_.cancel(); }

  Status write(std::string& bytes) override {
    const int rc = stream_->write(bytes);
    if (rc < 0) return Error{std::string(uv::error_text(rc))};
    return {};
  }

  size_t queued_bytes() const override { return stream_->queued_bytes(); }

 private:
  void on_answer(uv::Dialer::Answer& answer) {
    Status status;
    if (answer) {
      stream_ = std::move(*answer);
      stream_->set_events({{},
                           events_.on_data,
                           Delegate<void(int)>::to<&PlainTransport::on_end>(this),
                           events_.on_drain});
      const int rc = stream_->start_reading();
      if (rc < 0) status = Error{std::string(uv::error_text(rc))};
    } else {
      status = answer.error();
    }
    events_.on_connected(status);
  }

  void on_end(int error) {
    events_.on_end(error == UV_EOF ? "closed by the server" : uv::error_text(error));
  }

  Events events_;
  uv::Dialer dialer_;
  std::unique_ptr<uv::Stream> stream_;
};

}  // namespace

std::unique_ptr<Transport> make_plain_transport(uv::Loop& loop, Transport::Events events) {
  return std::make_unique<PlainTransport>(loop, events);
}

}  // namespace nb::redis
