// Results: a value, or an Error that says in words what went wrong. Outputs are set only on
// success; nothing throws.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace nb {

// The kinds of fault that callers distinguish: each has an exit code.
enum class Fault : uint8_t {
  other,
  in_use,         // by another process
  no_place,       // a folder is missing, or something else is there
  read_only,      // the file system
  no_space,       // or no inode, or over quota
  denied,         // by owner, mode or sandbox
  other_version,  // made for another version of nodebeat
  // no permission, descriptor, memory or thread for the check: this says nothing about its target
  blind,
};

// What went wrong, as a sentence that a person can act on: it names the subject and what would be
// right. The message never contains a secret.
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

// The kind of trouble of an errno that was met on the way to a file.
Fault fault_of(int error_number);

// True if an errno is about the caller and not about the target of the call (Fault::blind).
bool is_own_trouble(int error_number);

// Nothing, or an Error on the heap. Most results are good, so the code that frees an error is one
// call, and does not stand at each of the hundreds of places where a result goes out of scope.
class ErrorBox {
 public:
  ErrorBox() = default;
  ErrorBox(Error&& error);
  ErrorBox(const Error& error);
  ErrorBox(ErrorBox&& other) noexcept : error_(std::exchange(other.error_, nullptr)) {}
  ErrorBox& operator=(ErrorBox&& other) noexcept {
    std::swap(error_, other.error_);
    return *this;
  }
  ~ErrorBox() {
    if (error_ != nullptr) drop();
  }

  explicit operator bool() const { return error_ != nullptr; }
  const Error& operator*() const { return *error_; }

 private:
  void drop();

  Error* error_ = nullptr;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T&& value) : value_(std::move(value)) {}
  Result(const T& value) : value_(value) {}
  Result(Error&& error) : error_(std::move(error)) {}
  Result(const Error& error) : error_(error) {}

  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }

  // Only after ok() was true.
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() { return *value_; }
  const T& operator*() const { return *value_; }

  // Only after ok() was false.
  const Error& error() const { return *error_; }

 private:
  std::optional<T> value_;
  ErrorBox error_;
};

// A Result without a value.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error&& error) : error_(std::move(error)) {}
  Status(const Error& error) : error_(error) {}

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  ErrorBox error_;
};

}  // namespace nb
