/*
 * Two agents in one program: what a cell controller does that speaks for two nodes. Each has a
 * thread, a name and a configuration of its own; nothing is shared.
 *
 *   two_agents REDIS-URL BEATS
 *
 * runs both until each has had BEATS transactions confirmed by Redis, prints their counters, and
 * stops. Exit code 0 if both got there within 20 s.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nodebeat/agent.h"

static void print_line(void* user, int priority, const char* line) {
  printf("%s <%d> %s\n", (const char*)user, priority, line);
}

static void* run(void* agent) {
  nb_agent_run(agent);
  return NULL;
}

static uint64_t stored(const nb_agent* agent) {
  nb_agent_stats stats = {.size = sizeof stats};
  nb_agent_get_stats(agent, &stats);
  return stats.stored;
}

int main(int argc, char** argv) {
  static char names[2][8] = {"left", "right"};
  nb_agent* agents[2] = {NULL, NULL};
  pthread_t threads[2];
  int reached = 0;

  if (argc != 3) {
    fprintf(stderr, "usage: two_agents REDIS-URL BEATS\n");
    return 64;
  }
  const uint64_t beats = strtoull(argv[2], NULL, 10);

  for (int i = 0; i < 2; i++) {
    nb_agent_options options = {
        .size = sizeof options,
        .config_file = "two_agents.c",
        .config_text = "[heartbeat]\ninterval = \"100ms\"\nttl = \"2s\"\n",
        .node = names[i],
        .redis_url = argv[1],
        .socket_path = "",  // none: each would need a path of its own
        .log = print_line,
        .log_user = names[i],
    };
    char error[1024];
    if (nb_agent_create(&options, &agents[i], error, sizeof error) != NB_OK) {
      fprintf(stderr, "two_agents: %s\n", error);
      return 1;
    }
  }
  for (int i = 0; i < 2; i++) {
    if (pthread_create(&threads[i], NULL, run, agents[i]) != 0) return 1;
  }

  const time_t end = time(NULL) + 20;
  while (!reached && time(NULL) < end) {
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    nanosleep(&pause, NULL);
    reached = stored(agents[0]) >= beats && stored(agents[1]) >= beats;
  }

  for (int i = 0; i < 2; i++) nb_agent_stop(agents[i]);
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    printf("%s: %llu transactions stored\n", names[i], (unsigned long long)stored(agents[i]));
    nb_agent_destroy(agents[i]);
  }
  return reached ? 0 : 1;
}
