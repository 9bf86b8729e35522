// SPDX-License-Identifier: Apache-2.0
// Memory for activations and workspaces, in huge pages where the system has them. Rows of a tile lie pages apart: each
// ordinary page takes a translation of its own, and pages scattered over physical memory compete for the same sets of a
// cache. A step takes 4 % longer with them (docs/performance.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace hqdit {

constexpr std::size_t kMemoryAlignment = 64;  // a cache line, and what vector loads may ask for

struct FreeDelete {
  void operator()(uint8_t* memory) const { std::free(memory); }
};

using LargeMemory = std::unique_ptr<uint8_t, FreeDelete>;

/// At least `bytes`, which may be 0, aligned to kMemoryAlignment; nullptr if there is no memory. What fills half a huge
/// page or more gets whole ones, if the system grants the request.
inline LargeMemory allocate_large(std::size_t bytes) noexcept {
  std::size_t alignment = kMemoryAlignment;
  if (bytes == 0) bytes = kMemoryAlignment;  // posix_memalign may give a null pointer for none
#if defined(MADV_HUGEPAGE)
  // With base pages of 4 KiB; where they are larger, so are huge pages, and the request changes nothing.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  if (bytes >= kHugePage / 2 && bytes <= SIZE_MAX - kHugePage) {
    alignment = kHugePage;
    bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  }
#endif
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes) != 0) return nullptr;
#if defined(MADV_HUGEPAGE)
  if (alignment == kHugePage) static_cast<void>(madvise(memory, bytes, MADV_HUGEPAGE));
#endif
  return LargeMemory(static_cast<uint8_t*>(memory));
}

}  // namespace hqdit
