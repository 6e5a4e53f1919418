// Handle<T>: owns one libuv handle (uv_timer_t, uv_tcp_t, ...).
//
// libuv reads its struct until the close callback has run, which is after the owner may have gone.
// So the struct is on the heap: the owner's destructor clears `data` and asks libuv to close, and
// the close callback deletes the struct and nothing else. An owner may thus be a plain member and
// may die inside its own callback.
#pragma once

#include <uv.h>

#include <utility>

namespace nb::uv {

template <class T>
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      raw_ = std::exchange(other.raw_, nullptr);
    }
    return *this;
  }
  ~Handle() { reset(); }

  // Drops what it owns, makes a new struct and calls `init(T*)`, a uv_*_init. On failure it owns
  // nothing and the libuv error is returned. `owner` is what owner_of() gives in callbacks.
  template <class Init>
  int init(void* owner, Init&& init) {
    reset();
    T* raw = new T{};
    const int rc = init(raw);
    if (rc < 0) {
      delete raw;
      return rc;
    }
    raw->data = owner;
    raw_ = raw;
    return 0;
  }

  void reset() {
    T* raw = std::exchange(raw_, nullptr);
    if (raw == nullptr) return;
    raw->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(raw),
             [](uv_handle_t* handle) { delete reinterpret_cast<T*>(handle); });
  }

  explicit operator bool() const { return raw_ != nullptr; }
  T* get() const { return raw_; }
  template <class Base>
  Base* as() const {
    return reinterpret_cast<Base*>(raw_);
  }

 private:
  T* raw_ = nullptr;
};

// The owner given to Handle::init, or null if it has gone: a callback returns then.
template <class Owner, class T>
Owner* owner_of(T* raw) {
  return static_cast<Owner*>(raw->data);
}

}  // namespace nb::uv
