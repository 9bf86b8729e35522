// SPDX-License-Identifier: Apache-2.0
#include "thread_scratch.h"

#include "hqdit/large_memory.h"
#include "hqdit/per_thread.h"

namespace hqdit {
namespace {

struct Scratch {
  LargeMemory memory;
  size_t size = 0;
};

PerThread<Scratch> scratch;

}  // namespace

void* thread_scratch(size_t bytes) {
  Scratch* mine = scratch.get();
  if (mine == nullptr) return nullptr;
  if (bytes > mine->size) {
    mine->memory.reset();
    mine->memory = allocate_large(bytes);
    mine->size = mine->memory ? bytes : 0;
  }
  return mine->memory.get();
}

}  // namespace hqdit
