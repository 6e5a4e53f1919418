// client.h as a C++ program sees it.
#include "nodebeat/client.h"

int main() {
  nb_client_options options{};
  nb_client* client = nullptr;
  // Its size is not set: the library cannot know what the caller has.
  return nb_client_open(&options, &client, nullptr, 0) == NB_ERR_ARGUMENT ? 0 : 1;
}
