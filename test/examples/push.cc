// push: the smallest robot in C++. Gives one arm's joints to the agent, and says what became of
// them.
//
//     push [SOCKET]
#include <cstdio>

#include "nodebeat/client.h"

int main(int argc, char** argv) {
  nb_client_options options = NB_CLIENT_OPTIONS_INIT;
  options.name = "push";
  options.socket_path = argc > 1 ? argv[1] : nullptr;
  nb_client* client = nullptr;
  char error[256];
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) {
    std::fprintf(stderr, "push: %s\n", error);
    return 1;
  }

  const double joints[7] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7};
  nb_robot_state state = NB_ROBOT_STATE_INIT;
  state.has = NB_ROBOT_IS_CONNECTED_L | NB_ROBOT_JOINTS_L;
  state.is_connected_l = 1;
  state.joints_l = joints;
  state.joints_l_count = 7;
  nb_push_robot_state(client, &state);  // in each step of the control loop

  const int sent = nb_client_flush(client, 1000);
  if (sent != NB_OK) {
    nb_client_last_error(client, error, sizeof error);
    std::fprintf(stderr, "push: %s: %s\n", nb_result_text(sent), error);
  }
  nb_client_close(client);
  return sent == NB_OK ? 0 : 1;
}
