// Results: a value, or an Error that says in words what went wrong. Outputs are set only on
// success; nothing throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace nb {

// What kind of trouble it is, for those few that somebody tells apart: each has an exit code.
enum class Fault : uint8_t {
  other,
  in_use,         // by another process
  no_place,       // a folder is missing, or something else lies there
  read_only,      // the file system
  no_space,       // or no inode, or over quota
  denied,         // by owner, mode or sandbox
  other_version,  // made for another version of nodebeat
};

// What went wrong, as a sentence that a person can act on: it names the thing and what would be
// right. Never contains a secret.
struct Error {
  std::string message;
  Fault fault = Fault::other;

  Error&& as(Fault kind) && {
    fault = kind;
    return std::move(*this);
  }
};

// printf-style construction of an Error.
[[gnu::format(printf, 1, 2)]] Error make_error(const char* format, ...);

// The kind of trouble that an errno is, met on the way to a file.
Fault fault_of(int error_number);

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
