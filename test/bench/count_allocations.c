/* Preloaded into a program, counts what it allocates. The count lies in the file that
 * COUNT_ALLOCATIONS names, as eight bytes, for another process to read at any time. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that it keeps for this. */
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static uint64_t uncounted;
static uint64_t* counter = &uncounted;

__attribute__((constructor)) static void open_counter(void) {
  const char* path = getenv("COUNT_ALLOCATIONS");
  const int fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (fd < 0) return;
  if (ftruncate(fd, sizeof *counter) == 0) {
    void* memory = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory != MAP_FAILED) counter = memory;
  }
  close(fd);
}

static void count(void) {
  __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* The rest of the project hides what it does not export. */
#pragma GCC visibility push(default)

void* malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void* realloc(void* memory, size_t size) {
  count();
  return __libc_realloc(memory, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  count();
  *memory = __libc_memalign(alignment, size);
  return *memory == NULL ? ENOMEM : 0;
}

#pragma GCC visibility pop
