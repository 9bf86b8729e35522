// SPDX-License-Identifier: Apache-2.0
#include "scratch_allocator.h"

#include <algorithm>

namespace hqdit {

void* ScratchAllocator::allocate(size_t size, size_t alignment) try {
  if (alignment > kMemoryAlignment || size > (size_t{1} << 40)) return nullptr;
  const size_t padded = (size + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
  if (blocks_.empty() || blocks_.back().bytes - used_ < padded) {
    const size_t bytes = std::max<size_t>(padded, kMemoryAlignment);
    blocks_.push_back({large_memory(bytes), bytes});
    used_ = 0;
  }
  uint8_t* const start = blocks_.back().data.get() + used_;
  used_ += padded;
  return start;
} catch (const std::bad_alloc&) {
  return nullptr;  // the runtime's word for out of memory
}

void ScratchAllocator::reset() {
  used_ = 0;
  if (blocks_.size() < 2) return;
  size_t total = 0;
  for (const Block& block : blocks_) total += block.bytes;
  blocks_.clear();
  // The runtime's code cannot pass an exception on; the next allocate() reports that there is none to be had.
  try {
    blocks_.push_back({large_memory(total), total});
  } catch (const std::bad_alloc&) {
    blocks_.clear();
  }
}

}  // namespace hqdit
