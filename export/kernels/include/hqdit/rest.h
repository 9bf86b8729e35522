// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <thread>

namespace hqdit {

/// One turn of waiting for another core: a few microseconds of them are cheaper than giving up the processor.
inline void rest_a_little(int64_t turn) {
  constexpr int64_t kTurnsBeforeYield = 1000;
  if (turn >= kTurnsBeforeYield) return std::this_thread::yield();
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace hqdit
