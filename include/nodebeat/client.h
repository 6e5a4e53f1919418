/*
 * nodebeat/client.h - libnodebeat: gives the state of a robot to the nodebeat agent on this
 * computer, and never waits for the agent.
 *
 *     nb_client_options options = {.size = sizeof options, .name = "robot"};
 *     nb_client *client = NULL;
 *     char error[256];
 *     if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) ...
 *
 *     nb_robot_state state = {.size = sizeof state};
 *     state.has = NB_ROBOT_JOINTS_L | NB_ROBOT_IS_CONNECTED_L;
 *     state.joints_l = q, state.joints_l_count = 7, state.is_connected_l = 1;
 *     nb_push_robot_state(client, &state);     // each step of the control loop
 *     ...
 *     nb_client_close(client);
 *
 * What a push promises:
 *  - A push does not block: it makes at most one non-blocking system call, allocates nothing and
 *    raises no signal. That holds while the agent is stopped, hangs, is gone or was never started,
 *    and whatever Redis does.
 *  - If the agent cannot take a message now, the client keeps it. Of each slot (the robot's state,
 *    the stroke's progress) it keeps the latest value, and sends that as soon as possible. Events
 *    (starts, ends, errors, published events) wait in order, in a ring of the size that the caller
 *    chose. The return code tells it.
 *  - Messages that are kept keep their order: a slot is sent at the place among the events at which
 *    it began to wait, so that progress never follows the end of its session. Partial states that
 *    are kept are united.
 *  - The client reconnects by itself: a push or nb_client_dispatch() tries again, at most every
 *    `reconnect_ms`, without waiting. Since each push makes one system call only, a reconnect takes
 *    several pushes: one finds the connection broken, one reads the agent's last lines, one closes
 *    the old socket, one makes a socket, one connects, one sends. nb_client_dispatch() does all of
 *    it at once.
 *  - After a reconnect the slots are sent again with everything that is known of them, whether or
 *    not the agent had them, so they may be repeated. Events are sent once: an event that was given
 *    to a socket which then broke may be lost. If an event must not be lost, use nb_call() with
 *    "ack":"stored".
 *
 * A line of the agent that is malformed, or too long to be read here, is skipped, and
 * nb_client_last_error() tells it. The connection stays open.
 *
 * If you only push: nb_client_get_stats() and nb_client_last_error() read the agent's refusals. So
 * do pushes, in turn with sending, while the agent does not take what they send; so nothing piles
 * up between the two. If you subscribe, you have to dispatch or wait: messages that nobody reads
 * pile up in the agent until it has no room, and are then lost (PROTOCOL.md, 1.7).
 *
 * Threads: several threads may use a client at once. A lock guards its buffers. The lock is held
 * for writing one message and one system call, never while a thread waits, and inherits priority
 * (PTHREAD_PRIO_INHERIT). Only one thread at a time may call nb_client_dispatch() or a function
 * that waits: a second thread gets NB_ERR_STATE. Callbacks run inside these functions, without the
 * lock: they may push, but must not close the client. None of the functions is a cancellation point
 * (pthread_cancel).
 *
 * fork(): a client belongs to the process that opened it. In a child of fork(), and so in a child
 * of Python's multiprocessing with the start method "fork", every function returns NB_ERR_FORKED
 * for the inherited client and does not touch its connection (nb_client_get_fd() and
 * nb_client_get_timeout() return -1, nb_client_get_events() returns 0, and nb_client_last_error()
 * tells it in words). The parent is not affected. A child that needs the agent opens a client of
 * its own. A child calls nb_client_close() for the inherited client: that closes the child's copies
 * of the descriptors, says no goodbye, and frees the child's copy of the memory. (It calls free(),
 * which after a fork in a process with several threads only some C libraries allow; glibc does.)
 * Until the child does this, executes another program or ends, it holds the connection open as
 * well. If the parent dies meanwhile, the connection does not show it; the agent sees it only by
 * watching the process (PROTOCOL.md, 3.1.2). All descriptors are close-on-exec: programs that are
 * started by posix_spawn(), by fork() and exec(), or by multiprocessing with "spawn" do not inherit
 * them.
 *
 * Memory: nb_client_open() takes and touches all of it, 0.25 MB with the default options. A
 * real-time process locks its memory itself (mlockall). Strings are UTF-8, NUL-terminated, and
 * copied. The library has no thread, no global and no signal handler, reads no environment and
 * prints nothing.
 *
 * The protocol under it, for other languages: nodebeat/PROTOCOL.md.
 */
#ifndef NODEBEAT_CLIENT_H
#define NODEBEAT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "nodebeat/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A connection to the agent, which is made again whenever it breaks. Opaque. */
typedef struct nb_client nb_client;

/*
 * A message of a subscription. `channel` and `json` are NUL-terminated and valid during the call
 * only; `json` is the event, one JSON value. `flags`: NB_EVENT_*.
 */
typedef void (*nb_event_fn)(void* user, const char* channel, const char* json, uint32_t flags);

enum {
  NB_EVENT_REMOTE = 1u << 0, /* it came from another computer or program, through Redis */
  NB_EVENT_TEXT = 1u << 1,   /* the message was no JSON: `json` is its text as a JSON string */
  NB_EVENT_GAP = 1u << 2, /* messages may have been missed: `channel` is "", `json` tells from when
                             to when, or how many this client had no room for ("lost") */
  NB_EVENT_OMITTED = 1u << 3 /* too long for a line: `json` is the message's size in bytes */
};

/*
 * How to open a client. Set `size` and zero the rest; a member that is NULL or 0 has its default.
 * Here and in the other structs that begin with `size`, later versions append members. The shorter
 * struct of an older program is accepted, and so is a longer one whose unknown members are zero.
 */
typedef struct nb_client_options {
  uint32_t size;           /* sizeof(nb_client_options) */
  uint32_t flags;          /* 0; an unknown flag is an error */
  const char* socket_path; /* /run/nodebeat/agent.sock */
  const char* name; /* the client's name in the agent's log and statistics; at most 64 bytes */
  /*
   * What the agent does if this process dies: a JSON array of calls (PROTOCOL.md, 3.1.2). NULL:
   * nothing. NB_WILL_ROBOT is the will of a robot process.
   */
  const char* will;
  uint32_t event_ring_bytes; /* for calls, and events that wait; 1024 to 16 MiB; 65536 */
  uint32_t slot_bytes;       /* most that one slot's message may take; 1024 to 65536; 16384 */
  uint32_t reconnect_ms;     /* least time between two tries to connect; 100 */
  nb_event_fn on_event;      /* messages of subscriptions; NULL: dropped */
  void* user;                /* handed to on_event */
  /*
   * The longest line of the agent that is read here: 65536 to 1048576; 65536. The agent is told
   * this limit. Instead of a longer answer it sends the error too_large. For a line of more than
   * 65536 bytes memory is taken when the line comes, and given back after it; a push never takes
   * memory.
   */
  uint32_t max_line_bytes;
  uint32_t reserved; /* 0 */
} nb_client_options;

/* For a robot process: both arms are no longer connected, and an error reports the death. */
#define NB_WILL_ROBOT                                                                              \
  "[{\"method\":\"robot.update\",\"params\":{\"is_connected_l\":false,\"is_connected_r\":false}}," \
  "{\"method\":\"stroke.end\",\"params\":{}},"                                                     \
  "{\"method\":\"error.report\",\"params\":{\"category\":\"robot\","                               \
  "\"message\":\"the robot process has died\"}}]"

/*
 * Makes a client and begins to connect, without waiting: it is no error if the agent is not there
 * yet. Errors: NB_ERR_ARGUMENT (a size, an unknown flag, a path over 107 bytes, a will that is no
 * JSON array), NB_ERR_SYSTEM. Then `error`, if not NULL, tells in words what is wrong, and
 * `*client` is not changed.
 */
NB_API int nb_client_open(const nb_client_options* options, nb_client** client, char* error,
                          size_t error_size);

/*
 * Gives the kept messages to the agent, if the agent takes them at once, says goodbye, so that the
 * will is not carried out, and frees the client. NULL is allowed. If the agent does not take
 * everything at once, the goodbye is not said, and the will is carried out. To be sure that
 * everything has been sent, call nb_client_flush() before.
 */
NB_API void nb_client_close(nb_client* client);

/* --- Pushes: never wait. Thread-safe. --------------------------------------------------------
 *
 * All return
 *   NB_OK            given to the agent's socket;
 *   NB_KEPT          (1, not an error) kept here: the agent is away or its buffer is full;
 *   NB_ERR_FULL      not taken: the ring has no room for the event. (A slot is always taken.)
 *   NB_ERR_TOO_LARGE not taken: longer than slot_bytes, the ring, the longest line that the agent
 *                    takes (its [socket] max_line, at most 65536 bytes here), or a limit named
 *                    below. A slot counts the most that it could take, 25 bytes for each number,
 *                    with all members that are known, so that no value becomes too long later.
 *   NB_ERR_ARGUMENT  not taken: a NULL, a size, an unknown bit, text that is not UTF-8, or JSON
 * that the agent would refuse as malformed (PROTOCOL.md, 1.4). NB_ERR_FORKED    not taken: the
 * client belongs to the process that forked this one. The agent tells its longest line at the
 * beginning of a connection. Until then a message of more than 4096 bytes waits; afterwards a
 * message that is too long is refused. A message that was kept for an agent that turns out to take
 * shorter lines is dropped, and nb_client_stats.rejected counts it. In both cases
 * nb_client_last_error() names the limit. The agent checks the rest: what it refuses is counted
 * (nb_client_get_stats()) and told in words (nb_client_last_error()).
 */

/* Members of nb_robot_state that are set. */
enum {
  NB_ROBOT_IS_CONNECTED_L = 1u << 0,
  NB_ROBOT_IS_CONNECTED_R = 1u << 1,
  NB_ROBOT_JOINTS_L = 1u << 2,
  NB_ROBOT_JOINTS_R = 1u << 3,
  NB_ROBOT_VELOCITIES_L = 1u << 4,
  NB_ROBOT_VELOCITIES_R = 1u << 5,
  NB_ROBOT_CURRENT_POSE = 1u << 6,
  NB_ROBOT_GOAL_TIME_SLOW = 1u << 7,
  NB_ROBOT_GOAL_TIME_FAST = 1u << 8,
  NB_ROBOT_TIMESTAMP = 1u << 9
};

/*
 * A robot's state, or a part of it: only the members named in `has` are sent, and the others keep
 * their last values. Numbers are sent with as many digits as identify the double, in the form that
 * Python writes (1.0, 1e-05). A list that holds a NaN or an infinity is sent as null as a whole,
 * which means "not known": readers of the list cannot handle a null element. A goal time has to be
 * finite (NB_ERR_ARGUMENT).
 */
typedef struct nb_robot_state {
  uint32_t size; /* sizeof(nb_robot_state) */
  uint32_t has;  /* NB_ROBOT_* */
  uint8_t is_connected_l;
  uint8_t is_connected_r;
  uint8_t joints_l_count; /* at most 64 each */
  uint8_t joints_r_count;
  uint8_t velocities_l_count;
  uint8_t velocities_r_count;
  uint8_t reserved[2];
  const double* joints_l; /* rad */
  const double* joints_r;
  const double* velocities_l; /* rad/s */
  const double* velocities_r;
  const char* current_pose; /* "connecting", "ready", "executing", "sleep", ...; 256 bytes */
  double goal_time_slow;    /* s */
  double goal_time_fast;
  int64_t timestamp_us; /* the time of this state: microseconds since 1970, UTC. Not set: the time
                           at which the agent takes it */
} nb_robot_state;

NB_API int nb_push_robot_state(nb_client* client, const nb_robot_state* state);

/* Members of nb_stroke that are set. */
enum {
  NB_STROKE_STROKE_IDX = 1u << 0,
  NB_STROKE_POSE_IDX = 1u << 1,
  NB_STROKE_TOTAL_STROKES = 1u << 2,
  NB_STROKE_STROKE_LENGTH = 1u << 3,
  NB_STROKE_OFFSET_IDX_L = 1u << 4,
  NB_STROKE_OFFSET_IDX_R = 1u << 5,
  NB_STROKE_DESCRIPTION_L = 1u << 6,
  NB_STROKE_DESCRIPTION_R = 1u << 7,
  NB_STROKE_IS_EXECUTING = 1u << 8,
  NB_STROKE_IS_PAUSED = 1u << 9,
  NB_STROKE_SCENE_NAME = 1u << 10,
  NB_STROKE_DATASET_NAME = 1u << 11,
  NB_STROKE_TIMESTAMP = 1u << 12
};

/* Progress of a stroke session, or a part of it: only the members named in `has` are sent. */
typedef struct nb_stroke {
  uint32_t size; /* sizeof(nb_stroke) */
  uint32_t has;  /* NB_STROKE_* */
  int64_t stroke_idx;
  int64_t pose_idx;
  int64_t total_strokes;
  int64_t stroke_length;
  int64_t offset_idx_l;
  int64_t offset_idx_r;
  const char* description_l; /* 4096 bytes each */
  const char* description_r;
  const char* scene_name;   /* 256 bytes */
  const char* dataset_name; /* 256 bytes; NULL with its bit set: null */
  int64_t timestamp_us;
  uint8_t is_executing;
  uint8_t is_paused;
  uint8_t reserved[6];
} nb_stroke;

/*
 * Starts a stroke session; `has` needs NB_STROKE_TOTAL_STROKES. An event. The agent ends a session
 * that still runs. The agent gives the session its name, which nb_call("stroke.start") returns.
 */
NB_API int nb_stroke_start(nb_client* client, const nb_stroke* stroke);
/*
 * The running session's progress. A slot: while the agent is away only the latest progress is kept,
 * so that time is missing in the history in Redis. Between a start and an end that are kept, the
 * progress keeps its place.
 */
NB_API int nb_stroke_update(nb_client* client, const nb_stroke* stroke);
/* Ends the running session. An event. */
NB_API int nb_stroke_end(nb_client* client);

/* Reports an error. `details` is a JSON object, or NULL for none. An event. */
NB_API int nb_report_error(nb_client* client, const char* category, const char* message,
                           const char* details);

/* Publishes `event`, a JSON object, on `channel`. An event. */
NB_API int nb_publish(nb_client* client, const char* channel, const char* event);

/* Any other call of the protocol, without an answer; `params` is a JSON object or NULL. An event.
 */
NB_API int nb_notify(nb_client* client, const char* method, const char* params);

/* --- For programs with an event loop of their own -------------------------------------------- */

/*
 * The descriptor to wait for, or -1 while there is no connection; it changes when the client
 * reconnects, so ask after each nb_client_dispatch(). Do not read, write or close it.
 */
NB_API int nb_client_get_fd(const nb_client* client);
/* What to wait for on it: POLLIN, or POLLIN | POLLOUT if something is kept. */
NB_API int nb_client_get_events(const nb_client* client);
/* Milliseconds until nb_client_dispatch() has something to do that the descriptor does not show (a
 * try to connect); -1: there is nothing. */
NB_API int nb_client_get_timeout(const nb_client* client);
/*
 * Reads, sends what is kept, reconnects, and calls on_event; never waits. A client that only pushes
 * does not need this, but may call it. Returns NB_OK, NB_KEPT (something is still kept),
 * NB_ERR_AWAY (no agent), NB_ERR_STATE.
 */
NB_API int nb_client_dispatch(nb_client* client);

/* --- Calls that wait, for programs without an event loop. Not for a control loop. --------------
 *
 * They return NB_ERR_TIMEOUT when `timeout_ms` is over: the call may still be carried out;
 * NB_ERR_AWAY if there was no agent all that time, or the agent was lost before it answered;
 * NB_ERR_REMOTE if the agent refused the call or the connection (too many connections, this user
 * may not connect): then nb_client_last_error() tells why; NB_ERR_STATE if another thread
 * dispatches or waits, and inside a callback. With `timeout_ms` 0 they try once.
 */

/*
 * Makes a call and waits for its result, which is written to `result` as JSON, NUL-terminated.
 * NB_ERR_TOO_LARGE if the result does not fit, or comes in a line of over max_line_bytes (the call
 * was carried out), or if the call is longer than the agent takes (it was not). `result` may be
 * NULL. Messages of subscriptions that come meanwhile go to on_event.
 */
NB_API int nb_call(nb_client* client, const char* method, const char* params, char* result,
                   size_t result_size, uint32_t timeout_ms);

/*
 * Subscribes to a channel, or with `pattern` != 0 to a pattern, of at most 256 bytes. Subscriptions
 * are restored after each reconnect. There can be 64; one more is NB_ERR_FULL.
 */
NB_API int nb_subscribe(nb_client* client, const char* channel, int pattern, uint32_t timeout_ms);
/* Ends a subscription. It is no longer restored, whatever this function returns. */
NB_API int nb_unsubscribe(nb_client* client, const char* channel, int pattern, uint32_t timeout_ms);

/*
 * Waits until at least one message was delivered to on_event (NB_OK), or the time is over
 * (NB_ERR_TIMEOUT). Reconnects meanwhile.
 */
NB_API int nb_client_wait(nb_client* client, uint32_t timeout_ms);

/* Waits until everything that is kept has been given to the agent. */
NB_API int nb_client_flush(nb_client* client, uint32_t timeout_ms);

/* --- Looking ------------------------------------------------------------------------------------
 */

/* Counters since nb_client_open(). Set `size` before the call; see nb_client_options. */
typedef struct nb_client_stats {
  uint32_t size;
  uint32_t connected;    /* 1 or 0 */
  uint64_t pushed;       /* pushes that were taken */
  uint64_t sent;         /* messages given to the agent, repeated slots and calls included */
  uint64_t kept;         /* pushes that could not be sent at once */
  uint64_t coalesced;    /* kept values that a newer one replaced */
  uint64_t refused_full; /* events for which the ring had no room */
  uint64_t rejected;     /* messages that the agent refused, or that are too long for it */
  uint64_t connects;
  uint64_t disconnects;
  uint64_t events;        /* messages of subscriptions */
  uint64_t waiting_bytes; /* kept now */
} nb_client_stats;

/*
 * Copies the counters. Reads the agent's refusals first (one non-blocking system call).
 * Thread-safe. Returns NB_OK or NB_ERR_ARGUMENT.
 */
NB_API int nb_client_get_stats(nb_client* client, nb_client_stats* stats);

/*
 * The last trouble in words, cut to `size`: why the agent cannot be reached, or why it refused.
 * Empty if there was no trouble. Returns the code of the protocol's error table (-32602 ...), or 0
 * if the words are not the agent's. Thread-safe; reads as nb_client_get_stats() does.
 */
NB_API int nb_client_last_error(nb_client* client, char* buffer, size_t size);

/* The library's version: "0.1.0". Static. */
NB_API const char* nb_client_version(void);

/* What a result code means, in words. Static. */
NB_API const char* nb_result_text(int result);

#ifdef __cplusplus
}
#endif

#endif /* NODEBEAT_CLIENT_H */
