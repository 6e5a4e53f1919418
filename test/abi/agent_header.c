/* agent.h as a C11 program sees it: compiled pedantically, linked to the shared library, run. */
#include <string.h>

#include "nodebeat/agent.h"

static int fail(int line) {
  return line;
}

int main(void) {
  nb_agent_options options = {.size = sizeof options,
                              .config_file = "memory.toml",
                              .config_text = "[heartbeat]\nintervall = \"5s\"\n"};
  nb_agent* agent = NULL;
  char error[512] = "";

  if (nb_agent_create(&options, &agent, error, sizeof error) != NB_ERR_CONFIG)
    return fail(__LINE__);
  if (agent != NULL || strstr(error, "memory.toml:2") == NULL) return fail(__LINE__);

  options.config_text = "";
  options.socket_path = "";  // the default one is a running agent's
  options.node = "hog";
  if (nb_agent_create(&options, &agent, error, sizeof error) != NB_OK) return fail(__LINE__);

  nb_agent_stats stats = {.size = sizeof stats};
  if (nb_agent_get_stats(agent, &stats) != NB_OK || stats.beats != 0) return fail(__LINE__);
  nb_agent_stop(agent);
  if (nb_agent_run(agent) != NB_OK) return fail(__LINE__);
  if (nb_agent_run(agent) != NB_ERR_STATE) return fail(__LINE__);
  nb_agent_destroy(agent);
  nb_agent_destroy(NULL);
  return nb_agent_version()[0] == '\0' ? fail(__LINE__) : 0;
}
