/* To be loaded before a program: open() of the file $HANGING_PATH waits as long as there is a file
 * "$HANGING_PATH.hangs", as on a file server that has gone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wait_as_long_as_it_hangs(const char* path) {
  const char* hanging = getenv("HANGING_PATH");
  char flag[4096];
  if (hanging == NULL || strcmp(path, hanging) != 0) return;
  snprintf(flag, sizeof flag, "%s.hangs", hanging);
  while (access(flag, F_OK) == 0) usleep(10000);
}

#define OPEN(name)                                                                                \
  int name(const char* path, int flags, ...) {                                                    \
    va_list arguments;                                                                            \
    va_start(arguments, flags);                                                                   \
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;                          \
    va_end(arguments);                                                                            \
    wait_as_long_as_it_hangs(path);                                                               \
    int (*next)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, #name); \
    return next(path, flags, mode);                                                               \
  }

OPEN(open)
OPEN(open64)
