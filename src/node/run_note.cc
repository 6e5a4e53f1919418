#include "node/run_note.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/own_file.h"
#include "base/text.h"

namespace nb::node {
namespace {

constexpr std::chrono::seconds kQuick{60};
constexpr unsigned kFree = 3;  // quick ends that cost no waiting
constexpr std::chrono::seconds kMostHold{30};

std::string_view next_word(std::string_view& text) {
  text = trim(text);
  const size_t end = std::min(text.find_first_of(" \n"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// "signal KILL". Anything else that may lie there is not passed on.
std::string words_of(const std::string& file) {
  const auto text = read_own_file(file, 256);
  if (!text) return {};
  const std::string_view words = trim(*text);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == ' ' || c == '+';
  };
  if (words.size() > 40 || !std::all_of(words.begin(), words.end(), is_plain)) return {};
  return std::string(words);
}

WallTime wall_time(const timespec& time) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec)));
}

}  // namespace

RunNote::RunNote(const std::string& socket_path) {
  if (socket_path.empty()) return;
  file_ = socket_path + ".run";
  end_file_ = socket_path + ".end";
}

void RunNote::look(const std::string& boot_id) {
  if (file_.empty()) return;
  const Result<UniqueFd> fd = open_own_file(file_, O_RDONLY);
  struct stat status {};
  if (!fd || ::fstat(fd->get(), &status) != 0) return;
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) return;  // another agent is alive
  char text[512];
  const ssize_t size = ::read(fd->get(), text, sizeof text);
  std::string_view rest(text, size > 0 ? static_cast<size_t>(size) : 0);

  wire::LastRun last;
  last.instance_id = next_word(rest);
  const std::string_view boot = next_word(rest);
  const auto started = parse_number<int64_t>(next_word(rest));
  const auto quick_before = parse_number<unsigned>(next_word(rest));
  last.last_beat = wall_time(status.st_mtim);
  if (started) last.started = WallTime(std::chrono::microseconds(*started));
  last.how = boot == boot_id || boot.empty() ? words_of(end_file_) : "reboot";
  if (last.started && *last.last_beat - *last.started < kQuick) {
    quick_ends_ = std::min(quick_before.value_or(0), 1000u) + 1;
  }
  last_run_ = std::move(last);
}

Duration RunNote::hold() const {
  if (quick_ends_ < kFree) return {};
  const unsigned doublings = std::min(quick_ends_ - kFree, 5u);
  return std::min(std::chrono::seconds(1u << doublings), kMostHold);
}

Status RunNote::begin(const Identity& identity, WallTime now) {
  if (file_.empty()) return {};
  Result<UniqueFd> opened = open_own_file(file_, O_RDWR | O_CREAT);
  if (!opened) return opened.error();
  fd_ = std::move(*opened);
  (void)::flock(fd_.get(), LOCK_SH | LOCK_NB);
  const std::string text =
      format("%s %s %lld %u\n", identity.instance_id.c_str(),
             identity.boot_id.empty() ? "-" : identity.boot_id.c_str(),
             static_cast<long long>(now.time_since_epoch().count()), quick_ends_);
  const bool written =
      ::ftruncate(fd_.get(), 0) == 0 &&
      ::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  const int error = errno;
  ::unlink(end_file_.c_str());  // it was read, or belongs to a clean end
  if (!written) return make_error("%s: %s", file_.c_str(), std::strerror(error));
  return {};
}

void RunNote::beat() const {
  if (fd_) (void)::futimens(fd_.get(), nullptr);
}

void RunNote::end() {
  if (!fd_) return;
  ::unlink(file_.c_str());
  fd_.reset();
}

}  // namespace nb::node
