// SPDX-License-Identifier: Apache-2.0
// Units of work that threads take from a common counter, so that a slow core takes fewer.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "hqdit/fp4_linear.h"

namespace hqdit {

/// Calls worker(slot, next) once on each of up to `slots` threads; next() gives the next unit, below 0 when all are
/// taken.
template <typename Worker>
void take_units(const ParallelFor& parallel, int64_t slots, int64_t units, const Worker& worker) {
  struct Shared {
    const Worker& worker;
    int64_t units;
    std::atomic<int64_t> taken;
  } shared{worker, units, {0}};
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    Shared& s = *static_cast<Shared*>(arg);
    const auto next = [&s] {
      const int64_t unit = s.taken.fetch_add(1, std::memory_order_relaxed);
      return unit < s.units ? unit : -1;
    };
    for (int64_t slot = begin; slot < end; ++slot) s.worker(slot, next);
  };
  slots = std::min(slots, units);
  if (slots == 1) {
    run(&shared, 0, 1);
  } else if (slots > 1) {
    parallel.run(parallel.context, slots, run, &shared);
  }
}

/// Into how many ranges the `rows` of each of `units` are cut, so that all threads find work. Each range packs its unit
/// again: short ones would not pay.
inline int64_t ranges_per_unit(const ParallelFor& parallel, int64_t units, int64_t rows) {
  constexpr int64_t kRowsPerRange = 64;
  int64_t ranges = 1;
  if (parallel.threads > 1) {
    while (units * ranges < 4 * parallel.threads && rows / (2 * ranges) >= kRowsPerRange) ranges *= 2;
  }
  return ranges;
}

constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/// Calls work(begin, end) for parts of [0, count), about `bytes` of memory an item.
template <typename Work>
void split_rows(const ParallelFor& parallel, int64_t count, int64_t bytes, const Work& work) {
  // A unit is worth far more than a fetch_add and fits a second-level cache.
  constexpr int64_t kBytesPerUnit = 64 << 10;
  const int64_t rows = std::max<int64_t>(1, kBytesPerUnit / std::max<int64_t>(1, bytes));
  take_units(parallel, parallel.threads, (count + rows - 1) / rows, [&](int64_t, const auto& next) {
    for (int64_t unit = next(); unit >= 0; unit = next()) work(unit * rows, std::min(count, (unit + 1) * rows));
  });
}

}  // namespace hqdit
