#include "uv/dialer.h"

#include <algorithm>

#include "base/text.h"

namespace nb::uv {
namespace {

// RFC 8305, section 5: "Connection Attempt Delay", recommended value.
// The delay is at most this long, so that each address has its turn before the deadline.
constexpr Duration kHeadStart = std::chrono::milliseconds(250);
// A name with hundreds of addresses must not become hundreds of sockets.
constexpr size_t kMaxAttempts = 16;

}  // namespace

// One address being tried. Kept until the dial is over, also when it has failed, so that it may
// report from inside its own stream's callback.
class Dialer::Attempt {
 public:
  Attempt(Dialer& dialer, std::string what)
      : dialer_(dialer),
        what_(std::move(what)),
        stream_(std::make_unique<Stream>(
            dialer.loop_,
            Stream::Events{Delegate<void(int)>::to<&Attempt::on_connect>(this), {}, {}, {}})) {}

  Stream& stream() { return *stream_; }
  const std::string& what() const { return what_; }
  std::unique_ptr<Stream> take() { return std::move(stream_); }

 private:
  void on_connect(int status) {
    if (status < 0) {
      dialer_.on_attempt_failed(*this, status);
    } else {
      dialer_.on_attempt_connected(*this);
    }
  }

  Dialer& dialer_;
  std::string what_;
  std::unique_ptr<Stream> stream_;
};

Dialer::Dialer(Loop& loop, Delegate<void(Answer&)> on_answer, Delegate<void(DialStage)> on_stage,
               LookUp look_up, ConnectPath connect_path)
    : loop_(loop),
      on_answer_(on_answer),
      on_stage_(on_stage),
      resolver_(loop, Delegate<void(Result<Addresses>&)>::to<&Dialer::on_resolved>(this), look_up),
      path_(loop, Delegate<void(int)>::to<&Dialer::on_path_connected>(this), connect_path),
      head_start_(loop, Delegate<void()>::to<&Dialer::on_head_start_over>(this)),
      deadline_(loop, Delegate<void()>::to<&Dialer::on_deadline>(this)) {}

Dialer::~Dialer() = default;

void Dialer::start(const Target& target, Duration deadline) {
  target_ = target;
  dialling_ = true;
  last_failure_.clear();
  addresses_.clear();
  blind_ = true;
  deadline_.start(deadline);
  starting_ = true;
  if (!target.unix_path.empty()) {
    on_stage_(DialStage::connecting);
    const Status started = dialling_ ? path_.start(target.unix_path) : Status();
    if (!started) fail(started.error().message, true);
  } else {
    on_stage_(DialStage::resolving);
    if (dialling_) resolver_.start(target.host, target.port);
  }
  starting_ = false;
}

void Dialer::cancel() {
  dialling_ = false;
  failed_.reset();
  attempts_.clear();
  pending_ = 0;
  head_start_.stop();
  deadline_.stop();
  resolver_.abandon();
  path_.abandon();
}

void Dialer::on_resolved(Result<Addresses>& addresses) {
  if (!addresses) return fail(addresses.error().message, addresses.error().fault == Fault::blind);
  addresses_ = std::move(*addresses);
  if (addresses_.size() > kMaxAttempts) addresses_.resize(kMaxAttempts);
  next_ = 0;
  on_stage_(DialStage::connecting);
  if (dialling_) try_next();
}

// Tries the next address, and skips addresses that fail at once. The dial has failed when no
// address is left and none is being tried.
void Dialer::try_next() {
  while (next_ < addresses_.size()) {
    const sockaddr_storage& address = addresses_[next_++];
    attempts_.push_back(std::make_unique<Attempt>(*this, describe(address)));
    Attempt& attempt = *attempts_.back();
    const int rc = attempt.stream().connect_tcp(address);
    if (rc == 0) {
      ++pending_;
      const Duration left = deadline_.due() - loop_.now();
      const auto turns = static_cast<int>(addresses_.size() - next_) + 1;  // including this one
      if (turns > 1) head_start_.start(std::min(kHeadStart, left / turns));
      return;
    }
    blind_ &= is_own_trouble(-rc);
    last_failure_ = format("%s: %s", attempt.what().c_str(), uv_strerror(rc));
  }
  if (pending_ == 0) fail(last_failure_, blind_);
}

void Dialer::on_attempt_failed(const Attempt& attempt, int error) {
  --pending_;
  blind_ &= is_own_trouble(-error);
  last_failure_ = format("%s: %s", attempt.what().c_str(), uv_strerror(error));
  head_start_.stop();
  try_next();
}

void Dialer::on_attempt_connected(Attempt& attempt) {
  std::unique_ptr<Stream> stream = attempt.take();
  stream->set_events({});
  succeed(std::move(stream));
}

void Dialer::on_path_connected(int fd) {
  auto stream = std::make_unique<Stream>(loop_, Stream::Events{});
  const int rc = fd >= 0 ? stream->open_unix(UniqueFd(fd)) : fd;
  if (rc == 0) return succeed(std::move(stream));
  fail(format("%s: %s", target_.unix_path.c_str(), uv_strerror(rc)), is_own_trouble(-rc));
}

void Dialer::succeed(std::unique_ptr<Stream> stream) {
  // An attempt lives on for the rest of its own callback.
  std::vector<std::unique_ptr<Attempt>> over = std::move(attempts_);
  cancel();
  Answer answer = std::move(stream);
  on_answer_(answer);
}

void Dialer::on_head_start_over() {
  try_next();
}

void Dialer::on_deadline() {
  if (failed_.has_value()) {  // only waited for start() to return
    Answer answer = std::move(*failed_);
    failed_.reset();
    cancel();
    on_answer_(answer);
    return;
  }
  fail(format("%s: no answer in time%s%s", describe(target_).c_str(),
              last_failure_.empty() ? "" : "; before that ", last_failure_.c_str()),
       resolving() || path_.waiting());
}

void Dialer::fail(std::string message, bool blind) {
  Error error = Error{std::move(message)}.as(blind ? Fault::blind : Fault::other);
  if (starting_) {
    failed_ = std::move(error);
    deadline_.start(Duration::zero());
    return;
  }
  Answer answer = std::move(error);
  std::vector<std::unique_ptr<Attempt>> over = std::move(attempts_);
  cancel();
  on_answer_(answer);
}

}  // namespace nb::uv
