/*
 * nodebeat/client.h - libnodebeat: gives the state of a robot to the nodebeat agent on this
 * computer, and never waits for the agent.
 *
 *     nb_client_options options = NB_CLIENT_OPTIONS_INIT;
 *     options.name = "robot";
 *     nb_client *client = NULL;
 *     char error[256];
 *     if (nb_client_open(&options, &client, error, sizeof error) != NB_OK) ...
 *
 *     nb_robot_state state = NB_ROBOT_STATE_INIT;
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
 *    chose. The return code says so.
 *  - Messages that are kept keep their order: a slot is sent at the place among the events at which
 *    it began to wait, so that progress never follows the end of its session. Partial states that
 *    are kept are united.
 *  - The client reconnects by itself: a push or nb_client_dispatch() tries again, at most every
 *    `reconnect_ms`, without waiting. Since each push makes one system call only, a reconnect takes
 *    several pushes: one finds the connection broken, one reads the agent's last lines, one closes
 *    the old socket, one makes a socket, one connects, one sends. nb_client_dispatch() does all of
 *    it at once.
 *  - After a reconnect the slots are sent again with all their known members, whether or
 *    not the agent had them, so they may be repeated. Events are sent once: an event that was given
 *    to a socket which then broke may be lost. If an event must not be lost, use nb_call() with
 *    "ack":"stored".
 *
 * A line of the agent that is malformed, or too long to be read here, is skipped, and
 * nb_client_last_error() reports it. The connection stays open.
 *
 * If you only push, nb_client_get_stats() and nb_client_last_error() read the agent's refusals.
 * While the agent does not accept data, pushes read refusals too, in turn with sending. So nothing
 * piles up between the two. If you subscribe, you have to dispatch or wait: messages that the
 * program does not read pile up in the agent until it has no room, and are then lost (PROTOCOL.md,
 * 1.7).
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
 * has the reason in words). The parent is not affected. A child that needs the agent opens a client
 * of its own. A child calls nb_client_close() for the inherited client: that closes the child's
 * copies of the descriptors, says no goodbye, and frees the child's copy of the memory. (It calls
 * free(), which after a fork in a process with several threads only some C libraries allow; glibc
 * does.) Until the child does this, executes another program or ends, it holds the connection open
 * as well. If the parent dies meanwhile, the connection does not show it; the agent sees it only by
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
  NB_EVENT_REMOTE = 1u << 0,  /* it came from another computer or program, through Redis */
  NB_EVENT_TEXT = 1u << 1,    /* the message was no JSON: `json` is its text as a JSON string */
  NB_EVENT_GAP = 1u << 2,     /* messages may have been missed: `channel` is "", `json` has the time
                                 range, or the number of messages without room here ("lost") */
  NB_EVENT_OMITTED = 1u << 3, /* too long for a line: `json` is the message's size in bytes */
  NB_EVENT_STATE = 1u << 4    /* from a state.watch that nb_call() has made (PROTOCOL.md, 3.3.5):
                                 `channel` is "state.change", "state.ready" or "state.stale", `json`
                                 the params. The watch ends with its connection;
                                 nb_client_stats.connects shows a new connection */
};

/*
 * The options of nb_client_open(). Begin with NB_CLIENT_OPTIONS_INIT: it sets `size` and zeroes the
 * rest; a member that is NULL or 0 has its default. Each struct has such a macro, which C from C99
 * and C++ from C++11 accept without a warning. Here and in the other structs that begin with
 * `size`, later versions append members. The shorter struct of an older program is accepted, and so
 * is a longer one whose unknown members are zero.
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
  uint32_t slot_bytes;       /* limit of one slot's message; 1024 to 65536; 16384 */
  uint32_t reconnect_ms;     /* shortest time between two tries to connect; 100 */
  nb_event_fn on_event;      /* messages of subscriptions; NULL: dropped */
  void* user;                /* handed to on_event */
  /*
   * The longest line of the agent that the client reads: 65536 to 1048576; 65536. The client tells
   * the agent this limit. Instead of a longer answer the agent sends the error too_large. For a
   * line of more than 65536 bytes the client allocates memory when the line comes, and frees it
   * after the line; a push never allocates memory.
   */
  uint32_t max_line_bytes;
  uint32_t reserved; /* 0 */
  /*
   * The longest time between two pushes of the robot's state or a stroke's progress that this
   * program promises, in milliseconds: 10 to 3600000; 0: no promise. From the first push of a
   * connection on, the agent reports a late program on node:events:{node} (PROTOCOL.md, 3.1.6). An
   * agent that does not know deadlines refuses the deadline, and nb_client_last_error() says so;
   * nothing else changes.
   */
  uint32_t deadline_ms;
  uint32_t reserved_2; /* 0 */
} nb_client_options;
#define NB_CLIENT_OPTIONS_INIT \
  { sizeof(nb_client_options), 0, NULL, NULL, NULL, 0, 0, 0, NULL, NULL, 0, 0, 0, 0 }

/* For a robot process: both arms are no longer connected, and an error reports the death. */
#define NB_WILL_ROBOT                                                                              \
  "[{\"method\":\"robot.update\",\"params\":{\"is_connected_l\":false,\"is_connected_r\":false}}," \
  "{\"method\":\"stroke.end\",\"params\":{}},"                                                     \
  "{\"method\":\"error.report\",\"params\":{\"category\":\"robot\","                               \
  "\"message\":\"the robot process has died\"}}]"

/*
 * Makes a client and begins to connect, without waiting: it is no error if the agent is not there
 * yet. Errors: NB_ERR_ARGUMENT (a size, an unknown flag, a path over 107 bytes, a will that is no
 * JSON array), NB_ERR_SYSTEM. Then `error`, if not NULL, has the reason in words, and
 * `*client` is not changed.
 */
NB_API int nb_client_open(const nb_client_options* options, nb_client** client, char* error,
                          size_t error_size);

/*
 * Gives the kept messages to the agent, if the agent takes them at once, says goodbye, so that the
 * will is not carried out, and frees the client. NULL is allowed. If the agent does not take
 * everything at once, the client sends no goodbye, and the will is carried out. To be sure that
 * everything has been sent, call nb_client_flush() before.
 */
NB_API void nb_client_close(nb_client* client);

/* --- Pushes: never wait. Thread-safe. --------------------------------------------------------
 *
 * All return
 *  - NB_OK: given to the agent's socket.
 *  - NB_KEPT (1, not an error): kept here, since the agent is away or its buffer is full.
 *  - NB_ERR_FULL: not taken, the ring has no room for the event. (A slot is always taken.)
 *  - NB_ERR_TOO_LARGE: not taken, longer than slot_bytes, the ring, the longest line that the agent
 *    takes (its [socket] max_line, at most 65536 bytes here), or a limit named below. A slot counts
 *    its longest possible text, 25 bytes for each number, with all known members, so that no value
 *    becomes too long later.
 *  - NB_ERR_ARGUMENT: not taken, a NULL, a size, an unknown bit, text that is not UTF-8, or JSON
 *    that the agent would refuse as malformed (PROTOCOL.md, 1.4).
 *  - NB_ERR_FORKED: not taken, the client belongs to the process that forked this one.
 *
 * The agent reports its longest line at the beginning of a connection. Until then a message of more
 * than 4096 bytes waits; afterwards a message that is too long is refused. If a message was kept
 * and the agent then turns out to accept only shorter lines, the message is dropped, and
 * nb_client_stats.rejected counts it. In both cases nb_client_last_error() names the limit. The
 * agent checks everything else: its refusals are counted (nb_client_get_stats()) and available in
 * words (nb_client_last_error()).
 */

/* Bits for the members of nb_robot_state that are set. */
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
 * which means "not known", since readers of the list cannot handle a null element. A goal time has
 * to be finite (NB_ERR_ARGUMENT).
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
  int64_t timestamp_us; /* the time of this state: microseconds since 1970, UTC. If it is not set:
                           the time at which the agent takes the state */
} nb_robot_state;
#define NB_ROBOT_STATE_INIT \
  { sizeof(nb_robot_state), 0, 0, 0, 0, 0, 0, 0, {0, 0}, NULL, NULL, NULL, NULL, NULL, 0, 0, 0 }

NB_API int nb_push_robot_state(nb_client* client, const nb_robot_state* state);

/* Bits for the members of nb_stroke that are set. */
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
#define NB_STROKE_INIT                                                         \
  {                                                                            \
    sizeof(nb_stroke), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, 0, 0, 0, { \
      0, 0                                                                     \
    }                                                                          \
  }

/*
 * Starts a stroke session; `has` needs NB_STROKE_TOTAL_STROKES. An event. The agent ends a session
 * that still runs. The agent gives the session its name, which nb_call("stroke.start") returns.
 */
NB_API int nb_stroke_start(nb_client* client, const nb_stroke* stroke);
/*
 * Reports the running session's progress. A slot: while the agent is away only the latest progress
 * is kept, so that time is missing in the history in Redis. Between a start and an end that are
 * kept, the progress keeps its place.
 */
NB_API int nb_stroke_update(nb_client* client, const nb_stroke* stroke);
/* Ends the running session. An event. */
NB_API int nb_stroke_end(nb_client* client);

/* Reports an error. `details` is a JSON object, or NULL for none. An event. */
NB_API int nb_report_error(nb_client* client, const char* category, const char* message,
                           const char* details);

/*
 * Publishes `event`, a JSON object, on `channel`. The agent adds its author, `node_id` and
 * `client_name`; an event that names another node is refused. An event.
 */
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
/* The events to wait for on that descriptor: POLLIN, or POLLIN | POLLOUT if something is kept. */
NB_API int nb_client_get_events(const nb_client* client);
/* Milliseconds until nb_client_dispatch() has work that the descriptor does not show (a
 * try to connect); -1: there is no such work. */
NB_API int nb_client_get_timeout(const nb_client* client);
/*
 * Reads, sends kept messages, reconnects, and calls on_event; never waits. A client that only
 * pushes does not need this, but may call it. Returns NB_OK, NB_KEPT (something is still kept),
 * NB_ERR_AWAY (no agent), NB_ERR_STATE.
 */
NB_API int nb_client_dispatch(nb_client* client);

/* --- Calls that wait, for programs without an event loop. Not for a control loop. --------------
 *
 * They return
 *  - NB_ERR_TIMEOUT when `timeout_ms` is over: the call may still be carried out.
 *  - NB_ERR_AWAY if there was no agent all that time, or the agent was lost before it answered.
 *  - NB_ERR_REMOTE if the agent refused the call or the connection (too many connections, this user
 *    may not connect), NB_ERR_FORBIDDEN if the socket does not give the right to make this call,
 * and NB_ERR_RATE_LIMITED after too many calls in a second: nb_client_last_error() has the reason.
 *  - NB_ERR_STATE if another thread dispatches or waits, and inside a callback.
 * With `timeout_ms` 0 they try once.
 */

/*
 * Makes a call and waits for its result, which is written to `result` as JSON, NUL-terminated.
 * NB_ERR_TOO_LARGE if the result does not fit, or comes in a line of over max_line_bytes (then the
 * call was carried out), or if the call is too long for the agent (then it was not carried out).
 * `result` may be NULL. Messages of subscriptions that come meanwhile go to on_event.
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

/* Waits until all kept messages have been given to the agent. */
NB_API int nb_client_flush(nb_client* client, uint32_t timeout_ms);

/* --- Sessions: JSON objects with a version, which programs on several computers share -----------
 *
 * PROTOCOL.md, 3.6 says what a session is. Each of these calls waits, at most `timeout_ms` of its
 * options, by the rules of the calls above; a connection that is lost is made again meanwhile. They
 * return NB_OK, or
 *  - NB_ERR_NOT_FOUND: there is no such session.
 *  - NB_ERR_CONFLICT: it exists, or has another version than was expected. Nothing was changed, and
 *    the result has both versions.
 *  - NB_ERR_UNAVAILABLE: nothing was changed, since the agent did not reach Redis in time.
 *  - NB_ERR_IN_DOUBT: a write may have been carried out, or may still be carried out. Redis did not
 *    answer the agent, or the agent has gone, was restarted, or has been silent since the call.
 * Read the session again. Only nb_session_change() sends a write a second time.
 *  - NB_ERR_CORRUPT: the key holds a value that is no session. nb_session_get() and
 *    nb_session_change() return its text.
 *  - NB_ERR_AWAY: there was no agent all that time. Nothing was changed.
 *  - NB_ERR_TIMEOUT: a reading call was not answered, or a write was not sent.
 *  - NB_ERR_ARGUMENT: also for the agent's invalid_params, such as an id with control characters.
 *  - NB_ERR_TOO_LARGE: a state has to fit into event_ring_bytes and a line of at most 65536 bytes.
 *  - NB_ERR_FULL: too many calls wait in the agent. Nothing was changed.
 *  - NB_ERR_REMOTE: the agent refused for another reason. Nothing was changed.
 *
 * nb_client_last_error() has the agent's words. `options` and `result` may be NULL.
 */

enum {
  NB_SESSION_EXPECT = 1u << 0,         /* `expected_version` counts */
  NB_SESSION_UPSERT = 1u << 1,         /* creates a session that does not exist */
  NB_SESSION_REPLACE_CORRUPT = 1u << 2 /* overwrites or deletes a value that is no session */
};

/* An option that a call does not take is an error: NB_ERR_ARGUMENT. */
typedef struct nb_session_options {
  uint32_t size;            /* sizeof(nb_session_options) */
  uint32_t flags;           /* NB_SESSION_* */
  int64_t expected_version; /* of the session, with NB_SESSION_EXPECT */
  int64_t ttl_ms;           /* how long it lives from now on; 0: an hour */
  uint32_t timeout_ms;      /* 0: 2000 */
  uint32_t reserved;        /* 0 */
} nb_session_options;
#define NB_SESSION_OPTIONS_INIT \
  { sizeof(nb_session_options), 0, 0, 0, 0, 0 }

/* The values that are known after a call, also after an error; -1: not known. Begin with its INIT.
 */
typedef struct nb_session_result {
  uint32_t size;
  uint32_t attempts;        /* of nb_session_change: how often `change` was called */
  int64_t version;          /* that was written, read or deleted */
  int64_t ttl_ms;           /* of nb_session_get; -1: it does not expire */
  int64_t expected_version; /* of a conflict */
  int64_t actual_version;   /* of a conflict */
  int64_t subscribers;      /* of nb_session_broadcast: subscribers of Redis that received it */
  uint64_t text_bytes;      /* of the state, or of the corrupt value, whether or not it fitted */
} nb_session_result;
#define NB_SESSION_RESULT_INIT \
  { sizeof(nb_session_result), 0, 0, 0, 0, 0, 0, 0 }

/* Creates a session; `state` is a JSON object, or NULL: {}. Takes ttl_ms, REPLACE_CORRUPT. */
NB_API int nb_session_create(nb_client* client, const char* id, const char* state,
                             const nb_session_options* options, nb_session_result* result);
/*
 * Reads a session into `state`, NUL-terminated: the whole object with its version, each number
 * digit by digit. A state that does not fit is cut, and is NB_ERR_TOO_LARGE. With NB_ERR_CORRUPT
 * `state` receives the stored text, or its beginning. NULL: only the result is wanted. A session of
 * more than 65 kB needs max_line_bytes.
 */
NB_API int nb_session_get(nb_client* client, const char* id, char* state, size_t state_size,
                          const nb_session_options* options, nb_session_result* result);
/*
 * Replaces the state. Takes all options. A state that nb_session_get() has returned may be handed
 * back: its version and its times are ignored.
 */
NB_API int nb_session_update(nb_client* client, const char* id, const char* state,
                             const nb_session_options* options, nb_session_result* result);
/* Takes EXPECT and REPLACE_CORRUPT. */
NB_API int nb_session_delete(nb_client* client, const char* id, const nb_session_options* options,
                             nb_session_result* result);
/* Sets only how long the session lives. Takes ttl_ms and UPSERT. */
NB_API int nb_session_touch(nb_client* client, const char* id, const nb_session_options* options,
                            nb_session_result* result);
/* Publishes `message`, any JSON, to the subscribers of the session. */
NB_API int nb_session_broadcast(nb_client* client, const char* id, const char* message,
                                const nb_session_options* options, nb_session_result* result);

/* One session of a list; valid during the call only. */
typedef struct nb_session_info {
  uint32_t size;
  uint32_t reserved;
  const char* id;
  const char* updated_at; /* "2026-11-20T14:03:07.123Z", or "" if it is not known */
  int64_t version;        /* -1: not known, another program has written it */
  int64_t ttl_ms;         /* -1: it does not expire */
} nb_session_info;

/* Returns 0 to go on; anything else ends the list, and nb_session_list() returns that. */
typedef int (*nb_session_fn)(void* user, const nb_session_info* session);

/*
 * Calls `each` for all sessions that agents have written, the one that expires first coming first.
 * A session that is written meanwhile may come twice (PROTOCOL.md, 3.6.6). `each` is a callback
 * like on_event: it may push, but not wait.
 */
NB_API int nb_session_list(nb_client* client, nb_session_fn each, void* user,
                           const nb_session_options* options);

/*
 * Makes a session's new state from its present one. `state` is the session as nb_session_get()
 * returns it, or NULL if there is none; `fresh` has room for `fresh_size` bytes, the new state with
 * its NUL. The function returns 0 to write `fresh`. Any other value ends nb_session_change(), which
 * returns that value, and nothing is written. The function is called again if another writer was
 * faster, so it should do nothing but write `fresh`. It may push, but not wait.
 */
typedef int (*nb_session_change_fn)(void* user, const char* state, int64_t version, char* fresh,
                                    size_t fresh_size);

/*
 * Reads a session, lets `change` make its new state, and writes that state if no other program has
 * written in between. Otherwise it begins again, after a pause of random length, until the time is
 * over: then NB_ERR_CONFLICT. With UPSERT it creates a session that does not exist. Takes ttl_ms as
 * well. The caller provides `memory`, of at least 64 bytes: one half is for `state`, the other for
 * `fresh`.
 *
 * A change is never applied twice. If the outcome of the write is in doubt, the same state is
 * written again with the same expected version. At most one of the two writes can be carried out,
 * as long as no program deletes the session and creates it again up to that version. If the second
 * write is refused, there is a newer version by an unknown writer: NB_ERR_IN_DOUBT, and `change` is
 * not called again. A writer that puts a mark of its own into the state can read the session and
 * find out.
 */
NB_API int nb_session_change(nb_client* client, const char* id, nb_session_change_fn change,
                             void* user, char* memory, size_t memory_size,
                             const nb_session_options* options, nb_session_result* result);

/* --- Statistics ---------------------------------------------------------------------------------
 */

/* Counters since nb_client_open(). Begin with its INIT; see nb_client_options. */
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
#define NB_CLIENT_STATS_INIT \
  { sizeof(nb_client_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/*
 * Copies the counters. Reads the agent's refusals first (one non-blocking system call).
 * Thread-safe. Returns NB_OK or NB_ERR_ARGUMENT.
 */
NB_API int nb_client_get_stats(nb_client* client, nb_client_stats* stats);

/*
 * The last fault in words, cut to `size`: why the agent cannot be reached, or why it refused.
 * Empty if there was no fault. Returns the code of the protocol's error table (-32602 ...), or 0
 * if the words are not the agent's. Thread-safe; reads as nb_client_get_stats() does.
 */
NB_API int nb_client_last_error(nb_client* client, char* buffer, size_t size);

/* The library's version: "0.1.0". Static. */
NB_API const char* nb_client_version(void);

/* The meaning of a result code, in words. Static. */
NB_API const char* nb_result_text(int result);

#ifdef __cplusplus
}
#endif

#endif /* NODEBEAT_CLIENT_H */
