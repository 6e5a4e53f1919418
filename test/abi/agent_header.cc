// agent.h as a C++ program sees it.
#include "nodebeat/agent.h"

int main() {
  nb_agent_options options{};
  nb_agent* agent = nullptr;
  // Its size is not set: the library cannot know what the caller has.
  return nb_agent_create(&options, &agent, nullptr, 0) == NB_ERR_ARGUMENT ? 0 : 1;
}
