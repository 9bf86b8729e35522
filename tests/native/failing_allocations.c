// SPDX-License-Identifier: Apache-2.0
// Preloaded into a process: one of its allocations fails. For glibc, whose own functions do the work.
#include <errno.h>
#include <stddef.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static volatile int left = -1;

// The allocation after `count` others fails; none if it is negative. Returns how many were left to go.
int fail_allocation_after(int count) {
  const int before = left;
  left = count;
  return before;
}

static int fails(void) {
  if (left < 0) return 0;
  if (left-- > 0) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return fails() ? NULL : __libc_realloc(memory, size); }
void* aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void** memory, size_t alignment, size_t size) {
  if (fails()) return ENOMEM;
  void* made = __libc_memalign(alignment, size);
  if (made == NULL) return ENOMEM;
  *memory = made;
  return 0;
}
