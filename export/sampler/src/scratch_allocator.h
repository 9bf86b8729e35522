// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <executorch/runtime/core/memory_allocator.h>

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "hqdit/large_memory.h"

namespace hqdit {

/// Throws std::bad_alloc if there is none.
inline LargeMemory large_memory(size_t bytes) {
  LargeMemory memory = allocate_large(bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}

/// Temporary memory for kernels. The runtime resets it after every operator; the blocks are kept and merged into one,
/// so that it allocates from the system in the first steps only.
class ScratchAllocator final : public executorch::runtime::MemoryAllocator {
 public:
  ScratchAllocator() : MemoryAllocator(0, nullptr) {}

  void* allocate(size_t size, size_t alignment = kDefaultAlignment) override;
  void reset() override;

 private:
  struct Block {
    LargeMemory data;
    size_t bytes;
  };
  std::vector<Block> blocks_;
  size_t used_ = 0;  // bytes of the last block
};

}  // namespace hqdit
