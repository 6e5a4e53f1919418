/*
 * Every struct of the public headers that begins with `size`, made by its INIT.
 * check_initialisers.py compiles this by all standards of C and C++ that the headers promise, with
 * the warnings that a careful user has; the program then says whether all but `size` is zero.
 */
#include <stddef.h>
#include <string.h>

#include "nodebeat/agent.h"
#include "nodebeat/client.h"

static int is_zero(const void* bytes, size_t size) {
  const unsigned char* byte = (const unsigned char*)bytes;
  size_t i;
  for (i = sizeof(uint32_t); i < size; ++i) {
    if (byte[i] != 0) return 0;
  }
  return 1;
}

static int faults;

#define CHECK(type, init)                                                    \
  do {                                                                       \
    static type made = init;                                                 \
    if (made.size != sizeof(type) || !is_zero(&made, sizeof made)) ++faults; \
  } while (0)

int main(void) {
  CHECK(nb_client_options, NB_CLIENT_OPTIONS_INIT);
  CHECK(nb_robot_state, NB_ROBOT_STATE_INIT);
  CHECK(nb_stroke, NB_STROKE_INIT);
  CHECK(nb_session_options, NB_SESSION_OPTIONS_INIT);
  CHECK(nb_session_result, NB_SESSION_RESULT_INIT);
  CHECK(nb_client_stats, NB_CLIENT_STATS_INIT);
  CHECK(nb_agent_options, NB_AGENT_OPTIONS_INIT);
  CHECK(nb_agent_stats, NB_AGENT_STATS_INIT);
  {
    nb_client_options options = NB_CLIENT_OPTIONS_INIT;
    options.name = "robot";
    if (options.size == 0) ++faults;
  }
  return faults;
}
