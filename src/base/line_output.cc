#include "base/line_output.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

namespace nb {
namespace {

constexpr size_t kBuffer = 16 * 1024;
constexpr long kLastWaitNs = 200'000'000;

UniqueFd open_again(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

ptrdiff_t write_some(int fd, std::string_view bytes) {
  ptrdiff_t n = -1;
  do {
    n = ::write(fd, bytes.data(), bytes.size());
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace

// The thread that writes, and the buffer between the thread and us. The last of the two to go frees
// the buffer: the thread may be in a write() that never returns.
class LineOutput::Writer {
 public:
  explicit Writer(int fd) : shared_(std::make_shared<Shared>(fd)) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    timespec until{};
    ::clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += kLastWaitNs;
    until.tv_sec += until.tv_nsec / 1'000'000'000;
    until.tv_nsec %= 1'000'000'000;
    const Locked locked(*shared_);
    shared_->closing = true;
    ::pthread_cond_broadcast(&shared_->changed);
    while (shared_->running &&
           ::pthread_cond_timedwait(&shared_->changed, &shared_->mutex, &until) == 0) {
    }
  }

  // Whether there was room, and a thread that will write the bytes.
  bool put(std::string_view bytes) {
    if (!started_ && !start()) return false;
    const Locked locked(*shared_);
    if (shared_->waiting.size() + bytes.size() > kBuffer) return false;
    shared_->waiting.append(bytes);
    ::pthread_cond_broadcast(&shared_->changed);
    return true;
  }

  // How many lines could not be written since the last take_lost().
  uint64_t lost() const {
    const Locked locked(*shared_);
    return shared_->lost;
  }
  uint64_t take_lost() {
    const Locked locked(*shared_);
    return std::exchange(shared_->lost, 0);
  }

 private:
  struct Shared {
    explicit Shared(int descriptor) : fd(descriptor) {
      pthread_condattr_t monotonic;
      ::pthread_condattr_init(&monotonic);
      ::pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
      ::pthread_cond_init(&changed, &monotonic);
      ::pthread_condattr_destroy(&monotonic);
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() {
      ::pthread_cond_destroy(&changed);
      ::pthread_mutex_destroy(&mutex);
    }

    const int fd;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t changed;
    std::string waiting;  // both are reserved at the start: the thread allocates nothing
    std::string writing;
    uint64_t lost = 0;
    bool closing = false;
    bool running = false;
  };

  class Locked {
   public:
    explicit Locked(Shared& shared) : shared_(shared) { ::pthread_mutex_lock(&shared_.mutex); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    ~Locked() { ::pthread_mutex_unlock(&shared_.mutex); }

   private:
    Shared& shared_;
  };

  bool start() {
    shared_->waiting.reserve(kBuffer);
    shared_->writing.reserve(kBuffer);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&attributes, 64 * 1024);
    // A signal for the process must reach a thread that can act on it.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    shared_->running = true;
    auto* argument = new std::shared_ptr<Shared>(shared_);
    pthread_t thread;
    started_ = ::pthread_create(&thread, &attributes, &Writer::run, argument) == 0;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
    if (!started_) {
      shared_->running = false;
      delete argument;
    }
    return started_;
  }

  static void* run(void* argument) {
    auto* handed_over = static_cast<std::shared_ptr<Shared>*>(argument);
    const std::shared_ptr<Shared> shared = std::move(*handed_over);
    delete handed_over;
    ::pthread_mutex_lock(&shared->mutex);
    for (;;) {
      if (shared->waiting.empty()) {
        if (shared->closing) break;
        ::pthread_cond_wait(&shared->changed, &shared->mutex);
        continue;
      }
      shared->writing.swap(shared->waiting);
      ::pthread_mutex_unlock(&shared->mutex);
      const uint64_t lost = write_all(shared->fd, shared->writing);
      ::pthread_mutex_lock(&shared->mutex);
      shared->writing.clear();
      shared->lost += lost;
    }
    shared->running = false;
    ::pthread_cond_broadcast(&shared->changed);
    ::pthread_mutex_unlock(&shared->mutex);
    return nullptr;
  }

  // Returns how many lines could not be written.
  static uint64_t write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ptrdiff_t n = write_some(fd, bytes);
      if (n <= 0) return static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return 0;
  }

  std::shared_ptr<Shared> shared_;
  bool started_ = false;
};

LineOutput::Way LineOutput::way_for(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return Way::socket;  // each line is lost, nothing waits
  if (S_ISSOCK(status.st_mode)) return Way::socket;
  if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) return Way::own_description;
  return Way::thread;
}

LineOutput::LineOutput(int fd, std::string program, Way way)
    : fd_(fd), program_(std::move(program)), way_(way) {
  if (way_ == Way::own_description && !(own_ = open_again(fd))) way_ = Way::thread;
  if (way_ == Way::thread) writer_ = std::make_unique<Writer>(fd);
}

LineOutput::~LineOutput() = default;

void LineOutput::write(LogLevel level, std::string_view text) {
  if (writer_) lost_ += writer_->take_lost();
  if (lost_ > 0) {
    const std::string words = std::to_string(lost_) +
                              (lost_ == 1 ? " line of the log was" : " lines of the log were") +
                              " lost: the log took no more";
    if (put_line(LogLevel::warning, words)) lost_ = 0;
  }
  if (lost_ > 0 || !put_line(level, text)) ++lost_;
}

uint64_t LineOutput::lost() const {
  return lost_ + (writer_ ? writer_->lost() : 0);
}

// A line is one write, so that lines of several processes do not mix.
bool LineOutput::put_line(LogLevel level, std::string_view text) {
  char line[kMaxLine];
  size_t size = 0;
  const auto add = [&](std::string_view part) {
    part = part.substr(0, sizeof line - 1 - size);
    part.copy(line + size, part.size());
    size += part.size();
  };
  if (program_.empty()) {
    const char priority[] = {'<', static_cast<char>('0' + static_cast<int>(level)), '>'};
    add({priority, sizeof priority});
  } else {
    add(program_);
    add(": ");
  }
  add(text);
  line[size++] = '\n';
  return put({line, size});
}

bool LineOutput::put(std::string_view bytes) {
  if (writer_) return writer_->put(bytes);
  if (!rest_.empty()) {
    const ptrdiff_t n = send(rest_);
    if (n < 0) return false;
    rest_.erase(0, static_cast<size_t>(n));
    if (!rest_.empty()) return false;
  }
  const ptrdiff_t n = send(bytes);
  if (n < 0) return false;
  rest_ = bytes.substr(static_cast<size_t>(n));
  return true;
}

ptrdiff_t LineOutput::send(std::string_view bytes) const {
  if (way_ == Way::own_description) return write_some(own_.get(), bytes);
  ptrdiff_t n = -1;
  do {
    n = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace nb
