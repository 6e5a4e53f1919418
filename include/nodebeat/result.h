/*
 * nodebeat/result.h - the result codes of libnodebeat and libnodebeat-agent: NB_OK, a
 * positive NB_KEPT, or an error, which is negative.
 */
#ifndef NODEBEAT_RESULT_H
#define NODEBEAT_RESULT_H

#if defined(__GNUC__)
#define NB_API __attribute__((visibility("default")))
#else
#define NB_API
#endif

enum {
  NB_OK = 0,
  NB_KEPT = 1, /* taken, but not handed over yet: it goes out as soon as possible */

  NB_ERR_ARGUMENT = -1,  /* a NULL, a size that no version has, an unknown flag */
  NB_ERR_CONFIG = -2,    /* the configuration is wrong; the message names file, line and key */
  NB_ERR_SYSTEM = -3,    /* the system refused something: no descriptors, no memory */
  NB_ERR_STATE = -4,     /* not now: it runs already, or another thread does this */
  NB_ERR_FULL = -5,      /* no room: not taken */
  NB_ERR_TOO_LARGE = -6, /* the message, or its result, is too long for its limit */
  NB_ERR_AWAY = -7,      /* no connection to the agent */
  NB_ERR_TIMEOUT = -8,   /* not within the time given */
  NB_ERR_REMOTE = -9,    /* the agent refused */

  /* Why an agent does not start. These errors return until somebody removes the cause. */
  NB_ERR_IN_USE = -10,    /* another process has the socket */
  NB_ERR_NO_PLACE = -11,  /* the socket's folder is missing, or something else is at its path */
  NB_ERR_READ_ONLY = -12, /* the socket's folder is on a read-only file system */
  NB_ERR_NO_SPACE = -13,  /* the file system of the socket's folder is full */
  NB_ERR_DENIED = -14,    /* the agent may not use the socket's folder, or its group */
  NB_ERR_VERSION = -15,   /* the configuration is for another version of nodebeat */

  NB_ERR_FORKED = -16, /* the client belongs to the process that forked this one */

  /* Results of nb_session_*. */
  NB_ERR_NOT_FOUND = -17,   /* there is no such session */
  NB_ERR_CONFLICT = -18,    /* the session exists, or has another version: nothing was changed */
  NB_ERR_IN_DOUBT = -19,    /* the write may or may not have been carried out */
  NB_ERR_CORRUPT = -20,     /* the key holds a value that is no session */
  NB_ERR_UNAVAILABLE = -21, /* not carried out: the agent does not reach Redis */

  /* Results of any call; the call was not carried out. */
  NB_ERR_FORBIDDEN = -22,   /* the socket does not give the right to make this call */
  NB_ERR_RATE_LIMITED = -23 /* more calls than one client of this socket may have in a second */
};

#endif /* NODEBEAT_RESULT_H */
