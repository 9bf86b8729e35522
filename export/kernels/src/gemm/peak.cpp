// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <chrono>

#include "gemm/backend.h"

namespace hqdit {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

using DotLoop = int64_t (*)(int64_t rounds);

/// Of one thread, the best of many short slices: others may use the processor meanwhile, but hardly in all of them.
double best_multiply_adds_per_second(DotLoop dot_loop) {
  constexpr double kSeconds = 0.1;
  constexpr int64_t kRounds = 20000;
  double best = 0;
  for (const Clock::time_point start = Clock::now(); seconds_since(start) < kSeconds;) {
    const Clock::time_point slice = Clock::now();
    const double multiply_adds = static_cast<double>(dot_loop(kRounds));
    best = std::max(best, multiply_adds / seconds_since(slice));
  }
  return best;
}

/// Of all threads together.
double gops(DotLoop dot_loop, const ParallelFor& parallel) {
  struct Measurement {
    DotLoop dot_loop;
    std::atomic<int64_t> total{0};
  } measurement{dot_loop};
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    Measurement& to = *static_cast<Measurement*>(arg);
    for (int64_t slot = begin; slot < end; ++slot) {
      to.total += static_cast<int64_t>(best_multiply_adds_per_second(to.dot_loop));
    }
  };
  parallel.run(parallel.context, parallel.threads, run, &measurement);
  return 2e-9 * static_cast<double>(measurement.total.load());
}

}  // namespace

double int8_peak_gops(const ParallelFor& parallel) {
  double peak = 0;
  DotLoop last = nullptr;
  for (const Backend* const* isa = available_backends(); *isa; ++isa) {
    // Those that differ in decoding alone, neighbours in the list, share a loop.
    if ((*isa)->dot_loop != last) peak = std::max(peak, gops((*isa)->dot_loop, parallel));
    last = (*isa)->dot_loop;
  }
  return peak;
}

}  // namespace hqdit
