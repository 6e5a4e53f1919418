// Delegate: a bound member function or a plain function with context, two words, never allocates.
// The object it is bound to must outlive its last call; an empty Delegate may be called and does
// nothing.
#pragma once

namespace nb {

template <class Signature>
class Delegate;

template <class... Args>
class Delegate<void(Args...)> {
 public:
  Delegate() = default;
  Delegate(void* object, void (*call)(void*, Args...)) : object_(object), call_(call) {}

  // Delegate<void(int)>::to<&Thing::on_x>(this)
  template <auto Method, class T>
  static Delegate to(T* object) {
    return Delegate(object, [](void* self, Args... args) {
      (static_cast<T*>(self)->*Method)(static_cast<Args>(args)...);
    });
  }

  explicit operator bool() const { return call_ != nullptr; }

  void operator()(Args... args) const {
    if (call_ != nullptr) call_(object_, static_cast<Args>(args)...);
  }

 private:
  void* object_ = nullptr;
  void (*call_)(void*, Args...) = nullptr;
};

}  // namespace nb
