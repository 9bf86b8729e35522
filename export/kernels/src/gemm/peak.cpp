// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>

#include "gemm/backend.h"

namespace hqdit {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The best of many short slices: others may use the processor meanwhile, but hardly in all of them.
double best_multiply_adds_per_second() {
  constexpr double kSeconds = 0.2;
  constexpr int64_t kRounds = 20000;
  double best = 0;
  for (const Clock::time_point start = Clock::now(); seconds_since(start) < kSeconds;) {
    const Clock::time_point slice = Clock::now();
    const double multiply_adds = static_cast<double>(backend().dot_loop(kRounds));
    const double rate = multiply_adds / seconds_since(slice);
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace

double int8_peak_gops(const ParallelFor& parallel) {
  std::atomic<int64_t> total{0};
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      *static_cast<std::atomic<int64_t>*>(arg) += static_cast<int64_t>(best_multiply_adds_per_second());
    }
  };
  parallel.run(parallel.context, parallel.threads, run, &total);
  return 2e-9 * static_cast<double>(total.load());
}

}  // namespace hqdit
