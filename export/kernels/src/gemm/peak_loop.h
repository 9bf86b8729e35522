// SPDX-License-Identifier: Apache-2.0
// The loop that measures how many dot products the processor can start: independent chains, on registers alone.
#pragma once

#include <cstdint>

#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// Runs acc = step(acc, operand) on `Chains` accumulators for so many rounds. Returns the multiply-adds done, of which
/// a step does `multiply_adds`.
template <int Chains, class Vector, class Step>
int64_t run_chains(int64_t rounds, int64_t multiply_adds, const Step& step) {
  // Each read may give another value as far as the compiler can tell, so no chain is another's twin.
  volatile Vector zero{};
  Vector acc[Chains];
  unroll<Chains>([&](int i) { acc[i] = zero; });
  Vector operand = zero;
  for (int64_t round = 0; round < rounds; ++round) {
    // The operand is new each time, too, so that no product can leave the loop.
#if defined(__x86_64__)
    asm volatile("" : "+x"(operand));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(operand));
#endif
    unroll<Chains>([&](int i) { acc[i] = step(acc[i], operand); });
  }
  unroll<Chains - 1>([&](int i) { acc[0] = acc[0] ^ acc[i + 1]; });
  volatile Vector kept = acc[0];
  static_cast<void>(kept);
  return rounds * Chains * multiply_adds;
}

}  // namespace
}  // namespace hqdit
