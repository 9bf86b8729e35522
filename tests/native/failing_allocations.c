// SPDX-License-Identifier: Apache-2.0
// Preloaded into a process: one of its allocations fails. For glibc, whose own functions do the work.
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

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

// The stack of a fatal signal on standard error; the process ends by that signal all the same.
static void on_signal(int number) {
  static void* frames[64];
  left = -1;
  backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
  signal(number, SIG_DFL);
  raise(number);
}

void show_stack_of_fatal_signals(void) {
  static char memory[1 << 17];
  void* frame;
  backtrace(&frame, 1);  // loads what it needs now and not in the handler
  const stack_t own = {.ss_sp = memory, .ss_size = sizeof memory};
  sigaltstack(&own, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) sigaction(numbers[i], &action, NULL);
}
