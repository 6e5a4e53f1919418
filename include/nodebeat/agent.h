/*
 * nodebeat/agent.h - the nodebeat agent as a library (libnodebeat-agent).
 *
 * An agent publishes the health of its node (CPU, memory, disk, GPU, programs that run beside it)
 * to Redis at a steady beat, reconnects to Redis without end, and serves a Unix socket for the
 * programs on its computer (nodebeat/PROTOCOL.md; for C programs nodebeat/client.h). `nodebeatd` is
 * this library and a main(). A program that embeds an agent does the same as nodebeatd:
 *
 *     nb_agent_options options = NB_AGENT_OPTIONS_INIT;
 *     options.config_file = "nodebeat.toml";
 *     nb_agent *agent = NULL;
 *     char error[1024];
 *     if (nb_agent_create(&options, &agent, error, sizeof error) != NB_OK) ...
 *     nb_agent_run(agent);       // until nb_agent_stop(), from any thread or a signal handler
 *     nb_agent_destroy(agent);
 *
 * Rules that hold everywhere:
 *  - An agent has no globals: any number may live in one process, each with its own node name.
 *  - An agent installs no signal handler, reads no environment variable, prints nothing and starts
 *    no lasting thread. It runs on the thread that calls nb_agent_run(). The lookup of a host name,
 *    and a call to a file system that may hang, have a thread of their own that ends with this one
 *    call. Such a thread may outlive the agent, so the library must not be unloaded (it is linked
 *    with -z nodelete).
 *  - Strings are UTF-8, NUL-terminated, and copied: the caller keeps its own strings. Nothing
 *    that the library returns has to be freed, except an agent, by nb_agent_destroy().
 *  - Times are in milliseconds, sizes in bytes.
 */
#ifndef NODEBEAT_AGENT_H
#define NODEBEAT_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include "nodebeat/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An agent. Opaque. */
typedef struct nb_agent nb_agent;

/*
 * Receives one line of log, without newline. `priority` is a syslog(3) priority: 3 error,
 * 4 warning, 5 notice, 6 info, 7 debug. Called on the thread that runs nb_agent_create() or
 * nb_agent_run(); the line is valid during the call only.
 *
 * While this function runs the agent does nothing else: no beat, no answer on the socket, no
 * watchdog. So the function must not write to a pipe, terminal or file that may be full or hang,
 * and must not take a lock that another thread holds while it waits. nodebeatd drops and counts a
 * line that cannot be written at once. The function must not throw, and must not call any function
 * of this agent except nb_agent_stop(). The agent limits how many lines of one kind it passes
 * (log.lines_per_minute).
 */
typedef void (*nb_log_fn)(void* user, int priority, const char* line);

/* Flags of nb_agent_options. */
enum {
  /*
   * Report to the service manager (sd_notify(3)): NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are
   * looked up in `environment`. READY=1 is sent when the agent runs, whether or not Redis is there;
   * STATUS= has the state of the link; WATCHDOG=1 is sent only while the loop works.
   */
  NB_AGENT_SERVICE = 1u << 0
};

/*
 * The options of nb_agent_create(). Begin with NB_AGENT_OPTIONS_INIT, which sets `size` and zeroes
 * the rest. A member that is NULL or 0 is not set. Later versions append members: a shorter struct
 * of an older program is accepted, and so is a longer struct whose unknown members are zero.
 */
typedef struct nb_agent_options {
  uint32_t size;  /* sizeof(nb_agent_options) */
  uint32_t flags; /* NB_AGENT_*; an unknown flag is an error */
  /*
   * The configuration file; the files of its folder are read after it (nodebeat.toml(5)). NULL:
   * none is read, all keys have their defaults.
   */
  const char* config_file;
  /* TOML text instead of files; `config_file` is then only its name in messages. */
  const char* config_text;
  /*
   * These override file and environment: the node's name, the URL of Redis, the path of the local
   * socket ("": no socket is served).
   */
  const char* node;
  const char* redis_url;
  const char* socket_path;
  /*
   * "NAME=value" strings, with NULL at the end, in which NODEBEAT_*, CREDENTIALS_DIRECTORY and
   * LISTEN_FDS (sd_listen_fds(3)) are looked up; nodebeatd passes environ. NULL: no environment.
   */
  const char* const* environment;
  /* The function that gets the log lines, and its first argument. NULL: there is no log. */
  nb_log_fn log;
  void* log_user;
} nb_agent_options;
#define NB_AGENT_OPTIONS_INIT \
  { sizeof(nb_agent_options), 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }

/*
 * Makes an agent. Reads and checks the configuration, and connects to nothing yet. On success
 * `*agent` must be destroyed by nb_agent_destroy(). Otherwise `*agent` is not changed, and `error`,
 * if it is not NULL and `error_size` > 0, says what is wrong: one line for each error, cut to fit.
 *
 * Returns NB_OK, NB_ERR_ARGUMENT, NB_ERR_CONFIG, NB_ERR_VERSION, NB_ERR_SYSTEM. Thread-safe.
 */
NB_API int nb_agent_create(const nb_agent_options* options, nb_agent** agent, char* error,
                           size_t error_size);

/*
 * Runs the agent on this thread until nb_agent_stop(). The agent then says goodbye to Redis, which
 * takes at most 500 ms, and the function returns. An agent runs only once. SIGPIPE is blocked for
 * this thread meanwhile, since a peer may go away between two writes.
 *
 * While an agent runs, there is a file beside its socket (PATH.run). An agent that finds such a
 * file of a dead agent reports, in its first beat and its node_up, that the previous run did not
 * end cleanly. After three such runs in a row, none longer than a minute, the agent waits before it
 * begins: 1 s, 2 s, up to 30 s.
 *
 * Returns NB_OK, NB_ERR_ARGUMENT, NB_ERR_STATE; if the local socket cannot be served NB_ERR_IN_USE,
 * NB_ERR_NO_PLACE, NB_ERR_READ_ONLY, NB_ERR_NO_SPACE, NB_ERR_DENIED, or else NB_ERR_SYSTEM: the log
 * says why.
 */
NB_API int nb_agent_run(nb_agent* agent);

/*
 * Asks the agent to stop, and does not wait. If this is called before nb_agent_run(), that function
 * returns at once. May be called from any thread and from a signal handler, but not after
 * nb_agent_destroy(); NULL is allowed.
 */
NB_API void nb_agent_stop(nb_agent* agent);

/*
 * Asks the agent to read its configuration again. If the new configuration is wrong, the old one
 * stays, and the log says why. Otherwise the agent applies all changes that are possible without
 * losing a beat, and the log names the keys that need a restart. May be called from any thread and
 * from a signal handler; NULL is allowed.
 */
NB_API void nb_agent_reload(nb_agent* agent);

/* The link to Redis, in nb_agent_stats. */
enum {
  NB_LINK_STOPPED = 0,
  NB_LINK_WAITING = 1, /* until the next try */
  NB_LINK_RESOLVING = 2,
  NB_LINK_CONNECTING = 3,
  NB_LINK_GREETING = 4,
  NB_LINK_REPLAYING = 5, /* writes data again that Redis may have lost */
  NB_LINK_STEADY = 6,    /* connected, and Redis has stored the node's health */
  NB_LINK_DEGRADED = 7   /* connected, but Redis refuses the agent's data about the node itself */
};

/*
 * Counters since the agent was made. Set `size` before the call; later versions append members. A
 * shorter struct gets the members that it has room for.
 */
typedef struct nb_agent_stats {
  uint32_t size;
  uint32_t link_state;     /* NB_LINK_* */
  uint64_t beats;          /* healths that were sampled */
  uint64_t stored;         /* transactions that Redis has confirmed */
  uint64_t refused;        /* transactions that Redis refused and that were given up */
  uint64_t coalesced;      /* values that a newer one replaced while they waited */
  uint64_t events_waiting; /* in the event log */
  uint64_t events_dropped; /* from the event log, for lack of room or because of their age */
  uint64_t events_expired; /* messages too old to be published */
  uint64_t connects;       /* times the link became steady */
  uint64_t link_failures;  /* times the link or a try to connect failed */
  double ping_ms;          /* the last PING's round trip; negative: none on this connection */
  uint64_t reloads;        /* configurations swapped in */
} nb_agent_stats;
#define NB_AGENT_STATS_INIT \
  { sizeof(nb_agent_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/*
 * Copies the counters as of the agent's last change. May be called from any thread.
 * Returns NB_OK or NB_ERR_ARGUMENT.
 */
NB_API int nb_agent_get_stats(const nb_agent* agent, nb_agent_stats* stats);

/*
 * Writes the effective configuration as TOML, NUL-terminated and cut to `size`: each value with its
 * origin, with secrets masked. Returns the whole length without the NUL, as snprintf does, or
 * NB_ERR_ARGUMENT. It is the configuration at the agent's creation. May be called from any thread.
 */
NB_API int nb_agent_print_config(const nb_agent* agent, char* buffer, size_t size);

/* Frees an agent that does not run. NULL is allowed. */
NB_API void nb_agent_destroy(nb_agent* agent);

/* The library's version: "0.1.0". Static. */
NB_API const char* nb_agent_version(void);

#ifdef __cplusplus
}
#endif

#endif /* NODEBEAT_AGENT_H */
