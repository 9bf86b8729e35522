// SPDX-License-Identifier: Apache-2.0
#include "thread_scratch.h"

#include "hqdit/large_memory.h"

namespace hqdit {

void* thread_scratch(size_t bytes) {
  thread_local LargeMemory memory;
  thread_local size_t size = 0;
  if (bytes > size) {
    memory.reset();
    memory = allocate_large(bytes);
    size = memory ? bytes : 0;
  }
  return memory.get();
}

}  // namespace hqdit
