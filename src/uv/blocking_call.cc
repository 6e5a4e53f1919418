#include "uv/blocking_call.h"

#include <pthread.h>
#include <signal.h>

#include <cstring>
#include <mutex>

namespace nb::uv {

struct BlockingCall::Shared {
  std::function<void()> work;
  std::mutex mutex;
  uv_async_t* async = nullptr;  // null: the caller waits no longer
};

BlockingCall::BlockingCall(Loop& loop, Delegate<void()> on_done) : loop_(loop), on_done_(on_done) {}

BlockingCall::~BlockingCall() {
  abandon();
}

void BlockingCall::abandon() {
  if (!shared_) return;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->async = nullptr;
  }
  shared_.reset();
  async_.reset();
}

Status BlockingCall::start(std::function<void()> work, size_t stack_bytes) {
  const int rc = async_.init(this, [&](uv_async_t* raw) {
    return uv_async_init(loop_.raw(), raw, &BlockingCall::on_async);
  });
  if (rc < 0) return make_error("cannot wake the loop: %s", uv_strerror(rc)).as(Fault::blind);

  auto shared = std::make_shared<Shared>();
  shared->work = std::move(work);
  shared->async = async_.get();

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  // A signal meant for the process must find the thread that can act on it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto* argument = new std::shared_ptr<Shared>(shared);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, &BlockingCall::run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    delete argument;
    async_.reset();
    return make_error("cannot start a thread: %s", std::strerror(error)).as(Fault::blind);
  }
  shared_ = std::move(shared);
  return {};
}

void* BlockingCall::run(void* argument) {
  auto* handed_over = static_cast<std::shared_ptr<Shared>*>(argument);
  const std::shared_ptr<Shared> shared = std::move(*handed_over);
  delete handed_over;
  shared->work();
  const std::lock_guard lock(shared->mutex);
  if (shared->async != nullptr) uv_async_send(shared->async);
  return nullptr;
}

void BlockingCall::on_async(uv_async_t* raw) noexcept {
  auto* self = owner_of<BlockingCall>(raw);
  if (self == nullptr) return;
  self->abandon();  // takes the lock, so the thread is out of uv_async_send before the close
  self->on_done_();
}

}  // namespace nb::uv
