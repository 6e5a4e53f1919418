#include "probe/system_bus.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>

#include "base/text.h"
#include "probe/dbus_message.h"
#include "probe/words.h"

namespace nb::probe {

using namespace std::string_view_literals;  // one size and one memcmp to compare with
namespace {

constexpr Duration kDialDeadline = std::chrono::seconds(30);
// A line of the authentication is short, and its sender not yet known to be a bus.
constexpr size_t kMaxAuthLine = 4096;

// "EXTERNAL" with our user id, in decimal, in hex (D-Bus specification, "Authentication Protocol").
std::string auth_lines() {
  std::string line = "AUTH EXTERNAL ";
  for (const char c : format("%u", static_cast<unsigned>(::geteuid()))) {
    line += format("%02x", static_cast<unsigned char>(c));
  }
  return std::string(1, '\0') + line + "\r\nBEGIN\r\n";
}

}  // namespace

void SystemBus::Query::ask(std::string_view unit, const char* property) {
  object_path_ = unit_object_path(unit);
  property_ = property;
  serial_ = 0;
  bus_.add(*this);
}

void SystemBus::Query::cancel() {
  if (waiting_) bus_.remove(*this);
}

SystemBus::SystemBus(uv::Loop& loop, std::string path)
    : dialer_(loop, Delegate<void(uv::Dialer::Answer&)>::to<&SystemBus::on_dialled>(this)) {
  target_.unix_path = std::move(path);
}

SystemBus::~SystemBus() {
  assert(waiting_.empty());
}

void SystemBus::add(Query& query) {
  query.waiting_ = true;
  query.asked_at_ = heard_;
  waiting_.push_back(&query);
  if (state_ == State::idle) return dial();
  if (state_ == State::dialling) return;
  send(query);
  flush();
}

void SystemBus::remove(Query& query) {
  query.waiting_ = false;
  std::erase(waiting_, &query);
  if (query.asked_at_ != heard_) return;
  drop();
  if (!waiting_.empty()) dial();
}

void SystemBus::dial() {
  state_ = State::dialling;
  for (Query* query : waiting_) query->serial_ = 0;
  dialer_.start(target_, kDialDeadline);
}

void SystemBus::send(Query& query) {
  query.serial_ = ++last_serial_;
  append_dbus_call(out_, query.serial_,
                   {.destination = "org.freedesktop.systemd1",
                    .path = query.object_path_,
                    .interface = "org.freedesktop.DBus.Properties",
                    .member = "Get"},
                   {"org.freedesktop.systemd1.Unit", query.property_});
}

void SystemBus::flush() {
  // A connection that broke also calls on_end, on a later turn.
  if (stream_->write(out_) < 0) out_.clear();
}

void SystemBus::drop() {
  dialer_.cancel();
  stream_.reset();
  in_.clear();
  out_.clear();
  state_ = State::idle;
}

void SystemBus::fail(const std::string& why) {
  drop();
  const Result<std::string> answer = make_error("system bus: %s", why.c_str()).as(Fault::blind);
  while (!waiting_.empty()) {
    Query& query = *waiting_.back();
    waiting_.pop_back();
    query.waiting_ = false;
    query.on_answer_(answer);
  }
}

void SystemBus::on_dialled(uv::Dialer::Answer& answer) {
  if (!answer) return fail(answer.error().message);
  stream_ = std::move(*answer);
  stream_->set_events({{},
                       Delegate<void(std::string_view)>::to<&SystemBus::on_data>(this),
                       Delegate<void(int)>::to<&SystemBus::on_end>(this),
                       {}});
  state_ = State::authenticating;
  last_serial_ = 0;
  // The bus reads all of this in order, so there is no need to wait for answers; if it refuses, it
  // says so and closes.
  out_ = auth_lines();
  append_dbus_call(out_, ++last_serial_,
                   {.destination = "org.freedesktop.DBus",
                    .path = "/org/freedesktop/DBus",
                    .interface = "org.freedesktop.DBus",
                    .member = "Hello"},
                   {});
  for (Query* query : waiting_) send(*query);
  flush();
  const int rc = stream_->start_reading();
  if (rc < 0) fail(uv_strerror(rc));
}

void SystemBus::on_data(std::string_view bytes) {
  ++heard_;
  in_.append(bytes);
  if (state_ == State::authenticating && !take_auth_line()) return;
  while (state_ == State::ready && take_message()) {
  }
}

void SystemBus::on_end(int error) {
  fail(error == UV_EOF ? "closed the connection" : uv_strerror(error));
}

// False if messages cannot be read yet.
bool SystemBus::take_auth_line() {
  const size_t end = in_.find("\r\n");
  if (end == std::string::npos) {
    if (in_.size() > kMaxAuthLine) fail("answer is not D-Bus");
    return false;
  }
  if (!in_.starts_with("OK ")) {
    fail("refused the agent: " + one_line(std::string_view(in_).substr(0, end)));
    return false;
  }
  in_.erase(0, end + 2);
  state_ = State::ready;
  return true;
}

// False if no whole message is there.
bool SystemBus::take_message() {
  const auto size = dbus_message_size(in_);
  if (!size) {
    fail(size.error().message);
    return false;
  }
  if (*size == 0 || in_.size() < *size) return false;
  const std::string bytes = in_.substr(0, *size);
  in_.erase(0, *size);
  const auto message = parse_dbus_message(bytes);
  if (!message) {
    fail(message.error().message);
    return false;
  }
  // Signals, and answers to questions that were given up, belong to no question.
  if (!message->is_return && !message->is_error) return true;
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Query* query) {
    return query->serial_ == message->reply_serial;
  });
  if (found == waiting_.end()) return true;
  Query& query = **found;
  waiting_.erase(found);
  query.waiting_ = false;
  if (message->is_return) {
    query.on_answer_(std::string(message->text));
  } else {
    // Two errors are systemd's answer about the unit. All others say nothing about the unit.
    const bool answered = message->error_name == "org.freedesktop.systemd1.NoSuchUnit"sv ||
                          message->error_name == "org.freedesktop.DBus.Error.UnknownObject"sv;
    query.on_answer_(
        make_error("%s: %s", one_line(message->error_name).c_str(), one_line(message->text).c_str())
            .as(answered ? Fault::other : Fault::blind));
  }
  return true;
}

}  // namespace nb::probe
