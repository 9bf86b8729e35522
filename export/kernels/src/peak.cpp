// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <chrono>

#include "backend.h"

namespace hqdit {

double int8_peak_gops(const ParallelFor& parallel) {
  using Clock = std::chrono::steady_clock;
  constexpr double kSeconds = 0.2;
  constexpr int64_t kRounds = 20000;
  struct Shared {
    Clock::time_point start;
    std::atomic<int64_t> multiply_adds;
  } shared{Clock::now(), {0}};
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    Shared& s = *static_cast<Shared*>(arg);
    for (int64_t slot = begin; slot < end; ++slot) {
      while (std::chrono::duration<double>(Clock::now() - s.start).count() < kSeconds) {
        s.multiply_adds += backend().dot_loop(kRounds);
      }
    }
  };
  parallel.run(parallel.context, parallel.threads, run, &shared);
  const double elapsed = std::chrono::duration<double>(Clock::now() - shared.start).count();
  return 2e-9 * static_cast<double>(shared.multiply_adds.load()) / elapsed;
}

}  // namespace hqdit
