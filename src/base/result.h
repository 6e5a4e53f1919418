// Results: a value, or an Error that says in words what went wrong. Outputs are set only on
// success; nothing throws.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace nb {

// What went wrong, as a sentence that a person can act on: it names the thing and what would be
// right. Never contains a secret.
struct Error {
  std::string message;
};

// printf-style construction of an Error.
[[gnu::format(printf, 1, 2)]] Error make_error(const char* format, ...);

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only after ok() was true.
  T& value() { return *std::get_if<0>(&state_); }
  const T& value() const { return *std::get_if<0>(&state_); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }

  // Only after ok() was false.
  const Error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

// A Result without a value.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace nb
