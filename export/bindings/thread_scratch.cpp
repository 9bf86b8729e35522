// SPDX-License-Identifier: Apache-2.0
#include "thread_scratch.h"

#include <cstdlib>

#include "hqdit/large_memory.h"

namespace hqdit {
namespace {

struct Scratch {
  void* memory = nullptr;
  size_t bytes = 0;

  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(memory); }
};

}  // namespace

void* thread_scratch(size_t bytes) {
  thread_local Scratch scratch;
  if (bytes > scratch.bytes) {
    std::free(scratch.memory);
    scratch.memory = allocate_large(bytes);
    scratch.bytes = scratch.memory ? bytes : 0;
  }
  return scratch.memory;
}

}  // namespace hqdit
