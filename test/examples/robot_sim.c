/*
 * robot_sim: a robot of two arms, as its control loop would speak to the agent. It stands on the
 * public header alone.
 *
 *     robot_sim [--socket PATH] [--seconds N] [--rate HZ] [--node-free] [--report]
 *
 * Both arms' seven joints at `rate` (100 Hz), one stroke session after the other with its progress,
 * an error now and then. --node-free: only the joints, no sessions and no errors, so that it can
 * run beside a real robot process of the node. --report: ten lines a second on standard output,
 * each with the number of pushes of the joints so far, and how long the longest one took since the
 * line before. It ends after N seconds, or cleanly on SIGINT or SIGTERM.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nodebeat/client.h"

enum { kJoints = 7, kPoses = 40, kStrokes = 3 };

static volatile sig_atomic_t stop_asked;

static void on_signal(int signal_number) {
  (void)signal_number;
  stop_asked = 1;
}

struct settings {
  const char* socket_path;
  double seconds; /* 0: until it is told */
  double rate;
  int node_free;
  int report;
};

/* What the pushes of the joints took, as the control loop saw it. */
static struct {
  long long count;
  double longest_us; /* since the last report */
} pushes;

static int parse(int argc, char** argv, struct settings* settings) {
  for (int i = 1; i < argc; ++i) {
    const char* value = i + 1 < argc ? argv[i + 1] : NULL;
    char* end = NULL;
    if (strcmp(argv[i], "--node-free") == 0) {
      settings->node_free = 1;
      continue;
    }
    if (strcmp(argv[i], "--report") == 0) {
      settings->report = 1;
      continue;
    }
    if (value == NULL) return 0;
    if (strcmp(argv[i], "--socket") == 0) {
      settings->socket_path = value;
    } else if (strcmp(argv[i], "--seconds") == 0) {
      settings->seconds = strtod(value, &end);
    } else if (strcmp(argv[i], "--rate") == 0) {
      settings->rate = strtod(value, &end);
    } else {
      return 0;
    }
    if (end != NULL && *end != '\0') return 0;
    ++i;
  }
  return settings->rate >= 1 && settings->rate <= 10000 && settings->seconds >= 0;
}

static double now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void report(void) {
  printf("{\"pushes\":%lld,\"longest_us\":%.1f}\n", pushes.count, pushes.longest_us);
  fflush(stdout);
  pushes.longest_us = 0;
}

static void push_joints(nb_client* client, double t, int connected) {
  double joints[4][kJoints];
  for (int i = 0; i < kJoints; ++i) {
    const double phase = 0.3 * i;
    joints[0][i] = sin(t + phase);
    joints[1][i] = -sin(t + phase);
    joints[2][i] = cos(t + phase);
    joints[3][i] = -cos(t + phase);
  }
  nb_robot_state state = {.size = sizeof state};
  state.has = NB_ROBOT_JOINTS_L | NB_ROBOT_JOINTS_R | NB_ROBOT_VELOCITIES_L |
              NB_ROBOT_VELOCITIES_R | NB_ROBOT_IS_CONNECTED_L | NB_ROBOT_IS_CONNECTED_R;
  state.is_connected_l = state.is_connected_r = (uint8_t)connected;
  state.joints_l = joints[0], state.joints_l_count = kJoints;
  state.joints_r = joints[1], state.joints_r_count = kJoints;
  state.velocities_l = joints[2], state.velocities_l_count = kJoints;
  state.velocities_r = joints[3], state.velocities_r_count = kJoints;
  const double began = now_us();
  nb_push_robot_state(client, &state);
  const double took = now_us() - began;
  pushes.count += 1;
  if (took > pushes.longest_us) pushes.longest_us = took;
}

static void push_pose(nb_client* client, const char* pose) {
  nb_robot_state state = {.size = sizeof state, .has = NB_ROBOT_CURRENT_POSE, .current_pose = pose};
  nb_push_robot_state(client, &state);
}

/* One pose a tenth of a second; kPoses of them are a stroke, kStrokes of these a session. */
static void play_stroke(nb_client* client, long tenth) {
  const long pose = tenth % kPoses;
  const long stroke = tenth / kPoses % kStrokes;
  nb_stroke update = {.size = sizeof update};
  if (pose == 0 && stroke == 0) {
    if (tenth > 0) {
      nb_stroke_end(client);
      nb_report_error(client, "robot", "the brush is worn (simulated)", "{\"simulated\": true}");
    }
    update.has = NB_STROKE_TOTAL_STROKES | NB_STROKE_SCENE_NAME;
    update.total_strokes = kStrokes;
    update.scene_name = "simulated";
    nb_stroke_start(client, &update);
    push_pose(client, "executing");
  }
  update.has = NB_STROKE_STROKE_IDX | NB_STROKE_POSE_IDX | NB_STROKE_STROKE_LENGTH;
  update.stroke_idx = stroke;
  update.pose_idx = pose;
  update.stroke_length = kPoses;
  nb_stroke_update(client, &update);
}

/* Says when the agent goes and comes, once a change; and when it refuses something. */
static void watch(nb_client* client, int* connected, uint64_t* rejected) {
  nb_client_stats stats = {.size = sizeof stats};
  char why[512];
  if (nb_client_get_stats(client, &stats) != NB_OK) return;
  if (stats.rejected > *rejected) {
    nb_client_last_error(client, why, sizeof why);
    fprintf(stderr, "robot_sim: the agent refused something: %s\n", why);
  }
  if (*connected != (int)stats.connected) {
    if (stats.connected) {
      fprintf(stderr, "robot_sim: the agent is there\n");
    } else {
      nb_client_last_error(client, why, sizeof why);
      fprintf(stderr, "robot_sim: no agent, I go on without it: %s\n", why);
    }
  }
  *connected = (int)stats.connected;
  *rejected = stats.rejected;
}

static struct timespec later(struct timespec from, double seconds) {
  const long long ns = from.tv_nsec + (long long)(seconds * 1e9);
  from.tv_sec += (time_t)(ns / 1000000000);
  from.tv_nsec = (long)(ns % 1000000000);
  return from;
}

int main(int argc, char** argv) {
  struct settings settings = {.rate = 100};
  if (!parse(argc, argv, &settings)) {
    fprintf(stderr,
            "usage: %s [--socket PATH] [--seconds N] [--rate HZ] [--node-free] [--report]\n",
            argv[0]);
    return 2;
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);

  nb_client_options options = {.size = sizeof options, .name = "robot_sim"};
  options.socket_path = settings.socket_path;
  options.will = settings.node_free ? NULL : NB_WILL_ROBOT;
  nb_client* client = NULL;
  char error[256];
  if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) {
    fprintf(stderr, "robot_sim: %s\n", error);
    return 1;
  }

  int connected = -1;
  uint64_t rejected = 0;
  long tenths = -1;
  struct timespec began;
  clock_gettime(CLOCK_MONOTONIC, &began);
  push_pose(client, "ready");
  for (long step = 0; !stop_asked; ++step) {
    const double t = (double)step / settings.rate;
    if (settings.seconds > 0 && t >= settings.seconds) break;
    push_joints(client, t, 1);
    if ((long)(t * 10) != tenths) {
      tenths = (long)(t * 10);
      if (!settings.node_free) play_stroke(client, tenths);
      if (settings.report) report();
      watch(client, &connected, &rejected);
    }
    /* To a point in time, not for a time: so the rate holds. */
    const struct timespec next = later(began, (double)(step + 1) / settings.rate);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL) == EINTR && !stop_asked) {
    }
  }

  if (!settings.node_free) nb_stroke_end(client);
  push_joints(client, 0, 0);
  push_pose(client, "sleep");
  if (nb_client_flush(client, 500) != NB_OK)
    fprintf(stderr, "robot_sim: not all of it was taken\n");
  nb_client_close(client);
  return 0;
}
