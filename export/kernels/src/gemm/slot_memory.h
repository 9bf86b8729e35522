// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace hqdit {

/// Memory of `slots` threads' own, `bytes` for each, of which every part begins at a cache line.
///
/// Each part comes after a gap. A core that reads on to what lies before it prefetches beyond, and takes lines from the
/// core that writes them: without gaps, the second of two threads on a Zen 4 decodes panels in 2 to 10 times the time.
class SlotMemory {
 public:
  const int64_t slots;

  SlotMemory(int64_t threads, size_t bytes) : slots(threads), stride_(kGap + (bytes + 63) / 64 * 64) {}

  size_t total() const { return static_cast<size_t>(slots) * stride_; }

  template <class T>
  T* at(void* memory, int64_t slot) const {
    return reinterpret_cast<T*>(static_cast<uint8_t*>(memory) + static_cast<size_t>(slot) * stride_ + kGap);
  }

 private:
  static constexpr size_t kGap = 16 << 10;  // 12 KiB are not enough

  const size_t stride_;
};

}  // namespace hqdit
