// SPDX-License-Identifier: Apache-2.0
// How the step operators cut their work into units.
#pragma once

#include <algorithm>
#include <cstdint>

#include "gemm/units.h"
#include "hqdit/fp4_linear.h"

namespace hqdit {

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
