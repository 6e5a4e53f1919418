// The common beginning of every function of the C ABI: the handle, and the caller's struct.
#pragma once

#include "base/caller_struct.h"
#include "client/client.h"
#include "nodebeat/client.h"

namespace nb::client {

inline Client* of(nb_client* client) {
  return reinterpret_cast<Client*>(client);
}

// nb_client_get_fd() and similar functions promise to change nothing that the caller could see.
inline Client* of(const nb_client* client) {
  return of(const_cast<nb_client*>(client));
}

// A handle must not be NULL, and must not belong to the process that forked this one.
inline int usable(const nb_client* client) {
  if (client == nullptr) return NB_ERR_ARGUMENT;
  return of(client)->in_child() ? static_cast<int>(NB_ERR_FORKED) : static_cast<int>(NB_OK);
}

// Calls `use` with the caller's struct, or with a whole one that is made of an older caller's
// struct.
template <class T, class Use>
int with_struct(const T* given, Use&& use) {
  if (given == nullptr) return NB_ERR_ARGUMENT;
  if (given->size == sizeof(T)) return use(*given);
  T whole;
  if (nb::take_caller_struct(*given, whole) != nb::CallerStruct::ok) return NB_ERR_ARGUMENT;
  return use(whole);
}

}  // namespace nb::client
