// Dispatcher: finds the method of a call, checks the caller's rights and the params, and calls the
// method's function. Nothing of a call is carried out before all of it was checked.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "json/view.h"
#include "rpc/call.h"
#include "rpc/method.h"

namespace nb::rpc {

class Dispatcher {
 public:
  // The methods of one noun; `noun` must outlive the dispatcher.
  void add(std::span<const Method> methods, void* noun) { tables_.push_back({methods, noun}); }

  // `call.method` names the method; `params` is an object, or missing.
  void dispatch(Call& call, json::View params);
  // The call of a will, whose method has to be one that may be in a will. False: it is not.
  bool dispatch_will(Call& call, json::View params);

  // Finds the socket that gives a right, for the error of a caller without that right.
  using SocketWith = Delegate<std::string_view(Right)>;
  void set_socket_with(SocketWith socket_with) { socket_with_ = socket_with; }

  // Is called for each call of a client to a method that pushes, before the call is carried out.
  void set_on_push(Delegate<void(const Call&)> on_push) { on_push_ = on_push; }

  // "a, b and c"
  std::string names_in_will() const;

 private:
  struct Table {
    std::span<const Method> methods;
    void* noun;
  };
  struct Found {
    const Method* method = nullptr;
    void* noun = nullptr;
  };

  Found find(std::string_view name);
  std::string_view nearest(std::string_view name) const;
  void run(const Found& found, Call& call, json::View params);

  std::vector<Table> tables_;
  SocketWith socket_with_;
  Delegate<void(const Call&)> on_push_;
  Found last_;  // the last method that was found: calls of one method often follow one another
};

}  // namespace nb::rpc
