// Counts what a program takes from and gives back to the C library's allocator, for LD_PRELOAD. The counts are in a file that the program
// maps (its path is in ALLOCATION_COUNTS), so that they can be read from outside at any moment. When `recording` is set from outside, each
// allocation is also entered by its call stack. The layout is that of counting/allocations.py.
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The allocator itself, by the names that glibc keeps for those who stand in front of it.
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { SITES = 8192, FRAMES = 40 };

struct site {
  uint64_t count, bytes, depth;
  uint64_t frames[FRAMES];
};

struct counts {
  _Atomic uint64_t attached, recording, allocations, resizes, frees, bytes, lost;
  struct site sites[SITES];
};

static struct counts *counts;
static atomic_flag entering = ATOMIC_FLAG_INIT;
static __thread int inside __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void attach(void) {
  const char *path = getenv("ALLOCATION_COUNTS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *map = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map == MAP_FAILED) return;
  // The first call loads the unwinder, which allocates.
  void *frame[1];
  backtrace(frame, 1);
  counts = map;
  counts->attached = 1;
}

static void enter(size_t size) {
  void *stack[FRAMES];
  int depth = backtrace(stack, FRAMES);
  uint64_t hash = 14695981039346656037u;
  for (int i = 0; i < depth; i++) hash = (hash ^ (uintptr_t)stack[i]) * 1099511628211u;
  while (atomic_flag_test_and_set(&entering)) {}
  for (int step = 0; step < SITES; step++) {
    struct site *site = &counts->sites[(hash + step) % SITES];
    if (site->count && (site->depth != depth || memcmp(site->frames, stack, depth * sizeof *stack))) continue;
    memcpy(site->frames, stack, depth * sizeof *stack);
    site->depth = depth;
    site->count++;
    site->bytes += size;
    atomic_flag_clear(&entering);
    return;
  }
  counts->lost++;
  atomic_flag_clear(&entering);
}

static void *taken(void *block, size_t size, _Atomic uint64_t *counter) {
  if (!block || inside) return block;
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
  if (counts->recording) {
    inside = 1;
    enter(size);
    inside = 0;
  }
  return block;
}

#define TAKEN(block, size) (counts ? taken(block, size, &counts->allocations) : (block))

void *malloc(size_t size) { return TAKEN(__libc_malloc(size), size); }

void *calloc(size_t count, size_t size) { return TAKEN(__libc_calloc(count, size), count * size); }

void *memalign(size_t alignment, size_t size) { return TAKEN(__libc_memalign(alignment, size), size); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) || alignment & (alignment - 1) || !alignment) return EINVAL;
  void *block = memalign(alignment, size);
  if (!block) return ENOMEM;
  *result = block;
  return 0;
}

void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  void *block = __libc_realloc(old, size);
  // A size of nothing frees.
  if (counts && !block && !size) counts->frees++;
  return counts ? taken(block, size, &counts->resizes) : block;
}

void *reallocarray(void *old, size_t count, size_t size) {
  size_t all;
  if (__builtin_mul_overflow(count, size, &all)) {
    errno = ENOMEM;
    return NULL;
  }
  return realloc(old, all);
}

void free(void *block) {
  if (block && counts && !inside) atomic_fetch_add_explicit(&counts->frees, 1, memory_order_relaxed);
  __libc_free(block);
}
