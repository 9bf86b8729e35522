// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <executorch/runtime/core/memory_allocator.h>

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace hqdit {

constexpr std::size_t kMemoryAlignment = 64;  // a cache line, and what vector loads may ask for

struct AlignedDelete {
  void operator()(uint8_t* memory) const { ::operator delete[](memory, std::align_val_t(kMemoryAlignment)); }
};

inline std::unique_ptr<uint8_t, AlignedDelete> aligned_memory(size_t bytes) {
  return std::unique_ptr<uint8_t, AlignedDelete>(new (std::align_val_t(kMemoryAlignment)) uint8_t[bytes]);
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
    std::unique_ptr<uint8_t, AlignedDelete> data;
    size_t bytes;
  };
  std::vector<Block> blocks_;
  size_t used_ = 0;  // bytes of the last block
};

}  // namespace hqdit
