// A Method is defined in one place: its name, params, rights and function stand in a table beside
// the function itself.
//
//   constexpr auto kSetParams = rpc::takes(kKey, kValue, rpc::kAck, rpc::kAckTimeout);
//   constexpr rpc::Method State::kMethods[] = {
//       rpc::method<&State::set>("state.set", kSetParams, rpc::Right::state, rpc::kWrites)};
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "rpc/call.h"
#include "rpc/params.h"

namespace nb::rpc {

// The most that a method takes.
inline constexpr size_t kMaxParams = 20;

// The params of an acknowledgement. They are the last of each method that writes.
inline constexpr Param kAck{"ack", ParamKind::text, false, 0, 16};
inline constexpr Param kAckTimeout{"timeout_ms", ParamKind::integer, false, 1, 60'000};
inline constexpr size_t kAckParams = 2;

enum MethodTraits : uint8_t {
  kReads = 0,
  kWrites = 1,  // to Redis: kAck and kAckTimeout are the last params
  kInWill = 2,  // may be in a last will
  kPushes = 4,  // a client that has a deadline has to call such a method in time
};

struct Method {
  std::string_view name;
  std::span<const Param* const> params;
  Right right = Right::none;
  uint8_t traits = kReads;
  void (*function)(void* noun, Call& call) = nullptr;

  bool writes() const { return (traits & kWrites) != 0; }
  bool may_be_in_will() const { return (traits & kInWill) != 0; }
  bool pushes() const { return (traits & kPushes) != 0; }
};

template <class Noun>
Noun noun_of(void (Noun::*)(Call&));

// `Function`: a member of the noun that the dispatcher is given with the table.
template <auto Function>
constexpr Method method(std::string_view name, std::span<const Param* const> params, Right right,
                        int traits) {
  return {name, params, right, static_cast<uint8_t>(traits), [](void* noun, Call& call) {
            (static_cast<decltype(noun_of(Function))*>(noun)->*Function)(call);
          }};
}

template <class... Params>
constexpr std::array<const Param*, sizeof...(Params)> takes(const Params&... params) {
  return {&params...};
}
template <size_t A, size_t B>
constexpr std::array<const Param*, A + B> join(const std::array<const Param*, A>& a,
                                               const std::array<const Param*, B>& b) {
  std::array<const Param*, A + B> both{};
  for (size_t i = 0; i < A; ++i) both[i] = a[i];
  for (size_t i = 0; i < B; ++i) both[A + i] = b[i];
  return both;
}

}  // namespace nb::rpc
