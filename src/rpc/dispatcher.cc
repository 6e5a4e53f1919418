#include "rpc/dispatcher.h"

#include "base/nearest.h"
#include "base/text.h"

namespace nb::rpc {

using namespace std::string_view_literals;  // one size and one memcmp to compare with

namespace {

constexpr int64_t kDefaultTimeoutMs = 2000;

// The values of one call. check_params() sets those that the method takes; to set all would cost as
// much as to find them.
union Values {
  Values() {}
  json::View views[kMaxParams];
};

// Reads `ack` and `timeout_ms`, which have been checked each by itself.
std::optional<Error> take_ack(Call& call, json::View ack, json::View timeout) {
  std::string scratch;
  const auto kind = ack.string(scratch);
  call.stored = kind && *kind == "stored"sv;
  if (kind && !call.stored && *kind != "accepted"sv) {
    return invalid_params("ack", "expected \"accepted\" or \"stored\"");
  }
  if (timeout.exists() && !call.stored) {
    return invalid_params("timeout_ms", "goes with \"ack\":\"stored\" only");
  }
  call.timeout = std::chrono::milliseconds(timeout.integer().value_or(kDefaultTimeoutMs));
  return std::nullopt;
}

}  // namespace

SilentReply& SilentReply::get() {
  static constinit SilentReply reply;
  return reply;
}

Dispatcher::Found Dispatcher::find(std::string_view name) {
  if (last_.method != nullptr && same(last_.method->name, name)) return last_;
  for (const Table& table : tables_) {
    for (const Method& method : table.methods) {
      if (method.name == name) return last_ = {&method, table.noun};
    }
  }
  return {};
}

std::string_view Dispatcher::nearest(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const Table& table : tables_) {
    for (const Method& method : table.methods) names.push_back(std::string_view(method.name));
  }
  return nb::nearest(name, names);
}

void Dispatcher::dispatch(Call& call, json::View params) {
  const Found found = find(call.method);
  // A goodbye must not be lost: calls that need no right are not counted.
  if (call.who.limits != nullptr &&
      (found.method == nullptr || found.method->right != Right::none)) {
    const Duration wait = call.who.limits->calls.take(call.began);
    if (wait > Duration::zero()) return call.refuse(rate_limited("calls", wait));
  }
  if (found.method == nullptr) {
    return call.refuse(unknown_method(call.method, nearest(call.method)));
  }
  run(found, call, params);
}

bool Dispatcher::dispatch_will(Call& call, json::View params) {
  const Found found = find(call.method);
  if (found.method == nullptr || !found.method->may_be_in_will()) return false;
  run(found, call, params);
  return true;
}

void Dispatcher::run(const Found& found, Call& call, json::View params) {
  const Method& method = *found.method;
  if (!call.who.rights.has(method.right)) {
    return call.refuse(forbidden(method.name, method.right, socket_with_(method.right)));
  }
  // A will goes out once, and has no limits.
  if (method.right == Right::event && call.origin == Call::Origin::client &&
      call.who.limits != nullptr) {
    const Duration wait = call.who.limits->events.take(call.began);
    if (wait > Duration::zero()) return call.refuse(rate_limited("events", wait));
  }
  if (params.exists() && !params.is(json::View::Type::object)) {
    return call.refuse(invalid_params("params", "expected an object"));
  }
  // A will has no caller that waits.
  const bool may_wait = method.writes() && call.origin == Call::Origin::client;
  const size_t own = method.params.size() - (method.writes() ? kAckParams : 0);
  Values values;
  call.params_ = method.params.first(may_wait ? method.params.size() : own);
  call.values_ = std::span(values.views, call.params_.size());
  if (const auto error =
          check_params(params, call.params_, std::span(values.views, call.params_.size()))) {
    return call.refuse(*error);
  }
  if (may_wait) {
    if (const auto error = take_ack(call, values.views[own], values.views[own + 1]))
      return call.refuse(*error);
  }
  if (method.pushes() && call.origin == Call::Origin::client) on_push_(call);
  method.function(found.noun, call);
}

std::string Dispatcher::names_in_will() const {
  std::vector<std::string_view> names;
  for (const Table& table : tables_) {
    for (const Method& method : table.methods) {
      if (method.may_be_in_will()) names.push_back(std::string_view(method.name));
    }
  }
  std::string words;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) words += i + 1 == names.size() ? " and " : ", ";
    words += names[i];
  }
  return words;
}

}  // namespace nb::rpc
