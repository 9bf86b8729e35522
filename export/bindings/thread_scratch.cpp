// SPDX-License-Identifier: Apache-2.0
#include "thread_scratch.h"

#include <utility>

#include "c_api.h"
#include "hqdit/large_memory.h"
#include "hqdit/per_thread.h"

namespace hqdit {
namespace {

struct Scratch {
  LargeMemory memory;
  size_t size = 0;
  uint64_t most = UINT64_MAX, refused = 0;
};

PerThread<Scratch> scratch;

}  // namespace

void* thread_scratch(size_t bytes) {
  Scratch* mine = scratch.get();
  if (mine == nullptr) return nullptr;
  if (bytes > mine->most) {
    mine->refused = bytes;
    return nullptr;
  }
  if (bytes > mine->size) {
    mine->memory.reset();
    mine->memory = allocate_large(bytes);
    mine->size = mine->memory ? bytes : 0;
  }
  return mine->memory.get();
}

}  // namespace hqdit

uint64_t hqdit_limit_workspace(uint64_t most) {
  hqdit::Scratch* mine = hqdit::scratch.get();
  if (mine == nullptr) return 0;  // nor will there be a workspace
  mine->most = most;
  return std::exchange(mine->refused, 0);
}
