/* client.h as a C11 program sees it: compiled pedantically, linked to the shared library, run. */
#include <string.h>

#include "nodebeat/client.h"

static int fail(int line) {
  return line;
}

int main(void) {
  nb_client_options options = {.size = sizeof options,
                               .name = "abi",
                               .will = "{}",
                               .deadline_ms = 100,
                               .socket_path = "/nonexistent/agent.sock"};
  nb_client* client = NULL;
  char error[256] = "";
  if (nb_client_open(&options, &client, error, sizeof error) != NB_ERR_ARGUMENT)
    return fail(__LINE__);
  if (client != NULL || strstr(error, "will") == NULL) return fail(__LINE__);

  options.will = NB_WILL_ROBOT;
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) return fail(__LINE__);
  const double joints[] = {0.5, 1.5};
  nb_robot_state state = {.size = sizeof state, .has = NB_ROBOT_JOINTS_L};
  state.joints_l = joints;
  state.joints_l_count = 2;
  if (nb_push_robot_state(client, &state) != NB_KEPT) return fail(__LINE__);
  nb_stroke stroke = {.size = sizeof stroke, .has = NB_STROKE_TOTAL_STROKES, .total_strokes = 3};
  if (nb_stroke_start(client, &stroke) != NB_KEPT) return fail(__LINE__);
  if (nb_client_flush(client, 0) != NB_ERR_TIMEOUT) return fail(__LINE__);
  nb_client_stats stats = {.size = sizeof stats};
  if (nb_client_get_stats(client, &stats) != NB_OK || stats.kept != 2) return fail(__LINE__);
  if (nb_client_last_error(client, error, sizeof error) != 0) return fail(__LINE__);
  if (strstr(error, "/nonexistent/agent.sock") == NULL) return fail(__LINE__);
  nb_session_options limits = {.size = sizeof limits, .timeout_ms = 1};
  nb_session_result known = {.size = sizeof known};
  if (nb_session_touch(client, "a", &limits, &known) != NB_ERR_AWAY) return fail(__LINE__);
  if (known.version != -1) return fail(__LINE__);
  nb_client_close(client);
  if (nb_result_text(NB_KEPT)[0] == '\0') return fail(__LINE__);
  return nb_client_version()[0] == '\0' ? fail(__LINE__) : 0;
}
