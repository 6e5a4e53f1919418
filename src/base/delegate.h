// Delegate: a member function bound to its object, or a plain function with a context. A Delegate
// takes two words and never allocates. The object must outlive the last call. An empty Delegate may
// be called: it does nothing and returns R{}.
#pragma once

namespace nb {

template <class Signature>
class Delegate;

template <class R, class... Args>
class Delegate<R(Args...)> {
 public:
  Delegate() = default;
  Delegate(void* object, R (*call)(void*, Args...)) : object_(object), call_(call) {}

  // Delegate<void(int)>::to<&Thing::on_x>(this)
  template <auto Method, class T>
  static Delegate to(T* object) {
    return Delegate(object, [](void* self, Args... args) -> R {
      return (static_cast<T*>(self)->*Method)(static_cast<Args>(args)...);
    });
  }

  explicit operator bool() const { return call_ != nullptr; }

  R operator()(Args... args) const noexcept {
    return call_ != nullptr ? call_(object_, static_cast<Args>(args)...) : R();
  }

 private:
  void* object_ = nullptr;
  R (*call_)(void*, Args...) = nullptr;
};

}  // namespace nb
